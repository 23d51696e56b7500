/** What has to be known of a host before anything is compiled for it, and how it was before Weft. */
import type { Fabric, PublishedRange } from '../fabric/model.ts';
import type { Listener } from '../hoststate/listeners.ts';
import type { HostFacts, HostState } from '../hoststate/model.ts';
import { readFacts, type FactsWanted } from '../kernel/facts.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { listeners } from '../kernel/listeners.ts';
import { foreignAddresses } from '../plan/attainable.ts';
import type { AppliedRecord, Originals } from './store.ts';

/** The physical interfaces of this host's bridged networks. */
const outerInterfaces = (fabric: Fabric, host: string): string[] =>
  fabric.networks.flatMap((network) => (network.host === host && network.interface !== undefined ? [network.interface] : []));

/** What facts to read for this fabric, where `applied` stands. */
export function factsWanted(fabric: Fabric, hostName: string, applied: HostState | undefined): FactsWanted {
  const host = fabric.hosts.find(({ name }) => name === hostName);
  return {
    ...(host?.uplink === undefined ? {} : { uplink: host.uplink }),
    interfaces: outerInterfaces(fabric, hostName),
    ...(host?.managed === undefined ? {} : { managed: { addresses: host.addresses, gateways: host.managed.gateways } }),
    given: applied === undefined ? [] : foreignAddresses(applied),
  };
}

/** Facts as they were before Weft: a setting that Weft has changed counts with its old value. */
export async function hostFacts(
  kernel: Kernel,
  request: { readonly fabric: Fabric; readonly host: string },
  originals: Originals,
  before?: AppliedRecord,
): Promise<HostFacts> {
  const published = request.fabric.publish.filter((one) => one.host === request.host).flatMap((one) => one.ports);
  const [facts, listening] = await Promise.all([
    readFacts(kernel, factsWanted(request.fabric, request.host, before?.state)),
    listenersAt(kernel, published),
  ]);
  const was = (key: string, now: boolean): boolean => (originals[key] === undefined ? now : originals[key].value === '1');
  const accepted = Object.entries(originals).flatMap(([key, { value }]) => {
    const link = /^net\/ipv6\/conf\/([^/]+)\/accept_ra$/.exec(key)?.[1];
    return link !== undefined && value === '1' ? [link] : [];
  });
  return {
    ...facts,
    forwarding: {
      v4: was('net/ipv4/ip_forward', was('net/ipv4/conf/all/forwarding', facts.forwarding.v4)),
      v6: was('net/ipv6/conf/all/forwarding', facts.forwarding.v6),
    },
    acceptRa: [...new Set([...facts.acceptRa, ...accepted])].sort(),
    ...(published.length === 0 ? {} : { listening }),
  };
}

async function listenersAt(kernel: Kernel, ports: readonly PublishedRange[]): Promise<readonly Listener[]> {
  if (ports.length === 0) return [];
  return listeners(kernel, ({ protocol, port }) =>
    ports.some((range) => range.protocol === protocol && range.first <= port && port <= range.last),
  );
}
