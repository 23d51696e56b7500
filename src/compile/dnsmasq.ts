/**
 * One dnsmasq per network: DHCP reservations, router advertisements and names for the guests behind its bridge, and nothing else.
 * What changes with every guest is in files that are read again on SIGHUP; what needs a restart depends on the network only.
 */
import type { Fabric, Network, Nic } from '../fabric/model.ts';
import type { DnsmasqService, HostFacts } from '../hoststate/model.ts';
import { parsePrefix } from '../net/ip.ts';
import { networkMtu, outerInterface, resolversOn } from './links.ts';
import { hostsText, namedAddresses, outerLookingNames, reverseZones } from './names.ts';
import { WEFT_DNS_PORT } from './ports.ts';
import { gatewaysOf, HOST_RESOLV_FILE, upstreamsOf } from './upstreams.ts';

export interface DnsmasqOptions {
  /** The host's own resolver configuration, followed when it changes. Default `/etc/resolv.conf`. */
  readonly resolvFile?: string;
  /** By network: lines that send questions for some domains to the relay (relay.ts). */
  readonly relayed?: ReadonlyMap<string, readonly string[]>;
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
  const common: Common = {
    names: hostsText(named),
    localNames: outer.map((name) => `server=/${name}/\n`).join(''),
    reverseZones: [...new Set(fabric.networks.flatMap(reverseZonesOf))].sort(),
  };
  const nics = Map.groupBy(
    fabric.guests.flatMap((guest) => (guest.inside === undefined ? guest.nics : [])),
    (nic) => nic.network,
  );
  return fabric.networks
    .filter((network) => network.host === hostName)
    .map((network) => compileNetwork(fabric, network, nics.get(network.name) ?? [], facts, common, options))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** What is the same for all networks of the fabric. */
interface Common {
  readonly names: string;
  readonly localNames: string;
  readonly reverseZones: readonly string[];
}

function compileNetwork(
  fabric: Fabric,
  network: Network,
  unsorted: readonly Nic[],
  facts: HostFacts,
  common: Common,
  options: DnsmasqOptions,
): DnsmasqService {
  const nics = [...unsorted].sort((a, b) => (a.port < b.port ? -1 : 1));
  const config = [
    ...processLines(network),
    ...dnsLines(fabric, network, common, options),
    ...dhcpLines(network, nics, facts),
    ...(network.v6 ? routerLines(network, facts) : []),
    ...optionLines(fabric, network, nics, facts),
  ];
  return {
    kind: 'dnsmasq',
    name: `dnsmasq-${network.name.toLowerCase()}`,
    network: network.name,
    config: config.map((line) => `${line}\n`).join(''),
    files: {
      'dhcp-hosts': reservations(nics),
      'dns-servers': network.kind !== 'isolated' ? common.localNames + relayLines(network, options) : '',
    },
    names: common.names,
    // The resolver's settings for the outer network are the host's own.
    ...(network.kind === 'bridged'
      ? {}
      : {
          resolved: {
            link: network.bridge,
            servers: gatewaysOf(network),
            domains: [fabric.domain.toLowerCase(), ...reverseZonesOf(network).map((zone) => `~${zone}`)],
          },
        }),
  };
}

/** Where it listens and what it keeps; see dnsmasq(8). */
function processLines(network: Network): string[] {
  return [
    'pid-file=@DIR@/pid',
    // Only this bridge, and without a fight about the port with whatever else runs here.
    `interface=${network.bridge}`,
    'except-interface=lo',
    'bind-dynamic',
    `port=${WEFT_DNS_PORT}`,
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

function dhcpLines(network: Network, nics: readonly Nic[], facts: HostFacts): string[] {
  const lines = ['dhcp-ignore=tag:!known', 'dhcp-hostsfile=@DIR@/dhcp-hosts', 'no-ping'];
  // To answer one client alone, dnsmasq would write its address into the neighbour table (SIOCSARP), and Weft's permanent entry
  // for the guest would be permanent no more.
  lines.push('dhcp-broadcast');
  const v4 = network.v4 && parsePrefix(network.v4.subnet);
  if (v4 && network.v4) {
    const [address] = network.v4.subnet.split('/');
    lines.push(`dhcp-range=${address ?? ''},static,${netmask(v4.length)},${LEASE4_SECONDS}`);
    lines.push(...strangerLines(network, nics, facts));
    // Forced: some clients take the MTU but do not ask for it.
    lines.push(`dhcp-option-force=option:mtu,${mtuOf(network, facts)}`);
  }
  return lines;
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
function routerLines(network: Network, facts: HostFacts): string[] {
  const subnet = network.v6 && parsePrefix(network.v6.subnet);
  if (!subnet || !network.v6) return [];
  const [address] = network.v6.subnet.split('/');
  // The outer network has a router of its own, which says whether to ask for an address.
  if (network.kind === 'bridged') return [`dhcp-range=${address ?? ''},static,${subnet.length},${LEASE6_SECONDS}`];
  const leadsOut = network.kind === 'nat' && facts.uplink?.v6 === true;
  return [
    'enable-ra',
    `dhcp-range=${address ?? ''},static,off-link,${subnet.length},${LEASE6_SECONDS}`,
    `ra-param=${network.bridge},mtu:${mtuOf(network, facts)},${leadsOut ? '' : 'low,'}0,${ROUTER_LIFETIME_SECONDS}`,
    'quiet-ra',
  ];
}

/**
 * `52:54:…,id:*,10.0.105.20,[fd00:105::20]`: by MAC, whatever client id is sent. No tags here: dnsmasq 2.90 frees the tags of
 * a reservation twice when it reads the file again after a lease was given, and aborts (rfc2131.c chains them to each other).
 */
function reservations(nics: readonly Nic[]): string {
  return nics
    .map((nic) => {
      const addresses = [...(nic.v4 === undefined ? [] : [nic.v4]), ...(nic.v6 === undefined ? [] : [`[${nic.v6}]`])];
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
  if (network.v4) {
    lines.push(`dhcp-option=tag:!second,option:router,${network.v4.gateway}`, 'dhcp-option=tag:second,option:router');
    const servers = serversOf(network, facts).filter((address) => !address.includes(':'));
    lines.push(`dhcp-option=${['option:dns-server', ...servers].join(',')}`, 'dhcp-option=tag:second,option:dns-server');
    lines.push('dhcp-option=tag:second,option:domain-name', `dhcp-option=tag:!second,option:domain-search,${search}`);
  }
  if (network.v6) {
    // A router advertisement goes to all guests alike, so it names the server only where all of them are to use it.
    const servers = serversOf(network, facts).flatMap((address) => (address.includes(':') ? [`[${address}]`] : []));
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
function serversOf(network: Network, facts: HostFacts): readonly string[] {
  if (network.kind !== 'bridged') return gatewaysOf(network);
  return network.dns.length > 0 ? network.dns : resolversOn(network, facts);
}

function usesGateway(nic: Nic): boolean {
  return nic.default && nic.dns.length === 0;
}

function reverseZonesOf(network: Network): string[] {
  return [...(network.v4 ? reverseZones(network.v4.subnet) : []), ...(network.v6 ? reverseZones(network.v6.subnet) : [])];
}

function mtuOf(network: Network, facts: HostFacts): number {
  return networkMtu(network, facts);
}

/** 20 → `255.255.240.0`. */
function netmask(length: number): string {
  const octet = (i: number): number => 256 - 2 ** (8 - Math.max(0, Math.min(8, length - i * 8)));
  return [0, 1, 2, 3].map(octet).join('.');
}
