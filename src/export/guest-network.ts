/**
 * What a guest's network is, as plain facts: the one source of all export formats. It is what DHCP and router advertisements would tell
 * the guest, said statically, and the same as what Weft sets inside guests of kind namespace (compile/insides.ts; a test holds the two together).
 */
import type { Fabric, Guest, Network, Nic } from '../fabric/model.ts';
import { parsePrefix } from '../net/ip.ts';

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
  /** With the length of the prefix: `10.0.105.20/24`; IPv6 always `/128`, as nothing but the host is on-link. */
  readonly addresses: readonly string[];
  /** `0.0.0.0/0` and `::/0` on the default NIC only; the IPv6 subnet of the others. */
  readonly routes: readonly GuestRoute[];
  /** Carries the default route and the name servers. */
  readonly default: boolean;
}

export interface GuestRoute {
  readonly prefix: string;
  readonly via: string;
}

export interface Resolver {
  /** Search list, nearest first. */
  readonly domains: readonly string[];
  readonly servers: readonly string[];
}

/** The bridge's own link-local address: reachable on-link, also for a guest whose every address is a /128. */
const nextHop6 = 'fe80::1';
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
    ...layer3[network.kind](nic, network),
  };
}

type Layer3 = Pick<GuestNic, 'addresses' | 'routes'>;

/** By kind of network: one that gives addresses in another way has to say here how. */
const layer3: Readonly<Record<Network['kind'], (nic: Nic, network: Network) => Layer3>> = {
  nat: behindBridge,
  isolated: behindBridge,
  bridged: onOuterNetwork,
};

/** Neighbours are on the link and the outer network's own router leads out. */
function onOuterNetwork(nic: Nic, { v4, v6 }: Network): Layer3 {
  const lengthOf = (subnet: string): number => parsePrefix(subnet)?.length ?? 0;
  return {
    addresses: [
      ...(nic.v4 !== undefined && v4 ? [`${nic.v4}/${lengthOf(v4.subnet)}`] : []),
      ...(nic.v6 !== undefined && v6 ? [`${nic.v6}/${lengthOf(v6.subnet)}`] : []),
    ],
    routes: [
      ...(nic.default && nic.v4 !== undefined && v4 ? [{ prefix: '0.0.0.0/0', via: v4.gateway }] : []),
      ...(nic.default && nic.v6 !== undefined && v6 ? [{ prefix: '::/0', via: v6.gateway }] : []),
    ],
  };
}

function behindBridge(nic: Nic, network: Network): Layer3 {
  const addresses: string[] = [];
  const routes: GuestRoute[] = [];
  if (nic.v4 !== undefined && network.v4) {
    addresses.push(`${nic.v4}/${parsePrefix(network.v4.subnet)?.length ?? 32}`);
    if (nic.default) routes.push({ prefix: '0.0.0.0/0', via: network.v4.gateway });
  }
  if (nic.v6 !== undefined && network.v6) {
    addresses.push(`${nic.v6}/128`);
    routes.push({ prefix: nic.default ? '::/0' : network.v6.subnet, via: nextHop6 });
  }
  return { addresses, routes };
}

function resolverOf(fabric: Fabric, nic: Nic, network: Network): Resolver {
  const gateways = [nic.v4 === undefined ? undefined : network.v4?.gateway, nic.v6 === undefined ? undefined : network.v6?.gateway];
  return {
    domains: [`${network.name.toLowerCase()}.${fabric.domain}`, fabric.domain],
    servers: nic.dns.length > 0 ? nic.dns : gateways.filter((gateway) => gateway !== undefined),
  };
}

/** True of `0.0.0.0/0` and `::/0`. */
export function isDefaultRoute({ prefix }: GuestRoute): boolean {
  return prefix.endsWith('/0');
}

/** True of IPv6 addresses and prefixes. */
export function isV6(text: string): boolean {
  return text.includes(':');
}
