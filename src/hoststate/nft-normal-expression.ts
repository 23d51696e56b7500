/** Normal form of nft expressions: constants by their type, anonymous sets, flag words. See nft-normal.ts for the whole list. */
import { formatIp, formatPrefix, parseIp, parsePrefix, prefixBounds, prefixOf, familyBits, compareIp, addOffset } from '../net/ip.ts';
import type { Ip, Prefix } from '../net/ip.ts';
import { protocolNames } from '../net/protocols.ts';
import type { NftExpr } from './nft.ts';

/** Sort and identity key of an element in normal form. Plain code-unit order: it has to be stable, not pretty. */
export function elementKey(element: NftExpr): string {
  return typeof element === 'object' ? JSON.stringify(element) : String(element);
}

/** Sorted by the element's key, the first of equal keys kept. */
export function sortElements<T>(elements: readonly T[], key: (element: T) => NftExpr): T[] {
  const sorted = elements
    .map((element) => ({ element, text: elementKey(key(element)) }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0));
  return sorted.filter(({ text }, i) => i === 0 || text !== sorted[i - 1]?.text).map(({ element }) => element);
}

/** Elements of a named set in normal form. */
export function normalSet(elements: readonly NftExpr[], types: readonly string[]): NftExpr[] {
  return sortElements(
    elements.map((element) => normalExpression(element, types)),
    (element) => element,
  );
}

/** `types` are those of the other side of a match, or of the set the expression is an element of: one per component. */
export function normalExpression(expr: NftExpr, types: readonly string[] = ['integer']): NftExpr {
  const type = types[0] ?? 'integer';
  if (typeof expr === 'string') return expr.startsWith('@') ? expr : normalWord(expr, type);
  if (typeof expr === 'number') return normalNumber(expr, type);
  if ('concat' in expr) return { concat: expr.concat.map((part, i) => normalExpression(part, [types[i] ?? 'integer'])) };
  if ('set' in expr) {
    const set = mergeRanges(normalSet(expr.set, types), type);
    const [only] = set;
    return set.length === 1 && only !== undefined ? only : { set };
  }
  if ('prefix' in expr) {
    const prefix = parsePrefix(`${expr.prefix.addr}/${expr.prefix.len}`);
    return prefix ? prefixExpression(prefix) : expr;
  }
  if ('range' in expr) return normalRange(normalExpression(expr.range[0], types), normalExpression(expr.range[1], types));
  if ('|' in expr) {
    const flags = sortFlags(
      expr['|'].flatMap((part) => (typeof part === 'object' && '|' in part ? part['|'] : [part])),
      type,
    );
    const [only] = flags;
    return flags.length === 1 && only !== undefined ? only : { '|': flags };
  }
  if ('&' in expr) {
    const flags = expr['&'][1];
    return {
      '&': [
        normalExpression(expr['&'][0]),
        normalExpression(typeof flags === 'object' && 'set' in flags ? { '|': flags.set } : flags, types),
      ],
    };
  }
  if ('map' in expr) return { map: { key: normalExpression(expr.map.key), data: normalExpression(expr.map.data) } };
  if ('fib' in expr) return { fib: { result: expr.fib.result, flags: fibFlags.filter((flag) => expr.fib.flags.includes(flag)) } };
  if ('ct' in expr) {
    // JSON of nft has the family inside the key: `ip daddr`.
    const [family, key] = expr.ct.key.split(' ');
    if ((family === 'ip' || family === 'ip6') && key !== undefined)
      return { ct: { key, family, ...(expr.ct.dir === undefined ? {} : { dir: expr.ct.dir }) } };
  }
  return expr;
}

const fibFlags = ['saddr', 'daddr', 'mark', 'iif', 'oif'];

/** nft's own order of flag words (its symbol tables), by type. */
const flagOrders: Readonly<Record<string, readonly string[]>> = {
  ct_state: ['invalid', 'new', 'established', 'related', 'untracked'],
  ct_status: ['expected', 'seen-reply', 'assured', 'confirmed', 'snat', 'dnat', 'dying'],
  tcp_flag: ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ecn', 'cwr'],
};

function sortFlags(flags: readonly NftExpr[], type: string): NftExpr[] {
  const order = flagOrders[type] ?? [];
  const place = (flag: NftExpr): number => (typeof flag === 'string' && order.includes(flag) ? order.indexOf(flag) : order.length);
  return sortElements(flags, (flag) => flag).sort((a, b) => place(a) - place(b));
}

const protocolAliases: Readonly<Record<string, string>> = { icmpv6: 'ipv6-icmp', ospfigp: 'ospf' };

