import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { everything, smallFabric, smallFacts, type Small } from '../../../test/policy/small-fabric.ts';
import { assumedFacts } from '../../compile/assumed-facts.ts';
import { compileHost } from '../../compile/host.ts';
import type { HostFacts } from '../../hoststate/model.ts';
import type { KernelModel } from '../kernel-model.ts';
import { modelOf } from './model-of.ts';
import { modelOfCapture } from './read-capture.ts';
import { readRules } from './read-rules.ts';

const model = (small: Small, facts: Partial<HostFacts> = {}): KernelModel => {
  const all = { ...smallFacts, ...facts };
  return modelOf(compileHost(smallFabric(small), 'host', all, { services: () => [] }), all);
};

describe('the model of a desired state', () => {
  it('knows who is behind which port', () => {
    const { stations } = model(everything);
    const web = stations.find(({ port }) => port === 'w-web');
    assert.deepEqual(web?.addresses.slice(0, 2), ['10.1.0.10', '10.1.0.12']);
    // A container that is not attached is behind no port.
    assert.ok(!stations.some(({ addresses }) => addresses.includes('10.1.0.13')));
  });

  it('has the routes that addresses imply, and the default routes', () => {
    const { routes } = model({ networks: { a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64' } }, guests: {} });
    const words = routes.map(({ table, type, prefix, link }) => `${table} ${type} ${prefix} ${link ?? ''}`);
    for (const expected of [
      'main unicast 0.0.0.0/0 up0',
      'main unicast ::/0 up0',
      'main unicast 10.1.0.0/24 br-a',
      'local local 10.1.0.1/32 br-a',
      'local broadcast 10.1.0.255/32 br-a',
      'local anycast fd00:1::/128 br-a',
      'local local fe80::1/128 br-a',
      'local local 203.0.113.11/32 up0',
      'main unicast 203.0.113.0/24 up0',
      'local local 127.0.0.0/8 lo',
    ])
      assert.ok(words.includes(expected), expected);
    assert.equal(new Set(words).size, words.length);
  });

  it('has addresses and routes of other interfaces from the facts', () => {
    const routes = [
      { prefix: '192.168.7.0/24', link: 'eth1' },
      { prefix: '192.168.7.9/32', link: 'eth1', local: true as const },
      { prefix: '203.0.113.0/24', link: 'up0' },
      { prefix: '203.0.113.10/32', link: 'up0', local: true as const },
    ];
    const { interfaces, routes: found } = model({ networks: {}, guests: {} }, { routes });
    assert.deepEqual(interfaces.find(({ name }) => name === 'eth1')?.addresses, ['192.168.7.9/32']);
    assert.equal(found.filter(({ prefix }) => prefix === '203.0.113.0/24').length, 1);
    assert.ok(found.some(({ prefix, type, link }) => prefix === '192.168.7.9/32' && type === 'local' && link === 'eth1'));
  });

  it('forwards where Weft makes the host forward', () => {
    const { sysctls } = model({ networks: { a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64' } }, guests: {} });
    assert.equal(sysctls['net/ipv4/conf/up0/forwarding'], '1');
    assert.equal(sysctls['net/ipv6/conf/up0/forwarding'], '0');
    assert.equal(sysctls['net/ipv6/conf/up0/force_forwarding'], '1');
    assert.equal(sysctls['net/ipv6/conf/br-a/forwarding'], '1');
  });
});

it('reads rules, and names what is not understood', () => {
  const rules = readRules(
    [
      { priority: 32766, src: 'all', table: 'main' },
      { priority: 5, not: null, src: '10.0.0.0', srclen: 8, dst: '10.2.0.1', fwmark: '0x1', fwmask: '0xff', iif: 'v0', table: '100' },
      { priority: 6, src: 'all', uid_start: 0, uid_end: 100, ipproto: 'tcp', table: '1000', suppress_prefixlen: 0 },
      { priority: 7, src: '1.2.3.4', action: 'prohibit' },
      { priority: 8, src: 'all', goto: 32766 },
      { priority: 9, src: 'all', goto: 500, unresolved: null },
    ],
    4,
  );
  assert.deepEqual(rules, [
    {
      family: 4,
      preference: 5,
      not: true,
      from: '10.0.0.0/8',
      to: '10.2.0.1/32',
      iif: 'v0',
      mark: { value: 1, mask: 255 },
      action: { table: '100' },
    },
    { family: 4, preference: 6, unknown: 'uid_start, uid_end, ipproto', action: { table: '1000', suppressPrefixLength: 0 } },
    { family: 4, preference: 7, from: '1.2.3.4/32', action: { answer: 'prohibit' } },
    { family: 4, preference: 8, action: { goto: 32766 } },
    { family: 4, preference: 9, action: { nop: true } },
    { family: 4, preference: 32766, action: { table: 'main' } },
  ]);
});

describe('the model of a captured document', () => {
  const document = {
    version: 1,
    host: 'box',
    links: [
      { ifindex: 1, ifname: 'lo', flags: ['UP'], link_type: 'loopback', address: '00:00:00:00:00:00' },
      { ifname: 'docker0', flags: ['UP'], link_type: 'ether', address: '02:42:00:00:00:01', linkinfo: { info_kind: 'bridge' } },
      { ifname: 'veth1', flags: ['UP'], link_type: 'ether', master: 'docker0', linkinfo: { info_kind: 'veth' } },
      { ifname: 'eth0', flags: [], link_type: 'ether', address: '52:54:00:00:00:01' },
    ],
    addresses: [{ ifname: 'docker0', addr_info: [{ local: '172.17.0.1', prefixlen: 16, scope: 'global' }] }],
    routes4: [
      { dst: 'default', gateway: '192.0.2.1', dev: 'eth0', flags: [] },
      { type: 'local', dst: '172.17.0.1', dev: 'docker0', table: 'local', protocol: 'kernel', prefsrc: '172.17.0.1' },
    ],
    neighbors: [
      { dst: '172.17.0.2', dev: 'docker0', lladdr: '02:42:ac:11:00:02', state: ['REACHABLE'] },
      { dst: '192.0.2.1', dev: 'eth0', lladdr: '52:54:00:00:00:99', state: ['STALE'] },
      { dst: '172.17.0.3', dev: 'docker0', state: ['FAILED'] },
    ],
    fdb: [{ mac: '02:42:ac:11:00:02', ifname: 'veth1', master: 'docker0', state: '' }],
    nftables: {
      nftables: [
        { table: { family: 'netdev', name: 't', handle: 1 } },
        { chain: { family: 'netdev', table: 't', name: 'c', type: 'filter', hook: 'ingress', prio: 0, policy: 'accept' } },
        { table: { family: 'ip', name: 'filter' } },
        { chain: { family: 'ip', table: 'filter', name: 'FORWARD', type: 'filter', hook: 'forward', prio: 0, policy: 'drop' } },
        {
          rule: {
            family: 'ip',
            table: 'filter',
            chain: 'FORWARD',
            expr: [{ xt: { type: 'match', name: 'conntrack' } }, { accept: null }],
          },
        },
      ],
    },
  };

  it('names what is missing, and says who is behind which port', () => {
    const found = modelOfCapture(document);
    assert.deepEqual(found?.missing, ['routes6', 'rules4', 'rules6', 'sysctls', 'listing']);
    assert.deepEqual(found.stations, [{ port: 'veth1', mac: '02:42:ac:11:00:02', addresses: ['172.17.0.2'] }]);
    assert.deepEqual(
      found.interfaces.map(({ name, kind, up }) => [name, kind, up]),
      [
        ['docker0', 'bridge', true],
        ['eth0', 'other', false],
        ['lo', 'loopback', true],
        ['veth1', 'other', true],
      ],
    );
    assert.deepEqual(found.routes[0], {
      family: 4,
      table: 'main',
      prefix: '0.0.0.0/0',
      type: 'unicast',
      link: 'eth0',
      via: '192.0.2.1',
      metric: 0,
    });
  });

  it('takes devices and the matches of iptables from the text listing', () => {
    const listing = [
      'table netdev t {',
      '\tchain c {',
      '\t\ttype filter hook ingress device "eth0" priority filter; policy accept;',
      '\t}',
      '}',
      'table ip filter {',
      '\tchain FORWARD {',
      '\t\ttype filter hook forward priority filter; policy drop;',
      '\t\tct state related,established accept',
      '\t}',
      '}',
      '',
    ].join('\n');
    const found = modelOfCapture({ ...document, listing });
    assert.deepEqual(found?.tables[0]?.chains[0]?.base?.devices, ['eth0']);
    assert.ok(!JSON.stringify(found.tables).includes('unknown'));
    assert.ok(!found.missing.includes('listing'));
  });

  it('is none of something else', () => {
    assert.equal(modelOfCapture([]), undefined);
    assert.equal(modelOfCapture({ ok: true }), undefined);
  });
});

describe('assumed facts', () => {
  it('collide with nothing in the file', () => {
    const fabric = smallFabric({
      networks: { a: { v4: '203.0.113.0/24', v6: '2001:db8:cb00::/64' } },
      guests: { web: { networks: ['a'] } },
      allow: [{ from: '198.51.100.0/24', to: 'web' }],
    });
    const { uplink } = assumedFacts(fabric, 'host');
    assert.deepEqual(uplink?.addresses, ['192.0.2.2/24', '2001:db8:c633::2/64']);
    assert.deepEqual(uplink.gateways, ['192.0.2.1', '2001:db8:c633::1']);
  });

  it('have the addresses that the file declares', () => {
    const fabric = smallFabric({ networks: { a: { v4: '10.1.0.0/24', snat: '192.0.2.77' } }, guests: {} });
    const { uplink } = assumedFacts({ ...fabric, hosts: [{ name: 'host', uplink: 'enp1s0', addresses: ['192.0.2.7'] }] }, 'host');
    assert.equal(uplink?.name, 'enp1s0');
    assert.deepEqual(uplink.addresses.slice(0, 2), ['192.0.2.7/24', '192.0.2.77/24']);
  });
});
