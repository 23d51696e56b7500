/**
 * The part of `table inet weft` that is about guests on the outer network (kind bridged): what their bridge forwards passes these hooks too (br_netfilter), but the
 * host's own traffic and its neighbours come by the same interface. So guests are told by their addresses, and towards the host by their MACs; `guard` has checked both.
 */
import type { NftRule, NftStatement } from '../hoststate/nft.ts';
import {
  accept,
  anyOf,
  concat,
  daddr,
  drop,
  families,
  goTo,
  has,
  iifname,
  is,
  isNot,
  jump,
  l4proto,
  oifname,
  payload,
  rule,
  saddr,
  type TableParts,
  thDport,
  words,
} from './nft-words.ts';
import type { Family } from '../net/ip.ts';
import type { HostPolicy, PolicyNetwork } from './policy-model.ts';
import { WEFT_DNS_PORT } from '../hoststate/ports.ts';
import { familyOf } from './prefixes.ts';

const etherSource = payload('ether', 'saddr');
const dnsPort: readonly NftStatement[] = [is(l4proto, anyOf('tcp', 'udp')), is(thDport, WEFT_DNS_PORT)];

interface Shared extends PolicyNetwork {
  readonly shared: NonNullable<PolicyNetwork['shared']>;
}

const sharedNetworks = (policy: HostPolicy): readonly Shared[] =>
  policy.networks.filter((network): network is Shared => network.shared !== undefined);
const anyFiltered = (policy: HostPolicy): boolean => sharedNetworks(policy).some((network) => network.filtered);

/**
 * `outer`: bridges of bridged networks; `outer_filtered`: those with a policy; `outer_open`: those without. `outer_guest4` (ifname . address): where each guest is;
 * `outer_guests4`: the addresses alone; `outer_mac` (ifname . MAC); `resolver4` (ifname . address): the host's own, for its guests' questions.
 */
export function outerSets(policy: HostPolicy, parts: TableParts): void {
  const shared = sharedNetworks(policy);
  const bridges = (of: readonly Shared[]): string[] => of.map((network) => network.shared.bridge);
  parts.set('outer', ['ifname'], bridges(shared));
  parts.set('outer_filtered', ['ifname'], bridges(shared.filter((network) => network.filtered)));
  parts.set('outer_open', ['ifname'], bridges(shared.filter((network) => !network.filtered)));
  const guests = [...policy.endpoints.values()].flatMap((endpoint) => {
    const bridge = endpoint.network.shared?.bridge;
    return bridge === undefined ? [] : [{ ...endpoint, bridge }];
  });
  const macs = new Set(guests.map(({ bridge, mac }) => `${bridge} ${mac}`));
  parts.set(
    'outer_mac',
    ['ifname', 'ether_addr'],
    [...macs].map((text) => concat(...text.split(' '))),
  );
  for (const family of families) {
    const { suffix, type } = words[family];
    const own = guests.filter((guest) => guest.family === family);
    parts.set(
      `outer_guest${suffix}`,
      ['ifname', type],
      own.flatMap(({ bridge, address, linkLocal }) =>
        [address, ...(linkLocal === undefined ? [] : [linkLocal])].map((one) => concat(bridge, one)),
      ),
    );
    parts.set(
      `outer_guests${suffix}`,
      [type],
      own.map(({ address }) => address),
    );
    const resolvers = shared.flatMap(({ shared: { bridge, resolvers: all } }) =>
      all.filter((address) => familyOf(address) === family).map((address) => concat(bridge, address)),
    );
    parts.set(`resolver${suffix}`, ['ifname', type], resolvers);
  }
}

const named = (parts: TableParts, name: string): readonly Family[] =>
  families.filter((family) => parts.sets.some((set) => set.name === `${name}${words[family].suffix}`));

/** Neighbour discovery between the guests and the outer network: `table bridge weft` says which of it passes. */
const discovery = anyOf(
  'mld-listener-query',
  'mld-listener-report',
  'mld-listener-done',
  'nd-router-solicit',
  'nd-router-advert',
  'nd-neighbor-solicit',
  'nd-neighbor-advert',
  'mld2-listener-report',
);

