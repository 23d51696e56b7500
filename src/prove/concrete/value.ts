/** What an expression of a rule gives for a packet where the rule stands. */
import { protocolNames } from '../../net/protocols.ts';
import type { NftExpr, NftFamily, NftTable } from '../../hoststate/nft.ts';
import { formatIp, parseIp } from '../../net/ip.ts';
import { withPorts, type Connection, type Flight } from './flight.ts';

export type Hook = 'ingress' | 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting' | 'egress';

/** Where a rule is asked, and of what. */
export interface View {
  readonly table: NftTable;
  readonly hook: Hook;
  readonly flight: Flight;
  /** Interfaces as the hook has them; empty: none, undefined: not known. */
  readonly iif: string | undefined;
  readonly oif: string | undefined;
  /** Of the base chain. */
  readonly type: 'filter' | 'nat' | 'route';
  readonly surroundings: Surroundings;
}

/** What rules may ask of the host besides the packet. */
export interface Surroundings {
  /** `fib` expressions; `flags` of them: saddr, daddr, mark, iif, oif. */
  fib(result: string, flags: readonly string[], view: View): Value;
  /** The bridge that an interface is a port of; undefined: not known. */
  bridgeOf(name: string): string | undefined;
  /** Undefined: not known. */
  isEthernet(name: string): boolean | undefined;
  /** The addresses of which one stands for the host in a translation that names none; undefined: not known, none: the packet is dropped. */
  addressesOf(use: 'masquerade' | 'redirect', view: View): readonly string[] | undefined;
}

export type Value =
  /** The packet, or the kernel here, has no such thing: the rule ends, with whatever operator. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'unknown' }
  /** An address, a MAC, the name of an interface, a word. */
  | { readonly kind: 'text'; readonly text: string }
  /** `words`: other names for it, which nft lists instead of the number; undefined where they are not known. */
  | { readonly kind: 'number'; readonly number: number; readonly words?: readonly string[] }
  /** Bits by their names; `exact` is false where others may be set beside those of nft's words. */
  | { readonly kind: 'flags'; readonly flags: readonly string[]; readonly exact: boolean }
  /** Answer of `fib … oif`: an interface, of unknown name perhaps, or (empty) none. */
  | { readonly kind: 'way'; readonly name: string | undefined }
  | { readonly kind: 'parts'; readonly parts: readonly Value[] };

export const ABSENT: Value = { kind: 'absent' };
export const UNKNOWN: Value = { kind: 'unknown' };
export const textValue = (value: string | undefined): Value => (value === undefined ? UNKNOWN : { kind: 'text', text: value });
const numberValue = (value: number | undefined, ...words: readonly string[]): Value =>
  value === undefined ? UNKNOWN : { kind: 'number', number: value, words };
const flags = (...words: readonly string[]): Value => ({ kind: 'flags', flags: words, exact: true });

export function valueOf(expr: NftExpr, view: View): Value {
  if (typeof expr === 'string') return { kind: 'text', text: expr };
  if (typeof expr === 'number') return { kind: 'number', number: expr };
  if ('concat' in expr) {
    const parts = expr.concat.map((part) => valueOf(part, view));
    return parts.some(({ kind }) => kind === 'absent') ? ABSENT : { kind: 'parts', parts };
  }
  if ('meta' in expr) return metaValue(expr.meta.key, view);
  if ('payload' in expr) {
    const { payload } = expr;
    return 'protocol' in payload
      ? fieldValue(payload.protocol, payload.field, view)
      : rawValue(payload.base, payload.offset, payload.len, view);
  }
  if ('ct' in expr) return ctValue(expr.ct, view);
  if ('fib' in expr) return view.surroundings.fib(expr.fib.result, expr.fib.flags, view);
  if ('&' in expr) return masked(expr['&'][0], expr['&'][1], view);
  if ('|' in expr) return joined(expr['|'], view);
  return UNKNOWN;
}

