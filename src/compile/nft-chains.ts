/**
 * The base chains of `table inet weft` and the fixed chains they lead to. Their shape depends on which kinds of networks and rules there are, never on how many. Each
 * ends in a drop of its own for Weft's bridges; what is not Weft's leaves them untouched.
 */
import type { NftExpr, NftRule, NftStatement, NftVerdict } from '../hoststate/nft.ts';
import { logStatements } from './nft-content.ts';
import {
  outerFamilies,
  outerForged,
  outerForward,
  outerInput,
  outerOutput,
  outerServices,
  outerUnguarded,
  resolverFamilies,
} from './nft-outer.ts';
import type { Lookups } from './nft-lookups.ts';
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
  meta,
  oifname,
  payload,
  prefixExpr,
  rule,
  saddr,
  type TableParts,
  thDport,
  vmap,
  words,
} from './nft-words.ts';
import type { PublishRules } from './nft-publish.ts';
import type { HostPolicy, PolicyNetwork } from './policy-model.ts';
import { familyOf } from './prefixes.ts';
import { WEFT_DNS_PORT } from '../hoststate/ports.ts';

const FILTER = 0;
const nfproto = meta('nfproto');
const icmp6Type = payload('icmpv6', 'type');
const tcpFlags = payload('tcp', 'flags');

/** Established and related pass, invalid does not; a TCP connection begins with SYN, or the next segment would revive one that was cut. */
const tracked: readonly NftRule[] = [
  rule(
    vmap({ ct: { key: 'state' } }, [
      ['invalid', drop],
      ['established', accept],
      ['related', accept],
    ]),
  ),
  rule(isNot({ '&': [tcpFlags, { '|': ['fin', 'syn', 'rst', 'ack'] }] }, 'syn'), drop),
];

/** Neighbour discovery and group membership, which a guest and its host always need. */
const ndAlways = anyOf(
  'mld-listener-query',
  'mld-listener-report',
  'mld-listener-done',
  'nd-router-solicit',
  'nd-router-advert',
  'nd-neighbor-solicit',
  'nd-neighbor-advert',
  'mld2-listener-report',
);

const anyFiltered = (policy: HostPolicy): boolean => policy.networks.some((network) => network.filtered);

/** What hangs on there being an address of the family at all. */
const has4or6 = (policy: HostPolicy, family: 4 | 6): boolean =>
  policy.networks.some((network) => network.subnets.some((subnet) => familyOf(subnet) === family));

/** What comes in or goes out by an interface of Weft's with a policy. */
const leadTo = (policy: HostPolicy, chain: string, side: NftExpr): NftRule[] =>
  policy.networks.some((network) => network.filtered && network.interfaces.length > 0) ? [rule(is(side, '@filtered'), goTo(chain))] : [];

export function forwardChains(policy: HostPolicy, parts: TableParts, lookups: Lookups, published: PublishRules): void {
  const isolated = policy.networks.some((network) => network.isolated);
  const forward: NftRule[] = [];
  const refused = refusal(policy, parts);
  if (isolated) {
    // Whatever the policy says, and with `filter: off` too.
    forward.push(
      rule(is(iifname, '@isolated'), isNot(oifname, '@ours'), refused),
      rule(is(oifname, '@isolated'), isNot(iifname, '@ours'), refused),
    );
  }
  // Networks of other hosts are reached by links alone: what is said to them must not be heard by whoever has the address outside.
  for (const family of families.filter((f) => policy.elsewhere.some((subnet) => familyOf(subnet) === f))) {
    forward.push(rule(is(iifname, '@ours'), isNot(oifname, '@ours'), is(daddr(family), `@elsewhere${words[family].suffix}`), refused));
  }
  if (anyFiltered(policy)) {
    forward.push(...leadTo(policy, 'guests', iifname), ...leadTo(policy, 'guests', oifname), ...outerForward(policy, parts));
    policyChain(policy, parts, lookups, published);
  }
  forward.push(...outerUnguarded(parts));
  // Without a policy they are still not reached from outside with their own private addresses.
  if (policy.networks.some((network) => !network.filtered && network.interfaces.length > 0)) {
    forward.push(rule(isNot(iifname, '@ours'), is(oifname, '@ours'), has({ ct: { key: 'state' } }, 'new'), jump('from_outside')));
  }
  fromOutsideChain(parts, refused);
  // Forwarding is on because of Weft: this host was no router before and is none now.
  for (const [on, family] of [
    [policy.guardsForwarding.v4, 4],
    [policy.guardsForwarding.v6, 6],
  ] as const) {
    if (on) forward.push(rule(is(nfproto, words[family].nfproto), isNot(iifname, '@ours'), isNot(oifname, '@ours'), drop));
  }
  parts.chain('forward', forward, { type: 'filter', hook: 'forward', priority: FILTER, policy: 'accept' });
}

