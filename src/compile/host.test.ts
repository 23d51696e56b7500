import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { everything, smallFabric, smallFacts, type Small } from '../../test/policy/small-fabric.ts';
import type { HostFacts, HostState } from '../hoststate/model.ts';
import { planChanges } from '../plan/plan.ts';
import { compileHost, type CompileOptions } from './host.ts';

const compile = (small: Small, facts: Partial<HostFacts> = {}, options: CompileOptions = {}): HostState =>
  compileHost(smallFabric(small), 'host', { ...smallFacts, ...facts }, { services: () => [], ...options });

const box: Small = {
  networks: { a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64' }, b: { v4: '10.2.0.0/24', v6: 'fd00:2::/64' } },
  guests: { box: { kind: 'container', networks: ['a', 'b'] }, jail: { networks: ['a'], inside: 'box' } },
};

describe('a container', () => {
  it('has addresses in the policy and the neighbours, but no link, before it is attached', () => {
    const state = compile(box);
    assert.deepEqual(
      state.links.map((link) => link.name),
      ['br-a', 'br-b'],
    );
    assert.deepEqual(state.guests, []);
    assert.deepEqual(state.fdb, []);
    assert.ok(state.neighbors.some(({ address }) => address === '10.1.0.10'));
    assert.deepEqual(
      state.tables.map((table) => table.family),
      ['inet'],
    );
  });

  it('gets its links, chains and inside when it is', () => {
    const state = compile(box, {}, { attachments: new Map([['box', '/proc/7/ns/net']]) });
    assert.deepEqual(
      state.links.map((link) => `${link.kind} ${link.name}`),
      ['bridge br-a', 'bridge br-b', 'veth w-box', 'veth w-box_1'],
    );
    const [side] = state.guests;
    assert.deepEqual(side?.netns, { kind: 'attached', path: '/proc/7/ns/net' });
    assert.equal(side?.resolvConf, undefined);
    // The first carries the default routes, the second reaches its own subnets: on-link in IPv4, by the host in IPv6.
    assert.deepEqual(
      side?.interfaces.map(({ name, addresses, routes }) => ({ name, addresses, routes })),
      [
        {
          name: 'eth0',
          addresses: ['10.1.0.10/24', 'fd00:1::a/128'],
          routes: [
            { prefix: '0.0.0.0/0', via: '10.1.0.1' },
            { prefix: '::/0', via: 'fe80::1' },
          ],
        },
        { name: 'eth1', addresses: ['10.2.0.10/24', 'fd00:2::a/128'], routes: [{ prefix: 'fd00:2::/64', via: 'fe80::1' }] },
      ],
    );
  });
});

it('leads to a guest inside another by that one', () => {
  const state = compile(box);
  const jail = state.neighbors.find(({ address }) => address === '10.1.0.11');
  assert.equal(jail?.mac, '02:00:00:00:01:00');
  assert.equal(state.neighbors.filter(({ address }) => address.startsWith('fe80:')).length, 2);
});

it('gives a namespace its resolver: search domains of network and fabric, the gateways', () => {
  const state = compile({ networks: { a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64' } }, guests: { web: { networks: ['a'] } } });
  assert.equal(state.guests[0]?.resolvConf, 'search a.weft.internal weft.internal\nnameserver 10.1.0.1\nnameserver fd00:1::1\n');
});

it('makes the namespace of a guest without any network', () => {
  const state = compile({ networks: {}, guests: { alone: { networks: [] } } });
  assert.deepEqual(
    state.guests.map(({ guest, interfaces }) => ({ guest, interfaces })),
    [{ guest: 'alone', interfaces: [] }],
  );
  assert.deepEqual([state.links, state.tables, state.sysctls], [[], [], []]);
});

it('takes the smaller of Ethernet and the uplink as MTU', () => {
  const uplink = { name: 'up0', mac: '02:00:00:00:aa:01', gateways: [], mtu: 1400, addresses: [], v6: false };
  for (const link of compile(everything, { uplink }).links) assert.equal(link.mtu, 1400);
  assert.equal(compile(everything, { uplink: { ...uplink, mtu: 9000, mac: '02:00:00:00:aa:01', gateways: [] } }).links[0]?.mtu, 1500);
});

describe('forwarding', () => {
  const small: Small = { networks: { a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64' } }, guests: {} };
  const ofHost = (facts: Partial<HostFacts>, of: Small = small): string[] =>
    compile(of, facts).sysctls.flatMap(({ key, value, link }) => (link === undefined ? [`${key}=${value}`] : []));
  const v4 = ['net/ipv4/conf/all/accept_redirects=0', 'net/ipv4/ip_forward=1'];

  it('goes by interface where the kernel can', () => {
    assert.deepEqual(ofHost({}), [...v4, 'net/ipv6/conf/up0/force_forwarding=1']);
    const routes = [
      { prefix: '2001:db8:7::/64', link: 'lan0' },
      { prefix: '2001:db8:99::/64', link: 'up0' },
      { prefix: '192.168.7.0/24', link: 'lan1' },
    ];
    assert.deepEqual(ofHost({ routes }), [...v4, 'net/ipv6/conf/up0/force_forwarding=1', 'net/ipv6/conf/lan0/force_forwarding=1']);
  });
  it('else keeps the router advertisements of those that take them, before it comes on', () => {
    assert.deepEqual(ofHost({ features: { forceForwarding: false, bridgeNetfilter: false }, acceptRa: ['up0', 'eth1'] }), [
      ...v4,
      'net/ipv6/conf/eth1/accept_ra=2',
      'net/ipv6/conf/up0/accept_ra=2',
      'net/ipv6/conf/all/forwarding=1',
    ]);
  });
  it('is kept on where it was', () => {
    assert.deepEqual(ofHost({ forwarding: { v4: true, v6: true } }), ['net/ipv4/ip_forward=1', 'net/ipv6/conf/all/forwarding=1']);
  });
  it('is of the families there are', () => {
    assert.deepEqual(ofHost({}, { networks: { a: { v4: '10.1.0.0/24' } }, guests: {} }), v4);
  });
  it('comes after everything on the bridges, whose settings vanish with them', () => {
    const { sysctls } = compile(small);
    assert.ok(sysctls.findIndex(({ link }) => link === undefined) > sysctls.findIndex(({ key }) => key.endsWith('/proxy_delay')));
    assert.ok(sysctls.every(({ key, link }) => link === undefined || key.includes(`/${link}/`)));
  });
});

describe('the log', () => {
  const rule = { from: 'web', to: 'db', ports: 'tcp/80' };
  const small = (log: boolean, logDropped: boolean): Small => ({
    networks: { a: { v4: '10.1.0.0/24' } },
    guests: { web: { networks: ['a'] }, db: { networks: ['a'], logDropped } },
    allow: [{ ...rule, log }],
  });
  it('is recorded only when something is logged', () => {
    const recorders = (log: boolean, logDropped: boolean): number => compile(small(log, logDropped)).services.length;
    assert.deepEqual([recorders(false, false), recorders(true, false), recorders(false, true)], [0, 1, 1]);
  });
  it('names the rule', () => {
    const text = JSON.stringify(compile(small(true, true)).tables);
    assert.match(text, /"weft a allow0"/);
    assert.match(text, /"weft d -"/);
  });
});

describe('one guest more of known content', () => {
  const guests = (n: number): Small => ({
    networks: { a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64' } },
    guests: Object.fromEntries(Array.from({ length: n }, (_, i) => [`g${i}`, { networks: ['a'] }])),
    allow: [
      { from: 'internet', to: '10.1.0.0/24', ports: 'tcp/80,443' },
      ...Array.from({ length: n - 1 }, (_, i) => ({ from: `g${i}`, to: `g${i + 1}`, ports: 'tcp/5432' })),
    ],
  });

  it('is a chain for its port and elements, however many there are', () => {
    const counts = [10, 100].map((n) => {
      const { changes } = planChanges(compile(guests(n)), compile(guests(n + 1)));
      assert.deepEqual(
        changes.filter(({ kind }) => kind === 'chain' || kind === 'set').map(({ action, name }) => `${action} ${name}`),
        [`create netdev weft p_w-g${n}`],
      );
      return changes.filter(({ kind }) => kind === 'element').length;
    });
    assert.equal(counts[0], counts[1]);
    assert.ok((counts[0] ?? 0) <= 20, String(counts[0]));
  });
});
