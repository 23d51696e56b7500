/**
 * One dnsmasq per network: DHCP reservations, router advertisements and names for its guests, and nothing else.
 * What changes with every guest is in files that are read again on SIGHUP; what needs a restart depends on the network only.
 */
import { NEXT_HOP_6, nextHop4, prefixesOf } from '../fabric/addressing.ts';
import type { Fabric, Network, Nic, RoutedNetwork, SubnetNetwork } from '../fabric/model.ts';
import type { DnsmasqService, HostFacts } from '../hoststate/model.ts';
import { networkMtu, outerInterface, resolversOn } from './links.ts';
import { hostsText, namedAddresses, outerLookingNames, reverseZones } from './names.ts';
import { WEFT_DNS_PORT } from '../hoststate/ports.ts';
import { answeringAt, HOST_RESOLV_FILE, upstreamsOf } from './upstreams.ts';

export interface DnsmasqOptions {
  /** The host's own resolver configuration, followed when it changes. Default `/etc/resolv.conf`. */
  readonly resolvFile?: string;
  /** By network: lines that send questions for some domains to the relay (relay.ts). */
  readonly relayed?: ReadonlyMap<string, readonly string[]>;
  /** Containers that are attached. */
  readonly attachments?: ReadonlyMap<string, string>;
}

/** No answer is kept for longer, nor called valid for longer, in seconds: a day. What the relay has opened for it lasts as long. */
export const LONGEST_TTL_SECONDS = 86_400;

/** IPv4 leases, in seconds. A changed address, name server or MTU reaches a running guest at half of it. */
const LEASE4_SECONDS = 3600;
/**
 * IPv6 leases, in seconds. Short, because dnsmasq keeps an address with the client id (DUID) it was leased to: a guest that was
 * installed anew asks with another one and waits until the old lease has run out (dnsmasq 2.90, check_address in rfc3315.c).
 */
const LEASE6_SECONDS = 300;
/** Router lifetime announced to guests, in seconds (dnsmasq's default: three intervals). */
const ROUTER_LIFETIME_SECONDS = 1800;

/**
 * The DHCP and DNS servers of the host's networks, sorted by name. Pure and deterministic.
 * @param facts only the uplink's MTU and whether it has IPv6 are used.
 */
