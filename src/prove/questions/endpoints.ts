/** Every address of every guest of a host, with what decides about it: the network it is in, the port it is behind, whether that is there now. */
import type { EndpointRef, Fabric, Network, Nic } from '../../fabric/model.ts';
import { linkLocalOfMac, type Family } from '../../net/ip.ts';
import type { KernelModel } from '../kernel-model.ts';

export interface Endpoint {
  readonly guest: string;
  /** The guest itself, or the one it is inside. */
  readonly machine: string;
  readonly nic: Nic;
  readonly network: Network;
  readonly address: string;
  readonly family: Family;
  /** The private address that an installer gets first: nothing is published for it. */
  readonly bootstrap: boolean;
  /** Its port is there and the host knows it to be behind that: false for a container that is not attached. */
  readonly standing: boolean;
  /** The address its NIC makes of its MAC; undefined behind another guest's port. */
  readonly linkLocal?: string;
}

export function endpointsOf(fabric: Fabric, host: string, model: KernelModel): readonly Endpoint[] {
  const networks = new Map(fabric.networks.filter((network) => network.host === host).map((network) => [network.name, network]));
  const behind = new Set(model.stations.flatMap(({ port, addresses }) => addresses.map((address) => `${port} ${address}`)));
  const all: Endpoint[] = [];
  for (const guest of fabric.guests) {
    for (const nic of guest.nics) {
      const network = networks.get(nic.network);
      if (!network) continue;
      const add = (address: string | undefined, bootstrap: boolean): void => {
        if (address === undefined) return;
        const family = familyOf(address);
        const linkLocal = guest.inside === undefined ? { linkLocal: linkLocalOfMac(nic.mac) } : {};
        all.push({
          guest: guest.name,
          machine: guest.inside ?? guest.name,
          nic,
          network,
          address,
          family,
          bootstrap,
          standing: behind.has(`${nic.port} ${address}`),
          ...linkLocal,
        });
      };
      add(nic.v4, false);
      add(nic.bootstrap, true);
      add(nic.v6, false);
    }
  }
  return all;
}

export const familyOf = (text: string): Family => (text.includes(':') ? 6 : 4);

/** As rules and groups name it. */
export const endpointKey = ({ guest, nic }: EndpointRef): string => `${guest} ${nic}`;
