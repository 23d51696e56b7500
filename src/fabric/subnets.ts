/**
 * What a network's `subnet`, `gateway` and `range` mean: checked prefixes, the gateway of each family and the addresses
 * that may be allocated. IPv4 /8 to /30; IPv6 /64 to /112 (dnsmasq(8) serves no DHCPv6 in prefixes shorter than /64, and
 * fewer than 16 host bits leave no room for addresses chosen by hash).
 */
import type { Path } from '../config/model.ts';
import {
  addOffset,
  formatIp,
  formatPrefix,
  hasHostBits,
  parseIp,
  parsePrefix,
  prefixBounds,
  prefixContains,
  prefixOf,
  prefixesOverlap,
} from '../net/ip.ts';
import type { Ip, Prefix } from '../net/ip.ts';
import type { V4Plan, V6Plan } from './drafts.ts';
import { value } from './problems.ts';
import type { Problems } from './problems.ts';

export interface SubnetEntry {
  readonly subnet?: readonly string[];
  readonly gateway?: readonly string[];
  readonly range?: { readonly from: string; readonly to: string };
}

export interface SubnetPlan {
  readonly v4: V4Plan | undefined;
  readonly v6: V6Plan | undefined;
  /** False when something was reported. */
  readonly sound: boolean;
}

const LENGTHS = { 4: { shortest: 8, longest: 30 }, 6: { shortest: 64, longest: 112 } } as const;

/** Ranges no guest can live in (RFC 6890), with the words for them. */
const UNUSABLE: readonly (readonly [prefix: string, name: string])[] = [
  ['0.0.0.0/8', '"this host" addresses'],
  ['127.0.0.0/8', 'loopback addresses'],
  ['169.254.0.0/16', 'link-local addresses'],
  ['224.0.0.0/4', 'multicast addresses'],
  ['240.0.0.0/4', 'reserved addresses'],
  ['::/8', 'loopback and reserved addresses'],
  ['fe80::/10', 'link-local addresses'],
  ['ff00::/8', 'multicast addresses'],
];
const unusable = UNUSABLE.flatMap(([text, name]) => {
  const prefix = parsePrefix(text);
  return prefix ? [{ prefix, name }] : [];
});

/** Checks one network's keys under `path`; `name` is for messages. */
export function planSubnets(name: string, entry: SubnetEntry, path: Path, problems: Problems): SubnetPlan {
  let sound = true;
  const fail = (...problem: Parameters<Problems['error']>): undefined => {
    sound = false;
    problems.error(...problem);
  };
  const prefixes: { 4?: Prefix; 6?: Prefix } = {};
  for (const [i, text] of (entry.subnet ?? []).entries()) {
    const at = value(...path, 'subnet', i);
    const prefix = checkSubnet(text, (code, message) => fail(code, at, message));
    if (!prefix) continue;
    if (prefixes[prefix.family])
      fail(
        'bad-prefix',
        at,
        `the network \`${name}\` has two IPv${prefix.family} subnets; keep one, and make another network for the other.`,
      );
    else prefixes[prefix.family] = prefix;
  }
  const gateways: { 4?: Ip; 6?: Ip } = {};
  for (const [i, text] of (entry.gateway ?? []).entries()) {
    const at = value(...path, 'gateway', i);
    const ip = parseIp(text);
    if (!ip) continue;
    const prefix = prefixes[ip.family];
    // A wrong subnet was reported already; what its gateway should be is then unknown.
    if (!prefix && entry.subnet?.some((s) => s.includes(':') === (ip.family === 6))) continue;
    if (prefix && prefixContains(prefix, ip) && !edgeOf(prefix, ip)) {
      gateways[ip.family] = ip;
      continue;
    }
    fail('gateway-outside', at, gatewayProblem(name, text, ip, prefix));
  }
  const v4 = prefixes[4] && planV4(name, prefixes[4], gateways[4], entry.range, path, fail);
  if (entry.range && !prefixes[4] && sound) {
    fail(
      'range-outside',
      value(...path, 'range'),
      `the network \`${name}\` has a range but no IPv4 subnet; give it one, or leave \`range\` out.`,
    );
  }
  const v6 = prefixes[6] && planV6(prefixes[6], gateways[6]);
  return { v4, v6, sound };
}