function metaValue(key: string, view: View): Value {
  const { flight, iif, oif, hook, surroundings } = view;
  const v6 = flight.family === 6;
  switch (key) {
    case 'iif':
    case 'iifname':
      return textValue(iif);
    case 'oif':
    case 'oifname':
      return textValue(oif);
    case 'ibrname':
    case 'obrname': {
      const port = key === 'ibrname' ? iif : oif;
      return port === '' ? ABSENT : textValue(port === undefined ? undefined : surroundings.bridgeOf(port));
    }
    case 'iiftype':
    case 'oiftype': {
      const name = key === 'iiftype' ? iif : oif;
      if (name === '') return ABSENT;
      const ethernet = name === undefined ? undefined : surroundings.isEthernet(name);
      return ethernet === true ? numberValue(1, 'ether') : name === 'lo' ? numberValue(772, 'loopback') : UNKNOWN;
    }
    case 'l4proto':
      return protocolValue(flight.protocol);
    case 'nfproto':
      if (isLayer2(view.table.family)) return UNKNOWN;
      return v6 ? numberValue(10, 'ipv6') : numberValue(2, 'ipv4');
    case 'protocol':
      return etherType(flight);
    case 'mark':
      return flight.mark === undefined ? UNKNOWN : { kind: 'number', number: flight.mark };
    case 'pkttype':
      // What arrives for the host, and what br_netfilter lets look so; before, and for what leaves, it depends on the device.
      return !isLayer2(view.table.family) &&
        (hook === 'prerouting' || hook === 'input' || hook === 'forward') &&
        isUnicast(flight.destination)
        ? numberValue(0, 'host', 'unicast')
        : UNKNOWN;
    case 'skuid':
    case 'skgid':
      // Only the host's own packets belong to somebody.
      return hook === 'forward' || hook === 'ingress' ? ABSENT : UNKNOWN;
    default:
      return UNKNOWN;
  }
}

function fieldValue(protocol: string, field: string, view: View): Value {
  const { flight } = view;
  switch (protocol) {
    case 'ether':
      return etherValue(field, view);
    case 'ip':
    case 'ip6':
      if ((protocol === 'ip6') !== (flight.family === 6)) return ABSENT;
      if (field === 'saddr') return textValue(flight.source);
      if (field === 'daddr') return textValue(flight.destination);
      if (field === 'version') return { kind: 'number', number: flight.family };
      return field === 'protocol' || field === 'nexthdr' ? protocolValue(flight.protocol) : UNKNOWN;
    case 'th':
      if (!withPorts.has(flight.protocol)) return UNKNOWN;
      return field === 'sport' ? port(flight.sport) : field === 'dport' ? port(flight.dport) : UNKNOWN;
    case 'tcp':
    case 'udp':
    case 'sctp':
    case 'dccp':
    case 'udplite':
      if (flight.protocol !== numberOf[protocol]) return ABSENT;
      if (field === 'sport') return port(flight.sport);
      if (field === 'dport') return port(flight.dport);
      return protocol === 'tcp' && field === 'flags' ? tcpFlags(flight) : UNKNOWN;
    case 'icmp':
    case 'icmpv6':
      if (flight.protocol !== (protocol === 'icmp' ? 1 : 58)) return ABSENT;
      if (field === 'code') return { kind: 'number', number: 0 };
      if (field !== 'type' || isRelated(flight)) return UNKNOWN;
      return isReply(flight)
        ? numberValue(protocol === 'icmp' ? 0 : 129, 'echo-reply')
        : numberValue(protocol === 'icmp' ? 8 : 128, 'echo-request');
    case 'esp':
    case 'ah':
    case 'comp':
      return flight.protocol === { esp: 50, ah: 51, comp: 108 }[protocol] ? UNKNOWN : ABSENT;
    // Neither ARP, tagged frames nor packets with a routing header are among those that are asked about.
    case 'arp':
    case 'vlan':
    case 'rt':
      return ABSENT;
    default:
      return UNKNOWN;
  }
}

const port = (value: number | undefined): Value => (value === undefined ? UNKNOWN : { kind: 'number', number: value });
const isReply = (flight: Flight): boolean => flight.direction === 'reply' || flight.connection?.state === 'established';
const isRelated = (flight: Flight): boolean => flight.connection?.state === 'related';
const tcpFlags = (flight: Flight): Value => (isReply(flight) ? flags('syn', 'ack') : flags('syn'));

