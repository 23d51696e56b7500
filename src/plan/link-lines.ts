/**
 * `ip` and `bridge` batch lines for Weft's links and what hangs on them. Pure text; one line a command, as `ip -batch` and
 * `bridge -batch` read them. `dev` and `name` stand before every name, since `tx` or `br` alone are words of ip's grammar.
 */
import {
  WEFT_LINK_GROUP,
  WEFT_PROTOCOL,
  type Address,
  type BridgeLink,
  type FdbEntry,
  type GuestSide,
  type Neighbor,
  type NeighborProxy,
  type PortLink,
  type Route,
  type VlanLink,
} from '../hoststate/model.ts';
import { sameJson } from './keyed.ts';

/** Group that ports about to be deleted are moved to, so that one `ip link del group` takes them all. */
export const DOOMED_LINK_GROUP = WEFT_LINK_GROUP + 1;

/** `link add name br-internal address 02:… mtu 1500 type bridge …`: made down, with no address and no port. */
export function createBridge(link: BridgeLink): string[] {
  return [
    `link add name ${link.name} address ${link.mac} mtu ${link.mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0${link.nfCall ? ' nf_call_iptables 1 nf_call_ip6tables 1' : ''}`,
    `link set dev ${link.name} group ${WEFT_LINK_GROUP} alias ${link.alias} addrgenmode none`,
  ];
}

/**
 * A bridge that is there but not as it should be; it is brought up with the others. Its MAC is set only when it is another one: the kernel then forgets
 * all neighbours of the bridge, permanent ones too (neigh_changeaddr).
 */
export function adjustBridge(old: BridgeLink, link: BridgeLink): string[] {
  const mac = old.mac === link.mac ? '' : `address ${link.mac} `;
  const nfCall = old.nfCall === link.nfCall ? '' : ` nf_call_iptables ${link.nfCall ? 1 : 0} nf_call_ip6tables ${link.nfCall ? 1 : 0}`;
  return [
    ...(old.strangers ?? []).map((name) => `link set dev ${name} nomaster`),
    `link set dev ${link.name} ${mac}mtu ${link.mtu} group ${WEFT_LINK_GROUP} alias ${link.alias}${link.nfCall ? '' : ' addrgenmode none'}`,
    `link set dev ${link.name} type bridge stp_state 0 mcast_snooping 0${nfCall}`,
  ];
}

/**
 * A VLAN of an interface of the host, down; it comes up when it joins its bridge. It has its parent's MAC. The group is there from its first moment, so that nobody else's
 * is ever taken for it.
 */
export function createVlan(link: VlanLink): string[] {
  return [
    // At boot nobody else may have brought it up, and no VLAN comes up on what is down.
    `link set dev ${link.parent} up`,
    `link add link ${link.parent} name ${link.name} mtu ${link.mtu} group ${WEFT_LINK_GROUP} type vlan id ${link.id}`,
    `link set dev ${link.name} alias ${link.alias}`,
  ];
}

/** A VLAN of the right number that is there, but is down or has lost its mark, its group or its MTU. */
export const adjustVlan = (link: VlanLink): string =>
  `link set dev ${link.name} mtu ${link.mtu} group ${WEFT_LINK_GROUP} alias ${link.alias} up`;

/**
 * A TAP or a veth pair, down and on no bridge yet. The far end of a veth is born inside its guest's namespace.
 * `netnsOf` gives what `ip` takes for that namespace: a name under /run/netns or an absolute path.
 */
export function createPort(link: PortLink, guest: GuestSide | undefined): string[] {
  const tag = `link set dev ${link.name} group ${WEFT_LINK_GROUP} alias ${link.alias} mtu ${link.mtu} addrgenmode none`;
  if (link.kind === 'tap') {
    return [`tuntap add dev ${link.name} mode tap${link.owner === undefined ? '' : ` user ${link.owner}`}`, tag];
  }
  const inside = guest?.interfaces.find((face) => face.port === link.name);
  if (!guest || !inside) throw new Error(`port ${link.name} has no inside`);
  const netns = guest.netns.kind === 'made' ? guest.netns.namespace : guest.netns.path;
  return [
    `link add name ${link.name} mtu ${link.mtu} type veth peer name ${inside.name} address ${inside.mac} mtu ${inside.mtu} netns ${netns}`,
    tag,
  ];
}

