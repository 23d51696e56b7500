/** Where the kernel sends a packet: rules by preference, longest prefix, metric (fib_rules.c, fib_trie.c, ip6_fib.c). */
import { compareIp, formatIp, parseIp, parsePrefix, prefixContains, type Ip, type Prefix } from '../../net/ip.ts';
import type { ModelRoute, ModelRule, RouteType } from '../kernel-model.ts';
import type { Host } from './host.ts';
import { tri, type Tri } from './tri.ts';

export interface Asked {
  readonly family: 4 | 6;
  readonly destination: string;
  /** Undefined: not known. */
  readonly source: string | undefined;
  /** Undefined: not known. */
  readonly mark: number | undefined;
  /** `lo` for the host's own packets. */
  readonly iif: string;
  /** Only routes out of this interface. */
  readonly oif?: string;
}

export type Route =
  | {
      readonly kind: 'route';
      readonly type: RouteType;
      readonly link: string;
      readonly via: string | undefined;
      readonly route: ModelRoute;
    }
  /** `unreachable`, `prohibit`, `blackhole`, or `none` where no route matches. */
  | { readonly kind: 'refused'; readonly how: string }
  /** It depends on what is not known, in words. */
  | { readonly kind: 'unknown'; readonly what: string };

export function findRoute(host: Host, asked: Asked): Route {
  const missing = host.missing(`routes${asked.family}`, `rules${asked.family}`);
  if (missing !== undefined) return { kind: 'unknown', what: `the host's ${missing} could not be read` };
  const destination = parseIp(asked.destination);
  if (!destination) return { kind: 'refused', how: 'none' };
  const rules = host.rules(asked.family);
  let from = 0;
  for (let at = 0; at < rules.length; at++) {
    const rule = rules[at];
    if (!rule || rule.preference < from) continue;
    const holds = ruleHolds(rule, asked, destination);
    if (holds === 'no') continue;
    const result = ruleGives(host, rule, asked, destination);
    if (result === undefined) continue;
    if (holds === 'maybe')
      return { kind: 'unknown', what: `whether the routing rule ${rule.preference} applies (${rule.unknown ?? 'its mark or source'})` };
    if (typeof result !== 'number') return result;
    from = result;
  }
  return { kind: 'refused', how: 'none' };
}

/** Undefined: on to the next rule; a number: on to the one of that preference. */
function ruleGives(host: Host, { action }: ModelRule, asked: Asked, destination: Ip): Route | number | undefined {
  if ('answer' in action) return { kind: 'refused', how: action.answer };
  if ('goto' in action) return action.goto;
  if ('nop' in action) return undefined;
  const found = best(host, action.table, asked, destination);
  if (!found) return undefined;
  if (found.several) return { kind: 'unknown', what: `which of several equal routes to ${asked.destination} is taken` };
  const { route, prefix } = found;
  if (action.suppressPrefixLength !== undefined && prefix.length <= action.suppressPrefixLength) return undefined;
  if (route.type === 'throw') return undefined;
  if (route.type === 'unreachable' || route.type === 'prohibit' || route.type === 'blackhole') return { kind: 'refused', how: route.type };
  return { kind: 'route', type: route.type, link: route.link ?? 'lo', via: route.via, route };
}

interface Best {
  readonly route: ModelRoute;
  readonly prefix: Prefix;
  /** There are others as good, which lead elsewhere. */
  readonly several: boolean;
}

function best(host: Host, table: string, asked: Asked, destination: Ip): Best | undefined {
  let found: { route: ModelRoute; prefix: Prefix } | undefined;
  let several = false;
  for (const route of host.routes(asked.family, table)) {
    const prefix = prefixCache(route.prefix);
    if (!prefix || !prefixContains(prefix, destination) || !usable(host, route, asked)) continue;
    const better = found === undefined ? 1 : prefix.length - found.prefix.length || found.route.metric - route.metric;
    if (better > 0) {
      found = { route, prefix };
      several = false;
    } else if (better === 0 && found && (route.link !== found.route.link || route.via !== found.route.via)) several = true;
  }
  // Of equal IPv4 routes the first one listed is asked first; equal IPv6 routes share the load.
  return found && { ...found, several: several && asked.family === 6 };
}

/** Routes of interfaces that are down are none; those of the local table are all on `lo` or the interface of the address. */
function usable(host: Host, { link, type }: ModelRoute, { oif }: Asked): boolean {
  if (link === undefined) return true;
  if (oif !== undefined && link !== oif) return false;
  return type === 'local' || host.interface(link)?.up !== false;
}

