/** What besides routes decides where packets go and come from: routing rules, and the settings that check sources and show bridged frames to nftables. Changes nothing. */
import { runJson } from './json.ts';
import type { Kernel } from './kernel.ts';
import { readSysctls } from './sysctls.ts';

export interface RoutingPolicy {
  /** `ip -j -4 rule`, `ip -j -6 rule` */
  readonly rules4: unknown;
  readonly rules6: unknown;
  /** By key; those that do not exist are left out. */
  readonly sysctls: Readonly<Record<string, string>>;
}

/** `interfaces`: whose checks of sources are asked for, besides `all` and what new ones begin with. */
export async function readRoutingPolicy(kernel: Kernel, interfaces: readonly string[]): Promise<RoutingPolicy> {
  const keys = [
    ...['all', 'default', ...interfaces].map((name) => `net/ipv4/conf/${name}/rp_filter`),
    'net/bridge/bridge-nf-call-iptables',
    'net/bridge/bridge-nf-call-ip6tables',
  ];
  const [rules4, rules6, values] = await Promise.all([
    runJson(kernel, 'ip', ['-j', '-4', 'rule']),
    runJson(kernel, 'ip', ['-j', '-6', 'rule']),
    readSysctls(kernel, keys),
  ]);
  return { rules4, rules6, sysctls: Object.fromEntries([...values].map(([key, value]) => [key, value.trim()])) };
}
