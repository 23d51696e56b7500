/**
 * What Weft sets inside guests that share the host's kernel: namespaces it made, and containers that were attached. VMs get the same
 * by DHCP and router advertisements.
 */
import { layer3, nameServersOf } from '../fabric/addressing.ts';
import type { Fabric } from '../fabric/model.ts';
import type { GuestInterface, GuestSide, HostFacts, Sysctl } from '../hoststate/model.ts';
import { networkMtu, resolversOn } from './links.ts';
import { sortedBy, type LocalNic } from './local-nics.ts';

/** The inside of each guest of kind namespace and each attached container that has a NIC here; sorted by guest. */
export function insides(
  fabric: Fabric,
  hostName: string,
  facts: HostFacts,
  nics: readonly LocalNic[],
  attachments: ReadonlyMap<string, string>,
): GuestSide[] {
  const byGuest = new Map<string, LocalNic[]>();
  for (const local of nics) {
    if (!local.ownPort || local.guest.kind === 'vm') continue;
    const list = byGuest.get(local.guest.name);
    if (list) list.push(local);
    else byGuest.set(local.guest.name, [local]);
  }
  const sides: GuestSide[] = [];
  for (const guest of fabric.guests) {
    // A namespace is made even for a guest without any NIC.
    const own =
      byGuest.get(guest.name) ?? (guest.kind === 'namespace' && guest.nics.length === 0 && guest.host === hostName ? [] : undefined);
    if (!own) continue;
    const common = {
      guest: guest.name,
      interfaces: own.map((local) => inside(local, facts)),
      sysctls: own.flatMap(insideSettings),
    };
    const path = attachments.get(guest.name);
    if (guest.kind === 'container') {
      if (path !== undefined) sides.push({ ...common, netns: { kind: 'attached', path } });
    } else if (guest.namespace !== undefined) {
      const resolvConf = resolver(fabric, own, facts);
      sides.push({ ...common, netns: { kind: 'made', namespace: guest.namespace }, ...(resolvConf === undefined ? {} : { resolvConf }) });
    }
  }
  return sortedBy(sides, (side) => side.guest);
}

function inside({ nic, network }: LocalNic, facts: HostFacts): GuestInterface {
  return { name: nic.name, port: nic.port, mac: nic.mac, mtu: networkMtu(network, facts), ...layer3(nic, network) };
}

/** Addresses are ours and static: usable at once, nothing taken from router advertisements, the link-local one made of the MAC. */
function insideSettings({ nic }: LocalNic): Sysctl[] {
  if (nic.v6 === undefined) return [];
  const key = (name: string): string => `net/ipv6/conf/${nic.name}/${name}`;
  return [
    // Container engines switch IPv6 off in namespaces to which they gave none.
    { key: key('disable_ipv6'), value: '0' },
    { key: key('accept_ra'), value: '0' },
    { key: key('autoconf'), value: '0' },
    { key: key('accept_dad'), value: '0' },
    { key: key('addr_gen_mode'), value: '0' },
  ];
}

/** resolv.conf(5) of a guest: its own `dns:` or the gateways of the NIC that carries the default route. */
function resolver(fabric: Fabric, own: readonly LocalNic[], facts: HostFacts): string | undefined {
  const carrier = own.find((local) => local.nic.default);
  if (!carrier) return undefined;
  const { nic, network } = carrier;
  const offered =
    network.kind === 'bridged' ? (network.dns.length > 0 ? network.dns : resolversOn(network, facts)) : nameServersOf(network, nic);
  const servers = nic.dns.length > 0 ? nic.dns : offered;
  // resolv.conf(5): at most three name servers are asked.
  const lines = servers.slice(0, 3).map((server) => `nameserver ${server}`);
  return [`search ${network.name.toLowerCase()}.${fabric.domain} ${fabric.domain}`, ...lines, ''].join('\n');
}
