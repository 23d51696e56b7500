/** What can stand before the network is up, and what without an interface that has gone. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { HostState, Sysctl } from '../hoststate/model.ts';
import { earlyPart, foreignLinks, presentPart, withOthersVlans } from './attainable.ts';
import { emptyState } from './plan.ts';

const setting = (key: string, link?: string): Sysctl => ({ key, value: '1', ...(link === undefined ? {} : { link }) });
const own = setting('net/ipv4/conf/br-a/proxy_arp_pvlan', 'br-a');
const ofHost = [setting('net/ipv4/ip_forward'), setting('net/ipv6/conf/all/forwarding'), setting('net/bridge/bridge-nf-call-iptables')];
const ofUplink = setting('net/ipv6/conf/eth0.10/force_forwarding');
const ofOther = setting('net/ipv6/conf/wan/accept_ra');
const state: HostState = { ...emptyState('demo', 'host'), sysctls: [own, ...ofHost, ofUplink, ofOther] };

test('early: nothing on interfaces of others, whether they are there or not', () => {
  assert.deepEqual(earlyPart(state).sysctls, [own, ...ofHost]);
});

test('present: all but what is on interfaces that are not there', () => {
  assert.deepEqual(presentPart(state, new Set(['lo', 'eth0.10'])).sysctls, [own, ...ofHost, ofUplink]);
  assert.deepEqual(presentPart(state, new Set(['wan', 'eth0.10'])), state);
});

test('foreign links are told by name', () => {
  assert.deepEqual(foreignLinks(state), ['eth0.10', 'wan']);
});

test('a VLAN that Weft makes stands on its parent, and is not made where somebody else has', () => {
  const vlan = { kind: 'vlan', name: 'em0.10', alias: 'weft:demo:vlan:em0.10', parent: 'em0', id: 10, mtu: 1500 } as const;
  const enslaved = [
    { interface: 'em0.10', bridge: 'br-a' },
    { interface: 'em1', bridge: 'br-b' },
  ];
  const with10: HostState = { ...emptyState('demo', 'host'), links: [vlan], enslaved };
  assert.deepEqual([earlyPart(with10).links, earlyPart(with10).enslaved], [[], []]);
  assert.deepEqual(foreignLinks(with10), ['em0', 'em1']);
  assert.deepEqual(presentPart(with10, new Set(['em0', 'em1'])), with10);
  const without = presentPart(with10, new Set(['em1']));
  assert.deepEqual([without.links, without.enslaved], [[], [enslaved[1]]]);
  const others = withOthersVlans(with10, new Set(['em0.10']));
  assert.deepEqual([others.links, others.enslaved, foreignLinks(others)], [[], enslaved, ['em0.10', 'em1']]);
});

test('answers for guests stand on the uplink', () => {
  const proxies = [
    { link: 'eth0', address: '203.0.113.50' },
    { link: 'wan', address: '2001:db8::50' },
  ];
  const answering: HostState = { ...emptyState('demo', 'host'), proxies };
  assert.deepEqual(earlyPart(answering).proxies, []);
  assert.deepEqual(foreignLinks(answering), ['eth0', 'wan']);
  assert.deepEqual(presentPart(answering, new Set(['wan'])).proxies, [proxies[1]]);
});