function policyChain(policy: HostPolicy, parts: TableParts, lookups: Lookups, published: PublishRules): void {
  const policyRules: NftRule[] = [
    rule(has(tcpFlags, 'syn'), { mangle: { key: { 'tcp option': { name: 'maxseg', field: 'size' } }, value: { rt: { key: 'mtu' } } } }),
    ...tracked,
    rule(...(policy.networks.some((network) => network.interfaces.length > 0) ? [isNot(iifname, '@ours')] : []), jump('from_outside')),
  ];
  for (const layer of ['block', 'allow'] as const) {
    if (layer === 'allow') policyRules.push(...published.accepts);
    const used = families.filter((family) => lookups.forward[layer][family].length > 0);
    for (const family of used) parts.chain(`${layer}${words[family].suffix}`, lookups.forward[layer][family]);
    if (used.length > 0) {
      policyRules.push(
        rule(
          vmap(
            nfproto,
            used.map((family) => [words[family].nfproto, jump(`${layer}${words[family].suffix}`)] as const),
          ),
        ),
      );
    }
  }
  parts.chain('guests', [...policyRules, ...dropped(policy, parts, 'both')]);
}

/** With a source of ours: forged. To an address that must not be seen outside: only what was translated. */
function fromOutsideChain(parts: TableParts, refused: NftVerdict): void {
  const named = (name: string): readonly (4 | 6)[] =>
    families.filter((family) => parts.sets.some((set) => set.name === `${name}${words[family].suffix}`));
  parts.chain('from_outside', [
    ...outerForged(parts),
    ...named('subnets').map((family) => rule(is(saddr(family), `@subnets${words[family].suffix}`), drop)),
    rule(has({ ct: { key: 'status' } }, 'dnat'), { return: null }),
    ...named('kept_in').map((family) => rule(is(daddr(family), `@kept_in${words[family].suffix}`), refused)),
  ]);
}

/** The end of every chain with a policy: log for the guests that asked, drop. */
function dropped(policy: HostPolicy, parts: TableParts, ends: 'both' | 'source' | 'destination'): NftRule[] {
  const logged = families.filter((family) => [...policy.endpoints.values()].some((e) => e.logDropped && e.family === family));
  if (logged.length === 0) return [rule(drop)];
  if (!parts.chains.some((chain) => chain.name === 'log_and_drop')) {
    parts.chain('log_and_drop', [rule(...logStatements('weft d -')), rule(drop)]);
  }
  const look = (left: NftStatement): NftRule => rule(left, goTo('log_and_drop'));
  return [
    ...logged.flatMap((family) => {
      const set = `@log_dropped${words[family].suffix}`;
      return [
        ...(ends === 'destination' ? [] : [look(is(saddr(family), set))]),
        ...(ends === 'source' ? [] : [look(is(daddr(family), set))]),
      ];
    }),
    rule(drop),
  ];
}

/** Drops, in a place of its own; with the log when a guest asked for one. */
function refusal(policy: HostPolicy, parts: TableParts): NftVerdict {
  const rules = dropped(policy, parts, 'both');
  if (rules.length === 1) return drop;
  parts.chain('refused', rules);
  return goTo('refused');
}

export function inputChains(policy: HostPolicy, parts: TableParts, lookups: Lookups): void {
  const input: NftRule[] = [];
  if (anyFiltered(policy)) {
    input.push(...leadTo(policy, 'from_guests', iifname), ...outerInput(policy, parts));
    fromGuestsChain(policy, parts, lookups);
  }
  for (const family of families) {
    // They carry DNS: not for the outer network, which could route packets here.
    if (has4or6(policy, family))
      input.push(rule(isNot(iifname, '@inner'), is(daddr(family), `@gateways${words[family].suffix}`), goTo('answers')));
  }
  // To what the host itself opened from there.
  parts.chain('answers', [
    rule(
      vmap({ ct: { key: 'state' } }, [
        ['established', accept],
        ['related', accept],
      ]),
    ),
    rule(drop),
  ]);
  parts.chain('input', input, { type: 'filter', hook: 'input', priority: FILTER, policy: 'accept' });
}

