/**
 * Bridges, ports and what hangs on them: addresses of the gateways, permanent neighbours and static forwarding entries of the
 * guests, so that nothing on the host is ever learned from a guest.
 */
import { NEXT_HOP_6 } from '../fabric/addressing.ts';
import type { Fabric, Network, RoutedNetwork } from '../fabric/model.ts';
import {
  WEFT_ALIAS_PREFIX,
  type Address,
  type Enslaved,
  type FdbEntry,
  type HostFacts,
  type HostInterface,
  type Link,
  type Neighbor,
  type PortLink,
} from '../hoststate/model.ts';
import { parseIp, parsePrefix, prefixContains } from '../net/ip.ts';
import { bridgedNetworks, sortedBy, localNetworks, type LocalNic } from './local-nics.ts';
import type { HostPolicy } from './policy-model.ts';
import type { RoutedPort } from './routed-ports.ts';

const ETHERNET_MTU = 1500;

/** The MTU of a network: its own, else Ethernet's unless the uplink's is smaller, so that no guest sends what cannot leave. */
export function networkMtu(network: Network, facts: HostFacts): number {
  return network.mtu ?? outerInterface(network, facts)?.mtu ?? Math.min(ETHERNET_MTU, facts.uplink?.mtu ?? ETHERNET_MTU);
}

/** What is known of the physical interface of a bridged network. */
export function outerInterface(network: Network, facts: HostFacts): HostInterface | undefined {
  return facts.interfaces.find(({ name }) => name === network.interface);
}

/** The addresses by which guests of a bridged network reach the host's name server: its own there, inside the network's subnets. */
export function resolversOn(network: Network, facts: HostFacts): string[] {
  const subnets = [network.v4?.subnet, network.v6?.subnet].flatMap((text) => (text === undefined ? [] : (parsePrefix(text) ?? [])));
  return (outerInterface(network, facts)?.addresses ?? []).flatMap((text) => {
    const address = text.slice(0, text.indexOf('/'));
    const ip = parseIp(address);
    return ip && subnets.some((subnet) => prefixContains(subnet, ip)) ? [address] : [];
  });
}

/** What a link is called in the host's routes when all is applied: an interface that joins a bridge has the bridge's place. */
export function carrierOf(link: string, networks: readonly Network[]): string {
  return networks.find((network) => network.kind === 'bridged' && network.interface === link)?.bridge ?? link;
}

/** Physical interfaces on their bridges, sorted. */
export function enslaved(networks: readonly Network[]): Enslaved[] {
  const all = networks.flatMap((network) =>
    network.interface === undefined ? [] : [{ interface: network.interface, bridge: network.bridge }],
  );
  return sortedBy(all, (entry) => entry.interface);
}

/** Is there a link for this NIC now? A VM's TAP and a namespace's veth always; a container's veth only while it is attached. */
export function hasLink(local: LocalNic, attachments: ReadonlyMap<string, string>): boolean {
  return local.ownPort && (local.guest.kind !== 'container' || attachments.has(local.guest.name));
}

/** Bridges, ports and the VLANs that are not there without Weft, sorted by name. */
export function links(
  fabric: Fabric,
  hostName: string,
  facts: HostFacts,
  nics: readonly LocalNic[],
  attachments: ReadonlyMap<string, string>,
): Link[] {
  const alias = (kind: 'bridge' | 'port' | 'vlan', name: string): string => `${WEFT_ALIAS_PREFIX}${fabric.name}:${kind}:${name}`;
  const all: Link[] = bridgedNetworks(localNetworks(fabric, hostName)).map((network) => ({
    kind: 'bridge',
    name: network.bridge,
    alias: alias('bridge', network.name),
    // The outer network must not see another host where this one was.
    mac: outerInterface(network, facts)?.mac ?? network.mac,
    mtu: outerInterface(network, facts)?.mtu ?? networkMtu(network, facts),
    ...(network.kind === 'bridged' ? { nfCall: true as const } : {}),
  }));
  for (const network of localNetworks(fabric, hostName)) {
    const outer = outerInterface(network, facts);
    if (outer?.vlan === undefined) continue;
    const { name, mtu, vlan } = outer;
    all.push({ kind: 'vlan', name, alias: alias('vlan', name), ...vlan, mtu });
  }
  for (const local of nics) {
    if (!hasLink(local, attachments)) continue;
    const { guest, nic, network } = local;
    const common = {
      name: nic.port,
      alias: alias('port', `${guest.name}.${network.name}`),
      ...(network.bridge === undefined ? {} : { bridge: network.bridge }),
      ...(network.kind === 'bridged' ? { shared: true as const } : {}),
      mtu: networkMtu(network, facts),
    };
    const port: PortLink =
      guest.kind === 'vm'
        ? { kind: 'tap', ...common, ...(guest.user === undefined ? {} : { owner: guest.user }) }
        : { kind: 'veth', ...common, peer: { guest: guest.name, interface: nic.name } };
    all.push(port);
  }
  return sortedBy(all, (link) => link.name);
}

