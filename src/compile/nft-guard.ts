/**
 * `table netdev weft`: nobody forges. One base chain a port, at ingress, before anything else sees the frame; all jump to one `guard` with sets keyed by
 * port. A whitelist: what is not known to be the guest's own is dropped, VLAN tags and unknown protocols included.
 */
import type { NftExpr, NftTable } from '../hoststate/nft.ts';
import { parseIp } from '../net/ip.ts';
import { NEXT_HOP_6 } from '../fabric/addressing.ts';
import type { Network } from '../fabric/model.ts';
import { hasLink } from './links.ts';
import type { LocalNic } from './local-nics.ts';
import { accept, anyOf, concat, drop, goTo, iifname, is, isNot, jump, payload, raw, rule, TableParts, vmap } from './nft-words.ts';

/** Offset and length, in bits after the UDP header's start, of `chaddr` in a DHCP message (RFC 2131): 8 bytes of UDP, 28 of DHCP. */
const CHADDR = raw(288, 48);
/** The target address of a neighbour advertisement (RFC 4861, 4.4): after 8 bytes of ICMPv6. */
const ND_TARGET = raw(64, 128);
/** The first 16 bits of it, whose first ten say link-local. */
const ND_TARGET_TOP: NftExpr = { '&': [raw(64, 16), 0xffc0] };
const LINK_LOCAL_TOP = 0xfe80;

const etherSource = payload('ether', 'saddr');
const ip4Source = payload('ip', 'saddr');
const ip6Source = payload('ip6', 'saddr');
const icmp6Type = payload('icmpv6', 'type');
const sport = payload('udp', 'sport');
const dport = payload('udp', 'dport');

/** The MACs that frames may leave the uplink with (`macs:`); none listed: any. */
export interface UplinkGuard {
  readonly macs: readonly string[];
  readonly uplink: string | undefined;
}

/** The anti-spoofing table of a host's ports and of its uplink; undefined without either. */
export function guardTable(
  nics: readonly LocalNic[],
  attachments: ReadonlyMap<string, string>,
  { macs, uplink }: UplinkGuard,
): NftTable | undefined {
  const ports = nics.filter((local) => hasLink(local, attachments));
  const parts = new TableParts();
  if (uplink !== undefined && parts.set('uplink_mac', ['ether_addr'], macs)) uplinkChain(uplink, parts);
  if (ports.length > 0 || nics.some(({ network }) => network.kind === 'bridged')) {
    guardSets(nics, parts);
    guardChains(parts);
    outerGuard(nics, parts);
  }
  if (parts.chains.length === 0) return undefined;
  for (const { nic } of ports) {
    parts.chain(`p_${nic.port}`, [rule(jump('guard'))], {
      type: 'filter',
      hook: 'ingress',
      priority: -500,
      policy: 'accept',
      devices: [nic.port],
    });
  }
  return parts.table('netdev');
}

/** Behind everything that could make a frame, bridges included (NF_NETDEV_EGRESS, Linux 5.16). */
function uplinkChain(uplink: string, parts: TableParts): void {
  parts.chain(`out_${uplink}`, [rule(isNot(etherSource, '@uplink_mac'), drop)], {
    type: 'filter',
    hook: 'egress',
    priority: 500,
    policy: 'accept',
    devices: [uplink],
  });
}

/** Elements of every port, also of containers that are not attached now: attaching then adds a chain and nothing else. */
function guardSets(nics: readonly LocalNic[], parts: TableParts): void {
  const own = nics.filter((local) => local.ownPort);
  const shared = own.filter(({ network }) => network.kind === 'bridged');
  const gateways = new Set(nics.flatMap(({ network }) => answering4(network)));
  const ip6 = nics.flatMap(({ nic, ownPort, linkLocal }) => [
    ...(nic.v6 === undefined ? [] : [{ nic, address: nic.v6 }]),
    ...(ownPort ? [{ nic, address: linkLocal }] : []),
  ]);
  // A routed port is asked for its next hop alone: there is nobody else on the link.
  const siblings = nics.flatMap(({ nic, network }) => (nic.v4 === undefined || network.kind === 'routed' ? [] : [nic.v4]));
  const known4 = [...gateways, ...siblings];
  const taken = [NEXT_HOP_6, ...own.map(({ linkLocal }) => linkLocal)];

  parts.set(
    'port_mac',
    ['ifname', 'ether_addr'],
    own.map(({ nic }) => concat(nic.port, nic.mac)),
  );
  parts.setOf(
    'port_chaddr',
    [iifname, CHADDR],
    own.map(({ nic }) => concat(nic.port, Number.parseInt(nic.mac.replaceAll(':', ''), 16))),
  );
  parts.set(
    'port_ip4',
    ['ifname', 'ether_addr', 'ipv4_addr'],
    // 0.0.0.1 is nobody's: it keeps the set there when no guest has IPv4.
    orNobody(
      nics.flatMap(({ nic }) =>
        [nic.v4, nic.bootstrap].flatMap((address) => (address === undefined ? [] : [concat(nic.port, nic.mac, address)])),
      ),
      concat('-', '00:00:00:00:00:00', '0.0.0.1'),
    ),
  );
  parts.set(
    'port_ip6',
    ['ifname', 'ether_addr', 'ipv6_addr'],
    ip6.map(({ nic, address }) => concat(nic.port, nic.mac, address)),
  );
  parts.setOf(
    'port_nd',
    [iifname, ND_TARGET],
    ip6.map(({ nic, address }) => concat(nic.port, hex(address))),
  );
  parts.set(
    'shared',
    ['ifname'],
    shared.map(({ nic }) => nic.port),
  );
  parts.set('known4', ['ipv4_addr'], orNobody(known4, '0.0.0.1'));
  parts.set('all_ll6', ['ipv6_addr'], taken);
  parts.setOf('all_nd', [ND_TARGET], taken.map(hex));
}

