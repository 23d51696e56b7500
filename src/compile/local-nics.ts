/**
 * The NICs of one host: what every part of the compiler walks over. Pairs each NIC with its guest and its network, so that nobody
 * looks names up twice.
 */
import type { Fabric, Guest, Network, Nic, RoutedNetwork, SubnetNetwork } from '../fabric/model.ts';
import { linkLocalOfMac } from '../net/ip.ts';

export interface LocalNic {
  readonly guest: Guest;
  readonly nic: Nic;
  readonly network: Network;
  /** The interface the host reaches it by: the bridge of its network, or the port where there is none. */
  readonly link: string;
  /** It has a port of its own; false for `inside` guests, which lie behind another guest's. */
  readonly ownPort: boolean;
  /** The link-local address the NIC makes of its MAC (EUI-64). */
  readonly linkLocal: string;
}

/** The networks of a host, in file order. */
export function localNetworks(fabric: Fabric, hostName: string): Network[] {
  return fabric.networks.filter((network) => network.host === hostName);
}

/** The networks of a host whose guests are behind a bridge. */
export const bridgedNetworks = (networks: readonly Network[]): SubnetNetwork[] => networks.filter((network) => network.kind !== 'routed');
export const routedNetworks = (networks: readonly Network[]): RoutedNetwork[] => networks.filter((network) => network.kind === 'routed');

/** Every NIC of every guest in a network of this host, `inside` guests included, in file order. */
export function localNics(fabric: Fabric, hostName: string): LocalNic[] {
  const networks = new Map(localNetworks(fabric, hostName).map((network) => [network.name, network]));
  const nics: LocalNic[] = [];
  for (const guest of fabric.guests) {
    for (const nic of guest.nics) {
      const network = networks.get(nic.network);
      if (network)
        nics.push({
          guest,
          nic,
          network,
          link: network.bridge ?? nic.port,
          ownPort: guest.inside === undefined,
          linkLocal: linkLocalOfMac(nic.mac),
        });
    }
  }
  return nics;
}

/** Sorted by a text in code-unit order: the same on every machine, whatever its locale. Each key is made once. */
export function sortedBy<T>(values: readonly T[], key: (value: T) => string): T[] {
  return values
    .map((value) => ({ value, text: key(value) }))
    .sort((a, b) => (a.text < b.text ? -1 : a.text > b.text ? 1 : 0))
    .map(({ value }) => value);
}
