/**
 * What a guest is told of its network, whoever tells it (DHCP, the inside of a namespace, an export): addresses, routes, name servers. One
 * place, since all of them have to say the same.
 */
import type { Network, Nic, RoutedNetwork, SubnetNetwork } from './model.ts';

/** The IPv6 next hop of every guest, at every bridge and port. */
export const NEXT_HOP_6 = 'fe80::1';

/** Every prefix that guests of the network have addresses in, `bootstrap` included. */
export function prefixesOf(network: Network): string[] {
  if (network.kind === 'routed') return [...network.prefixes, ...(network.bootstrap ? [network.bootstrap.subnet] : [])];
  return [network.v4?.subnet, network.v6?.subnet].filter((subnet) => subnet !== undefined);
}

/** The next hops of a network's guests that are known by name (`gateway.<network>`): not fe80::1. */
export function gatewaysOf(network: Network): string[] {
  if (network.kind === 'routed') return network.service4 === undefined ? [] : [network.gateway4];
  return [network.v4?.gateway, network.v6?.gateway].filter((gateway) => gateway !== undefined);
}

/** The IPv4 next hop of its guests; undefined without IPv4. */
export function nextHop4(network: Network): string | undefined {
  return network.kind === 'routed' ? (network.service4 === undefined ? undefined : network.gateway4) : network.v4?.gateway;
}

/** A guest's name servers, unless it has its own. On the outer network the host's own address is known on the host only: here those of the file. */
export function nameServersOf(network: Network, nic: Nic): readonly string[] {
  if (network.kind === 'bridged') return network.dns;
  if (network.kind !== 'routed') {
    const { v4, v6 } = network;
    return [nic.v4 === undefined ? undefined : v4?.gateway, nic.v6 === undefined ? undefined : v6?.gateway].filter(
      (gateway) => gateway !== undefined,
    );
  }
  // A link-local server needs its interface, which not every resolver understands: only where there is no other.
  return nic.v4 === undefined ? [`${NEXT_HOP_6}%${nic.name}`] : [network.gateway4];
}

export interface Layer3 {
  /** With the length of the on-link prefix: `10.0.105.20/24`, `203.0.113.7/32`; IPv6 always `/128`, as nothing but the host is on-link. */
  readonly addresses: readonly string[];
  /** In the order in which they can be set. Without `via`: on-link. */
  readonly routes: readonly { readonly prefix: string; readonly via?: string }[];
}

/** What stands on a guest's interface. The private address of `bootstrap:` is DHCP's alone. */
export function layer3(nic: Nic, network: Network): Layer3 {
  if (network.kind === 'routed') return behindPort(nic, network);
  return network.kind === 'bridged' ? onOuterNetwork(nic, network) : behindBridge(nic, network);
}

/** Neighbours are on the link and the outer network's own router leads out. */
function onOuterNetwork(nic: Nic, { v4, v6 }: SubnetNetwork): Layer3 {
  const with4 = nic.v4 !== undefined && v4 ? { own: nic.v4, ...v4 } : undefined;
  const with6 = nic.v6 !== undefined && v6 ? { own: nic.v6, ...v6 } : undefined;
  return {
    addresses: [with4, with6].flatMap((one) => (one ? [`${one.own}${one.subnet.slice(one.subnet.indexOf('/'))}`] : [])),
    routes: nic.default
      ? [...(with4 ? [{ prefix: '0.0.0.0/0', via: with4.gateway }] : []), ...(with6 ? [{ prefix: '::/0', via: with6.gateway }] : [])]
      : [],
  };
}

function behindBridge(nic: Nic, { v4, v6 }: SubnetNetwork): Layer3 {
  const addresses: string[] = [];
  const routes: { prefix: string; via?: string }[] = [];
  if (nic.v4 !== undefined && v4) {
    addresses.push(`${nic.v4}${v4.subnet.slice(v4.subnet.indexOf('/'))}`);
    if (nic.default) routes.push({ prefix: '0.0.0.0/0', via: v4.gateway });
  }
  if (nic.v6 !== undefined && v6) {
    // Off-link, as the router advertisements say it: siblings are reached through the host.
    addresses.push(`${nic.v6}/128`);
    routes.push({ prefix: nic.default ? '::/0' : v6.subnet, via: NEXT_HOP_6 });
  }
  return { addresses, routes };
}

/** Point to point: the next hop is in none of the guest's prefixes, so it gets a route of its own. */
function behindPort(nic: Nic, { prefixes, gateway4 }: RoutedNetwork): Layer3 {
  const siblings = (v6: boolean): string[] => prefixes.filter((prefix) => prefix.includes(':') === v6);
  const addresses: string[] = [];
  const routes: { prefix: string; via?: string }[] = [];
  if (nic.v4 !== undefined) {
    addresses.push(`${nic.v4}/32`);
    routes.push({ prefix: `${gateway4}/32` });
    for (const prefix of nic.default ? ['0.0.0.0/0'] : siblings(false)) routes.push({ prefix, via: gateway4 });
  }
  if (nic.v6 !== undefined) {
    addresses.push(`${nic.v6}/128`);
    for (const prefix of nic.default ? ['::/0'] : siblings(true)) routes.push({ prefix, via: NEXT_HOP_6 });
  }
  return { addresses, routes };
}