const prefixes = new Map<string, Prefix | undefined>();
const KEPT = 200_000;

function prefixCache(text: string): Prefix | undefined {
  if (prefixes.has(text)) return prefixes.get(text);
  if (prefixes.size > KEPT) prefixes.clear();
  const prefix = parsePrefix(text);
  prefixes.set(text, prefix);
  return prefix;
}

function ruleHolds(rule: ModelRule, asked: Asked, destination: Ip): Tri {
  const parts: Tri[] = [
    rule.from === undefined || isEverything(rule.from) ? 'yes' : asked.source === undefined ? 'maybe' : within(rule.from, asked.source),
    rule.to === undefined ? 'yes' : within(rule.to, destination),
    rule.iif === undefined ? 'yes' : tri(rule.iif === asked.iif),
    rule.oif === undefined ? 'yes' : tri(rule.oif === asked.oif),
    markHolds(rule, asked.mark),
    rule.unknown === undefined ? 'yes' : 'maybe',
  ];
  const all: Tri = parts.includes('no') ? 'no' : parts.includes('maybe') ? 'maybe' : 'yes';
  return rule.not ? (all === 'yes' ? 'no' : all === 'no' ? 'yes' : 'maybe') : all;
}

const isEverything = (prefix: string): boolean => prefixCache(prefix)?.length === 0;

function within(prefix: string, address: string | Ip): Tri {
  const ip = typeof address === 'string' ? parseIp(address) : address;
  const known = prefixCache(prefix);
  return known && ip ? tri(prefixContains(known, ip)) : 'maybe';
}

function markHolds({ mark }: ModelRule, packet: number | undefined): Tri {
  if (!mark) return 'yes';
  if (packet === undefined) return 'maybe';
  return tri(((packet ^ mark.value) & mark.mask) >>> 0 === 0);
}

/** Type of an address by the local table alone, as `fib … type` has it; `unicast` for what is not there. */
export function localType(host: Host, address: string, link?: string): RouteType {
  const ip = parseIp(address);
  if (!ip) return 'unicast';
  if (ip.family === 4) {
    const first = (ip.words[0] ?? 0) >>> 24;
    if (address === '255.255.255.255' || first === 0) return 'broadcast';
    if (first >= 224 && first < 240) return 'multicast';
  } else if (address.startsWith('ff')) return 'multicast';
  const asked: Asked = { family: ip.family, destination: address, source: undefined, mark: undefined, iif: '' };
  return best(host, 'local', link === undefined ? asked : { ...asked, oif: link }, ip)?.route.type ?? 'unicast';
}

/** One of the host's own addresses, wherever it stands. */
export const isOwn = (host: Host, address: string): boolean => localType(host, address) === 'local';

/** The address of an interface that is used towards a next hop: the one of that subnet, else the first (inet_select_addr, ipv6_dev_get_saddr). */
export function addressTowards(addresses: readonly string[], family: 4 | 6, towards: string): string | undefined {
  const target = parseIp(towards);
  const own = addresses.flatMap((text) => {
    const ip = parseIp(text.slice(0, text.includes('/') ? text.indexOf('/') : undefined));
    const prefix = parsePrefix(text);
    return ip && prefix && ip.family === family ? [{ ip, prefix }] : [];
  });
  if (!target || own.length === 0) return undefined;
  if (family === 4) return formatIp((own.find(({ prefix }) => prefixContains(prefix, target)) ?? own[0])?.ip ?? target);
  // RFC 6724: the same scope, the same label (unique local or not), the longest common prefix.
  const rank = (ip: Ip): number =>
    (scope(ip) === scope(target) ? 1000 : scope(ip) > scope(target) ? 500 : 0) +
    (label(ip) === label(target) ? 200 : 0) +
    common(ip, target);
  const wide = own.filter(({ ip }) => scope(ip) >= scope(target));
  const [first] = wide.toSorted((a, b) => rank(b.ip) - rank(a.ip) || compareIp(a.ip, b.ip));
  return first && formatIp(first.ip);
}

const scope = (ip: Ip): number => ((ip.words[0] ?? 0) >>> 22 === 0x3fa ? 2 : 14);
const label = (ip: Ip): string => ((ip.words[0] ?? 0) >>> 25 === 0x7e ? 'unique local' : 'other');

function common(a: Ip, b: Ip): number {
  for (const [i, word] of a.words.entries()) {
    const differ = (word ^ (b.words[i] ?? 0)) >>> 0;
    if (differ !== 0) return i * 32 + Math.clz32(differ);
  }
  return 128;
}