/** The prefix when guests can live in it; else reports through `fail`. */
export function checkSubnet(text: string, fail: (code: 'bad-prefix', message: string) => void): Prefix | undefined {
  const prefix = parsePrefix(text);
  if (!prefix) {
    fail('bad-prefix', `\`${text}\` is not a prefix; write an address and a length, such as 10.0.0.0/24 or fd00:1::/64.`);
    return undefined;
  }
  const { shortest, longest } = LENGTHS[prefix.family];
  if (prefix.length < shortest || prefix.length > longest) {
    const way = prefix.length < shortest ? 'large' : 'small';
    fail(
      'bad-prefix',
      `the subnet \`${text}\` is too ${way}; an IPv${prefix.family} subnet has a length from /${shortest} to /${longest}.`,
    );
    return undefined;
  }
  if (hasHostBits(text)) {
    fail('bad-prefix', `\`${text}\` has bits set behind its length; write \`${formatPrefix(prefix)}\`.`);
    return undefined;
  }
  const reason = unusableIn(prefix);
  if (reason !== undefined) {
    const example = prefix.family === 4 ? '10.0.105.0/24' : 'fd00:105::/64';
    fail('bad-prefix', `the subnet \`${text}\` holds ${reason}, which guests cannot have; choose a private one such as ${example}.`);
    return undefined;
  }
  return prefix;
}

/** The words for addresses in it that no guest can have, if there are any. */
export function unusableIn(prefix: Prefix): string | undefined {
  return unusable.find((u) => prefixesOverlap(u.prefix, prefix))?.name;
}

/** `network` or `broadcast` when the address is the subnet's first (RFC 4291 2.6.1: the routers' anycast address) or, in IPv4, last. */
export function edgeOf(prefix: Prefix, ip: Ip): 'network' | 'broadcast' | undefined {
  const { first, last } = prefixBounds(prefix);
  const text = formatIp(ip);
  if (text === formatIp(first)) return 'network';
  return prefix.family === 4 && text === formatIp(last) ? 'broadcast' : undefined;
}

function gatewayProblem(name: string, text: string, ip: Ip, prefix: Prefix | undefined): string {
  if (!prefix)
    return `the gateway \`${text}\` is IPv${ip.family}, but the network \`${name}\` has no IPv${ip.family} subnet; add one, or leave the gateway out.`;
  const subnet = formatPrefix(prefix);
  const edge = edgeOf(prefix, ip);
  const better = formatIp(addOffset(prefix, 1) ?? ip);
  if (edge) return `the gateway \`${text}\` is the ${edge} address of ${subnet}; take another, such as ${better}.`;
  if (ip.family === 6 && prefixOf(ip, 10).words[0] === 0xfe800000) {
    return `guests reach the gateway at fe80::1 in any case; \`gateway\` is its address inside ${subnet}, such as ${better}, and may be left out.`;
  }
  return `the gateway \`${text}\` is outside the subnet ${subnet}; take one inside, such as ${better}.`;
}

function planV4(
  name: string,
  prefix: Prefix,
  declared: Ip | undefined,
  range: SubnetEntry['range'],
  path: Path,
  fail: Problems['error'],
): V4Plan | undefined {
  const subnet = formatPrefix(prefix);
  const { first: network, last: broadcast } = prefixBounds(prefix);
  const lowest = (network.words[0] ?? 0) + 1;
  const highest = (broadcast.words[0] ?? 0) - 1;
  const gateway = declared ?? { family: 4, words: [lowest] };
  const plan = { prefix, subnet, gateway: formatIp(gateway) };
  if (!range) {
    // The gateway lies in between, unless it is at one end, which then is not part of the range.
    const at = gateway.words[0];
    return { ...plan, first: at === lowest ? lowest + 1 : lowest, last: at === highest ? highest - 1 : highest };
  }
  const at = value(...path, 'range');
  const from = parseIp(range.from);
  const to = parseIp(range.to);
  if (!from || !to) return undefined;
  const text = `${range.from}-${range.to}`;
  if (!prefixContains(prefix, from) || !prefixContains(prefix, to)) {
    fail(
      'range-outside',
      at,
      `the range ${text} is not inside the subnet ${subnet}; it has to lie between ${v4Text(lowest)} and ${v4Text(highest)}.`,
    );
    return undefined;
  }
  const start = from.words[0] ?? 0;
  const end = to.words[0] ?? 0;
  if (start > end) {
    fail('range-reversed', at, `the range ${text} is reversed; write ${range.to}-${range.from}.`);
    return undefined;
  }
  const first = Math.max(start, lowest);
  const last = Math.min(end, highest);
  if (first > last || (first === last && first === gateway.words[0])) {
    fail(
      'range-exhausted',
      at,
      `the range ${text} of the network \`${name}\` holds no address a guest could have: network, broadcast and gateway address are taken; widen it.`,
    );
    return undefined;
  }
  return { ...plan, first, last };
}

function planV6(prefix: Prefix, declared: Ip | undefined): V6Plan | undefined {
  const gateway = declared ?? addOffset(prefix, 1);
  return gateway && { prefix, subnet: formatPrefix(prefix), gateway: formatIp(gateway) };
}

const v4Text = (number: number): string => formatIp({ family: 4, words: [number] });