/** The host's addresses that guests of the network may look for. */
function answering4(network: Network): string[] {
  if (network.kind !== 'routed') return network.v4 ? [network.v4.gateway] : [];
  return network.service4 === undefined ? [] : [network.gateway4, network.service4];
}

const orNobody = (elements: readonly NftExpr[], nobody: NftExpr): readonly NftExpr[] => (elements.length > 0 ? elements : [nobody]);

/**
 * What nearly every packet is, one of the guest's own MAC and address, costs one lookup; `guard_new4` and `guard_new6` are for the rest. Of a tagged frame the first
 * two rules are not true: beside an Ethernet field nft asks for `ether type`, which is the tag's, not for the protocol behind it.
 */
function guardChains(parts: TableParts): void {
  // On the outer network any other link-local address may be a neighbour's, or the router's.
  const foreignOnWire = parts.sets.some(({ name }) => name === 'shared') ? [rule(is(iifname, '@shared'), drop)] : [];
  parts.chain('guard', [
    rule(is(concat(iifname, etherSource, ip4Source), '@port_ip4'), goTo('guard_ip4')),
    rule(is(concat(iifname, etherSource, ip6Source), '@port_ip6'), goTo('guard_ip6')),
    rule(isNot(concat(iifname, etherSource), '@port_mac'), drop),
    rule(
      vmap(payload('ether', 'type'), [
        ['ip', goTo('guard_new4')],
        ['arp', goTo('guard_arp')],
        ['ip6', goTo('guard_new6')],
      ]),
    ),
    rule(drop),
  ]);
  const arpSender = concat(iifname, payload('arp', 'saddr ether'), payload('arp', 'saddr ip'));
  parts.chain('guard_arp', [
    rule(isNot(payload('arp', 'htype'), 1), drop),
    rule(isNot(payload('arp', 'ptype'), 'ip'), drop),
    rule(isNot(payload('arp', 'hlen'), 6), drop),
    rule(isNot(payload('arp', 'plen'), 4), drop),
    rule(is(payload('arp', 'operation'), 'reply'), is(arpSender, '@port_ip4'), accept),
    rule(isNot(payload('arp', 'operation'), 'request'), drop),
    // The bridge answers for its guests: asked for an address that is nobody's it would answer too.
    // On the outer network its own neighbours answer.
    rule(
      ...(parts.sets.some(({ name }) => name === 'shared') ? [isNot(iifname, '@shared')] : []),
      isNot(payload('arp', 'daddr ip'), '@known4'),
      drop,
    ),
    rule(is(arpSender, '@port_ip4'), accept),
    // RFC 5227: an address probe.
    rule(is(payload('arp', 'saddr ip'), '0.0.0.0'), is(concat(iifname, payload('arp', 'saddr ether')), '@port_mac'), accept),
    rule(drop),
  ]);
  parts.chain('guard_ip4', [rule(is(dport, 67), goTo('guard_dhcp')), rule(is(sport, 67), drop), rule(accept)]);
  // Without an address yet.
  parts.chain('guard_new4', [rule(is(ip4Source, '0.0.0.0'), is(dport, 67), goTo('guard_dhcp')), rule(drop)]);
  // A client may only speak of its own hardware address, or it could release another's lease.
  parts.chain('guard_dhcp', [
    rule(isNot(sport, 68), drop),
    // Asked for, not against: of a fragment too short to hold it, neither would match.
    // A client that renews writes to its server alone (RFC 2131, 4.4.5). But the servers of all networks share port 67 of the host by SO_REUSEPORT, and of what is for one of them the
    // kernel chooses any (dnsmasq 2.90 binds its socket to a device after the port). What is for everybody reaches all, and each knows its own links.
    rule(is(concat(iifname, CHADDR), '@port_chaddr'), { mangle: { key: payload('ip', 'daddr'), value: '255.255.255.255' } }, accept),
    rule(drop),
  ]);
  parts.chain('guard_ip6', [
    rule(is(icmp6Type, anyOf('nd-router-advert', 'nd-redirect')), drop),
    rule(is(sport, 547), drop),
    rule(is(icmp6Type, 'nd-neighbor-advert'), goTo('guard_na')),
    rule(accept),
  ]);
  parts.chain('guard_new6', [
    rule(
      is(ip6Source, '::'),
      is(icmp6Type, anyOf('mld-listener-report', 'nd-router-solicit', 'nd-neighbor-solicit', 'mld2-listener-report')),
      accept,
    ),
    ...foreignOnWire,
    // RFC 7217 and 8981: other link-local addresses than the one made of the MAC pass, unless they are another port's or the gateway's.
    rule(isNot(ip6Source, { prefix: { addr: 'fe80::', len: 10 } }), drop),
    rule(is(ip6Source, '@all_ll6'), drop),
    rule(goTo('guard_ip6')),
  ]);
  parts.chain('guard_na', [
    rule(is(concat(iifname, ND_TARGET), '@port_nd'), accept),
    ...foreignOnWire,
    rule(isNot(ND_TARGET_TOP, LINK_LOCAL_TOP), drop),
    rule(is(ND_TARGET, '@all_nd'), drop),
    rule(accept),
  ]);
}

