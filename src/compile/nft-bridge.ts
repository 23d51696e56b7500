/**
 * `table bridge weft`, where there are bridged networks: what the inet hooks cannot see of frames between guests and the outer network, or would have no words for. Without
 * connection tracking, and on forwarded frames only, before br_netfilter hands them to the policy. What is not a guest's port is left alone.
 */
import type { NftExpr, NftTable } from '../hoststate/nft.ts';
import type { LocalNic } from './local-nics.ts';
import {
  accept,
  anyOf,
  concat,
  drop,
  goTo,
  iifname,
  is,
  jump,
  oifname,
  payload,
  prefixExpr,
  raw,
  rule,
  TableParts,
  vmap,
} from './nft-words.ts';

/** NF_BR_PRI_FILTER_BRIDGED; br_netfilter's own hook is at 0. */
const BEFORE_POLICY = -200;
/** RFC 2131: `chaddr`, in bits after the UDP header's start. */
const CHADDR = raw(288, 48);

const icmp6Type = payload('icmpv6', 'type');
const sport = payload('udp', 'sport');
const dport = payload('udp', 'dport');
const etherType = payload('ether', 'type');

/** Undefined without bridged networks. Elements of containers that are not attached now too: attaching changes nothing here. */
export function bridgeTable(nics: readonly LocalNic[]): NftTable | undefined {
  const shared = nics.filter(({ network }) => network.kind === 'bridged');
  if (shared.length === 0) return undefined;
  const parts = new TableParts();
  const own = shared.filter(({ ownPort }) => ownPort);
  const portsOf = (of: readonly LocalNic[]): string[] => [...new Set(of.map(({ nic }) => nic.port))];
  parts.set('ports', ['ifname'], portsOf(own));
  parts.set('physical', ['ifname'], [...new Set(shared.flatMap(({ network }) => network.interface ?? []))]);
  parts.setOf(
    'chaddr',
    [CHADDR],
    own.map(({ nic }) => Number.parseInt(nic.mac.replaceAll(':', ''), 16)),
  );
  const open = parts.set('open', ['ifname'], portsOf(own.filter(({ network }) => network.filter === 'off')));
  const v6 = parts.set('routers', ['ifname'], portsOf(own.filter(({ network }) => network.v6)));
  const addresses = (type: string, name: string, pick: (local: LocalNic) => string | undefined): boolean =>
    parts.set(
      name,
      ['ifname', type],
      shared.flatMap((local) => {
        const address = pick(local);
        return address === undefined ? [] : [concat(local.nic.port, address)];
      }),
    );
  const has4 = addresses('ipv4_addr', 'port_ip4', ({ nic }) => nic.v4);
  const has6 = addresses('ipv6_addr', 'port_ip6', ({ nic }) => nic.v6);
  const unfiltered = open ? [rule(is(oifname, '@open'), accept)] : [];
  const unfilteredFrom = open ? [rule(is(iifname, '@open'), { return: null })] : [];

  parts.chain('forward', [rule(is(iifname, '@ports'), jump('from_port')), rule(is(oifname, '@ports'), goTo('to_port'))], {
    type: 'filter',
    hook: 'forward',
    priority: BEFORE_POLICY,
    policy: 'accept',
  });
  // What the host's own DHCP says to guests is not for the outer network.
  parts.chain('output', [rule(is(oifname, '@physical'), is(sport, 67), is(CHADDR, '@chaddr'), drop)], {
    type: 'filter',
    hook: 'output',
    priority: BEFORE_POLICY,
    policy: 'accept',
  });
  const known = (v4: string, ip6: string): readonly (readonly [NftExpr, ReturnType<typeof goTo>])[] => [
    ['ip', goTo(v4)],
    ['ip6', goTo(ip6)],
  ];
  parts.chain('from_port', [
    // Guests' questions for an address end at this host.
    rule(is(dport, 67), drop),
    rule(is(dport, 547), drop),
    rule(
      vmap(etherType, [
        ['arp', { return: null }],
        ['ip', { return: null }],
        ['ip6', goTo('from_port6')],
      ]),
    ),
    rule(drop),
  ]);
  parts.chain('from_port6', [
    rule(
      is(icmp6Type, anyOf('nd-neighbor-solicit', 'nd-neighbor-advert', 'mld-listener-report', 'mld-listener-done', 'mld2-listener-report')),
      { return: null },
    ),
    ...(v6 ? [rule(is(iifname, '@routers'), is(icmp6Type, 'nd-router-solicit'), { return: null })] : []),
    ...unfilteredFrom,
    // Nothing else from a link-local address, which no rule could name, or from none.
    ...(has6 ? [rule(is(concat(iifname, payload('ip6', 'saddr')), '@port_ip6'), { return: null })] : []),
    rule(drop),
  ]);
  parts.chain('to_port', [rule(vmap(etherType, [['arp', accept], ...known('to_port4', 'to_port6')])), rule(drop)]);
  parts.chain('to_port4', [
    // The outer network's DHCP server does not answer guests.
    rule(is(sport, 67), drop),
    ...unfiltered,
    ...(has4 ? [rule(is(concat(oifname, payload('ip', 'daddr')), '@port_ip4'), accept)] : []),
    rule(drop),
  ]);
  parts.chain('to_port6', [
    rule(is(sport, 547), drop),
    rule(is(icmp6Type, anyOf('nd-neighbor-solicit', 'nd-neighbor-advert')), accept),
    ...(v6
      ? [
          rule(
            is(iifname, '@physical'),
            is(oifname, '@routers'),
            is(icmp6Type, 'nd-router-advert'),
            is(payload('ip6', 'saddr'), prefixExpr('fe80::/10')),
            accept,
          ),
        ]
      : []),
    rule(is(icmp6Type, anyOf('nd-router-advert', 'nd-redirect')), drop),
    ...unfiltered,
    ...(has6 ? [rule(is(concat(oifname, payload('ip6', 'daddr')), '@port_ip6'), accept)] : []),
    rule(drop),
  ]);
  return parts.table('bridge');
}