function fromGuestsChain(policy: HostPolicy, parts: TableParts, lookups: Lookups): void {
  const gateways = families.filter((family) => has4or6(policy, family));
  const servers = families.flatMap((family) => [
    ...(gateways.includes(family) ? [{ family, at: 'gateway' }] : []),
    ...(resolverFamilies(parts).includes(family) ? [{ family, at: 'resolver' }] : []),
  ]);
  const clients = families.filter((family) => gateways.includes(family) || outerFamilies(parts).includes(family));
  parts.chain('from_guests', [
    ...tracked,
    ...clients.map(dhcpToAll),
    ...servers.map(({ family, at }) => dhcpTo(family, at)),
    rule(is(icmp6Type, ndAlways), accept),
    ...lookups.input.block.logs,
    ...lookups.input.block.verdicts,
    // No flow goes to a group: what follows is for the host's own addresses.
    rule(isNot({ fib: { result: 'type', flags: ['daddr'] } }, 'local'), drop),
    ...lookups.input.allow.logs,
    ...gateways.map((family) => rule(is(concat(iifname, daddr(family)), `@gateway${words[family].suffix}`), jump('gateway'))),
    ...outerServices(parts),
    ...lookups.input.allow.verdicts,
    ...dropped(policy, parts, 'source'),
  ]);
  parts.chain('gateway', [
    ...gateways.map((family) => rule(is(payload(words[family].icmp, 'type'), 'echo-request'), accept)),
    // Only what came to port 53 and was translated.
    rule(has({ ct: { key: 'status' } }, 'dnat'), is(l4proto, anyOf('tcp', 'udp')), is(thDport, WEFT_DNS_PORT), accept),
  ]);
}

/** To the server of the own network, and to whoever it is (RFC 2131, RFC 8415): not to another one that runs on the host. */
const dhcpPorts = (family: 4 | 6): NftStatement[] => {
  const [client, server] = family === 4 ? [68, 67] : [546, 547];
  return [is(payload('udp', 'sport'), client), is(payload('udp', 'dport'), server)];
};
const dhcpToAll = (family: 4 | 6): NftRule =>
  rule(...dhcpPorts(family), is(daddr(family), family === 4 ? '255.255.255.255' : 'ff02::1:2'), accept);
const dhcpTo = (family: 4 | 6, set: string): NftRule =>
  rule(...dhcpPorts(family), is(concat(iifname, daddr(family)), `@${set}${words[family].suffix}`), accept);

export function outputChains(policy: HostPolicy, parts: TableParts, lookups: Lookups, published: PublishRules): void {
  const output: NftRule[] = [];
  if (anyFiltered(policy)) {
    output.push(...leadTo(policy, 'to_guests', oifname), ...outerOutput(policy, parts), ...published.fromHost);
    const open = policy.networks.some((network) => network.filtered && network.fromHost);
    parts.chain('to_guests', [
      ...noRedirects(),
      ...tracked,
      rule(is(payload('udp', 'sport'), 67), is(payload('udp', 'dport'), 68), accept),
      rule(is(payload('udp', 'sport'), 547), is(payload('udp', 'dport'), 546), accept),
      rule(is(icmp6Type, ndAlways), accept),
      ...lookups.output.block.logs,
      ...lookups.output.block.verdicts,
      ...unknownLinkLocals(policy, parts),
      ...lookups.output.allow.logs,
      ...(open ? [rule(is(oifname, '@from_host'), accept)] : []),
      ...published.fromHostDefault,
      ...published.accepts,
      ...lookups.output.allow.verdicts,
      ...dropped(policy, parts, 'destination'),
    ]);
  }
  // Ports are isolated: a guest that believes a redirect to its neighbour reaches nobody.
  if (policy.networks.some((network) => network.interfaces.length > 0))
    output.push(...noRedirects().map(({ statements }) => rule(is(oifname, '@ours'), ...statements)));
  parts.chain('output', output, { type: 'filter', hook: 'output', priority: FILTER, policy: 'accept' });
}

/**
 * A guest may have link-local addresses that nobody knows (RFC 7217), by which the host would reach it in spite of a `block`: where one of a bridge is blocked,
 * those that are not known are nobody's.
 */
function unknownLinkLocals(policy: HostPolicy, parts: TableParts): NftRule[] {
  const strict = new Set<PolicyNetwork>();
  for (const { family, network, block } of policy.endpoints.values()) {
    if (family === 6 && network.filtered && network.interfaces.length > 0 && block.fromHost.length > 0) strict.add(network);
  }
  if (strict.size === 0) return [];
  const known = [...policy.linkLocals].filter(([, { network }]) => strict.has(network)).map(([address]) => address);
  parts.set(
    'strict',
    ['ifname'],
    [...strict].flatMap((network) => network.interfaces),
  );
  parts.set('link_local6', ['ipv6_addr'], known);
  return [
    rule(
      is(oifname, '@strict'),
      is(daddr(6), prefixExpr('fe80::/10')),
      ...(known.length > 0 ? [isNot(daddr(6), '@link_local6')] : []),
      drop,
    ),
  ];
}

const noRedirects = (): NftRule[] => [rule(is(payload('icmp', 'type'), 'redirect'), drop), rule(is(icmp6Type, 'nd-redirect'), drop)];
