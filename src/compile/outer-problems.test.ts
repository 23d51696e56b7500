/** Interfaces that no test machine has. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Fabric, Network } from '../fabric/model.ts';
import type { HostFacts } from '../hoststate/model.ts';
import { links } from './links.ts';
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
  assert.match(message, /^feature-missing: .*no module br_netfilter/);
});

test('a tunnel', () => assert.match(said({ interfaces: [{ ...em0, unfit: 'no-ethernet' }] })[0] ?? '', /carries no Ethernet frames/));

test('a VLAN: made of an interface that is there and fit, with its MAC and MTU', () => {
  const on10: Network = { ...network, interface: 'em0.10', dns: ['192.168.118.1'] };
  const vlan = { name: 'em0.10', mac: em0.mac, mtu: 1400, addresses: [], vlan: { parent: 'em0', id: 10 } };
  const of = (interfaces: HostFacts['interfaces'], named = on10): string[] =>
    outerProblems(named, fabric, { ...facts, interfaces }).map(({ code, message }) => `${code}: ${message}`);
  assert.deepEqual(of([vlan]), []);
  assert.deepEqual(links({ ...fabric, name: 'demo', networks: [on10] }, 'host', { ...facts, interfaces: [vlan] }, [], new Map()), [
    { kind: 'bridge', name: 'br-external', alias: 'weft:demo:bridge:external', mac: em0.mac, mtu: 1400, nfCall: true },
    { kind: 'vlan', name: 'em0.10', alias: 'weft:demo:vlan:em0.10', parent: 'em0', id: 10, mtu: 1400 },
  ]);
  assert.match(of([])[0] ?? '', /^interface-missing: .*no interface em0 to make that VLAN of; bring em0 up/);
  assert.match(of([], { ...on10, interface: 'em0.4095' })[0] ?? '', /^interface-missing: .*numbered from 1 to 4094/);
  assert.match(of([{ ...vlan, unfit: 'no-vlans' }])[0] ?? '', /^feature-missing: .*no 8021q.*such as em0,/);
  assert.match(
    of([{ ...vlan, unfit: 'down' }])[0] ?? '',
    /^interface-unfit: The interface em0 of the network `external` is down; .*`ip link set em0 up`/,
  );
  assert.match(of([{ ...vlan, unfit: 'wireless' }])[0] ?? '', /cannot be bridged to em0,/);
});
