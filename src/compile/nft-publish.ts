/**
 * Destination NAT of published ports, and what lets the translated connections through. Translations are elements of maps: one more is no rule more. Only the first packet
 * of a connection comes here.
 *
 * `publish4`, `publish_at4`           (address .) protocol . port → guest's address . port
 * `publish_range4`, …                 (address .) protocol . ports → guest's address, for ranges that keep their ports
 * `limited4`, `limited_at4`           what only some may use → a chain of these sources, shared by all of the same
 * `published4`, `published_range4`    guest's address . protocol . port: accepted, when translated
 * `publish_self4`                     guest's own address . published address: answers would not come back, so it sees its gateway
 */
import type { NftExpr, NftMapElement, NftRule } from '../hoststate/nft.ts';
import type { Family } from '../net/ip.ts';
import { ContentChains } from './nft-content.ts';
import {
  accept,
  anyOf,
  concat,
  daddr,
  families,
  goTo,
  is,
  isNot,
  jump,
  l4proto,
  prefixExpr,
  rule,
  saddr,
  type TableParts,
  thDport,
  translated,
  vmap,
  words,
} from './nft-words.ts';
import type { HostPolicy, Publication } from './policy-model.ts';
import { familyOf } from './prefixes.ts';

export interface PublishRules {
  /** Behind the translation of DNS. */
  readonly prerouting: readonly NftRule[];
  readonly output: readonly NftRule[];
  /** For a guest that reaches itself. */
  readonly postrouting: readonly NftRule[];
  /** Accept what was translated; after `block`, before `allow`. */
  readonly accepts: readonly NftRule[];
  /**
   * A packet of the host to its own address still counts as one for `lo` after the translation (the hook knows the interface of before), so it is known by where it
   * goes. Leads to `to_guests`.
   */
  readonly fromHost: readonly NftRule[];
  /** In `to_guests`, where the host may connect by default: the same by destination. */
  readonly fromHostDefault: readonly NftRule[];
}

/** On all addresses of the host, but not on these. */
const NOT_PUBLISHED: Readonly<Record<Family, readonly string[]>> = { 4: ['127.0.0.0/8'], 6: ['::1', 'fe80::/10'] };
const isTransport = is(l4proto, anyOf('sctp', 'tcp', 'udp'));

/** Fills `parts` with what is published; all lists are empty when nothing is. */
export function publishRules(policy: HostPolicy, parts: TableParts): PublishRules {
  const rules = { prerouting: [], output: [], postrouting: [], accepts: [], fromHost: [], fromHostDefault: [] } satisfies Record<
    string,
    NftRule[]
  > as {
    [name in keyof PublishRules]: NftRule[];
  };
  const all = [...policy.published.values()].flat();
  for (const family of families) {
    const mine = all.filter((one) => one.family === family);
    if (mine.length === 0) continue;
    const { suffix, nfproto } = words[family];
    translations(mine, family, parts);
    const chains = new ContentChains(parts, family);
    const ofFamily = is({ meta: { key: 'nfproto' } }, nfproto);
    const limited = entrance(
      policy,
      mine.filter((one) => one.from),
      `publish${suffix}`,
      'limited',
      family,
      parts,
      chains,
    );
    rules.prerouting.push(rule(ofFamily, jump(limited)));
    // The host itself passes the limits that name it.
    const strangers = mine.filter((one) => one.from && !one.from.host);
    const same = strangers.length === mine.filter((one) => one.from).length;
    rules.output.push(
      rule(ofFamily, jump(same ? limited : entrance(policy, strangers, `publish_out${suffix}`, 'limited_out', family, parts, chains))),
    );
    filter(policy, mine, family, parts, rules);
  }
  return rules;
}

/** The chain that the base chains jump to: limits first, then the translation. */
function entrance(
  policy: HostPolicy,
  limited: readonly Publication[],
  name: string,
  map: string,
  family: Family,
  parts: TableParts,
  chains: ContentChains,
): string {
  const { suffix, type } = words[family];
  const keys: Record<'at' | 'all', NftMapElement[]> = { at: [], all: [] };
  for (const one of limited) {
    const target = goTo(chains.sourceChain('f', one.from?.peers ?? [], `translate${suffix}`));
    keys[one.at === undefined ? 'all' : 'at'].push([concat(...addressOf(one), one.protocol, portsOf(one)), target]);
  }
  const rules: NftRule[] = [];
  if (parts.map(`${map}_at${suffix}`, [type, 'inet_proto', 'inet_service'], keys.at, true))
    rules.push(rule(vmap(concat(daddr(family), l4proto, thDport), `${map}_at${suffix}`)));
  if (parts.map(`${map}${suffix}`, ['inet_proto', 'inet_service'], keys.all, true))
    rules.push(rule(vmap(concat(l4proto, thDport), `${map}${suffix}`)));
  const isolated = policy.networks.filter((network) => network.isolated).flatMap((network) => network.subnets);
  const subnets = isolated.filter((subnet) => familyOf(subnet) === family).map(prefixExpr);
  // Guests of isolated networks use what names them.
  if (subnets.length > 0)
    rules.push(rule(is(saddr(family), subnets.length === 1 ? (subnets[0] ?? '') : anyOf(...subnets)), { return: null }));
  parts.chain(name, [...rules, rule(goTo(`translate${suffix}`))]);
  return name;
}

