/**
 * What a guest's network is, as plain facts: the one source of all export formats. It is what DHCP and router advertisements would tell
 * the guest, said statically, and the same as what Weft sets inside guests of kind namespace (compile/insides.ts).
 */
import { layer3, nameServersOf } from '../fabric/addressing.ts';
import type { Fabric, Guest, Network, Nic } from '../fabric/model.ts';

export interface GuestNetwork {
  /** As written in the file. */
  readonly guest: string;
  readonly kind: Guest['kind'];
  readonly fabric: string;
  /** In order: eth0, eth1, … At least one. */
  readonly nics: readonly GuestNic[];
  readonly resolver: Resolver;
}

export interface GuestNic {
  /** Name inside the guest: `eth0`. */
  readonly name: string;
  readonly network: string;
  /** The host's end: `w-web`. */
  readonly port: string;
  readonly mac: string;
  /** In bytes. */
  readonly mtu: number;
  /** With the length of the prefix: `10.0.105.20/24`; `/32` in a routed network; IPv6 always `/128`, as nothing but the host is on-link. */
  readonly addresses: readonly string[];
  /** `0.0.0.0/0` and `::/0` on the default NIC only; the prefixes of the others' networks. In the order in which they can be set. */
  readonly routes: readonly GuestRoute[];
  /** Carries the default route and the name servers. */
  readonly default: boolean;
}

export interface GuestRoute {
  readonly prefix: string;
  /** Undefined: on-link, as the next hop of a guest whose own address is alone. */
  readonly via?: string;
}

export interface Resolver {
  /** Search list, nearest first. */
  readonly domains: readonly string[];
  readonly servers: readonly string[];
}

/** Of a network that declares no `mtu:`. On an uplink with less, the host uses that; the file does not know it. */
const defaultMtu = 1500;

/** The facts of a guest that has a port of its own, from the file and its lock alone. Pure. */
export function guestNetwork(fabric: Fabric, guest: Guest): GuestNetwork {
  const networks = new Map(fabric.networks.map((network) => [network.name, network]));
  const pairs = guest.nics.flatMap((nic) => {
    const network = networks.get(nic.network);
    return network === undefined ? [] : [{ nic, network }];
  });
  const carrier = pairs.find(({ nic }) => nic.default);
  return {
    guest: guest.name,
    kind: guest.kind,
    fabric: fabric.name,
    nics: pairs.map(({ nic, network }) => nicOf(nic, network)),
    resolver: carrier === undefined ? { domains: [], servers: [] } : resolverOf(fabric, carrier.nic, carrier.network),
  };
}

function nicOf(nic: Nic, network: Network): GuestNic {
  const { name, port, mac } = nic;
  return {
    ...{ name, network: network.name, port, mac, mtu: network.mtu ?? defaultMtu, default: nic.default },
    ...layer3(nic, network),
  };
}

function resolverOf(fabric: Fabric, nic: Nic, network: Network): Resolver {
  return {
    domains: [`${network.name.toLowerCase()}.${fabric.domain}`, fabric.domain],
    servers: nic.dns.length > 0 ? nic.dns : nameServersOf(network, nic),
  };
}

/** Its IPv4 next hop is in no prefix of its own, as in a routed network. */
export function isPointToPoint({ routes }: GuestNic): boolean {
  return routes.some(({ via }) => via === undefined);
}

/** True of `0.0.0.0/0` and `::/0`. */
export function isDefaultRoute({ prefix }: GuestRoute): boolean {
  return prefix.endsWith('/0');
}

/** True of IPv6 addresses and prefixes. */
export function isV6(text: string): boolean {
  return text.includes(':');
}
