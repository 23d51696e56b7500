/** Whom the resolvers of Weft's networks ask. */
import { gatewaysOf } from '../fabric/addressing.ts';
import type { Fabric, Network } from '../fabric/model.ts';

/** Followed when it changes. */
export const HOST_RESOLV_FILE = '/etc/resolv.conf';

/** The name servers the file has for a network; none: the host's own. */
export function upstreamsOf(fabric: Fabric, network: Network): readonly string[] {
  const own = new Set(fabric.networks.flatMap(answeringAt));
  return network.dns.filter((address) => !own.has(address));
}

/**
 * One text for all networks that ask the same servers: `host`, or the servers. Only their answers count for the guests there: whoever answers the questions of another
 * network decides nothing here. Undefined for a network that asks nobody.
 */
export function resolverOf(fabric: Fabric, network: Network): string | undefined {
  if (network.kind === 'isolated') return undefined;
  const servers = upstreamsOf(fabric, network);
  return servers.length === 0 ? 'host' : servers.join(',');
}

/** Where Weft's own name server of a network answers: at the gateway, or of a routed network at addresses that are known nowhere else. */
export function answeringAt(network: Network): string[] {
  // The outer network's gateway is somebody else, whom the host may well ask for names.
  if (network.kind === 'bridged') return [];
  if (network.kind !== 'routed') return gatewaysOf(network);
  return [network.service4, network.service6].filter((address) => address !== undefined);
}
