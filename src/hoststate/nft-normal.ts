/**
 * The normal form of tables: what `print → nft → nft -j list → read` gives back, so that desired and observed state can be compared as
 * plain values. {@link normalizeTable} takes the compiler's tables and the reader's into it, so neither has to know every habit of nft:
 *
 * - sets, maps and chains sorted by name, elements sorted by {@link elementKey} and without duplicates; set keys as type words, or as
 *   `typeof` where there is a raw payload field (nft's JSON says `integer` for it; the reader finds the field in a rule that uses the set)
 * - addresses canonical, a prefix of full length is the address, a range that is a prefix is one, a range of one value is the value
 * - an anonymous set of one element is the element, and its touching ranges are merged; flag words in nft's own order
 * - no match that nft would imply and hide: `meta l4proto tcp` beside a `tcp` field, `meta nfproto ipv4` or `ether type ip` beside an `ip` field, …
 * - IP protocols by name where Weft knows one; numbers as numbers up to 2^53, beyond that as `0x…` text without leading zeros
 * - counters without their values, limits with nft's default burst of 5
 *
 * What a compiler must not emit, because nft 1.0.6 cannot give it back: raw payload keys of 54 to 64 bits (JSON numbers lose digits);
 * a set key with more than three raw payload fields (`nft list ruleset` then aborts, for everybody on the host: use one field of 128 bits);
 * quotes in comments and log prefixes; `ct state` with `==` (say `in`).
 */
import { isVerdict } from './nft.ts';
import type { NftChain, NftExpr, NftMap, NftMapElement, NftRule, NftSet, NftSetKey, NftStatement, NftTable, NftVerdict } from './nft.ts';
import { normalExpression, normalSet, sortElements } from './nft-normal-expression.ts';

export { elementKey } from './nft-normal-expression.ts';

/** The table in normal form; equal tables are deeply equal, also as JSON text. */
export function normalizeTable(table: NftTable): NftTable {
  return {
    family: table.family,
    name: table.name,
    sets: table.sets.map(normalizeSet).sort(byName),
    maps: table.maps.map(normalizeMap).sort(byName),
    chains: table.chains.map(normalizeChain).sort(byName),
  };
}

/** One set in normal form. */
export function normalizeSet(set: NftSet): NftSet {
  const types = typesOf(set.key);
  const size = set.size === undefined ? {} : { size: set.size };
  return { name: set.name, key: normalKey(set.key), flags: normalFlags(set.flags), ...size, elements: normalSet(set.elements, types) };
}

/** One map in normal form. */
export function normalizeMap(map: NftMap): NftMap {
  const types = typesOf(map.key);
  const { data } = map;
  const elements = map.elements.map(([key, value]): NftMapElement => [
    normalExpression(key, types),
    isVerdict(value) ? value : normalExpression(value, data),
  ]);
  return {
    name: map.name,
    key: normalKey(map.key),
    ...(data === undefined ? {} : { data }),
    flags: normalFlags(map.flags),
    elements: sortElements(elements, ([key]) => key),
  };
}

/** One chain in normal form. */
export function normalizeChain(chain: NftChain): NftChain {
  const rules = chain.rules.map(normalizeRule);
  if (!chain.base) return { name: chain.name, rules };
  const { type, hook, priority, policy, devices } = chain.base;
  const base = { type, hook, priority, policy, ...(devices === undefined || devices.length === 0 ? {} : { devices: [...devices].sort() }) };
  return { name: chain.name, base, rules };
}

/** One rule in normal form. */
export function normalizeRule(rule: NftRule): NftRule {
  const statements = withoutImplied(rule.statements.map(normalStatement));
  return rule.comment === undefined ? { statements } : { statements, comment: rule.comment };
}

function normalKey(key: NftSetKey): NftSetKey {
  const types = typesOf(key);
  return 'typeof' in key && types.includes('integer') ? { typeof: key.typeof.map((expr) => normalExpression(expr)) } : { types };
}

/** The type words of a set's key; a raw payload field is `integer`. */
export function typesOf(key: NftSetKey): readonly string[] {
  return 'types' in key ? key.types : key.typeof.flatMap(expressionTypes);
}

const byName = (a: { readonly name: string }, b: { readonly name: string }): number => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);

const flagOrder = ['interval', 'constant', 'dynamic', 'timeout'] as const;
const normalFlags = (flags: NftSet['flags']): NftSet['flags'] => flagOrder.filter((flag) => flags.includes(flag));

const metaTypes: Readonly<Record<string, string>> = {
  iifname: 'ifname',
  oifname: 'ifname',
  ibrname: 'ifname',
  obrname: 'ifname',
  l4proto: 'inet_proto',
  nfproto: 'nf_proto',
  protocol: 'ether_type',
  mark: 'mark',
};

const fieldTypes: Readonly<Record<string, string>> = {
  'ip saddr': 'ipv4_addr',
  'ip daddr': 'ipv4_addr',
  'ip protocol': 'inet_proto',
  'ip6 saddr': 'ipv6_addr',
  'ip6 daddr': 'ipv6_addr',
  'ip6 nexthdr': 'inet_proto',
  'arp saddr ip': 'ipv4_addr',
  'arp daddr ip': 'ipv4_addr',
  'arp saddr ether': 'ether_addr',
  'arp daddr ether': 'ether_addr',
  'ether saddr': 'ether_addr',
  'ether daddr': 'ether_addr',
  'ether type': 'ether_type',
  'icmpv6 taddr': 'ipv6_addr',
};