export function compileDnsmasq(
  fabric: Fabric,
  hostName: string,
  facts: HostFacts,
  options: DnsmasqOptions = {},
): readonly DnsmasqService[] {
  const named = namedAddresses(fabric);
  const outer = outerLookingNames(named, fabric.domain);
  const common: Omit<Common, 'absent'> = {
    names: hostsText(named),
    localNames: outer.map((name) => `server=/${name}/\n`).join(''),
    reverseZones: [...new Set(fabric.networks.flatMap(reverseZonesOf))].sort(),
  };
  const nics = Map.groupBy(
    fabric.guests.flatMap((guest) => (guest.inside === undefined ? guest.nics : [])),
    (nic) => nic.network,
  );
  const absent = new Set(
    fabric.guests.flatMap(({ name, kind }) => (kind === 'container' && options.attachments?.has(name) !== true ? [name] : [])),
  );
  return fabric.networks
    .filter((network) => network.host === hostName)
    .flatMap((network) => compileNetwork(fabric, network, nics.get(network.name) ?? [], facts, { ...common, absent }, options))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What is the same for all networks of the fabric. */
interface Common {
  readonly names: string;
  readonly localNames: string;
  readonly reverseZones: readonly string[];
  /** Containers that are not attached: their ports are not there. */
  readonly absent: ReadonlySet<string>;
}

function compileNetwork(
  fabric: Fabric,
  network: Network,
  unsorted: readonly Nic[],
  facts: HostFacts,
  common: Common,
  options: DnsmasqOptions,
): DnsmasqService[] {
  const nics = [...unsorted].sort((a, b) => (a.port < b.port ? -1 : 1));
  const name = `dnsmasq-${network.name.toLowerCase()}`;
  const service = (more: Pick<DnsmasqService, 'name' | 'files' | 'resolved'>, config: readonly string[]): DnsmasqService => ({
    kind: 'dnsmasq',
    network: network.name,
    config: [...config, ...dhcpLines(network, facts), ...optionLines(fabric, network, nics, facts)].map((line) => `${line}\n`).join(''),
    names: common.names,
    ...more,
  });
  const hosts = { 'dhcp-hosts': reservations(nics) };
  const servers = { 'dns-servers': network.kind === 'isolated' ? '' : common.localNames + relayLines(network, options) };
  const main = service({ name, files: { ...hosts, ...servers }, ...resolvedOf(fabric, network, nics, common) }, [
    ...processLines(listening(network), WEFT_DNS_PORT),
    ...dnsLines(fabric, network, common, options),
    ...(network.kind === 'routed' ? routedRanges4(network) : subnetRanges(network, nics, facts)),
  ]);
  if (network.kind !== 'routed' || network.service6 === undefined) return [main];
  return [
    main,
    service({ name: `${name}_6`, files: hosts }, [...processLines([EVERY_PORT], 0), ...routedRanges6(network, network.service6, facts)]),
  ];
}

/** The host's own resolver asks at one link of a network; of a routed one without ports there is none. */
function resolvedOf(fabric: Fabric, network: Network, nics: readonly Nic[], { absent }: Common): Pick<DnsmasqService, 'resolved'> {
  // The resolver's settings for the outer network are the host's own.
  const link = network.bridge ?? nics.find(({ guest }) => !absent.has(guest))?.port;
  if (link === undefined || network.kind === 'bridged') return {};
  return {
    resolved: {
      link,
      servers: answeringAt(network),
      domains: [fabric.domain.toLowerCase(), ...reverseZonesOf(network).map((zone) => `~${zone}`)],
    },
  };
}

/** Weft's ports all begin alike. dnsmasq 2.90 heeds router solicitations on interfaces that it is given by name alone (icmp6_packet in radv.c). */
const EVERY_PORT = 'interface=w-*';

/**
 * Only the network's bridge. Of a routed network the addresses that it alone has on its ports, or the gateway's, which is the host's own, would be
 * listened at too.
 */
function listening(network: Network): string[] {
  return network.kind === 'routed' ? answeringAt(network).map((address) => `listen-address=${address}`) : [`interface=${network.bridge}`];
}

/** Where it listens and what it keeps; see dnsmasq(8). Port 0: no names. */
function processLines(where: readonly string[], port: number): string[] {
  return [
    'pid-file=@DIR@/pid',
    // Without a fight about the port with whatever else runs here.
    ...where,
    'except-interface=lo',
    'bind-dynamic',
    `port=${port}`,
    // Leases are kept in memory: a reservation is the truth, and an authoritative server gives it again after a restart.
    'leasefile-ro',
    'dhcp-authoritative',
  ];
}

/**
 * Names: the shared hosts file is the only source; what a client says of itself in DHCP is not believed. bogus-priv and
 * stop-dns-rebind are left off on purpose: companies' own resolvers do answer with private addresses, and the guests are meant to
 * see what the host sees. The fabric's own zones, in both directions, never leave.
 */
function dnsLines(fabric: Fabric, network: Network, common: Common, options: DnsmasqOptions): string[] {
  return [
    'no-hosts',
    // Not hostsdir: what dnsmasq 2.90 takes in by inotify costs it the square of the number of names (22 s for 10,000 guests).
    'addn-hosts=@NAMES@/hosts',
    'dhcp-ignore-names',
    'domain-needed',
    `local=/${fabric.domain.toLowerCase()}/`,
    ...common.reverseZones.map((zone) => `local=/${zone}/`),
    'cache-size=2000',
    `max-ttl=${LONGEST_TTL_SECONDS}`,
    `max-cache-ttl=${LONGEST_TTL_SECONDS}`,
    ...upstreamLines(fabric, network, options),
  ];
}

function upstreamLines(fabric: Fabric, network: Network, options: DnsmasqOptions): string[] {
  // local=/#/: "no such name" at once for everything unknown, where no upstream at all would answer "refused" and make clients ask again.
  if (network.kind === 'isolated') return ['no-resolv', 'local=/#/'];
  const declared = upstreamsOf(fabric, network);
  const upstream =
    declared.length > 0
      ? ['no-resolv', ...declared.map((address) => `server=${address}`)]
      : [`resolv-file=${options.resolvFile ?? HOST_RESOLV_FILE}`];
  // The host itself may have one of Weft's gateways as its name server.
  return [...upstream, 'dns-loop-detect', 'servers-file=@DIR@/dns-servers'];
}

const relayLines = (network: Network, { relayed }: DnsmasqOptions): string =>
  (relayed?.get(network.name) ?? []).map((line) => `${line}\n`).join('');

function dhcpLines(network: Network, facts: HostFacts): string[] {
  const lines = ['dhcp-ignore=tag:!known', 'dhcp-hostsfile=@DIR@/dhcp-hosts', 'no-ping'];
  // To answer one client alone, dnsmasq would write its address into the neighbour table (SIOCSARP), and Weft's permanent entry
  // for the guest would be permanent no more.
  lines.push('dhcp-broadcast');
  // Forced: some clients take the MTU but do not ask for it.
  if (hasV4(network)) lines.push(`dhcp-option-force=option:mtu,${mtuOf(network, facts)}`);
  return lines;
}

/** Addresses by reservation only. */
function staticRange4(subnet: string): string {
  const [address = '', length = ''] = subnet.split('/');
  return `dhcp-range=${address},static,${netmask(Number(length))},${LEASE4_SECONDS}`;
}

function subnetRanges(network: SubnetNetwork, nics: readonly Nic[], facts: HostFacts): string[] {
  const [address = '', length = ''] = network.v6?.subnet.split('/') ?? [];
  return [
    ...(network.v4 ? [staticRange4(network.v4.subnet), ...strangerLines(network, nics, facts)] : []),
    // The outer network has a router of its own, which says whether to ask for an address.
    ...(network.v6 && network.kind === 'bridged' ? [`dhcp-range=${address},static,${length},${LEASE6_SECONDS}`] : []),
    ...(network.v6 && network.kind !== 'bridged' ? [staticRange6(address, length), ...routerLines(network, network.bridge, facts)] : []),
  ];
}

/** Nothing is on-link, see {@link routerLines}. */
const staticRange6 = (address: string, length: number | string): string =>
  `dhcp-range=${address},static,off-link,${length},${LEASE6_SECONDS}`;

/** The ports have none of these subnets: `shared-network` says which addresses may be given where the network's own address is. */
function routedRanges4({ prefixes, bootstrap, service4 }: RoutedNetwork): string[] {
  if (bootstrap) return [staticRange4(bootstrap.subnet)];
  const own = prefixes.filter((prefix) => !prefix.includes(':'));
  return own.flatMap((prefix) => [`shared-network=${service4 ?? ''},${prefix.split('/')[0] ?? ''}`, staticRange4(prefix)]);
}

/** As in IPv4; the range of the network's own address is there because dnsmasq advertises itself only where it has one. */
function routedRanges6(network: RoutedNetwork, service: string, facts: HostFacts): string[] {
  const own = network.prefixes.filter((prefix) => prefix.includes(':'));
  return [
    staticRange6(service.replace(/::1$/, '::'), 64),
    ...own.flatMap((prefix) => {
      const [address = '', length = ''] = prefix.split('/');
      return [`shared-network=${service},${address}`, staticRange6(address, length)];
    }),
    ...routerLines(network, 'w-*', facts),
  ];
}

/** A server without an address of its own in the subnet has to be told that the link carries it (dnsmasq(8), --shared-network). */
function strangerLines(network: Network, nics: readonly Nic[], facts: HostFacts): string[] {
  const here = resolversOn(network, facts).some((address) => !address.includes(':'));
  const first = nics.find(({ v4 }) => v4 !== undefined)?.v4;
  if (network.kind !== 'bridged' || here || first === undefined) return [];
  const own = outerInterface(network, facts)?.addresses.find((address) => !address.includes(':'));
  return own === undefined ? [] : [`shared-network=${network.bridge},${first}`];
}

/**
 * Router advertisements: addresses by DHCPv6 (M), none made by the guest (A=0), nothing on-link (L=0). The router lifetime stays
 * above zero also without IPv6 on the uplink: the default route by fe80::1 is the guests' only way to each other and to
 * their name server, as dnsmasq cannot announce a more specific route (RFC 4191). Where nothing lies beyond the host, the
 * preference is low, so that a guest's other network, which leads further, wins; the host answers the rest with "no route" at once.
 */
function routerLines(network: Network, links: string, facts: HostFacts): string[] {
  const leadsOut = network.kind !== 'isolated' && facts.uplink?.v6 === true;
  return ['enable-ra', `ra-param=${links},mtu:${mtuOf(network, facts)},${leadsOut ? '' : 'low,'}0,${ROUTER_LIFETIME_SECONDS}`, 'quiet-ra'];
}

/**
 * `52:54:…,id:*,10.0.105.20,[fd00:105::20]`: by MAC, whatever client id is sent. No tags here: dnsmasq 2.90 frees the tags of
 * a reservation twice when it reads the file again after a lease was given, and aborts (rfc2131.c chains them to each other).
 */
function reservations(nics: readonly Nic[]): string {
  return nics
    .map((nic) => {
      const v4 = nic.bootstrap ?? nic.v4;
      const addresses = [...(v4 === undefined ? [] : [v4]), ...(nic.v6 === undefined ? [] : [`[${nic.v6}]`])];
      return `${[nic.mac, 'id:*', ...addresses].join(',')}\n`;
    })
    .join('');
}

/**
 * What all guests of the network are told, and the exceptions by MAC: `second` is a NIC that is not its guest's first, with its address
 * and subnet only; a NIC with name servers of its own is known by its port. An option without a value is one that is not sent.
 */
function optionLines(fabric: Fabric, network: Network, nics: readonly Nic[], facts: HostFacts): string[] {
  const own = `${network.name.toLowerCase()}.${fabric.domain.toLowerCase()}`;
  const search = `${own},${fabric.domain.toLowerCase()}`;
  const exceptions = nics.filter((nic) => !usesGateway(nic));
  // The name a guest is given is the one its address has in this domain.
  const lines = [`domain=${own}`];
  const gateway4 = network.kind === 'routed' ? (network.bootstrap?.gateway ?? nextHop4(network)) : nextHop4(network);
  if (gateway4 !== undefined) {
    lines.push(`dhcp-option=tag:!second,option:router,${gateway4}`, 'dhcp-option=tag:second,option:router');
    if (network.kind === 'routed' && !network.bootstrap) lines.push(...pointToPointLines(network.prefixes, gateway4));
    const servers = offered(network, facts).filter((address) => !address.includes(':'));
    lines.push(`dhcp-option=${['option:dns-server', ...servers].join(',')}`, 'dhcp-option=tag:second,option:dns-server');
    lines.push('dhcp-option=tag:second,option:domain-name', `dhcp-option=tag:!second,option:domain-search,${search}`);
  }
  if (network.v6 || (network.kind === 'routed' && network.service6 !== undefined)) {
    // A router advertisement goes to all guests alike, so it names the server only where all of them are to use it.
    const servers = offered(network, facts).flatMap((address) => (address.includes(':') ? [`[${address}]`] : []));
    const server = ['option6:dns-server', ...servers].join(',');
    const tags = exceptions.map((nic) => `tag:!${nic.port},`).join('');
    lines.push(exceptions.length === 0 ? `dhcp-option=${server}` : `dhcp-option=tag:known,${tags}${server}`);
    lines.push(`dhcp-option=tag:!second,option6:domain-search,${search}`);
  }
  for (const nic of exceptions) {
    lines.push(`dhcp-mac=set:${nic.port},${nic.mac}`);
    if (!nic.default) lines.push(`dhcp-mac=set:second,${nic.mac}`);
    const v4 = nic.dns.filter((address) => !address.includes(':'));
    const v6 = nic.dns.filter((address) => address.includes(':'));
    if (nic.dns.length > 0) lines.push(`dhcp-option=${[`tag:${nic.port}`, 'option:dns-server', ...v4].join(',')}`);
    if (v6.length > 0) lines.push(`dhcp-option=tag:${nic.port},option6:dns-server,${v6.map((address) => `[${address}]`).join(',')}`);
  }
  return lines;
}

/** The name servers that guests are told of: the gateway; on the outer network, whose gateway is not Weft's, the file's or the host itself. */
function offered(network: Network, facts: HostFacts): readonly string[] {
  if (network.kind === 'bridged') return network.dns.length > 0 ? network.dns : resolversOn(network, facts);
  if (network.kind !== 'routed') return answeringAt(network);
  const { bootstrap, gateway4, service4, service6 } = network;
  return [...(service4 === undefined ? [] : [bootstrap?.gateway ?? gateway4]), ...(service6 === undefined ? [] : [NEXT_HOP_6])];
}

function usesGateway(nic: Nic): boolean {
  return nic.default && nic.dns.length === 0;
}

/**
 * The guest's address alone is on-link (a broadcast address it has none), so the next hop needs a route of its own: option 121 (RFC 3442), whose zero router means
 * on-link; clients that know it take no notice of option 3.
 */
function pointToPointLines(prefixes: readonly string[], gateway: string): string[] {
  const onLink = `option:classless-static-route,${gateway}/32,0.0.0.0`;
  const siblings = prefixes.filter((prefix) => !prefix.includes(':')).map((prefix) => `,${prefix},${gateway}`);
  return [
    'dhcp-option=option:netmask,255.255.255.255',
    'dhcp-option=28',
    `dhcp-option=tag:!second,${onLink},0.0.0.0/0,${gateway}`,
    `dhcp-option=tag:second,${onLink}${siblings.join('')}`,
  ];
}

const reverseZonesOf = (network: Network): string[] => prefixesOf(network).flatMap(reverseZones);

const hasV4 = (network: Network): boolean => nextHop4(network) !== undefined;

function mtuOf(network: Network, facts: HostFacts): number {
  return networkMtu(network, facts);
}

/** 20 → `255.255.240.0`. */
function netmask(length: number): string {
  const octet = (i: number): number => 256 - 2 ** (8 - Math.max(0, Math.min(8, length - i * 8)));
  return [0, 1, 2, 3].map(octet).join('.');
}
