/** The events that matter, in the words of ip-monitor(8) and nft(8) as they were seen. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { emptyState } from '../plan/plan.ts';
import { concernsOf, concernsRules } from './watched.ts';

const concerns = concernsOf({
  ...emptyState('demo', 'host'),
  links: [
    { kind: 'bridge', name: 'br-internal', alias: '', mac: '', mtu: 1500 },
    { kind: 'tap', name: 'w-web', alias: '', bridge: 'br-internal', mtu: 1500 },
  ],
  neighbors: [{ link: 'br-internal', address: '10.0.105.10', mac: '02:00:00:00:00:01' }],
  fdb: [{ port: 'w-web', mac: '02:00:00:00:00:01' }],
  sysctls: [{ key: 'net/ipv6/conf/eth0/force_forwarding', value: '1' }],
});

for (const [line, matters] of [
  ['[LINK]3: w-web: <BROADCAST,MULTICAST> mtu 1500 master br-internal state DOWN \\    link/ether 52:f8', true],
  ['[LINK]Deleted 3: w-web@if2: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default', true],
  ['[LINK]2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500', true],
  ['[LINK]7: eth1@far1: <BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue master br-internal state UP group default', true],
  ['[LINK]9: docker0: <BROADCAST,MULTICAST,UP> mtu 1500', false],
  ['[ADDR]Deleted 2: br-internal    inet 10.0.105.254/24 scope global br-internal\\       valid_lft forever', true],
  ['[ADDR]2: eth0    inet 203.0.113.10/24 scope global dynamic eth0\\       valid_lft 3600sec', false],
  ['[ROUTE]Deleted 10.0.105.0/24 dev br-internal proto kernel scope link src 10.0.105.254 linkdown ', true],
  ['[ROUTE]192.0.2.0/24 via 203.0.113.1 dev eth0 proto 87 ', true],
  ['[ROUTE]default via 203.0.113.1 dev eth0 proto dhcp metric 100 ', false],
  ['[NEIGH]10.0.105.10 dev br-internal lladdr 02:66:00:00:00:01 REACHABLE ', true],
  ['[NEIGH]Deleted 10.0.105.10 dev br-internal lladdr 02:00:00:00:00:01 PERMANENT ', true],
  ['[NEIGH]10.0.105.77 dev br-internal lladdr 02:66:00:00:00:01 PERMANENT ', true],
  ['[NEIGH]10.0.105.77 dev br-internal  FAILED ', false],
  ['[NEIGH]203.0.113.1 dev eth0 lladdr 02:66:00:00:00:01 PERMANENT ', false],
  ['[NEIGH]Deleted dev w-web lladdr 02:00:00:00:00:01 NOARP ', true],
  ['[NEIGH]dev w-web lladdr 02:00:00:00:00:01 REACHABLE ', true],
  ['', false],
] as const) {
  test(`${matters ? 'matters' : 'does not'}: ${line}`, () => assert.equal(concerns(line), matters));
}

test('of an uplink that Weft sets up, addresses and default routes, whoever has set them', () => {
  const ofUplink = concernsOf(emptyState('demo', 'host'), 'eth0');
  for (const line of [
    '[ADDR]Deleted 2: eth0    inet 203.0.113.10/24 scope global eth0\\       valid_lft forever',
    '[ROUTE]Deleted default via 203.0.113.1 dev eth0 onlink ',
  ])
    assert.deepEqual([ofUplink(line), concerns(line)], [true, false], line);
  assert.equal(ofUplink('[ROUTE]192.0.2.0/24 via 203.0.113.1 dev eth0 '), false);
});

test('of rules, only Weft’s own tables', () => {
  const change = (...lines: string[]): Parameters<typeof concernsRules>[0] => ({ generation: 7, by: { process: 'nft', pid: 9 }, lines });
  assert.equal(concernsRules(change('add table ip filter', 'delete rule inet weft forward handle 12')), true);
  assert.equal(concernsRules(change('add rule inet filter forward comment "weft"')), false);
  assert.equal(concernsRules(change('delete table netdev weft')), true);
  assert.equal(concernsRules(change('add element inet weft n_1a2b3c4d4 { 198.51.100.7 timeout 1m expires 1m }')), false);
});
