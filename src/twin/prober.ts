/**
 * Sends one packet or opens one connection between two namespaces and says whether it arrived, whether an answer came back, and who
 * the other side saw. One agent process serves a namespace and lives until `close`; ICMP goes through ping(8).
 */
import { availableParallelism, loadavg } from 'node:os';
import { execPath } from 'node:process';
import type { Kernel } from '../kernel/kernel.ts';
import { startLineProcess } from '../kernel/line-process.ts';
import type { LineProcess } from '../kernel/line-process.ts';
import { agentProgram } from './agent.ts';
import type { AgentProbeResult, AgentRequest, HeldFlow, TransportProtocol } from './agent.ts';

export type ProbeProtocol = TransportProtocol | 'icmp';

export interface Probe {
  /** Path of the namespace that opens: `/run/netns/x`. */
  readonly from: string;
  readonly source?: string;
  /** An address, without a prefix length. */
  readonly to: string;
  readonly protocol: ProbeProtocol;
  /** Ignored for ICMP. */
  readonly port?: number;
  /** Namespace that is to answer. Its agent listens on `listenPort` (default `port`) before the probe, and is asked for datagrams whose answer got lost. */
  readonly at?: string;
  /** Address to answer on, when not `to` (destination NAT); `any` for every local one. Default: `to` for UDP, `any` for TCP. */
  readonly listenAddress?: string;
  readonly listenPort?: number;
  /** Default: the prober's. */
  readonly timeoutMs?: number;
}

export interface ProbeResult {
  /** The other side got it: it answered, refused (reset, ICMP port unreachable), or its agent saw the datagram. */
  readonly delivered: boolean;
  readonly answered: boolean;
  readonly refused: boolean;
  /** Namespace path of who answered. */
  readonly server?: string;
  /** Source address as the answering side saw it. */
  readonly seenSource?: string;
  readonly ms: number;
  readonly error?: string;
}

export interface HoldRequest {
  readonly from: string;
  readonly source?: string;
  readonly to: string;
  readonly protocol: TransportProtocol;
  readonly port: number;
  readonly at?: string;
  readonly everyMs?: number;
}

/** A flow that goes on, one numbered message at a time. */
export interface Held {
  state(): Promise<HeldFlow>;
  release(): Promise<void>;
}

export interface Prober {
  probe(probe: Probe): Promise<ProbeResult>;
  /** Many at once, at most `width` (default 48) under way; results in the order of the probes. */
  probeAll(probes: readonly Probe[], width?: number): Promise<ProbeResult[]>;
  listen(namespace: string, protocol: TransportProtocol, port: number, address?: string): Promise<void>;
  /** Ends the agents of all other namespaces: each is a process. */
  keepOnly(namespaces: ReadonlySet<string>): Promise<void>;
  /** Throws when the flow does not open within 2 s. */
  hold(request: HoldRequest): Promise<Held>;
  close(): Promise<void>;
}

interface Agent {
  ask(request: AgentRequest): Promise<unknown>;
  readonly process: LineProcess;
}

/** `timeoutMs`: how long a probe waits for an answer, default {@link usualTimeoutMs}; what passes answers within a few milliseconds. */
export function createProber(kernel: Kernel, options: { readonly timeoutMs?: number } = {}): Prober {
  const agents = new Map<string, Agent>();
  let tokens = 0;

  function agentOf(namespace: string): Agent {
    const known = agents.get(namespace);
    if (known) return known;
    const started = startAgent(kernel.at(namespace), namespace);
    agents.set(namespace, started);
    // A namespace that is made again under the same name needs a new agent.
    void started.process.ended.then(() => agents.get(namespace) === started && agents.delete(namespace));
    return started;
  }

  async function listen(namespace: string, protocol: TransportProtocol, port: number, address?: string): Promise<void> {
    await agentOf(namespace).ask({ op: 'listen', protocol, port, ...(address === undefined ? {} : { address }) });
  }

  /** What another program holds (the host's own dnsmasq, say) answers or refuses by itself. */
  async function listenIfFree(namespace: string, protocol: TransportProtocol, port: number, address: string | undefined): Promise<void> {
    try {
      await listen(namespace, protocol, port, address);
    } catch (error) {
      if (!(error instanceof AgentError) || !['EADDRINUSE', 'EADDRNOTAVAIL'].includes(error.message)) throw error;
    }
  }

  async function listenFor(
    { at, to, protocol }: { readonly at?: string; readonly to: string; readonly protocol: TransportProtocol },
    port: number,
    address: string | undefined,
  ): Promise<void> {
    if (at === undefined) return;
    const on = address ?? (protocol === 'udp' ? to : 'any');
    await listenIfFree(at, protocol, port, on === 'any' ? undefined : on);
  }

  async function probe(request: Probe): Promise<ProbeResult> {
    const timeoutMs = request.timeoutMs ?? options.timeoutMs ?? usualTimeoutMs();
    const { protocol } = request;
    if (protocol === 'icmp') return ping(kernel.at(request.from), request, timeoutMs);
    const port = request.port ?? 0;
    await listenFor({ ...request, protocol }, request.listenPort ?? port, request.listenAddress);
    const token = `weft-probe-${process.pid}-${++tokens}`;
    const source = request.source === undefined ? {} : { source: request.source };
    const asked = agentOf(request.from).ask({ op: 'probe', protocol, to: request.to, port, token, timeoutMs, ...source });
    const { answered, refused, server, seenSource, ms, error } = asProbeResult(await asked);
    const arrived = answered || refused || (protocol === 'udp' && request.at !== undefined && (await sawToken(request.at, token)));
    return {
      delivered: arrived,
      answered,
      refused,
      ms,
      ...(server === undefined ? {} : { server }),
      ...(seenSource === undefined ? {} : { seenSource }),
      ...(error === undefined ? {} : { error }),
    };
  }

  async function sawToken(namespace: string, token: string): Promise<boolean> {
    const result = await agentOf(namespace).ask({ op: 'seen', tokens: [token] });
    return isRecord(result) && Array.isArray(result['seen']) && result['seen'].length > 0;
  }

  async function hold(request: HoldRequest): Promise<Held> {
    await listenFor(request, request.port, undefined);
    const key = `weft-flow-${++tokens}`;
    const agent = agentOf(request.from);
    const { protocol, to, port, everyMs = 20 } = request;
    const source = request.source === undefined ? {} : { source: request.source };
    const opened = await agent.ask({ op: 'hold', key, protocol, to, port, everyMs, timeoutMs: 2000, ...source });
    if (!isRecord(opened) || opened['opened'] !== true) throw new AgentError(`The flow to ${to} ${protocol}/${port} did not open.`);
    return {
      state: async () => asHeldFlow(await agent.ask({ op: 'held', key })),
      release: async () => void (await agent.ask({ op: 'release', key })),
    };
  }

  return {
    probe,
    probeAll: (probes, width = 48) => mapLimited(probes, width, probe),
    listen,
    hold,
    keepOnly: async (namespaces) => {
      const idle = [...agents].filter(([namespace]) => !namespaces.has(namespace));
      for (const [namespace] of idle) agents.delete(namespace);
      await Promise.all(idle.map(([, agent]) => agent.process.stop()));
    },
    close: async () => {
      const all = [...agents.values()];
      agents.clear();
      await Promise.all(all.map((agent) => agent.process.stop()));
    },
  };
}

