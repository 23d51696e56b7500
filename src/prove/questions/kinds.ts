/**
 * The sets of guests that the file speaks of, so that guests of which it says the same, and to which the model does the same, are proved by two of each kind.
 */
import { resolveFlow } from '../../fabric/resolve.ts';
import type { Party } from '../../fabric/model.ts';
import { parseIp, parsePrefix, prefixContains } from '../../net/ip.ts';
import { flowsOf } from './constants.ts';
import { endpointKey, type Endpoint } from './endpoints.ts';
import type { World } from './world.ts';

/** Lists of addresses; two guests that are in the same of them are of one kind for the file. */
export function kindsOf({ fabric, endpoints, networks }: World): readonly (readonly string[])[] {
  const addresses = (of: readonly Endpoint[]): string[] => of.map(({ address }) => address);
  const byNic = Map.groupBy(endpoints, ({ guest, nic }) => endpointKey({ guest, nic: nic.index }));
  const located = endpoints.flatMap((endpoint) => {
    const ip = parseIp(endpoint.address);
    return ip ? [{ endpoint, ip }] : [];
  });
  const groups: (readonly string[])[] = [
    ...networks.map((network) => addresses(endpoints.filter((endpoint) => endpoint.network === network))),
    addresses(endpoints.filter(({ nic }) => nic.egress === 'allow')),
    addresses(endpoints.filter(({ bootstrap }) => bootstrap)),
  ];
  const seen = new Set<string>();
  const add = (party: Party): void => {
    if (seen.has(`${party.kind} ${party.text}`)) return;
    seen.add(`${party.kind} ${party.text}`);
    if (party.kind === 'guests') groups.push(addresses(party.endpoints.flatMap((one) => byNic.get(endpointKey(one)) ?? [])));
    if (party.kind !== 'prefix') return;
    const prefix = parsePrefix(party.prefix);
    if (prefix) groups.push(located.flatMap(({ endpoint, ip }) => (prefixContains(prefix, ip) ? [endpoint.address] : [])));
  };
  for (const rule of [...fabric.allow, ...fabric.block]) for (const party of [...rule.from, ...rule.to]) add(party);
  for (const one of fabric.publish) {
    groups.push(addresses(byNic.get(endpointKey(one.to)) ?? []));
    for (const party of one.from ?? []) add(party);
  }
  for (const flow of fabric.expect.flatMap(flowsOf)) {
    const sides = resolveFlow(fabric, flow, undefined, () => undefined);
    for (const party of [...(sides?.from ?? []), ...(sides?.to ?? [])]) add(party);
  }
  return groups;
}