/** Puts a port on its bridge, or on none, still down: isolated from its siblings, learning nothing, not flooded with what is not its own. */
export function enslavePort(link: PortLink): string[] {
  if (link.bridge === undefined) return [`link set dev ${link.name} nomaster`];
  return [
    `link set dev ${link.name} master ${link.bridge}`,
    `link set dev ${link.name} type bridge_slave isolated ${link.shared ? 'off' : 'on'} learning off flood off`,
  ];
}

export const linkUp = (name: string): string => `link set dev ${name} up`;
export const linkDown = (name: string): string => `link set dev ${name} down`;

/** Deletes links: singly when few, else by a group of their own (16 ms against 0.4 ms a link, measured). */
export function deleteLinks(names: readonly string[]): string[] {
  if (names.length < 4) return names.map((name) => `link del dev ${name}`);
  return [...names.map((name) => `link set dev ${name} group ${DOOMED_LINK_GROUP}`), `link del group ${DOOMED_LINK_GROUP}`];
}

/** IPv6 addresses skip duplicate address detection: nobody else may claim a gateway's address on Weft's own bridge. */
export function addressLine(verb: 'replace' | 'del', address: Address): string {
  const noDad = verb === 'replace' && address.address.includes(':') ? ' nodad' : '';
  return `addr ${verb} ${address.address} dev ${address.link}${noDad}`;
}

export function routeLine(verb: 'replace' | 'del', route: Route): string {
  if ('unreachable' in route) return `route ${verb} unreachable ${route.prefix} metric ${route.metric} proto ${WEFT_PROTOCOL}`;
  const via = route.via === undefined ? '' : ` via ${route.via}`;
  const metric = route.metric === undefined ? '' : ` metric ${route.metric}`;
  return `route ${verb} ${route.prefix}${via} dev ${route.link}${route.onlink ? ' onlink' : ''}${metric} proto ${WEFT_PROTOCOL}`;
}

export function neighborLine(verb: 'replace' | 'del', neighbor: Neighbor): string {
  return verb === 'replace'
    ? `neigh replace ${neighbor.address} lladdr ${neighbor.mac} dev ${neighbor.link} nud permanent`
    : `neigh del ${neighbor.address} dev ${neighbor.link}`;
}

export function proxyLine(verb: 'replace' | 'del', { address, link }: NeighborProxy): string {
  return `neigh ${verb} proxy ${address} dev ${link}${verb === 'replace' ? ` proto ${WEFT_PROTOCOL}` : ''}`;
}

export function fdbLine(verb: 'replace' | 'del', entry: FdbEntry): string {
  return verb === 'replace'
    ? `fdb replace ${entry.mac} dev ${entry.port} master ${entry.local === true ? 'permanent' : 'static'}`
    : `fdb del ${entry.mac} dev ${entry.port} master`;
}

/**
 * The inside of a guest, as two batches for `ip` in its namespace. `leave` (run with -force: some of it may be gone already) takes away
 * what Weft put there before and does not want any more, and nothing else, for the namespace may be a container's own; `set` may be run again.
 */
export function guestLines(
  before: GuestSide | undefined,
  after: GuestSide,
): { readonly leave: readonly string[]; readonly set: readonly string[] } {
  const leave: string[] = [];
  const set = ['link set dev lo up'];
  for (const face of after.interfaces) {
    const old = before?.interfaces.find((candidate) => candidate.name === face.name && candidate.port === face.port);
    for (const route of old?.routes ?? [])
      if (!face.routes.some((kept) => sameJson(kept, route))) leave.push(guestRoute('del', face.name, route));
    for (const address of old?.addresses ?? []) if (!face.addresses.includes(address)) leave.push(`addr del ${address} dev ${face.name}`);
    set.push(`link set dev ${face.name} mtu ${face.mtu} up`);
    for (const address of face.addresses) set.push(`addr replace ${address} dev ${face.name}${address.includes(':') ? ' nodad' : ''}`);
    for (const route of face.routes) set.push(guestRoute('replace', face.name, route));
  }
  return { leave, set };
}

function guestRoute(verb: 'replace' | 'del', name: string, route: { readonly prefix: string; readonly via?: string }): string {
  return `route ${verb} ${route.prefix}${route.via === undefined ? '' : ` via ${route.via}`} dev ${name}`;
}
