/**
 * A host's live state as one JSON document: the untouched output of plain tools (design.md section 3), so that one can also be put together
 * by hand and be asked about on another machine. Nothing secret is in it: WireGuard's private and preshared keys are left out.
 */
import type { Kernel } from './kernel.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';

export interface CaptureDocument {
  readonly version: 1;
  readonly host: string;
  /** `nft -j list ruleset` */
  readonly nftables?: unknown;
  /** `nft -s -t list ruleset`: what the JSON of nft does not tell (devices of netdev chains before 1.0.7, matches of iptables). Sets are left out. */
  readonly listing?: string;
  /** `ip -j -d link` */
  readonly links?: unknown;
  /** `ip -j addr` */
  readonly addresses?: unknown;
  /** `ip -j -4 route show table all`, `ip -j -6 …` */
  readonly routes4?: unknown;
  readonly routes6?: unknown;
  /** `ip -j -4 rule`, `ip -j -6 rule` */
  readonly rules4?: unknown;
  readonly rules6?: unknown;
  /** `ip -j neigh` */
  readonly neighbors?: unknown;
  /** `bridge -j -d link` */
  readonly bridge?: unknown;
  /** `bridge -j fdb show`: behind which port of a bridge a MAC is. */
  readonly fdb?: unknown;
  /** Key with slashes to value: everything under net/ipv4 and net/ipv6, and the bridges' netfilter switches. */
  readonly sysctls?: Readonly<Record<string, string>>;
  /** `wg show all dump` without private and preshared keys. */
  readonly wireguard?: string;
  /** Parts that could not be had, with the reason. */
  readonly missing: readonly { readonly part: string; readonly because: string }[];
}

type Part = Exclude<keyof CaptureDocument, 'version' | 'host' | 'missing'>;

const programs: Readonly<Record<Exclude<Part, 'listing' | 'sysctls' | 'wireguard'>, readonly string[]>> = {
  nftables: ['nft', '-j', 'list', 'ruleset'],
  links: ['ip', '-j', '-d', 'link'],
  addresses: ['ip', '-j', 'addr'],
  routes4: ['ip', '-j', '-4', 'route', 'show', 'table', 'all'],
  routes6: ['ip', '-j', '-6', 'route', 'show', 'table', 'all'],
  rules4: ['ip', '-j', '-4', 'rule'],
  rules6: ['ip', '-j', '-6', 'rule'],
  neighbors: ['ip', '-j', 'neigh'],
  bridge: ['bridge', '-j', '-d', 'link'],
  fdb: ['bridge', '-j', 'fdb', 'show'],
};

/** Reads all parts side by side. A part whose program is missing or fails is named in `missing`; never throws for one. */
export async function capture(kernel: Kernel, host: string): Promise<CaptureDocument> {
  const missing: { part: string; because: string }[] = [];
  const part = async <T>(name: Part, read: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await read();
    } catch (error) {
      missing.push({ part: name, because: error instanceof WeftError ? error.message : String(error) });
      return undefined;
    }
  };
  const entries = await Promise.all([
    ...Object.entries(programs).map(
      async ([name, [program, ...args]]) => [name, await part(asPart(name), () => runPart(kernel, program ?? '', args))] as const,
    ),
    part('listing', () => kernel.run('nft', ['-s', '-t', 'list', 'ruleset'])).then((value) => ['listing', value] as const),
    part('sysctls', () => captureSysctls(kernel)).then((value) => ['sysctls', value] as const),
    part('wireguard', () => captureWireguard(kernel)).then((value) => ['wireguard', value] as const),
  ]);
  const parts = Object.fromEntries(entries.filter(([, value]) => value !== undefined));
  missing.sort((a, b) => (a.part < b.part ? -1 : 1));
  return { version: 1, host, ...parts, missing };
}

function asPart(name: string): Part {
  // Keys of `programs` are parts by its type; Object.entries widens them.
  return name as Part;
}

async function runPart(kernel: Kernel, program: string, args: readonly string[]): Promise<unknown> {
  const out = await kernel.run(program, args);
  // ip prints nothing at all where there is nothing.
  const value: unknown = out.trim() === '' ? [] : JSON.parse(out);
  return value;
}

async function captureSysctls(kernel: Kernel): Promise<Record<string, string>> {
  // `neigh` and `route` hold timers and caches; some files of them cannot be read. grep goes on and exits 2.
  const result = await kernel.tryRun('grep', ['-rsHZ', '', '/proc/sys/net/ipv4', '/proc/sys/net/ipv6', '/proc/sys/net/bridge']);
  if (result.stdout === '') throw new Error('the settings under /proc/sys/net cannot be read');
  const found: [string, string][] = [];
  for (const line of result.stdout.split('\n')) {
    const end = line.indexOf('\0');
    if (end > 0) found.push([line.slice('/proc/sys/'.length, end), line.slice(end + 1).replaceAll('\t', ' ')]);
  }
  found.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(found.filter(([key]) => !secretSysctl.test(key)));
}

/** Keys of TCP fast open and of stable IPv6 addresses (RFC 7217) are secrets of the host. */
const secretSysctl = /\/(tcp_fastopen_key|stable_secret)$/;

/** Tab-separated as wg(8) prints it. Interface line: name, private key, …; peer line: name, public key, preshared key, …. */
async function captureWireguard(kernel: Kernel): Promise<string> {
  const out = await kernel.run('wg', ['show', 'all', 'dump']);
  return withoutKeys(out);
}

/** Replaces private and preshared keys by `(hidden)`. An interface's line has 5 fields, a peer's 9. */
export function withoutKeys(dump: string): string {
  return dump
    .split('\n')
    .map((line) => {
      const fields = line.split('\t');
      const secret = fields.length === 5 ? 1 : 2;
      return fields.length < 5 ? line : fields.map((field, i) => (i === secret && field !== '(none)' ? '(hidden)' : field)).join('\t');
    })
    .join('\n');
}
