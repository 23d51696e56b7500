/** Differences in words, as planChanges finds them. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { HostState, Link } from '../hoststate/model.ts';
import type { NftRule } from '../hoststate/nft.ts';
import { emptyState, planChanges } from './plan.ts';
import { inWords } from './words.ts';

const accept: NftRule = { statements: [{ accept: null }] };
const drop: NftRule = { statements: [{ drop: null }], comment: 'weft:1' };
const wanted: HostState = {
  ...emptyState('demo', 'host'),
  links: [
    { kind: 'bridge', name: 'br-a', alias: 'weft:demo:bridge:a', mac: '02:00:00:00:00:0a', mtu: 1500 },
    { kind: 'tap', name: 'w-vm', alias: 'weft:demo:port:vm.a', bridge: 'br-a', mtu: 1500, owner: 'alice' },
  ],
  sysctls: [{ key: 'net/ipv4/ip_forward', value: '1' }],
  tables: [
    {
      family: 'inet',
      name: 'weft',
      sets: [{ name: 's', key: { types: ['ipv4_addr'] }, flags: [], elements: ['10.0.0.1'] }],
      maps: [
        { name: 'm', key: { types: ['ipv4_addr', 'inet_service'] }, flags: [], elements: [[{ concat: ['10.0.0.1', 80] }, { drop: null }]] },
      ],
      chains: [{ name: 'forward', rules: [accept, drop] }],
    },
  ],
  services: [{ kind: 'dnsmasq', name: 'dnsmasq-a', network: 'a', config: 'x', files: {}, names: 'n' }],
};

const words = (there: Partial<HostState>): string[] => planChanges({ ...wanted, ...there }, wanted).changes.map(inWords);
const withLinks = (edit: (link: Link) => Link): string[] => words({ links: wanted.links.map(edit) });
const withRules = (rules: readonly NftRule[]): string[] =>
  words({ tables: wanted.tables.map((table) => ({ ...table, chains: table.chains.map((chain) => ({ ...chain, rules })) })) });

test('links', () => {
  assert.deepEqual(
    withLinks((link) => (link.kind === 'bridge' ? { ...link, mac: '02:00:00:00:00:ff', mtu: 1400, deviations: ['down', 'stp'] } : link)),
    [
      'bridge br-a has the MAC 02:00:00:00:00:ff instead of 02:00:00:00:00:0a, and has an MTU of 1400 instead of 1500, and is down, and runs STP',
    ],
  );
  assert.deepEqual(
    withLinks((link) => (link.kind === 'bridge' ? link : { ...link, bridge: 'docker0', owner: 'bob', deviations: ['learning'] })),
    ['port w-vm is on docker0 instead of br-a, and belongs to bob instead of alice, and learns MACs from frames'],
  );
});

test('interfaces on bridges', () => {
  const entry = { interface: 'eth0', bridge: 'br-a' };
  assert.deepEqual(planChanges(wanted, { ...wanted, enslaved: [entry] }).changes.map(inWords), [
    'interface eth0 is not on bridge br-a: from there neither guests nor this host reach the network behind it',
  ]);
  assert.deepEqual(words({ enslaved: [entry] }), ['interface eth0 was put on bridge br-a']);
  assert.deepEqual(
    withLinks((link) => (link.kind === 'bridge' ? { ...link, strangers: ['eth1', 'eth2'] } : link)),
    ['bridge br-a has eth1 and eth2 on it, which somebody else has put there'],
  );
});

test('forwarding entries and proxies', () => {
  const entry = { port: 'w-vm', mac: '02:00:00:00:00:01' };
  assert.deepEqual(planChanges({ ...wanted, fdb: [entry] }, { ...wanted, fdb: [{ ...entry, local: true }] }).changes.map(inWords), [
    'frames of guests for MAC 02:00:00:00:00:01 go to w-vm instead of this host',
  ]);
  const proxies = [{ link: 'eth0', address: '203.0.113.7' }];
  assert.deepEqual(planChanges(wanted, { ...wanted, proxies }).changes.map(inWords), [
    'this host does not answer on eth0 for 203.0.113.7 (neighbour proxy)',
  ]);
  assert.deepEqual(words({ proxies }), ['this host answers on eth0 for 203.0.113.7 (neighbour proxy), which was added']);
});

test('rules', () => {
  assert.deepEqual(withRules([]), ['chain forward of inet weft is empty: its 2 rules are gone']);
  assert.deepEqual(withRules([drop, accept]), ['chain forward of inet weft has its rules in another order']);
  assert.deepEqual(withRules([accept, accept]), [
    'chain forward of inet weft lacks the rule `drop comment "weft:1"`, and has the rule `accept` more',
  ]);
  assert.deepEqual(withRules([accept, drop, { statements: [{ unknown: 'xt' }] }]), [
    'chain forward of inet weft has the rule `(a rule Weft has no words for)` more',
  ]);
});

test('elements', () => {
  const [table] = wanted.tables;
  assert.ok(table);
  const [set, map] = [table.sets[0], table.maps[0]];
  assert.ok(set && map);
  const there = {
    ...table,
    sets: [{ ...set, elements: ['10.0.0.2'] }],
    maps: [{ ...map, elements: [[{ concat: ['10.0.0.1', 80] }, { jump: { target: 'x' } }]] as const }],
  };
  assert.deepEqual(words({ tables: [there] }).toSorted(), [
    'set m of inet weft has 10.0.0.1 . 80 : jump x instead of 10.0.0.1 . 80 : drop',
    'set s of inet weft has 10.0.0.2, which was added',
    'set s of inet weft lacks 10.0.0.1',
  ]);
});

test('settings and services', () => {
  assert.deepEqual(words({ sysctls: [{ key: 'net/ipv4/ip_forward', value: '0' }], services: [] }), [
    'setting net.ipv4.ip_forward is 0 instead of 1',
    'dnsmasq-a does not run',
  ]);
  const [service] = wanted.services;
  assert.ok(service?.kind === 'dnsmasq');
  assert.deepEqual(words({ services: [{ ...service, config: 'y', names: '' }] }), [
    'dnsmasq-a does not run with the configuration and the names that were applied',
  ]);
});
