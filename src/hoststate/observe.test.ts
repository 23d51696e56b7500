/** The readers of iproute2's JSON, on output recorded with iproute2 6.1 (observe.fixture.json): a bridge, a TAP and a veth of Weft's. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { ownRoutes, readAddresses, readFdb, readNeighbors, readRoutes } from './observe-addresses.ts';
import { enslavedLinks, isOwnLink, ownLinks, readLinks, standIns, strangersOn } from './observe-links.ts';
import { isRecord } from './nft-json.ts';

const recorded: unknown = JSON.parse(readFileSync(new URL('observe.fixture.json', import.meta.url), 'utf8'));
assert(isRecord(recorded));
const own = (name: string): boolean => name === 'br-int' || name === 'w-a' || name === 'w-b';

test('links are known by their alias, with what is wrong with them', () => {
  const links = readLinks(recorded['links']);
  assert.deepEqual(
    links.map((link) => [link.name, isOwnLink(link)]),
    [
      ['lo', false],
      ['br-int', true],
      ['w-a', true],
      ['w-b', true],
    ],
  );
  assert.deepEqual(ownLinks(links), [
    { kind: 'bridge', name: 'br-int', alias: 'weft:demo:bridge:internal', mac: '02:00:00:00:00:01', mtu: 1400 },
    { kind: 'tap', name: 'w-a', alias: 'weft:demo:port:a', bridge: 'br-int', mtu: 1400, owner: 'nobody', deviations: ['down'] },
    {
      kind: 'veth',
      name: 'w-b',
      alias: 'weft:demo:port:b',
      bridge: 'br-int',
      mtu: 1500,
      shared: true,
      deviations: ['learning', 'flooded'],
    },
  ]);
  assert.equal(links[2]?.group, '22359');
});

test('addresses with their scope', () => {
  assert.deepEqual(
    readAddresses(recorded['addresses']).map(({ link, address, scope }) => `${link} ${address} ${scope}`),
    ['lo 127.0.0.1/8 host', 'lo ::1/128 host', 'br-int 10.0.105.254/24 global', 'br-int fd00:105::1/64 global', 'br-int fe80::1/64 link'],
  );
});

test("routes: Weft's own by protocol, host routes in full length, default routes by family", () => {
  const routes = [...readRoutes(recorded['routes4']), ...readRoutes(recorded['routes6'])];
  assert.deepEqual(ownRoutes(routes), [
    { prefix: '10.3.0.0/24', link: 'br-int', via: '10.0.105.5' },
    { prefix: 'fd00:106::/64', link: 'br-int' },
  ]);
  assert(routes.some((route) => route.prefix === '127.0.0.1/32' && route.type === 'local' && route.table === 'local'));
  assert(routes.some((route) => route.prefix === '::1/128'));
  const defaults = readRoutes([
    { dst: 'default', gateway: '192.0.2.1', dev: 'eth0', protocol: 'dhcp', metric: 100, flags: [] },
    { dst: 'default', gateway: 'fe80::1', dev: 'eth0', protocol: 'ra', metric: 1024, flags: [], pref: 'medium' },
    { dst: 'default', via: { family: 'inet6', host: 'fe80::2' }, dev: 'eth1', flags: [] },
    { type: 'unreachable', dst: 'default', metric: 4278198272, protocol: 'static', flags: [], pref: 'medium' },
    {
      dst: '10.0.0.0/8',
      nexthops: [
        { gateway: '10.1.1.1', dev: 'a' },
        { gateway: '10.1.1.2', dev: 'b' },
      ],
    },
  ]);
  assert.deepEqual(
    defaults.map(({ prefix, link, via, metric, type }) => [prefix, link, via, metric, type]),
    [
      ['0.0.0.0/0', 'eth0', '192.0.2.1', 100, 'unicast'],
      ['::/0', 'eth0', 'fe80::1', undefined, 'unicast'],
      ['::/0', 'eth1', 'fe80::2', undefined, 'unicast'],
      ['::/0', undefined, undefined, 4278198272, 'unreachable'],
      ['10.0.0.0/8', 'a', '10.1.1.1', undefined, 'unicast'],
      ['10.0.0.0/8', 'b', '10.1.1.2', undefined, 'unicast'],
    ],
  );
});

test('permanent neighbours and static forwarding entries, of own links only', () => {
  assert.deepEqual(readNeighbors(recorded['neighbors'], own), [
    { link: 'br-int', address: '10.0.105.20', mac: '02:00:00:00:00:20' },
    { link: 'br-int', address: 'fd00:105::20', mac: '02:00:00:00:00:20' },
  ]);
  assert.deepEqual(
    readNeighbors(recorded['neighbors'], () => false),
    [],
  );
  const macs = new Map(readLinks(recorded['links']).map(({ name, mac }) => [name, mac]));
  const macOf = (name: string): string | undefined => (own(name) ? macs.get(name) : undefined);
  assert.deepEqual(readFdb(recorded['fdb'], macOf), [{ port: 'w-a', mac: '02:00:00:00:00:20' }]);
  const published = [{ mac: '02:00:00:00:00:21', ifname: 'w-a', master: 'br-int', state: 'permanent', flags: [] }];
  assert.deepEqual(readFdb(published, macOf), [{ port: 'w-a', mac: '02:00:00:00:00:21', local: true }]);
  assert.deepEqual(
    readFdb(recorded['fdb'], () => undefined),
    [],
  );
});

test('what is no output of ip gives nothing', () => {
  for (const rubbish of [undefined, null, 3, {}, [null], [{}], [{ ifname: 3, addr_info: [{}], linkinfo: 'x' }]]) {
    assert.deepEqual(readLinks(rubbish), []);
    assert.deepEqual(readAddresses(rubbish), []);
    assert.deepEqual(readRoutes(rubbish), []);
    assert.deepEqual(readNeighbors(rubbish, own), []);
    assert.deepEqual(
      readFdb(rubbish, () => undefined),
      [],
    );
  }
});

test('VLANs: those of Weft stand for an interface of the host on their bridge, those of others are left alone', () => {
  // As iproute2 6.1 prints them (iplink_vlan.c).
  const vlan = (name: string, id: number, more: object): object => ({
    ifindex: id,
    link: 'em0',
    ifname: name,
    flags: ['BROADCAST', 'MULTICAST', 'UP', 'LOWER_UP'],
    mtu: 1400,
    master: 'br-cell',
    group: '22359',
    link_type: 'ether',
    address: '02:00:00:00:00:09',
    linkinfo: {
      info_kind: 'vlan',
      info_data: { protocol: '802.1Q', id, flags: ['REORDER_HDR'] },
      info_slave_kind: 'bridge',
      info_slave_data: { state: 'forwarding', isolated: false },
    },
    ...more,
  });
  const bridge = { ifindex: 2, ifname: 'br-cell', ifalias: 'weft:demo:bridge:cell', mtu: 1400, linkinfo: { info_kind: 'bridge' } };
  const ifalias = 'weft:demo:vlan:em0.10';
  const links = readLinks([
    bridge,
    vlan('em0.10', 10, { ifalias }),
    vlan('em0.11', 11, {}),
    vlan('em0.12', 12, { ifalias: 'weft:demo:vlan:em0.12', flags: ['BROADCAST'], group: '22360' }),
  ]);
  assert.deepEqual(ownLinks(links).slice(1), [
    { kind: 'vlan', name: 'em0.10', alias: ifalias, parent: 'em0', id: 10, mtu: 1400 },
    {
      kind: 'vlan',
      name: 'em0.12',
      alias: 'weft:demo:vlan:em0.12',
      parent: 'em0',
      id: 12,
      mtu: 1400,
      deviations: ['down', 'about to be deleted'],
    },
  ]);
  assert.deepEqual(
    enslavedLinks(links).map((entry) => entry.interface),
    ['em0.10', 'em0.11', 'em0.12'],
  );
});

test('what somebody has put on a bridge is told from the interface whose place the bridge has', () => {
  const link = (ifname: string, address: string, more: object): object => ({ ifname, address, link_type: 'ether', mtu: 1500, ...more });
  const bridge = (name: string, address: string, nfCall: 0 | 1): object =>
    link(name, address, {
      ifalias: `weft:demo:bridge:${name}`,
      linkinfo: { info_kind: 'bridge', info_data: { nf_call_iptables: nfCall, nf_call_ip6tables: nfCall } },
    });
  const nat = (): object => bridge('br-nat', '02:00:00:00:00:01', 0);
  const on =
    (master: string) =>
    (name: string, address: string): object =>
      link(name, address, { master });
  const [onNat, onLan] = [on('br-nat'), on('br-lan')];
  const state = (bridges: readonly string[], ...enslaved: readonly string[]): Parameters<typeof strangersOn>[1][number] => ({
    links: bridges.map((name) => ({ kind: 'bridge', name, alias: '', mac: '', mtu: 1500 })),
    enslaved: enslaved.map((name) => ({ interface: name, bridge: 'br-lan' })),
  });
  const applied = [state(['br-nat', 'br-lan'], 'eth0')];
  const lan = '02:00:00:00:00:0e';
  const cases: readonly (readonly [what: string, links: readonly object[], states: typeof applied, strangers: readonly string[]])[] = [
    ['on a NAT network', [nat(), onNat('eth1', '02:00:00:00:00:11')], applied, ['eth1']],
    ['on a NAT network, without a record', [nat(), onNat('eth1', '02:00:00:00:00:11')], [], ['eth1']],
    ['on a NAT network that frames of pass iptables', [bridge('br-nat', '02:00:00:00:00:01', 1), onNat('eth1', lan)], applied, ['eth1']],
    ['the own interface', [bridge('br-lan', lan, 1), onLan('eth0', lan)], applied, []],
    ['the own interface, everything changed', [bridge('br-lan', '02:00:00:00:00:ff', 0), onLan('eth0', lan)], applied, []],
    ['the own interface, without a record', [bridge('br-lan', lan, 0), onLan('eth0', lan)], [], []],
    ['the own interface by another name', [bridge('br-lan', lan, 1), onLan('enp1s0', lan)], applied, []],
    ['a second one', [bridge('br-lan', lan, 1), onLan('eth0', lan), onLan('eth1', '02:00:00:00:00:11')], applied, ['eth1']],
    ['a second one, without a record', [bridge('br-lan', lan, 1), onLan('eth0', lan), onLan('eth1', '02:00:00:00:00:11')], [], ['eth1']],
    ['the interface on the wrong bridge', [nat(), bridge('br-lan', lan, 1), onNat('eth0', lan)], applied, ['eth0']],
  ];
  for (const [what, json, states, strangers] of cases) {
    const links = readLinks(json);
    assert.deepEqual(
      strangersOn(links, states).map((entry) => entry.interface),
      strangers,
      what,
    );
  }
  const both = readLinks([nat(), bridge('br-lan', lan, 1), onNat('eth1', '02:00:00:00:00:11'), onLan('eth0', lan)]);
  assert.deepEqual([...standIns(both)], [['br-lan', 'eth0']]);
});
