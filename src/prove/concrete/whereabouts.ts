/** Where addresses are, as the host has it: for putting a question into the form of a packet. */
import type { KernelModel, Origin } from '../kernel-model.ts';
import { hostOf, type Host } from './host.ts';
import { outerPort, stationOn } from './layer2.ts';
import { addressTowards, findRoute, isOwn } from './routing.ts';

const familyOf = (address: string): 4 | 6 => (address.includes(':') ? 6 : 4);

/** With what is known, be it all or not: a question may be put where the answer is unknown. */
const complete = (model: KernelModel): Host => ({ ...hostOf(model), missing: () => undefined });

/** By which interface packets of that source come in, when they come the way that the host's own would go; undefined: there is no way. */
export function enters(model: KernelModel, address: string): Origin | undefined {
  const host = complete(model);
  if (isOwn(host, address)) return { kind: 'host' };
  const station = model.stations.find(({ addresses }) => addresses.includes(address));
  if (station) return { kind: 'interface', name: station.port };
  const route = findRoute(host, { family: familyOf(address), destination: address, source: undefined, mark: 0, iif: 'lo' });
  if (route.kind !== 'route' || route.type !== 'unicast') return undefined;
  if (host.interface(route.link)?.kind !== 'bridge') return { kind: 'interface', name: route.link };
  const port = stationOn(host, route.link, route.via ?? address)?.port ?? outerPort(host, route.link);
  return { kind: 'interface', name: port ?? route.link };
}

/** The address that the host itself speaks from to another. */
export function hostAddress(model: KernelModel, destination: string): string | undefined {
  const host = complete(model);
  if (isOwn(host, destination)) return destination;
  const family = familyOf(destination);
  const route = findRoute(host, { family, destination, source: undefined, mark: 0, iif: 'lo' });
  if (route.kind !== 'route') return undefined;
  return route.route.source ?? addressTowards(host.interface(route.link)?.addresses ?? [], family, route.via ?? destination);
}
