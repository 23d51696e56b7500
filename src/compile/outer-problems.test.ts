/** Interfaces that no test machine has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Fabric, Network } from '../fabric/model.ts';
import type { HostFacts } from '../hoststate/model.ts';
import { outerProblems } from './outer-problems.ts';

const network: Network = {
  name: 'external',
  kind: 'bridged',
  host: 'host',
  bridge: 'br-external',
  interface: 'em0',
  mac: '02:00:00:00:00:01',
  v4: { subnet: '192.168.118.0/24', gateway: '192.168.118.254', range: { from: '192.168.118.1', to: '192.168.118.253' } },
  egress: 'allow',
  fromHost: 'allow',
  dns: [],
  filter: 'on',
};
const fabric = { guests: [] as Fabric['guests'] } as Fabric;
const em0 = { name: 'em0', mac: '02:00:00:00:00:09', mtu: 1500, addresses: ['192.168.118.10/24'] };
const facts: HostFacts = {
  interfaces: [em0],
  forwarding: { v4: false, v6: false },
  acceptRa: [],
  routes: [],
  features: { forceForwarding: true, bridgeNetfilter: true },
};
const said = (changed: Partial<HostFacts>): string[] =>
  outerProblems(network, fabric, { ...facts, ...changed }).map(({ code, message }) => `${code}: ${message}`);

test('an interface that fits', () => assert.deepEqual(said({}), []));

test('Wi-Fi is refused with the reason and what to take instead', () => {
  assert.deepEqual(said({ interfaces: [{ ...em0, unfit: 'wireless' }] }), [
    "interface-unfit: The network `external` cannot be bridged to em0, because it is a wireless interface: an access point drops frames whose source MAC is not the station's own, so guests would reach nobody; use a network of kind `nat`, behind this host, instead, or take a wired interface.",
  ]);
});

test('a kernel without br_netfilter', () => {
  const [message = ''] = said({ features: { forceForwarding: true, bridgeNetfilter: false } });
  assert.match(message, /^feature-missing: .*modprobe br_netfilter/);
});

test('a tunnel', () => assert.match(said({ interfaces: [{ ...em0, unfit: 'no-ethernet' }] })[0] ?? '', /carries no Ethernet frames/));
