/**
 * Whether a match of an nft rule holds for a packet: yes, no, or maybe where Weft does not know the expression, the set or the packet well
 * enough. A guess would be worse than no answer, so everything unknown is maybe.
 */
import { isVerdict } from '../hoststate/nft.ts';
import type { NftExpr, NftMapElement, NftMatchOp, NftTable, NftVerdict } from '../hoststate/nft.ts';
import { addressRange } from '../hoststate/nft-normal-expression.ts';
import { compareIp, parseIp } from '../net/ip.ts';
import { every, not, some } from './packet.ts';
import type { TestPacket, Tri } from './packet.ts';

export interface Surroundings {
  readonly table: NftTable;
  readonly packet: TestPacket;
  readonly hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
  /** The chain comes after source NAT: source addresses are not what they were. */
  readonly translated: boolean;
  /** The chain comes before connection tracking: no packet has a connection yet. */
  readonly untracked: boolean;
  /** Some rule sets packet or connection marks, so their value is not known. */
  readonly marked: boolean;
}

/** `absent`: the packet has no such header, so nothing that asks for it matches, with whatever operator. */
type Value = string | number | { readonly flags: readonly string[] } | { readonly parts: readonly Value[] } | 'absent' | undefined;

export function evaluateMatch(
  match: { readonly op: NftMatchOp; readonly left: NftExpr; readonly right: NftExpr },
  around: Surroundings,
): Tri {
  const value = valueOf(match.left, around);
  if (value === 'absent') return 'no';
  if (value === undefined) return 'maybe';
  const { op, right } = match;
  switch (op) {
    case '==':
      return equals(value, right, around);
    case '!=':
      return not(equals(value, right, around));
    case 'in':
      return overlaps(value, right);
    default: {
      if (typeof value !== 'number' || typeof right !== 'number') return 'maybe';
      return (op === '<' ? value < right : op === '>' ? value > right : op === '<=' ? value <= right : value >= right) ? 'yes' : 'no';
    }
  }
}

/** Verdicts that a verdict map may give, and whether it may give none. */
export function evaluateVerdictMap(
  vmap: { readonly key: NftExpr; readonly data: string | { readonly set: readonly (readonly [NftExpr, NftVerdict])[] } },
  around: Surroundings,
): { readonly verdicts: readonly NftVerdict[]; readonly none: boolean } | undefined {
  const { data } = vmap;
  const map = typeof data === 'string' ? around.table.maps.find(({ name }) => `@${name}` === data) : undefined;
  const elements: readonly NftMapElement[] | undefined = typeof data === 'string' ? map?.elements : data.set;
  if (!elements || map?.data !== undefined || map?.flags.includes('dynamic') === true) return undefined;
  const value = valueOf(vmap.key, around);
  if (value === 'absent') return { verdicts: [], none: true };
  if (value === undefined) return { verdicts: elements.map(([, verdict]) => verdict).filter(isVerdict), none: true };
  const verdicts: NftVerdict[] = [];
  for (const [key, verdict] of elements) {
    if (!isVerdict(verdict)) continue;
    const hit = equals(value, key, around);
    if (hit === 'yes') return { verdicts: [...verdicts, verdict], none: false };
    if (hit === 'maybe') verdicts.push(verdict);
  }
  return { verdicts, none: true };
}

function valueOf(expr: NftExpr, around: Surroundings): Value {
  if (typeof expr !== 'object') return expr;
  if ('concat' in expr) {
    const parts = expr.concat.map((part) => valueOf(part, around));
    return parts.includes('absent') ? 'absent' : { parts };
  }
  if ('meta' in expr) return metaValue(expr.meta.key, around);
  if ('payload' in expr) return 'protocol' in expr.payload ? fieldValue(expr.payload.protocol, expr.payload.field, around) : undefined;
  if ('ct' in expr) return ctValue(expr.ct.key, around);
  if ('fib' in expr) return fibValue(expr.fib.result, expr.fib.flags, around.packet);
  if ('&' in expr) return masked(valueOf(expr['&'][0], around), expr['&'][1]);
  return undefined;
}

function metaValue(key: string, { packet, hook, marked }: Surroundings): Value {
  const v6 = packet.saddr.includes(':');
  switch (key) {
    case 'iifname':
    case 'iif':
      return hook === 'output' ? '' : packet.iifname;
    case 'oifname':
    case 'oif':
      // Before routing there is no way out yet: nothing equals it.
      return hook === 'prerouting' || hook === 'input' ? '' : packet.oifname;
    case 'l4proto':
      return protocolOf(packet);
    case 'nfproto':
      return v6 ? 'ipv6' : 'ipv4';
    case 'protocol':
      return v6 ? 'ip6' : 'ip';
    case 'mark':
      return marked ? undefined : 0;
    default:
      return undefined;
  }
}