/**
 * The other side of the wire (kind bridged): frames that come in by the physical interface and claim to be one of its guests are forged, whatever they claim it in. One chain an interface,
 * `outer`, with sets keyed by it.
 */
function outerGuard(nics: readonly LocalNic[], parts: TableParts): void {
  const shared = nics.flatMap((local) => (local.network.interface === undefined ? [] : [{ ...local, outer: local.network.interface }]));
  if (shared.length === 0) return;
  const own = shared.filter(({ ownPort }) => ownPort);
  parts.set(
    'outer_mac',
    ['ifname', 'ether_addr'],
    own.map(({ outer, nic }) => concat(outer, nic.mac)),
  );
  parts.setOf(
    'outer_chaddr',
    [iifname, CHADDR],
    own.map(({ outer, nic }) => concat(outer, Number.parseInt(nic.mac.replaceAll(':', ''), 16))),
  );
  const v4 = parts.set(
    'outer_ip4',
    ['ifname', 'ipv4_addr'],
    shared.flatMap(({ outer, nic }) => (nic.v4 === undefined ? [] : [concat(outer, nic.v4)])),
  );
  const ip6 = shared.flatMap(({ outer, nic, network, ownPort, linkLocal }) => [
    ...(nic.v6 === undefined ? [] : [{ outer, address: nic.v6 }]),
    ...(ownPort && network.v6 ? [{ outer, address: linkLocal }] : []),
  ]);
  const v6 = parts.set(
    'outer_ip6',
    ['ifname', 'ipv6_addr'],
    ip6.map(({ outer, address }) => concat(outer, address)),
  );
  parts.setOf(
    'outer_nd',
    [iifname, ND_TARGET],
    ip6.map(({ outer, address }) => concat(outer, hex(address))),
  );
  parts.chain('outer', [
    rule(is(concat(iifname, etherSource), '@outer_mac'), drop),
    rule(is(dport, 67), is(concat(iifname, CHADDR), '@outer_chaddr'), drop),
    ...(v4
      ? [
          rule(is(concat(iifname, payload('arp', 'saddr ether')), '@outer_mac'), drop),
          rule(is(concat(iifname, payload('arp', 'saddr ip')), '@outer_ip4'), drop),
          rule(is(concat(iifname, ip4Source), '@outer_ip4'), drop),
        ]
      : []),
    ...(v6
      ? [
          rule(is(concat(iifname, ip6Source), '@outer_ip6'), drop),
          rule(is(icmp6Type, 'nd-neighbor-advert'), is(concat(iifname, ND_TARGET), '@outer_nd'), drop),
        ]
      : []),
  ]);
  for (const name of new Set(shared.map(({ outer }) => outer))) {
    parts.chain(`x_${name}`, [rule(jump('outer'))], { type: 'filter', hook: 'ingress', priority: -500, policy: 'accept', devices: [name] });
  }
}

/** 128 bits as nft writes a raw field: `0xfd00…`. */
function hex(address: string): string {
  const digits = (parseIp(address)?.words ?? []).map((word) => word.toString(16).padStart(8, '0')).join('');
  return `0x${digits.replace(/^0+(?=.)/, '')}`;
}