function etherValue(field: string, { flight, table, iif, surroundings }: View): Value {
  const { ether } = flight;
  if (!ether) return ABSENT;
  if (!isLayer2(table.family)) {
    // nft asks for the kind of the incoming interface before it looks at the frame (`meta iiftype ether`).
    const ethernet = iif === undefined ? undefined : iif === '' ? false : surroundings.isEthernet(iif);
    if (ethernet !== true) return ethernet === false ? ABSENT : UNKNOWN;
  }
  if (field === 'saddr') return textValue(ether.source);
  if (field === 'daddr') return textValue(ether.destination);
  return field === 'type' ? etherType(flight) : UNKNOWN;
}

/** `@nh,96,32`: bits of the fields of which it is known where they are and what they hold. */
function rawValue(base: 'll' | 'nh' | 'th', offset: number, len: number, view: View): Value {
  const at = { ll: linkFields, nh: view.flight.family === 6 ? fields6 : fields4, th: portFields }[base].find(
    ([first, bits]) => first <= offset && offset + len <= first + bits,
  );
  if (!at) return UNKNOWN;
  const [first, bits, protocol, field] = at;
  const value = fieldValue(protocol, field, view);
  if (value.kind === 'absent') return value;
  const whole = value.kind === 'number' ? BigInt(value.number) : value.kind === 'text' ? bitsOf(value.text) : undefined;
  if (whole === undefined) return UNKNOWN;
  const part = (whole >> BigInt(first + bits - offset - len)) & ((1n << BigInt(len)) - 1n);
  // As a number, without names: a raw field is compared with numbers only.
  return part <= BigInt(Number.MAX_SAFE_INTEGER) ? { kind: 'number', number: Number(part) } : UNKNOWN;
}

/** First bit, length, and which field that is. */
type Place = readonly [first: number, bits: number, protocol: string, field: string];
const linkFields: readonly Place[] = [
  [0, 48, 'ether', 'daddr'],
  [48, 48, 'ether', 'saddr'],
  [96, 16, 'ether', 'type'],
];
const fields4: readonly Place[] = [
  [72, 8, 'ip', 'protocol'],
  [96, 32, 'ip', 'saddr'],
  [128, 32, 'ip', 'daddr'],
];
const fields6: readonly Place[] = [
  [48, 8, 'ip6', 'nexthdr'],
  [64, 128, 'ip6', 'saddr'],
  [192, 128, 'ip6', 'daddr'],
];
const portFields: readonly Place[] = [
  [0, 16, 'th', 'sport'],
  [16, 16, 'th', 'dport'],
];

/** Of an address or a MAC; undefined for what is neither. */
function bitsOf(text: string): bigint | undefined {
  const ip = parseIp(text);
  if (ip) return ip.words.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(text) ? BigInt(`0x${text.replaceAll(':', '')}`) : undefined;
}

function ctValue(
  { key, family, dir }: { readonly key: string; readonly family?: 'ip' | 'ip6'; readonly dir?: 'original' | 'reply' },
  view: View,
): Value {
  const { flight, table } = view;
  // Bridges have a connection tracking of their own (nf_conntrack_bridge), which is not modelled.
  if (table.family === 'bridge') return UNKNOWN;
  const { connection } = flight;
  if (flight.tracking === 'untracked') return key === 'state' ? flags('untracked') : ABSENT;
  // nft_ct.c: without a connection the state is invalid, and everything else breaks off the rule.
  if (flight.tracking !== 'tracked' || !connection) return key === 'state' ? flags('invalid') : ABSENT;
  switch (key) {
    case 'state':
      return flags(connection.state);
    case 'status':
      return connection.status ? { kind: 'flags', flags: connection.status, exact: false } : UNKNOWN;
    case 'direction':
      return connection.state === 'related' ? UNKNOWN : numberValue(flight.direction === 'reply' ? 1 : 0, flight.direction);
    case 'mark':
      return connection.mark === undefined ? UNKNOWN : { kind: 'number', number: connection.mark };
    case 'protocol':
      return protocolValue(flight.protocol);
    case 'l3proto':
      return flight.family === 6 ? numberValue(10, 'ipv6') : numberValue(2, 'ipv4');
    case 'saddr':
    case 'daddr':
    case 'proto-src':
    case 'proto-dst':
      if (family !== undefined && (family === 'ip6') !== (flight.family === 6)) return ABSENT;
      return dir === undefined ? UNKNOWN : tupleValue(key, connection, dir);
    default:
      return UNKNOWN;
  }
}

