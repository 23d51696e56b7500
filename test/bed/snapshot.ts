/** Everything of a namespace's network that Weft could touch, by plain tools and not by Weft's own observer, to compare before and after. */
import type { Kernel } from '../../src/kernel/kernel.ts';

export type Snapshot = Readonly<Record<string, string>>;

/** Nothing in it changes by itself (no counters, no lifetimes, no learnt neighbours). Compare with {@link differences}. */
export async function snapshot(kernel: Kernel): Promise<Snapshot> {
  const run = (script: string): Promise<string> => kernel.run('sh', ['-c', script]);
  const parts: readonly (readonly [string, string])[] = [
    [
      'links',
      'ip -o -d link show | sed -E "s/^[0-9]+: //; s/ [a-z]+_timer +[0-9.]+//g; s/ (qlen|numtxqueues|gso_max_size|gso_max_segs) [0-9]+//g"',
    ],
    ['addresses', 'ip -o addr show | sed -E "s/^[0-9]+: //; s/(valid|preferred)_lft [a-z0-9]+//g"'],
    ['routes', 'ip -4 route show table all; ip -6 route show table all | sed -E "s/ expires [0-9]+sec//"'],
    ['rules', 'ip -4 rule; ip -6 rule'],
    ['neighbors', 'ip neigh show nud permanent; ip neigh show proxy'],
    ['bridge', 'bridge link show; bridge fdb show | grep -v permanent || true'],
    ['nftables', 'nft -s list ruleset'],
    [
      'settings',
      'grep -rs . /proc/sys/net/ipv4 /proc/sys/net/ipv6 /proc/sys/net/bridge /proc/sys/net/netfilter | grep -vE "stable_secret|tcp_fastopen_key|nf_conntrack_count|/neigh/[^/]*/(gc_|retrans|base_)|route/flush" | sort',
    ],
  ];
  return Object.fromEntries(await Promise.all(parts.map(async ([name, script]) => [name, await run(script)] as const)));
}

/** Lines that are in one snapshot only, `+` for the later one's; empty when they are equal. For `assert.deepEqual(differences(a, b), [])`. */
export function differences(before: Snapshot, after: Snapshot): string[] {
  return Object.keys(after).flatMap((part) => {
    const [was, is] = [before[part]?.split('\n') ?? [], after[part]?.split('\n') ?? []];
    return [
      ...was.filter((line) => !is.includes(line)).map((line) => `- ${part}: ${line}`),
      ...is.filter((line) => !was.includes(line)).map((line) => `+ ${part}: ${line}`),
    ];
  });
}
