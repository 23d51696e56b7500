/**
 * The program that listens and connects inside one namespace of the twin. It is one self-contained function: the prober hands its text
 * to `node -e`, so it needs no file of its own in a bundle and starts without reading TypeScript (about 50 ms). It talks JSON lines
 * over standard input and output and ends with its standard input.
 */
import type { Server as TcpServer, Socket as TcpSocket } from 'node:net';
import type { Socket as UdpSocket } from 'node:dgram';

export type TransportProtocol = 'tcp' | 'udp';

export type AgentRequest =
  /** Answers on a port; on every local address, or on one (needed for UDP where the host has several). Asking twice is fine. */
  | { readonly op: 'listen'; readonly protocol: TransportProtocol; readonly port: number; readonly address?: string }
  /** One connection, or one datagram. */
  | {
      readonly op: 'probe';
      readonly protocol: TransportProtocol;
      readonly to: string;
      readonly port: number;
      readonly source?: string;
      readonly token: string;
      readonly timeoutMs: number;
    }
  /** Which of these tokens arrived here by UDP. */
  | { readonly op: 'seen'; readonly tokens: readonly string[] }
  /** Opens a flow that goes on: one numbered message every `everyMs`, echoed by the other side. */
  | {
      readonly op: 'hold';
      readonly key: string;
      readonly protocol: TransportProtocol;
      readonly to: string;
      readonly port: number;
      readonly source?: string;
      readonly everyMs: number;
      readonly timeoutMs: number;
    }
  | { readonly op: 'held'; readonly key: string }
  | { readonly op: 'release'; readonly key: string };

export interface AgentProbeResult {
  readonly answered: boolean;
  /** A reset or an ICMP port-unreachable came back: the packet got through, nobody listens. */
  readonly refused: boolean;
  /** Who answered, as it was named when its agent was started. */
  readonly server?: string;
  /** Source address and port as the answering side saw them. */
  readonly seenSource?: string;
  readonly seenPort?: number;
  readonly ms: number;
  readonly error?: string;
}

export interface HeldFlow {
  readonly sent: number;
  /** Messages that came back complete and in order. */
  readonly echoed: number;
  /** Milliseconds since the last echo. */
  readonly silentMs: number;
  readonly closed?: string;
}

/** Text of a program for `node -e`. */
export function agentProgram(name: string): string {
  return `(${agent.toString()})(${JSON.stringify(name)})`;
}

