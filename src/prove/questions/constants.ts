/** Everything that questions about a fabric name, so that a space of flows can tell it apart. */
import type { FlowExpr, PartyExpr, Ports } from '../../config/flow.ts';
import type { ExpectEntry } from '../../config/model.ts';
import { NEXT_HOP_6, prefixesOf } from '../../fabric/addressing.ts';
import type { Party } from '../../fabric/model.ts';
import { WEFT_DNS_PORT } from '../../hoststate/ports.ts';
import type { Constants, PortSpan } from '../symbolic/flow-space.ts';
import { protocolNumbers } from './ports.ts';
import type { World } from './world.ts';

export function constantsOf(world: World): Constants {
  const { fabric, model } = world;
  const there = world.endpoints.filter(({ standing, network }) => standing || network.kind === 'bridged');
  const ports: PortSpan[] = [22, 53, 67, 68, 80, 443, 546, 547, WEFT_DNS_PORT].map((port) => ({ from: port, to: port }));
  const prefixes = new Set<string>([
    ...there.flatMap(({ address, linkLocal }) => [address, ...(linkLocal === undefined ? [] : [linkLocal])]),
    ...fabric.networks.flatMap(prefixesOf),
    ...fabric.hosts.flatMap(({ addresses }) => addresses),
    ...world.hostAddresses,
    ...world.gateways.flatMap(({ address, answers }) => [address, answers]),
    ...world.notInternet,
    ...world.inside,
    ...world.unpeopled,
    ...world.never,
    ...[...world.behind.values()].flatMap(({ steps }) => steps.map(({ prefix }) => prefix)),
    ...['0.0.0.0/32', '::/128', NEXT_HOP_6, 'fe80::/10'],
  ]);
  const addParty = (party: Party | PartyExpr): void => {
    if (party.kind === 'prefix') prefixes.add(party.prefix);
  };
  const addPorts = (spec: Ports): void => {
    if (spec !== 'any') for (const one of spec) if (one.protocol !== 'icmp') ports.push(...one.ranges);
  };
  for (const rule of [...fabric.allow, ...fabric.block]) {
    for (const party of [...rule.from, ...rule.to]) addParty(party);
    addPorts(rule.ports);
  }
  for (const one of fabric.publish) {
    if (one.address !== undefined) prefixes.add(one.address);
    for (const party of one.from ?? []) addParty(party);
    for (const { first, last, target } of one.ports) ports.push({ from: first, to: last }, { from: target, to: target + last - first });
  }
  for (const entry of fabric.expect) {
    for (const flow of flowsOf(entry)) {
      for (const party of [...flow.from, ...flow.to]) addParty(party);
      addPorts(flow.ports);
    }
    if (entry.kind === 'seen-as') prefixes.add(entry.address);
  }
  return {
    prefixes: [...prefixes],
    ports: unique(ports),
    protocols: Object.values(protocolNumbers),
    macs: [...new Set([...model.stations.map(({ mac }) => mac), ...there.map(({ nic }) => nic.mac)])],
  };
}

export function flowsOf(entry: ExpectEntry): readonly FlowExpr[] {
  if (entry.kind === 'isolated') return [];
  return entry.kind === 'exposed' ? entry.flows : [entry.flow];
}

function unique(spans: readonly PortSpan[]): PortSpan[] {
  return [...new Map(spans.map((span) => [`${span.from} ${span.to}`, span])).values()];
}