function tupleValue(key: 'saddr' | 'daddr' | 'proto-src' | 'proto-dst', connection: Connection, dir: 'original' | 'reply'): Value {
  const ends = connection[dir];
  switch (key) {
    case 'saddr':
      return textValue(ends.source);
    case 'daddr':
      return textValue(ends.destination);
    case 'proto-src':
      return port(ends.sport);
    case 'proto-dst':
      return port(ends.dport);
  }
}

function masked(expr: NftExpr, mask: NftExpr, view: View): Value {
  // Packets are asked about whole: none is a fragment. The bit that forbids fragmenting is not known.
  if (typeof mask === 'number' && (mask & ~0x3fff) === 0 && isField(expr, 'ip', 'frag-off') && view.flight.family === 4)
    return { kind: 'number', number: 0 };
  const value = valueOf(expr, view);
  if (value.kind === 'absent') return value;
  if (value.kind === 'number') {
    const other = numberFrom(mask, view);
    return other === undefined ? UNKNOWN : { kind: 'number', number: Number(BigInt(value.number) & BigInt(other)) };
  }
  if (value.kind === 'flags') {
    const words = flagWords(mask);
    return words ? { ...value, flags: value.flags.filter((flag) => words.includes(flag)), exact: true } : UNKNOWN;
  }
  const [ip, bits] = [value.kind === 'text' ? parseIp(value.text) : undefined, typeof mask === 'string' ? parseIp(mask) : undefined];
  if (!ip || bits?.family !== ip.family) return UNKNOWN;
  return { kind: 'text', text: formatIp({ family: ip.family, words: ip.words.map((word, i) => (word & (bits.words[i] ?? 0)) >>> 0) }) };
}

const isField = (expr: NftExpr, protocol: string, field: string): boolean =>
  typeof expr === 'object' &&
  'payload' in expr &&
  'protocol' in expr.payload &&
  expr.payload.protocol === protocol &&
  expr.payload.field === field;

function joined(parts: readonly NftExpr[], view: View): Value {
  const numbers = parts.map((part) => numberFrom(part, view));
  if (numbers.includes(undefined)) return UNKNOWN;
  return { kind: 'number', number: Number(numbers.reduce((sum: bigint, number) => sum | BigInt(number ?? 0), 0n)) };
}

function numberFrom(expr: NftExpr, view: View): number | undefined {
  const value = valueOf(expr, view);
  return value.kind === 'number' ? value.number : undefined;
}

/** The words of `(fin|syn)`, or of a single one. */
export function flagWords(expr: NftExpr): readonly string[] | undefined {
  const words: readonly NftExpr[] = typeof expr === 'object' && '|' in expr ? expr['|'] : [expr];
  return words.every((word) => typeof word === 'string') ? words : undefined;
}

const numberOf: Readonly<Record<string, number>> = { tcp: 6, udp: 17, dccp: 33, sctp: 132, udplite: 136 };
function protocolValue(number: number): Value {
  const word = protocolNames[number];
  return word === undefined ? { kind: 'number', number } : { kind: 'number', number, words: [word] };
}

const etherType = (flight: Flight): Value => (flight.family === 6 ? numberValue(0x86dd, 'ip6') : numberValue(0x800, 'ip'));

export const isLayer2 = (family: NftFamily): boolean => family === 'bridge' || family === 'netdev';

const isUnicast = (address: string): boolean => !/^(22[4-9]|23\d|255)\./.test(address) && !address.startsWith('ff');