function agent(name: string): void {
  const net = process.getBuiltinModule('node:net');
  const dgram = process.getBuiltinModule('node:dgram');
  const readline = process.getBuiltinModule('node:readline');
  const listening = new Map<string, Promise<void>>();
  const seen = new Set<string>();
  interface Flow {
    sent: number;
    echoed: number;
    lastEcho: number;
    closed: string | undefined;
    stop: () => void;
  }
  const flows = new Map<string, Flow>();
  const plain = (address: string): string => (address.startsWith('::ffff:') ? address.slice(7) : address);
  const message = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : String(error));

  function listenTcp(port: number, address: string | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const server: TcpServer = net.createServer((socket) => {
        socket.on('error', () => undefined);
        socket.write(`${JSON.stringify({ server: name, source: plain(socket.remoteAddress ?? ''), port: socket.remotePort })}\n`);
        socket.pipe(socket);
      });
      server.once('error', reject);
      server.listen({ port, host: address ?? '::', ipv6Only: false }, resolve);
    });
  }

  function listenUdp(port: number, address: string | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket: UdpSocket = dgram.createSocket(address !== undefined && !address.includes(':') ? 'udp4' : 'udp6');
      socket.on('message', (data, peer) => {
        const token = data.toString();
        seen.add(token);
        if (seen.size > 20_000) seen.clear();
        const reply = JSON.stringify({ token, server: name, source: plain(peer.address), port: peer.port });
        socket.send(reply, peer.port, peer.address, () => undefined);
      });
      socket.once('error', reject);
      socket.bind({ port, address: address ?? '::' }, () => resolve());
    });
  }

  function listen(protocol: TransportProtocol, port: number, address: string | undefined): Promise<void> {
    const key = `${protocol} ${port} ${address ?? ''}`;
    const known = listening.get(key);
    if (known) return known;
    const started = protocol === 'tcp' ? listenTcp(port, address) : listenUdp(port, address);
    listening.set(key, started);
    started.catch(() => listening.delete(key));
    return started;
  }

  function outgoing(to: string, port: number, source: string | undefined): TcpSocket {
    return net.connect({ host: to, port, ...(source === undefined ? {} : { localAddress: source }) });
  }

  function probeTcp(to: string, port: number, source: string | undefined, timeoutMs: number): Promise<AgentProbeResult> {
    return new Promise((resolve) => {
      const began = performance.now();
      const socket = outgoing(to, port, source);
      let text = '';
      const finish = (result: Omit<AgentProbeResult, 'ms'>): void => {
        clearTimeout(timer);
        // A reset leaves no TIME_WAIT behind that would occupy the source port for the next probe.
        socket.resetAndDestroy();
        resolve({ ...result, ms: performance.now() - began });
      };
      const timer = setTimeout(() => finish({ answered: false, refused: false }), timeoutMs);
      socket.on('error', (error) => finish({ answered: false, refused: message(error) === 'ECONNREFUSED', error: message(error) }));
      socket.on('end', () => finish({ answered: true, refused: false }));
      socket.on('data', (chunk) => {
        text += chunk.toString();
        if (!text.includes('\n')) return;
        try {
          const hello: { server: string; source: string; port: number } = JSON.parse(text.slice(0, text.indexOf('\n')));
          finish({ answered: true, refused: false, server: hello.server, seenSource: hello.source, seenPort: hello.port });
        } catch {
          // Somebody else's service answered (an SSH banner, say): that is an answer too.
          finish({ answered: true, refused: false });
        }
      });
    });
  }

  function probeUdp(to: string, port: number, source: string | undefined, token: string, timeoutMs: number): Promise<AgentProbeResult> {
    return new Promise((resolve) => {
      const began = performance.now();
      const socket = dgram.createSocket(to.includes(':') ? 'udp6' : 'udp4');
      const finish = (result: Omit<AgentProbeResult, 'ms'>): void => {
        clearTimeout(timer);
        socket.close();
        resolve({ ...result, ms: performance.now() - began });
      };
      const timer = setTimeout(() => finish({ answered: false, refused: false }), timeoutMs);
      socket.once('error', (error) => finish({ answered: false, refused: message(error) === 'ECONNREFUSED', error: message(error) }));
      socket.on('message', (data) => {
        try {
          const reply: { token?: string; server: string; source: string; port: number } = JSON.parse(data.toString());
          if (reply.token !== token) return;
          finish({ answered: true, refused: false, server: reply.server, seenSource: reply.source, seenPort: reply.port });
        } catch {
          finish({ answered: true, refused: false });
        }
      });
      socket.bind({ port: 0, ...(source === undefined ? {} : { address: source }) }, () => {
        socket.connect(port, to, (error?: Error) => {
          if (error) finish({ answered: false, refused: false, error: message(error) });
          else socket.send(token);
        });
      });
    });
  }

  function hold(request: Extract<AgentRequest, { op: 'hold' }>): Promise<{ opened: boolean; error?: string }> {
    const flow: Flow = { sent: 0, echoed: 0, lastEcho: performance.now(), closed: undefined, stop: () => undefined };
    flows.set(request.key, flow);
    return request.protocol === 'tcp' ? holdTcp(request, flow) : holdUdp(request, flow);
  }

  function holdTcp(request: Extract<AgentRequest, { op: 'hold' }>, flow: Flow): Promise<{ opened: boolean; error?: string }> {
    return new Promise((resolve) => {
      const socket = outgoing(request.to, request.port, request.source);
      socket.setNoDelay(true);
      let beat: ReturnType<typeof setInterval> | undefined;
      let greeted = false;
      let rest = '';
      const giveUp = setTimeout(() => end('timeout'), request.timeoutMs);
      const end = (why: string): void => {
        flow.closed ??= why;
        clearInterval(beat);
        clearTimeout(giveUp);
        socket.destroy();
        resolve({ opened: false, error: why });
      };
      flow.stop = () => end('released');
      socket.on('error', (error) => end(message(error)));
      socket.on('close', () => end('closed'));
      socket.on('data', (chunk) => {
        const lines = (rest + chunk.toString()).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          if (greeted) {
            if (line !== String(flow.echoed)) return end(`expected message ${flow.echoed}, got ${line}`);
            flow.echoed++;
            flow.lastEcho = performance.now();
            continue;
          }
          greeted = true;
          clearTimeout(giveUp);
          flow.lastEcho = performance.now();
          beat = setInterval(() => socket.write(`${flow.sent++}\n`), request.everyMs);
          resolve({ opened: true });
        }
      });
    });
  }

  function holdUdp(request: Extract<AgentRequest, { op: 'hold' }>, flow: Flow): Promise<{ opened: boolean; error?: string }> {
    return new Promise((resolve) => {
      const socket = dgram.createSocket(request.to.includes(':') ? 'udp6' : 'udp4');
      const beat = setInterval(
        () => socket.send(`${request.key} ${flow.sent++}`, request.port, request.to, () => undefined),
        request.everyMs,
      );
      const giveUp = setTimeout(() => resolve({ opened: false, error: 'timeout' }), request.timeoutMs);
      flow.stop = () => {
        flow.closed ??= 'released';
        clearInterval(beat);
        clearTimeout(giveUp);
        socket.close();
      };
      socket.on('error', (error) => {
        flow.closed ??= message(error);
      });
      socket.on('message', () => {
        flow.echoed++;
        flow.lastEcho = performance.now();
        clearTimeout(giveUp);
        resolve({ opened: true });
      });
      socket.bind({ port: 0, ...(request.source === undefined ? {} : { address: request.source }) });
    });
  }

  async function answer(request: AgentRequest): Promise<unknown> {
    switch (request.op) {
      case 'listen':
        await listen(request.protocol, request.port, request.address);
        return {};
      case 'probe':
        return request.protocol === 'tcp'
          ? probeTcp(request.to, request.port, request.source, request.timeoutMs)
          : probeUdp(request.to, request.port, request.source, request.token, request.timeoutMs);
      case 'seen':
        return { seen: request.tokens.filter((token) => seen.has(token)) };
      case 'hold':
        return hold(request);
      case 'held': {
        const flow = flows.get(request.key);
        if (!flow) throw new Error(`no flow ${request.key}`);
        const { sent, echoed, lastEcho, closed } = flow;
        return { sent, echoed, silentMs: performance.now() - lastEcho, ...(closed === undefined ? {} : { closed }) };
      }
      case 'release':
        flows.get(request.key)?.stop();
        return {};
    }
  }

  readline
    .createInterface({ input: process.stdin })
    .on('line', (line) => {
      const { id, request }: { id: number; request: AgentRequest } = JSON.parse(line);
      answer(request).then(
        (result) => process.stdout.write(`${JSON.stringify({ id, result })}\n`),
        (error: unknown) => process.stdout.write(`${JSON.stringify({ id, error: message(error) })}\n`),
      );
    })
    .on('close', () => process.exit(0));
}