/** What each port becomes. */
function translations(published: readonly Publication[], family: Family, parts: TableParts): void {
  const { suffix, type, ip } = words[family];
  const maps: Record<'at' | 'all', { readonly ports: NftMapElement[]; readonly ranges: NftMapElement[] }> = {
    at: { ports: [], ranges: [] },
    all: { ports: [], ranges: [] },
  };
  for (const one of published) {
    const { ports, ranges } = maps[one.at === undefined ? 'all' : 'at'];
    if (one.first < one.last && one.first === one.targetPort) {
      ranges.push([concat(...addressOf(one), one.protocol, portsOf(one)), one.target]);
      continue;
    }
    for (let port = one.first; port <= one.last; port++) {
      ports.push([concat(...addressOf(one), one.protocol, port), concat(one.target, one.targetPort + port - one.first)]);
    }
  }
  const rulesOf = (name: string, key: readonly NftExpr[], types: readonly string[], elements: (typeof maps)['at']): NftRule[] => {
    const to = (map: string): NftRule['statements'][number] => ({
      dnat: { family: ip, addr: { map: { key: concat(...key), data: `@${map}` } } },
    });
    const [ports, ranges] = [`${name}${suffix}`, `${name}_range${suffix}`];
    return [
      ...(parts.dataMap(ports, types, [type, 'inet_service'], elements.ports) ? [rule(isTransport, to(ports))] : []),
      ...(parts.dataMap(ranges, types, [type], elements.ranges, true) ? [rule(to(ranges))] : []),
    ];
  };
  const atOne = rulesOf('publish_at', [daddr(family), l4proto, thDport], [type, 'inet_proto', 'inet_service'], maps.at);
  const atAll = rulesOf('publish', [l4proto, thDport], ['inet_proto', 'inet_service'], maps.all);
  const elsewhere = NOT_PUBLISHED[family].map(prefixExpr);
  const ofHost = [
    rule(isNot({ fib: { result: 'type', flags: ['daddr'] } }, 'local'), { return: null }),
    rule(is(daddr(family), elsewhere.length === 1 ? (elsewhere[0] ?? '') : anyOf(...elsewhere)), { return: null }),
    ...(parts.sets.some(({ name }) => name === `gateways${suffix}`)
      ? [rule(is(daddr(family), `@gateways${suffix}`), { return: null })]
      : []),
  ];
  parts.chain(`translate${suffix}`, [...atOne, ...(atAll.length > 0 ? [...ofHost, ...atAll] : [])]);
}

const addressOf = ({ at }: Publication): NftExpr[] => (at === undefined ? [] : [at]);
const portsOf = ({ first, last }: Publication): NftExpr => (first === last ? first : { range: [first, last] });

function filter(
  policy: HostPolicy,
  published: readonly Publication[],
  family: Family,
  parts: TableParts,
  rules: { readonly [name in keyof PublishRules]: NftRule[] },
): void {
  const { suffix, type } = words[family];
  const key = concat(daddr(family), l4proto, thDport);
  const types = [type, 'inet_proto', 'inet_service'];
  const element = ({ target, protocol }: Publication, port: NftExpr): NftExpr => concat(target, protocol, port);
  const ports: NftExpr[] = [];
  const ranges: Publication[] = [];
  for (const one of published) {
    const last = one.targetPort + one.last - one.first;
    if (one.first < one.last && one.first === one.targetPort) ranges.push(one);
    else for (let port = one.targetPort; port <= last; port++) ports.push(element(one, port));
  }
  if (parts.set(`published${suffix}`, types, ports)) rules.accepts.push(rule(translated, is(key, `@published${suffix}`), accept));
  const apart = disjoint(ranges).map(({ one, first, last }) => element(one, portsOf({ ...one, first, last })));
  if (parts.set(`published_range${suffix}`, types, apart, true))
    rules.accepts.push(rule(translated, is(key, `@published_range${suffix}`), accept));

  const own = [...policy.endpoints.values()].filter((endpoint) => endpoint.family === family);
  const byMachine = Map.groupBy(own, (endpoint) => endpoint.machine);
  const selves = [...new Set(published.map((one) => one.target))].flatMap((target) => {
    const machine = policy.endpoints.get(target)?.machine;
    return (machine === undefined ? [] : (byMachine.get(machine) ?? [])).map(({ address }) => concat(address, target));
  });
  if (parts.set(`publish_self${suffix}`, [type, type], selves))
    rules.postrouting.push(rule(translated, is(concat(saddr(family), daddr(family)), `@publish_self${suffix}`), { masquerade: null }));

  const subnets = (of: HostPolicy['networks']): NftExpr[] =>
    of.flatMap((network) => network.subnets.filter((s) => familyOf(s) === family)).map(prefixExpr);
  const filtered = policy.networks.filter((network) => network.filtered);
  if (parts.set(`filtered${suffix}`, [type], subnets(filtered), true))
    rules.fromHost.push(rule(translated, is(daddr(family), `@filtered${suffix}`), goTo('to_guests')));
  if (parts.set(`from_host${suffix}`, [type], subnets(filtered.filter((network) => network.fromHost)), true))
    rules.fromHostDefault.push(rule(translated, is(daddr(family), `@from_host${suffix}`), accept));
}

/** Ranges of one guest and protocol may overlap, where two addresses of the host lead to it; an interval set takes each port once. */
function disjoint(ranges: readonly Publication[]): { one: Publication; first: number; last: number }[] {
  const merged: { one: Publication; first: number; last: number }[] = [];
  for (const group of Map.groupBy(ranges, ({ target, protocol }) => `${target} ${protocol}`).values()) {
    let open: { one: Publication; first: number; last: number } | undefined;
    for (const one of group.toSorted((a, b) => a.first - b.first)) {
      if (open && one.first <= open.last + 1) open.last = Math.max(open.last, one.last);
      else merged.push((open = { one, first: one.first, last: one.last }));
    }
  }
  return merged;
}
