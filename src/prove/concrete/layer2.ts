/**
 * Layer 2: to whom an honest sender addresses its frame, and where a bridge takes it. Both engines follow the same rule.
 *
 * A frame that enters at the port P of a bridge goes
 * 1. up to the host, when the destination is an address of the host's own, or no unicast address;
 * 2. across to the port of the station that has the destination, when that is another port of the bridge and the two are not both isolated
 *    (isolated neighbours only reach each other through the host, which answers ARP for them); up, when that station's frames go through the host;
 * 3. across to the bridge's outer port (the first by name of those without stations that are not isolated), when there is one and P has stations: the sender's router is on the outer network;
 * 4. up to the host, the sender's router, otherwise.
 *
 * A frame between two isolated ports is never forwarded, and one to the port it came from only with hairpin.
 */
import type { ModelInterface, Station } from '../kernel-model.ts';
import type { Host } from './host.ts';
import { localType } from './routing.ts';

export type Way = { readonly kind: 'up' } | { readonly kind: 'across'; readonly port: string; readonly station: Station | undefined };

const UP: Way = { kind: 'up' };

/** `port` is one of a bridge's. */
export function chosenBySender(host: Host, port: ModelInterface, destination: string): Way {
  const { portOf } = port;
  if (!portOf || localType(host, destination) !== 'unicast') return UP;
  const station = stationOn(host, portOf.bridge, destination);
  if (station?.throughHost) return UP;
  if (station && station.port !== port.name && !bothIsolated(port, host.interface(station.port)))
    return { kind: 'across', port: station.port, station };
  const outer = station ? undefined : outerPorts(host, portOf.bridge).find((name) => name !== port.name);
  return outer === undefined || isOuter(host, port.name) ? UP : { kind: 'across', port: outer, station: undefined };
}

const isOuter = (host: Host, port: string): boolean => host.stationsAt(port).length === 0;

/** Ports behind which no station is known: the outer network, unless kept apart from the others as guests are. */
const outerPorts = (host: Host, bridge: string): readonly string[] =>
  host
    .ports(bridge)
    .filter((port) => isOuter(host, port) && host.interface(port)?.portOf?.isolated !== true)
    .toSorted();

/** The machine with that address on the bridge. */
export function stationOn(host: Host, bridge: string, address: string): Station | undefined {
  for (const port of host.ports(bridge)) {
    const station = host.stationsAt(port).find(({ addresses }) => addresses.includes(address));
    if (station) return station;
  }
  return undefined;
}

/** Where the host's frames for an address that no station has leave a bridge; undefined: everywhere, or nowhere. */
export function outerPort(host: Host, bridge: string): string | undefined {
  const [only, ...more] = outerPorts(host, bridge);
  return more.length === 0 ? only : undefined;
}

export const bothIsolated = (a: ModelInterface | undefined, b: ModelInterface | undefined): boolean =>
  a?.portOf?.isolated === true && b?.portOf?.isolated === true;
