/** Asks the name servers that the network's resolver would ask: one after the other, without waiting long for a silent one. */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { connect, isIP } from 'node:net';
import type { RelayUpstream } from '../hoststate/model.ts';
import { canonicalIp } from '../net/ip.ts';
import { isFailure, readAnswer, type Question } from './message.ts';
import { frame, messagesOf } from './stream.ts';

const DNS_PORT = 53;
/** A server that is silent for so long is left answering, and the next one is asked as well. */
const NEXT_AFTER_MS = 1000;
const GIVE_UP_MS = 5000;

export type Transport = 'udp' | 'tcp';

/** The addresses to ask, in order. */
export function serversOf(upstream: RelayUpstream): readonly string[] {
  if (upstream.kind === 'servers') return upstream.servers;
  let text = '';
  try {
    text = readFileSync(upstream.file, 'utf8');
  } catch {
    // As without any server.
  }
  const servers = [...text.matchAll(/^[ \t]*nameserver[ \t]+([^\s#;]+)/gm)].flatMap(([, server]) => server ?? []);
  // A link-local one has its interface behind it, `fe80::1%eth0`, and is none of ours.
  return servers.filter((server) => isIP(server) !== 0 && !upstream.except.includes(canonicalIp(server) ?? ''));
}

/** The first answer that is one; a failure only when no server gives better. Undefined when nobody answers. */
export async function ask(
  query: Buffer,
  question: Question,
  servers: readonly string[],
  transport: Transport,
): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const abort = new AbortController();
  let failure: Buffer | undefined;
  let running = 0;
  let next = 0;
  const start = (): void => {
    const server = servers[next++];
    if (server === undefined) {
      if (running === 0) resolve(failure);
      return;
    }
    running++;
    const overdue = setTimeout(start, NEXT_AFTER_MS);
    const asked = transport === 'udp' ? askUdp(query, question, server, abort.signal) : askTcp(query, question, server, abort.signal);
    void asked.then((answer) => {
      running--;
      clearTimeout(overdue);
      if (abort.signal.aborted) return;
      const read = answer && readAnswer(answer, question);
      if (read && !isFailure(read)) resolve(answer);
      else {
        failure ??= answer;
        start();
      }
    });
  };
  start();
  const deadline = setTimeout(() => resolve(failure), GIVE_UP_MS);
  const answer = await promise;
  clearTimeout(deadline);
  abort.abort();
  return answer;
}

/** From a port of its own, connected: the kernel hands over what comes from that server's port 53 only. Resolves to undefined when the server refuses. */
function askUdp(query: Buffer, question: Question, server: string, signal: AbortSignal): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const socket = createSocket(server.includes(':') ? 'udp6' : 'udp4');
  socket.on('error', () => resolve(undefined));
  // Whatever else arrives is somebody's guess.
  socket.on('message', (message) => {
    if (readAnswer(message, question)) resolve(message);
  });
  socket.connect(DNS_PORT, server, (error?: Error) => {
    if (error) resolve(undefined);
    else socket.send(query);
  });
  signal.addEventListener('abort', () => resolve(undefined));
  return promise.finally(() => socket.close());
}

function askTcp(query: Buffer, question: Question, server: string, signal: AbortSignal): Promise<Buffer | undefined> {
  const { promise, resolve } = Promise.withResolvers<Buffer | undefined>();
  const socket = connect({ host: server, port: DNS_PORT }, () => socket.write(frame(query)));
  socket.on('error', () => resolve(undefined));
  socket.on('close', () => resolve(undefined));
  messagesOf(socket, (message) => resolve(readAnswer(message, question) ? message : undefined));
  signal.addEventListener('abort', () => resolve(undefined));
  return promise.finally(() => socket.destroy());
}