/** The gateways' addresses on the bridges and on the ports of routed networks, sorted. */
export function addresses(networks: readonly Network[], ports: readonly RoutedPort[]): Address[] {
  const all: Address[] = [];
  for (const { bridge, v4, v6 } of bridgedNetworks(networks).filter(({ kind }) => kind !== 'bridged')) {
    if (v4) all.push({ link: bridge, address: `${v4.gateway}/${lengthOf(v4.subnet)}` });
    if (v6) {
      all.push({ link: bridge, address: `${v6.gateway}/${lengthOf(v6.subnet)}` });
      all.push({ link: bridge, address: `${NEXT_HOP_6}/64` });
    }
  }
  for (const { link, network } of ports) all.push(...portAddresses(network).map((address) => ({ link, address })));
  return sortedBy(all, (a) => `${a.link} ${a.address}`);
}

/** The same on every port, each alone: no prefix lies behind it. */
function portAddresses({ gateway4, service4, service6 }: RoutedNetwork): string[] {
  return [
    ...(service4 === undefined ? [] : [`${gateway4}/32`, `${service4}/32`]),
    // As a /64, or dnsmasq would not take the port for one of that network. The kernel's route to it on each port leads to nobody.
    ...(service6 === undefined ? [] : [`${service6}/64`, `${NEXT_HOP_6}/64`]),
  ];
}

/**
 * Where each address is, once and for all: a forged ARP reply or neighbour advertisement changes nothing. Addresses of `inside` guests lead to
 * the outer guest's NIC. The link-local address is the one the NIC makes of its MAC.
 */
export function neighbors(nics: readonly LocalNic[], ports: readonly RoutedPort[]): Neighbor[] {
  const all: Neighbor[] = [];
  const standing = new Set(ports.map((port) => port.link));
  for (const { nic, network, link, ownPort, linkLocal } of nics) {
    // Who is there on the outer network is told by ARP, in which nobody claims a guest's address (nft-guard.ts).
    if (network.kind === 'bridged') continue;
    if (network.kind === 'routed' && !standing.has(link)) continue;
    for (const address of [nic.v4, nic.bootstrap, nic.v6]) if (address !== undefined) all.push({ link, address, mac: nic.mac });
    if (nic.v6 !== undefined && ownPort) all.push({ link, address: linkLocal, mac: nic.mac });
  }
  return sortedBy(all, (n) => `${n.link} ${n.address}`);
}

/** Which port each MAC is behind, sorted; frames for guests with published ports are the host's to deliver (see {@link FdbEntry.local}). */
export function fdb(nics: readonly LocalNic[], attachments: ReadonlyMap<string, string>, policy: HostPolicy): FdbEntry[] {
  const published = new Set([...policy.published.keys()].map((address) => policy.endpoints.get(address)?.mac));
  const entries = nics
    .filter((local) => local.network.bridge !== undefined && hasLink(local, attachments))
    .map(({ nic: { port, mac } }) => ({ port, mac, ...(published.has(mac) ? { local: true as const } : {}) }));
  return sortedBy(entries, (entry) => `${entry.port} ${entry.mac}`);
}

/** The length of a canonical prefix text: `10.0.0.0/24` is 24. */
export function lengthOf(subnet: string): number {
  return Number(subnet.slice(subnet.indexOf('/') + 1));
}