function fieldValue(protocol: string, field: string, { packet, translated }: Surroundings): Value {
  const v6 = packet.saddr.includes(':');
  switch (protocol) {
    case 'ip':
    case 'ip6':
      if ((protocol === 'ip6') !== v6) return 'absent';
      if (field === 'saddr') return translated ? undefined : packet.saddr;
      if (field === 'daddr') return packet.daddr;
      return field === 'protocol' || field === 'nexthdr' ? protocolOf(packet) : undefined;
    case 'th':
    case 'tcp':
    case 'udp':
    case 'sctp':
    case 'dccp':
    case 'udplite': {
      if (protocol === 'th' ? !withPorts.has(packet.protocol) : packet.protocol !== protocol) return 'absent';
      if (field === 'sport') return translated ? undefined : packet.sport;
      if (field === 'dport') return packet.dport;
      // The first packet of a TCP connection.
      return protocol === 'tcp' && field === 'flags' && (packet.state ?? 'new') === 'new' ? { flags: ['syn'] } : undefined;
    }
    case 'icmp':
    case 'icmpv6':
      if (packet.protocol !== (protocol === 'icmp' ? 'icmp' : 'ipv6-icmp')) return 'absent';
      // A flow of ICMP that is new is an echo request.
      return field === 'type' && (packet.state ?? 'new') === 'new' ? 'echo-request' : undefined;
    case 'arp':
      return 'absent';
    default:
      return undefined;
  }
}

const withPorts: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp', 'dccp', 'udplite']);

function protocolOf(packet: TestPacket): Value {
  return /^\d+$/.test(packet.protocol) ? Number(packet.protocol) : packet.protocol;
}

function ctValue(key: string, { packet, marked, untracked }: Surroundings): Value {
  // nft_ct.c: without a connection the state is invalid, and everything else breaks off the rule.
  if (untracked) return key === 'state' ? { flags: ['invalid'] } : 'absent';
  switch (key) {
    case 'state':
      return { flags: [packet.state ?? 'new'] };
    case 'status':
      // Other bits (confirmed, assured, snat) depend on what has gone before.
      return packet.dnat === true ? undefined : { flags: [] };
    case 'direction':
      return (packet.state ?? 'new') === 'new' ? 'original' : undefined;
    case 'mark':
      return marked ? undefined : 0;
    default:
      return undefined;
  }
}

/** A forwarded packet's destination is not local, and neither is its source; that there is a way back to its source is taken for granted. */
function fibValue(result: string, flags: readonly string[], { toHost = false }: TestPacket): Value {
  if (result === 'type' && toHost && flags.includes('daddr')) return 'local';
  if (result === 'type') return flags.includes('daddr') || flags.includes('saddr') ? 'unicast' : undefined;
  return flags.includes('saddr') ? wayBack : undefined;
}

/** Value of `fib saddr … oif`: some interface, so not `missing`. */
const wayBack = '(an interface)';

function masked(value: Value, mask: NftExpr): Value {
  if (typeof value === 'number' && typeof mask === 'number') return (value & mask) >>> 0;
  if (typeof value !== 'object' || !('flags' in value)) return value === 'absent' ? 'absent' : undefined;
  const words = flagWords(mask);
  return words && { flags: value.flags.filter((flag) => words.includes(flag)) };
}

function flagWords(expr: NftExpr): readonly string[] | undefined {
  const words: readonly NftExpr[] = typeof expr === 'object' && '|' in expr ? expr['|'] : [expr];
  return words.every((word) => typeof word === 'string') ? words : undefined;
}

function overlaps(value: Value, right: NftExpr): Tri {
  const words = flagWords(right);
  if (typeof value !== 'object' || !('flags' in value) || !words) return 'maybe';
  return value.flags.some((flag) => words.includes(flag)) ? 'yes' : 'no';
}

function equals(value: Value, expr: NftExpr, around: Surroundings): Tri {
  if (value === undefined) return 'maybe';
  if (value === 'absent') return 'no';
  if (typeof expr === 'object') {
    if ('set' in expr) return some(expr.set.map((element) => equals(value, element, around)));
    // `missing` is `false` in nft's JSON.
    if ('unknown' in expr) return value === wayBack && expr.unknown === false ? 'no' : 'maybe';
  }
  if (typeof expr === 'string' && expr.startsWith('@')) {
    const set = around.table.sets.find(({ name }) => `@${name}` === expr);
    // A set that packets themselves fill is different at each moment.
    return !set || set.flags.includes('dynamic') ? 'maybe' : some(set.elements.map((element) => equals(value, element, around)));
  }
  if (value === wayBack) return 'maybe';
  if (typeof value === 'object') {
    if ('parts' in value) {
      if (typeof expr !== 'object' || !('concat' in expr) || expr.concat.length !== value.parts.length) return 'maybe';
      return every(expr.concat.map((part, i) => equals(value.parts[i], part, around)));
    }
    const words = expr === 0 ? [] : flagWords(expr);
    return words ? (words.length === value.flags.length && words.every((word) => value.flags.includes(word)) ? 'yes' : 'no') : 'maybe';
  }
  return scalarEquals(value, expr);
}

function scalarEquals(value: string | number, expr: NftExpr): Tri {
  if (typeof expr === 'object') {
    if ('range' in expr && typeof value === 'number') {
      const [from, to] = expr.range;
      return typeof from === 'number' && typeof to === 'number' ? (from <= value && value <= to ? 'yes' : 'no') : 'maybe';
    }
    const range = addressRange(expr);
    const ip = typeof value === 'string' ? parseIp(value) : undefined;
    if (!range || !ip) return 'maybe';
    return range.from.family === ip.family && compareIp(range.from, ip) <= 0 && compareIp(ip, range.to) <= 0 ? 'yes' : 'no';
  }
  // `virbr*` stands for all names that begin so.
  if (typeof value === 'string' && typeof expr === 'string' && expr.endsWith('*'))
    return value.startsWith(expr.slice(0, -1)) ? 'yes' : 'no';
  return value === expr ? 'yes' : 'no';
}
