/** Where the networks' resolvers ask: one UDP and one TCP socket at each address. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { frame, messagesOf } from './stream.ts';
import type { Transport } from './upstream.ts';

export type Respond = (query: Buffer, transport: Transport) => Promise<Buffer | undefined>;

/** Questions that wait at a time; more are not heard. dnsmasq itself has at most 150 under way (`dns-forward-max`). */
const AT_ONCE = 1000;
const CONNECTIONS = 200;
const IDLE_MS = 10_000;

/** Resolves, once both sockets are bound, to a function that closes them. Throws when the address is taken. */
export async function listen(address: string, port: number, respond: Respond): Promise<() => void> {
  let waiting = 0;
  const answer = async (query: Buffer, transport: Transport, reply: (answer: Buffer) => void): Promise<void> => {
    if (waiting >= AT_ONCE) return;
    waiting++;
    try {
      const given = await respond(query, transport);
      if (given) reply(given);
    } finally {
      waiting--;
    }
  };

  const udp = createSocket('udp4');
  udp.bind(port, address);
  await once(udp, 'listening');
  udp.on('error', () => undefined);
  udp.on('message', (query, from) => void answer(query, 'udp', (given) => udp.send(given, from.port, from.address)));

  const tcp = createServer((socket) => {
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    socket.on('error', () => socket.destroy());
    messagesOf(socket, (query) => void answer(query, 'tcp', (given) => socket.write(frame(given))));
  });
  tcp.maxConnections = CONNECTIONS;
  tcp.listen(port, address);
  await once(tcp, 'listening').catch((error: unknown) => {
    udp.close();
    throw error;
  });
  tcp.on('error', () => undefined);
  return () => {
    udp.close();
    tcp.close();
  };
}
