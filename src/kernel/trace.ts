/**
 * The kernel's own account of one packet (`meta nftrace`, `nft monitor trace`). The rule that marks the packet is in a table that is owned by a program which ends with
 * Weft: with it the kernel takes the table away, also after Ctrl-C and kill -9.
 */
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Kernel } from './kernel.ts';
import { startLineProcess } from './line-process.ts';

/** `table netdev weft-trace`, while it is there. */
const TRACE_TABLE = 'weft-trace';

export interface TracedFlow {
  /** The interface it comes in by. */
  readonly device: string;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly dport?: number;
}

/** A rule that the packet matched, or the policy at a base chain's end. */
export interface TraceLine {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  /** Undefined: the policy. */
  readonly rule?: string;
  /** `accept`, `drop`, `continue`, `jump x`, … */
  readonly verdict: string;
}

const READY_MS = 5000;
const QUIET_MS = 400;
const ARRIVES_MS = 4000;

/** What the kernel does to the first packet of the flow that comes in once `send` is called. Empty: none came. */
export async function traceFirst(kernel: Kernel, flow: TracedFlow, send: () => Promise<unknown>): Promise<readonly TraceLine[]> {
  const lines: TraceLine[] = [];
  let [seen, heard] = [false, performance.now()];
  const monitor = startLineProcess(kernel, 'nft', ['monitor'], {
    onLine: (line) => {
      if (line.startsWith(`add rule netdev ${TRACE_TABLE}`)) seen = true;
      const read = readTraceLine(line);
      if (!read) return;
      heard = performance.now();
      if (read.table !== TRACE_TABLE) lines.push(read);
    },
  });
  const owner = startLineProcess(kernel, 'nft', ['-i']);
  try {
    owner.send(`add table netdev ${TRACE_TABLE} { flags owner; }`);
    owner.send(`add chain netdev ${TRACE_TABLE} first { type filter hook ingress device "${flow.device}" priority -600; policy accept; }`);
    // The monitor hears of the rule once it listens; until then it is made again.
    const deadline = performance.now() + READY_MS;
    while (!seen && performance.now() < deadline) {
      owner.send(`flush chain netdev ${TRACE_TABLE} first`);
      owner.send(`add rule netdev ${TRACE_TABLE} first ${condition(flow)} limit rate 1/hour burst 1 packets meta nftrace set 1`);
      for (let i = 0; i < 20 && !seen; i++) await sleep(25);
    }
    if (!seen) throw refused(flow.device);
    const sent = send();
    const end = performance.now() + ARRIVES_MS;
    while (performance.now() < end && (lines.length === 0 || performance.now() - heard < QUIET_MS)) await sleep(25);
    await sent;
  } finally {
    await Promise.all([owner.stop(), monitor.stop()]);
  }
  return lines;
}

const refused = (device: string): WeftError =>
  new WeftError(2, [
    {
      code: 'program-failed',
      severity: 'error',
      message: `nft did not take the rule that marks a packet at ${device} for its trace: see \`nft monitor\` (it takes root, Linux 5.12 and nft 0.9.9)`,
    },
  ]);

/** Of TCP the opening packet only. */
function condition({ source, destination, protocol, dport }: TracedFlow): string {
  const ip = source.includes(':') ? 'ip6' : 'ip';
  const port = dport === undefined ? '' : ` th dport ${dport}`;
  return `${ip} saddr ${source} ${ip} daddr ${destination} meta l4proto ${protocol}${protocol === 6 ? ' tcp flags & (syn|ack) == syn' : ''}${port}`;
}

/** `trace id 1a2b3c4d inet weft guests rule drop (verdict drop)`, `… policy accept`. */
export function readTraceLine(line: string): TraceLine | undefined {
  const found =
    /^trace id [0-9a-f]+ (\S+) (\S+) (\S+) (?:rule (.*) \(verdict (.*)\)|unknown rule handle \d+ \(verdict (.*)\)|policy (\w+)) ?$/.exec(
      line,
    );
  const [, family, table, chain, rule, verdict, unnamed, policy] = found ?? [];
  if (family === undefined || table === undefined || chain === undefined) return undefined;
  if (policy !== undefined) return { family, table, chain, verdict: policy };
  return { family, table, chain, rule: rule ?? '', verdict: verdict ?? unnamed ?? '' };
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
