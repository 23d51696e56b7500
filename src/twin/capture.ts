/** Packets seen on an interface of the twin, by tcpdump(8), for statements such as "no stray packet outside". */
import type { Kernel } from '../kernel/kernel.ts';
import { startLineProcess } from '../kernel/line-process.ts';

export interface Capture {
  /** What tcpdump printed so far, one packet a line, with link-layer header, without names or times. */
  readonly packets: readonly string[];
  /** Waits `settleMs` (default 300) for packets under way, ends tcpdump and returns all it saw. */
  stop(settleMs?: number): Promise<readonly string[]>;
}

/**
 * Starts a capture with a pcap filter (pcap-filter(7), empty: everything) and resolves once it is listening. `direction` is the
 * interface's. Needs root or CAP_NET_RAW, and tcpdump; throws with tcpdump's words when it does not start.
 */
export async function capture(
  kernel: Kernel,
  link: string,
  filter: string,
  options: { readonly direction?: 'in' | 'out' | 'inout' } = {},
): Promise<Capture> {
  const packets: string[] = [];
  let ready: () => void = () => undefined;
  const listening = new Promise<void>((resolve) => (ready = resolve));
  const direction = options.direction === undefined ? [] : ['-Q', options.direction];
  const args = ['-i', link, '-n', '-e', '-t', '-l', '--immediate-mode', '-Z', 'root', ...direction, ...(filter === '' ? [] : [filter])];
  const process = startLineProcess(kernel, 'tcpdump', args, {
    onLine: (line) => void (line !== '' && packets.push(line)),
    onErrorLine: (line) => {
      if (line.startsWith('listening on')) ready();
    },
  });
  const failed = process.ended.then(({ stderr }) => {
    throw new Error(`tcpdump on ${link} ended: ${stderr}`);
  });
  // After `stop` its end is no failure.
  failed.catch(() => undefined);
  await Promise.race([listening, failed]);
  return {
    packets,
    stop: async (settleMs = 300) => {
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      await process.stop('SIGINT');
      return packets;
    },
  };
}