/** nft's type of each component of an expression; `integer` where Weft does not know it. */
export function expressionTypes(expr: NftExpr): readonly string[] {
  if (typeof expr !== 'object') return ['integer'];
  if ('concat' in expr) return expr.concat.flatMap(expressionTypes);
  if ('meta' in expr) return [metaTypes[expr.meta.key] ?? 'integer'];
  if ('ct' in expr) return [expr.ct.key === 'state' ? 'ct_state' : expr.ct.key === 'status' ? 'ct_status' : 'integer'];
  if ('payload' in expr && 'protocol' in expr.payload) {
    const { protocol, field } = expr.payload;
    if (protocol === 'tcp' && field === 'flags') return ['tcp_flag'];
    return [fieldTypes[`${protocol} ${field}`] ?? (field === 'sport' || field === 'dport' ? 'inet_service' : 'integer')];
  }
  if ('&' in expr) return expressionTypes(expr['&'][0]);
  return ['integer'];
}

function normalStatement(statement: NftStatement): NftStatement {
  if ('match' in statement) {
    const { left, right } = statement.match;
    const types = expressionTypes(left);
    // `ct state { new }` with `in` and a set, as some write flag lists, prints like `ct state new` and means it.
    const asFlags = statement.match.op === 'in' && typeof right === 'object' && 'set' in right ? { '|': right.set } : right;
    return { match: { op: statement.match.op, left: normalExpression(left, types), right: normalExpression(asFlags, types) } };
  }
  if ('vmap' in statement) {
    const { key, data } = statement.vmap;
    if (typeof data === 'string') return { vmap: { key: normalExpression(key), data } };
    const types = expressionTypes(key);
    const set = data.set.map(([value, verdict]): readonly [NftExpr, NftVerdict] => [normalExpression(value, types), verdict]);
    return { vmap: { key: normalExpression(key), data: { set: sortElements(set, ([value]) => value) } } };
  }
  if ('counter' in statement) return { counter: null };
  if ('limit' in statement) return { limit: { rate: statement.limit.rate, per: statement.limit.per, burst: statement.limit.burst ?? 5 } };
  if ('mangle' in statement)
    return { mangle: { key: normalExpression(statement.mangle.key), value: normalExpression(statement.mangle.value) } };
  if ('log' in statement) {
    const { prefix, group, snaplen } = statement.log;
    return {
      log: {
        ...(prefix === undefined ? {} : { prefix }),
        ...(group === undefined ? {} : { group }),
        ...(snaplen === undefined ? {} : { snaplen }),
      },
    };
  }
  if ('snat' in statement) return { snat: { ...statement.snat, addr: normalExpression(statement.snat.addr) } };
  if ('dnat' in statement)
    return { dnat: { ...statement.dnat, ...(statement.dnat.addr === undefined ? {} : { addr: normalExpression(statement.dnat.addr) }) } };
  return statement;
}

/** Protocol of a payload field to what nft implies for it: the layer 4 protocol, and the layer 3 protocol. */
const impliedL4: Readonly<Record<string, string>> = {
  tcp: 'tcp',
  udp: 'udp',
  sctp: 'sctp',
  dccp: 'dccp',
  udplite: 'udplite',
  icmp: 'icmp',
  icmpv6: 'ipv6-icmp',
  esp: 'esp',
  ah: 'ah',
};
const impliedL3: Readonly<Record<string, string>> = { ip: 'ip', ip6: 'ip6', arp: 'arp', icmp: 'ip', icmpv6: 'ip6', vlan: '8021q' };

function withoutImplied(statements: readonly NftStatement[]): readonly NftStatement[] {
  const protocols = new Set(statements.flatMap(statementProtocols));
  const l4 = new Set([...protocols].map((protocol) => impliedL4[protocol]));
  const l3 = new Set([...protocols].map((protocol) => impliedL3[protocol]));
  // nft also takes the network protocol for implied by a match on ICMP or ICMPv6 itself.
  if (statements.some((statement) => equalTo(statement, 'l4proto') === 'icmp')) l3.add('ip');
  if (statements.some((statement) => equalTo(statement, 'l4proto') === 'ipv6-icmp')) l3.add('ip6');
  return statements.filter((statement) => {
    const l4proto = equalTo(statement, 'l4proto');
    if (l4proto !== undefined) return !l4.has(l4proto);
    const nfproto = equalTo(statement, 'nfproto');
    if (nfproto !== undefined) return !l3.has(nfproto === 'ipv4' ? 'ip' : nfproto === 'ipv6' ? 'ip6' : nfproto);
    const etherType = equalTo(statement, 'protocol') ?? equalTo(statement, 'ether type');
    return etherType === undefined || !l3.has(etherType);
  });
}

/** The word that a statement says a `meta` key or `ether type` equals. */
function equalTo(statement: NftStatement, what: string): string | undefined {
  if (!('match' in statement) || statement.match.op !== '==') return undefined;
  const { left, right } = statement.match;
  if (typeof left !== 'object' || typeof right !== 'string' || right.startsWith('@')) return undefined;
  if ('meta' in left) return left.meta.key === what ? right : undefined;
  return 'payload' in left && 'protocol' in left.payload && `${left.payload.protocol} ${left.payload.field}` === what ? right : undefined;
}

function statementProtocols(statement: NftStatement): string[] {
  if ('match' in statement) return expressionProtocols(statement.match.left);
  if ('vmap' in statement) return expressionProtocols(statement.vmap.key);
  if ('mangle' in statement) return expressionProtocols(statement.mangle.key);
  return [];
}

function expressionProtocols(expr: NftExpr): string[] {
  if (typeof expr !== 'object') return [];
  if ('concat' in expr) return expr.concat.flatMap(expressionProtocols);
  if ('&' in expr) return expressionProtocols(expr['&'][0]);
  if ('tcp option' in expr) return ['tcp'];
  return 'payload' in expr && 'protocol' in expr.payload ? [expr.payload.protocol] : [];
}