function normalWord(word: string, type: string): NftExpr {
  if (type === 'ifname') return word;
  if (/^(0x[0-9a-fA-F]+|\d+)$/.test(word)) {
    const value = BigInt(word);
    return value <= BigInt(Number.MAX_SAFE_INTEGER) ? normalNumber(Number(value), type) : `0x${value.toString(16)}`;
  }
  if (type === 'inet_proto') return protocolAliases[word] ?? word;
  if (type === 'ether_type' && word === 'vlan') return '8021q';
  if (type === 'ether_addr' || type === 'integer')
    return /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/.test(word) ? word.toLowerCase() : normalAddress(word);
  return normalAddress(word);
}

function normalNumber(value: number, type: string): NftExpr {
  // Beyond this JSON.parse has already rounded it: better nothing than a wrong value.
  if (!Number.isSafeInteger(value)) return { unknown: value };
  return type === 'inet_proto' ? (protocolNames[value] ?? value) : value;
}

function normalAddress(word: string): string {
  const ip = /[.:]/.test(word) ? parseIp(word) : undefined;
  return ip ? formatIp(ip) : word;
}

function prefixExpression(prefix: Prefix): NftExpr {
  const addr = formatIp({ family: prefix.family, words: prefix.words });
  return prefix.length === familyBits(prefix.family) ? addr : { prefix: { addr, len: prefix.length } };
}

/** The value, the prefix, or the range from `first` to `last`. */
function normalRange(first: NftExpr, last: NftExpr): NftExpr {
  if (elementKey(first) === elementKey(last)) return first;
  const from = typeof first === 'string' ? parseIp(first) : undefined;
  const to = typeof last === 'string' ? parseIp(last) : undefined;
  const prefix = from && to ? exactPrefix(from, to) : undefined;
  return prefix ? prefixExpression(prefix) : { range: [first, last] };
}

function exactPrefix(from: Ip, to: Ip): Prefix | undefined {
  for (let length = 0; length < familyBits(from.family); length++) {
    const prefix = prefixOf(from, length);
    const bounds = prefixBounds(prefix);
    if (compareIp(bounds.first, from) === 0 && compareIp(bounds.last, to) === 0) return parsePrefix(formatPrefix(prefix));
  }
  return undefined;
}

/** Joins touching and overlapping intervals of an anonymous set, as nft does. Only where there is an interval: single values stay values. */
function mergeRanges(elements: readonly NftExpr[], type: string): NftExpr[] {
  if (!elements.some((element) => typeof element === 'object' && ('range' in element || 'prefix' in element))) return [...elements];
  return type === 'inet_service'
    ? mergePorts(elements)
    : type === 'ipv4_addr' || type === 'ipv6_addr'
      ? mergeAddresses(elements)
      : [...elements];
}

function mergePorts(elements: readonly NftExpr[]): NftExpr[] {
  const ranges: { from: number; to: number }[] = [];
  const rest: NftExpr[] = [];
  for (const element of elements) {
    const [from, to] = typeof element === 'object' && 'range' in element ? element.range : [element, element];
    if (typeof from === 'number' && typeof to === 'number') ranges.push({ from, to });
    else rest.push(element);
  }
  ranges.sort((a, b) => a.from - b.from);
  const merged: { from: number; to: number }[] = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    if (last && range.from <= last.to + 1) last.to = Math.max(last.to, range.to);
    else merged.push({ ...range });
  }
  return sortElements([...rest, ...merged.map(({ from, to }) => normalRange(from, to))], (element) => element);
}

function mergeAddresses(elements: readonly NftExpr[]): NftExpr[] {
  const ranges: { from: Ip; to: Ip }[] = [];
  const rest: NftExpr[] = [];
  for (const element of elements) {
    const range = addressRange(element);
    if (range) ranges.push(range);
    else rest.push(element);
  }
  ranges.sort((a, b) => compareIp(a.from, b.from));
  const merged: { from: Ip; to: Ip }[] = [];
  for (const range of ranges) {
    const last = merged.at(-1);
    const next = last && addOffset(last.to, 1);
    if (last && (!next || compareIp(range.from, next) <= 0)) last.to = compareIp(last.to, range.to) < 0 ? range.to : last.to;
    else merged.push({ ...range });
  }
  return sortElements([...rest, ...merged.map(({ from, to }) => normalRange(formatIp(from), formatIp(to)))], (element) => element);
}

/** First and last address of an element that is an address, a prefix or a range of addresses. */
export function addressRange(element: NftExpr): { from: Ip; to: Ip } | undefined {
  if (typeof element === 'string') {
    const ip = parseIp(element);
    return ip && { from: ip, to: ip };
  }
  if (typeof element !== 'object') return undefined;
  if ('prefix' in element) {
    const prefix = parsePrefix(`${element.prefix.addr}/${element.prefix.len}`);
    if (!prefix) return undefined;
    const { first, last } = prefixBounds(prefix);
    return { from: first, to: last };
  }
  if (!('range' in element)) return undefined;
  const [first, last] = element.range;
  const from = typeof first === 'string' ? parseIp(first) : undefined;
  const to = typeof last === 'string' ? parseIp(last) : undefined;
  return from && to && { from, to };
}
