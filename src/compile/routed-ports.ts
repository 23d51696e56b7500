/**
 * Routed networks have no bridge: each port is a link of its own between host and guest, with a host route for each address behind it. What is
 * listed and nobody's is unreachable: the provider sends it here, and by the default route it would go back there.
 */
import type { Network, RoutedNetwork } from '../fabric/model.ts';
import type { Route } from '../hoststate/model.ts';
import { hasLink } from './links.ts';
import { routedNetworks, sortedBy, type LocalNic } from './local-nics.ts';

/** A port that is there now. */
export interface RoutedPort {
  readonly link: string;
  readonly network: RoutedNetwork;
}

/** Behind every other route to the same prefix, the uplink's own included. */
const LAST_METRIC = 4_000_087;

export function routedPorts(nics: readonly LocalNic[], attachments: ReadonlyMap<string, string>): RoutedPort[] {
  return nics.flatMap((local) => {
    const { link, network } = local;
    return network.kind === 'routed' && hasLink(local, attachments) ? [{ link, network }] : [];
  });
}

/** `203.0.113.7/32 dev w-web`, `unreachable 203.0.113.0/29 metric 4000087`; sorted. */
export function routes(networks: readonly Network[], nics: readonly LocalNic[], ports: readonly RoutedPort[]): Route[] {
  const standing = new Set(ports.map((port) => port.link));
  const all: Route[] = routedNetworks(networks).flatMap(({ prefixes, bootstrap }) =>
    [...prefixes, ...(bootstrap ? [bootstrap.subnet] : [])].map((prefix): Route => ({ prefix, unreachable: true, metric: LAST_METRIC })),
  );
  for (const { nic, network, link } of nics) {
    if (network.kind !== 'routed' || !standing.has(link)) continue;
    for (const address of [nic.v4, nic.bootstrap]) if (address !== undefined) all.push({ prefix: `${address}/32`, link });
    if (nic.v6 !== undefined) all.push({ prefix: `${nic.v6}/128`, link });
  }
  return sortedBy(all, (route) => `${route.prefix} ${'link' in route ? route.link : ''}`);
}