/** To chain `guests`, whatever the other side is. */
export function outerForward(policy: HostPolicy, parts: TableParts): NftRule[] {
  if (!anyFiltered(policy)) return [];
  const used = named(parts, 'outer_guest');
  return [
    ...(used.includes(6)
      ? [rule(is(iifname, '@outer_filtered'), is(oifname, '@outer_filtered'), is(payload('icmpv6', 'type'), discovery), accept)]
      : []),
    ...used.flatMap((family) => [
      rule(is(iifname, '@outer_filtered'), is(concat(iifname, saddr(family)), `@outer_guest${words[family].suffix}`), goTo('guests')),
      rule(is(oifname, '@outer_filtered'), is(concat(oifname, daddr(family)), `@outer_guest${words[family].suffix}`), goTo('guests')),
    ]),
  ];
}

/** What bridges without a policy forward is not routed by this host, so no matter for whether it routes. */
export const outerUnguarded = (parts: TableParts): NftRule[] =>
  parts.sets.some(({ name }) => name === 'outer_open') ? [rule(is(iifname, '@outer_open'), is(oifname, '@outer_open'), accept)] : [];

/** With a guest's source, but not from its bridge: forged. */
export const outerForged = (parts: TableParts): NftRule[] =>
  named(parts, 'outer_guests').map((family) =>
    rule(
      is(saddr(family), `@outer_guests${words[family].suffix}`),
      isNot(concat(iifname, saddr(family)), `@outer_guest${words[family].suffix}`),
      drop,
    ),
  );

/** Guests to the host. Nobody else on the wire gets to the name server: it would be an open resolver. */
export function outerInput(policy: HostPolicy, parts: TableParts): NftRule[] {
  if (sharedNetworks(policy).length === 0) return [];
  parts.chain('not_asked', [
    rule(has({ ct: { key: 'status' } }, 'dnat'), { return: null }),
    // The host's own connections may have any source port.
    rule(has({ ct: { key: 'state' } }, 'established'), { return: null }),
    rule(drop),
  ]);
  return [
    ...(anyFiltered(policy) && parts.sets.some(({ name }) => name === 'outer_mac')
      ? [rule(is(iifname, '@outer_filtered'), is(concat(iifname, etherSource), '@outer_mac'), goTo('from_guests'))]
      : []),
    rule(is(iifname, '@outer'), ...dnsPort, jump('not_asked')),
  ];
}

/** In `from_guests`: DHCP that is not broadcast, and questions that came to port 53. */
export function outerServices(parts: TableParts): NftRule[] {
  const used = named(parts, 'resolver');
  if (used.length === 0) return [];
  parts.chain('resolver', [rule(has({ ct: { key: 'status' } }, 'dnat'), ...dnsPort, accept)]);
  return used.map((family) => rule(is(concat(iifname, daddr(family)), `@resolver${words[family].suffix}`), jump('resolver')));
}

/** Families in which guests of bridged networks are. */
export const outerFamilies = (parts: TableParts): readonly Family[] => named(parts, 'outer_guests');
export const resolverFamilies = (parts: TableParts): readonly Family[] => named(parts, 'resolver');

/** The host to guests. */
export const outerOutput = (policy: HostPolicy, parts: TableParts): NftRule[] =>
  anyFiltered(policy)
    ? named(parts, 'outer_guest').map((family) =>
        rule(is(oifname, '@outer_filtered'), is(concat(oifname, daddr(family)), `@outer_guest${words[family].suffix}`), goTo('to_guests')),
      )
    : [];

/** Questions of guests at the host's address there: `dnat to :53053` for those whose MAC is a guest's, and for nobody else on the wire. */
export const outerDns = (parts: TableParts): NftRule[] =>
  parts.sets.some(({ name }) => name === 'outer_mac')
    ? named(parts, 'resolver').map((family) =>
        rule(
          is(concat(iifname, daddr(family)), `@resolver${words[family].suffix}`),
          is(concat(iifname, etherSource), '@outer_mac'),
          is(l4proto, anyOf('tcp', 'udp')),
          is(thDport, 53),
          { dnat: { port: WEFT_DNS_PORT } },
        ),
      )
    : [];
