/** Small fabrics for the tests of names and services, with everything that does not matter filled in. */
import type { Fabric, Guest, Network, SubnetNetwork, Nic } from '../../src/fabric/model.ts';
import type { HostFacts } from '../../src/hoststate/model.ts';

const span = { file: 'weft.yaml', line: 1, column: 1, endColumn: 2 };

export type NicDraft = Partial<Nic> & { readonly network: string };

export function guest(name: string, nics: readonly NicDraft[], more: Partial<Guest> = {}): Guest {
  return {
    name,
    kind: 'container',
    host: 'host',
    labels: {},
    logDropped: false,
    span,
    ...more,
    nics: nics.map((nic, index) => ({
      guest: name,
      index,
      name: `eth${index}`,
      port: `w-${name}${index === 0 ? '' : `_${index}`}`.toLowerCase(),
      mac: '02:00:00:00:00:01',
      default: index === 0,
      egress: 'allow',
      dns: [],
      ...nic,
    })),
  };
}

export function network(name: string, more: Partial<SubnetNetwork> = {}): SubnetNetwork {
  return {
    name,
    kind: 'nat',
    host: 'host',
    bridge: `br-${name}`,
    mac: '02:00:00:00:ff:01',
    egress: 'allow',
    fromHost: 'allow',
    dns: [],
    filter: 'on',
    ...more,
  };
}

export function fabric(networks: readonly Network[], guests: readonly Guest[], more: Partial<Fabric> = {}): Fabric {
  return {
    name: 'demo',
    domain: 'weft.internal',
    hosts: [{ name: 'host', addresses: [] }],
    networks,
    guests,
    allow: [],
    block: [],
    publish: [],
    expect: [],
    lock: { version: 1, guests: {} },
    groups: [],
    ...more,
  };
}

export const facts: HostFacts = {
  uplink: { name: 'up', mtu: 1500, mac: '02:00:00:00:aa:01', gateways: [], addresses: ['203.0.113.10/24'], v6: true },
  interfaces: [],
  forwarding: { v4: false, v6: false },
  acceptRa: [],
  routes: [],
  features: { forceForwarding: true, bridgeNetfilter: true },
};