/** 700 ms; up to four times that on a machine that has more to do than processors, where a late answer is no drop. */
function usualTimeoutMs(): number {
  const [lastMinute = 0] = loadavg();
  return 700 * Math.min(4, Math.max(1, lastMinute / availableParallelism()));
}

/** `items` through `work`, at most `width` at a time, results in order. */
export async function mapLimited<T, R>(items: readonly T[], width: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const lanes = Array.from({ length: Math.min(width, items.length) }, async () => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item !== undefined) results[index] = await work(item);
    }
  });
  await Promise.all(lanes);
  return results;
}

class AgentError extends Error {}

function startAgent(kernel: Kernel, namespace: string): Agent {
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  let ids = 0;
  let end: AgentError | undefined;
  const onLine = (line: string): void => {
    const { id, result, error }: { id: number; result?: unknown; error?: string } = JSON.parse(line);
    const waiter = waiting.get(id);
    waiting.delete(id);
    if (error === undefined) waiter?.resolve(result);
    else waiter?.reject(new AgentError(error));
  };
  // A small young generation: an agent holds next to nothing, and there may be dozens.
  const started = startLineProcess(kernel, execPath, ['--max-semi-space-size=1', '--no-warnings', '-e', agentProgram(namespace)], {
    onLine,
  });
  void started.ended.then(({ stderr }) => {
    end = new AgentError(`The probing agent in ${namespace} ended: ${stderr.trim() || 'no message'}.`);
    for (const waiter of waiting.values()) waiter.reject(end);
    waiting.clear();
  });
  return {
    process: started,
    ask: (request) =>
      new Promise((resolve, reject) => {
        if (end) return reject(end);
        waiting.set(++ids, { resolve, reject });
        started.send(JSON.stringify({ id: ids, request }));
      }),
  };
}

/** ping(8) waits whole seconds only where it is busybox's. Exit 0: an echo reply came back. */
async function ping(kernel: Kernel, probe: Probe, timeoutMs: number): Promise<ProbeResult> {
  const began = performance.now();
  const source = probe.source === undefined ? [] : ['-I', probe.source];
  const result = await kernel.tryRun('ping', [
    '-n',
    '-q',
    '-c',
    '1',
    '-W',
    String(Math.max(1, Math.ceil(timeoutMs / 1000))),
    ...source,
    probe.to,
  ]);
  const answered = result.status === 0;
  return { delivered: answered, answered, refused: false, ms: performance.now() - began };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

/** The agent is our own program; this is where its text becomes typed. */
function asProbeResult(value: unknown): AgentProbeResult {
  if (!isRecord(value) || typeof value['answered'] !== 'boolean' || typeof value['ms'] !== 'number')
    throw new AgentError(`The probing agent said ${JSON.stringify(value)}.`);
  const { answered, ms, server, seenSource, error } = value;
  return {
    answered,
    refused: value['refused'] === true,
    ms,
    ...(typeof server === 'string' ? { server } : {}),
    ...(typeof seenSource === 'string' ? { seenSource } : {}),
    ...(typeof error === 'string' ? { error } : {}),
  };
}

function asHeldFlow(value: unknown): HeldFlow {
  const count = (key: string): number => (isRecord(value) && typeof value[key] === 'number' ? value[key] : 0);
  const closed = isRecord(value) ? value['closed'] : undefined;
  return { sent: count('sent'), echoed: count('echoed'), silentMs: count('silentMs'), ...(typeof closed === 'string' ? { closed } : {}) };
}
