import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfig } from '../config/read.ts';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { buildFabric } from './build.ts';
import { keywordOf } from './keywords.ts';
import { deriveMac } from './macs.ts';
import type { Fabric, Guest, Network, Nic } from './model.ts';

function build(text: string, directory = '/srv/demo'): Fabric {
  const fail = (d: Diagnostic): void => {
    if (d.severity === 'error') assert.fail(`${d.span?.line}:${d.span?.column} ${d.message}`);
  };
  const config = parseConfig('weft.yaml', directory, text, fail);
  const fabric = config && buildFabric(config, undefined, fail);
  assert.ok(fabric);
  return fabric;
}

const guest = (fabric: Fabric, name: string): Guest => fabric.guests.find((g) => g.name === name) ?? assert.fail(`no guest ${name}`);
const network = (fabric: Fabric, name: string): Network =>
  fabric.networks.find((n) => n.name === name) ?? assert.fail(`no network ${name}`);
const nic = (fabric: Fabric, name: string, index = 0): Nic => guest(fabric, name).nics[index] ?? assert.fail(`no NIC ${index} of ${name}`);

const MAIN = `
hosts: { VPS: { uplink: eth9, address: [203.0.113.10, 203.0.113.11] } }
networks:
  Internal: { kind: nat, subnet: [10.0.105.0/24, "fd00:105::/64"], gateway: 10.0.105.254, range: 10.0.105.10-10.0.105.200, snat: 203.0.113.11, mtu: 1400, dns: 9.9.9.9 }
  lab: { kind: isolated, subnet: 192.168.77.0/29, from-host: deny, filter: off }
  closed: { kind: nat, subnet: 10.0.7.0/24, egress: deny }
guests:
  web: internal
  db: { network: internal, address: 10.0.105.5, dns: 1.1.1.1, user: postgres, labels: { role: db }, log: dropped }
  VM1: { nics: [{ network: internal, address: [10.0.105.11, "fd00:105::11"] }, { network: lab, default: true }, { network: closed, default: false }] }
  jail: { inside: vm1, network: lab }
  ns: { network: closed, kind: namespace, egress: allow }
  offline: none
  a-very-long-name-indeed: { nics: [{ network: lab }, { network: closed }] }
groups: { everybody: [web, db, inner], inner: [VM1, lab], dbs: { label: role=db } }
`;

describe('what a file becomes', () => {
  const fabric = build(MAIN, '/srv/My Fabric #2');

  test('names, hosts and defaults', () => {
    assert.deepEqual([fabric.name, fabric.domain], ['my-fabric-2', 'weft.internal']);
    assert.deepEqual(fabric.hosts, [{ name: 'VPS', uplink: 'eth9', addresses: ['203.0.113.10', '203.0.113.11'] }]);
    assert.deepEqual(build('networks: {}').hosts, [{ name: 'host', addresses: [] }]);
    assert.equal(build('networks: {}', '/').name, 'weft');
    assert.equal(build('name: Prod\nnetworks: {}').name, 'prod');
    assert.equal(build('hosts: { host: { uplink: eth1 } }\nnetworks: {}').hosts[0]?.uplink, 'eth1');
  });

  test('networks', () => {
    const { mac, ...internal } = network(fabric, 'Internal');
    assert.deepEqual(internal, {
      name: 'Internal',
      kind: 'nat',
      host: 'VPS',
      bridge: 'br-internal',
      v4: { subnet: '10.0.105.0/24', gateway: '10.0.105.254', range: { from: '10.0.105.10', to: '10.0.105.200' } },
      v6: { subnet: 'fd00:105::/64', gateway: 'fd00:105::1' },
      snat: '203.0.113.11',
      egress: 'allow',
      fromHost: 'allow',
      dns: ['9.9.9.9'],
      mtu: 1400,
      filter: 'on',
    });
    assert.equal(mac, deriveMac(['my-fabric-2', 'internal', 'bridge']));
    const lab = network(fabric, 'lab');
    assert.deepEqual([lab.egress, lab.fromHost, lab.filter], ['deny', 'deny', 'off']);
    // Without `range`: all but network, gateway and broadcast address.
    assert.deepEqual(lab.v4, { subnet: '192.168.77.0/29', gateway: '192.168.77.1', range: { from: '192.168.77.2', to: '192.168.77.6' } });
    assert.equal(network(fabric, 'closed').egress, 'deny');
  });

  test('addresses: declared ones are reserved first, then the lowest free', () => {
    assert.equal(nic(fabric, 'web').v4, '10.0.105.10');
    assert.equal(nic(fabric, 'db').v4, '10.0.105.5');
    assert.deepEqual([nic(fabric, 'VM1').v4, nic(fabric, 'VM1').v6], ['10.0.105.11', 'fd00:105::11']);
    assert.deepEqual([nic(fabric, 'VM1', 1).v4, nic(fabric, 'jail').v4], ['192.168.77.2', '192.168.77.3']);
    assert.equal(nic(fabric, 'VM1', 1).v6, undefined);
    assert.match(nic(fabric, 'web').v6 ?? '', /^fd00:105::/);
  });

  test('MACs derive from fabric, guest and index, and are locally administered', () => {
    assert.equal(nic(fabric, 'VM1', 1).mac, deriveMac(['my-fabric-2', 'vm1', '1']));
    // printf 'demo\0web\0000' | sha256sum
    assert.equal(deriveMac(['demo', 'web', '0']), '02:c1:fe:97:ed:07');
  });

  test('ports, names and default NICs', () => {
    const seen = fabric.guests.flatMap((g) => g.nics.map((n) => [n.guest, n.network, n.name, n.port, n.default, n.egress]));
    assert.deepEqual(seen, [
      ['web', 'Internal', 'eth0', 'w-web', true, 'allow'],
      ['db', 'Internal', 'eth0', 'w-db', true, 'allow'],
      ['VM1', 'Internal', 'eth0', 'w-vm1', false, 'allow'],
      ['VM1', 'lab', 'eth1', 'w-vm1_1', true, 'deny'],
      ['VM1', 'closed', 'eth2', 'w-vm1_2', false, 'deny'],
      ['jail', 'lab', 'eth1', 'w-vm1_1', true, 'deny'],
      ['ns', 'closed', 'eth0', 'w-ns', true, 'allow'],
      ['a-very-long-name-indeed', 'lab', 'eth0', 'w-a-very-long-n', true, 'deny'],
      ['a-very-long-name-indeed', 'closed', 'eth1', 'w-a-very-long_1', false, 'deny'],
    ]);
    for (const name of [...fabric.networks.map((n) => String(n.bridge)), ...seen.map(([, , , port]) => String(port))])
      assert.ok(name.length <= 15, name);
    assert.equal(nic(fabric, 'jail').mac, nic(fabric, 'VM1', 1).mac);
  });

  test('guests', () => {
    assert.deepEqual(guest(fabric, 'offline'), { ...guest(fabric, 'offline'), kind: 'vm', host: 'VPS', nics: [], logDropped: false });
    assert.equal(guest(fabric, 'jail').inside, 'VM1');
    assert.equal(guest(fabric, 'ns').namespace, 'my-fabric-2-ns');
    assert.equal(guest(fabric, 'web').namespace, undefined);
    const { user, labels, logDropped, nics, span } = guest(fabric, 'db');
    assert.deepEqual(
      { user, labels, logDropped, dns: nics[0]?.dns, span },
      {
        user: 'postgres',
        labels: { role: 'db' },
        logDropped: true,
        dns: ['1.1.1.1'],
        span: { file: 'weft.yaml', line: 9, column: 3, endColumn: 5 },
      },
    );
    assert.equal(build('hosts: { a: {}, b: {} }\nnetworks: {}\nguests: { off: none }').guests[0]?.host, undefined);
  });

  test('groups: a network brings its NICs only', () => {
    assert.deepEqual(
      fabric.groups.find((g) => g.name === 'dbs'),
      { name: 'dbs', guests: ['db'] },
    );
    assert.deepEqual(
      fabric.groups.find((g) => g.name === 'everybody'),
      {
        name: 'everybody',
        guests: ['web', 'db', 'VM1', 'jail', 'a-very-long-name-indeed'],
        endpoints: [
          { guest: 'web', nic: 0 },
          { guest: 'db', nic: 0 },
          { guest: 'VM1', nic: 0 },
          { guest: 'VM1', nic: 1 },
          { guest: 'VM1', nic: 2 },
          { guest: 'jail', nic: 0 },
          { guest: 'a-very-long-name-indeed', nic: 0 },
        ],
      },
    );
  });
});

describe('rules', () => {
  const base = `networks: { n: { kind: nat, subnet: 10.0.0.0/24 }, m: { kind: nat, subnet: 10.1.0.0/24 } }
guests: { a: n, b: { network: n, labels: { role: db } }, two: { nics: [{ network: n }, { network: m }] }, in2: { inside: two, network: m } }
groups: { g: [a, b] }
`;
  const rules = (text: string): Fabric['allow'] => build(`${base}${text}`).allow;

  test('parties', () => {
    const [rule] = rules('allow: ["A, n, two, two.M, g, role=db, host, any, internet, 192.0.2.0/24 -> host"]');
    const ends = (...list: [string, number][]): object[] => list.map(([name, index]) => ({ guest: name, nic: index }));
    assert.deepEqual(rule?.from, [
      { kind: 'guests', text: 'A', endpoints: ends(['a', 0]) },
      { kind: 'guests', text: 'n', endpoints: ends(['a', 0], ['b', 0], ['two', 0]) },
      { kind: 'guests', text: 'two', endpoints: ends(['two', 0], ['two', 1]) },
      { kind: 'guests', text: 'two.M', endpoints: ends(['two', 1]) },
      { kind: 'guests', text: 'g', endpoints: ends(['a', 0], ['b', 0]) },
      { kind: 'guests', text: 'role=db', endpoints: ends(['b', 0]) },
      { kind: 'host', text: 'host' },
      { kind: 'any', text: 'any' },
      { kind: 'internet', text: 'internet' },
      { kind: 'prefix', text: '192.0.2.0/24', prefix: '192.0.2.0/24' },
    ]);
  });

  test('an id is that of what the rule says, not of where it stands', () => {
    const [first, second] = rules('allow: [a -> b tcp/80, b -> a]');
    const [moved] = rules('allow: [B  ->  A]');
    const [logged] = rules('allow: [{ from: b, to: a, log: true }]');
    assert.match(first?.id ?? '', /^[0-9a-f]{8}$/);
    assert.equal(moved?.id, second?.id);
    assert.notEqual(first?.id, second?.id);
    assert.notEqual(logged?.id, second?.id);
    const blocked = build(`${base}block: [b -> a]`).block[0];
    assert.notEqual(blocked?.id, second?.id);
  });

  test('a rule twice is kept once; the place is that of the first', () => {
    const kept = rules('allow:\n  - a -> b\n  - a -> b\n');
    assert.deepEqual(
      kept.map((rule) => [rule.text, rule.span.line]),
      [['a -> b', 5]],
    );
  });

  test('egress: of the guest, else of its groups, else of the network', () => {
    const fabric = build(`networks: { n: { kind: nat, subnet: 10.0.0.0/24 }, d: { kind: nat, subnet: 10.1.0.0/24, egress: deny } }
guests: { a: n, b: n, c: { network: n, egress: allow }, e: d, f: d }
groups: { out: { members: [b, c, e], egress: deny }, in: { members: [b, f], egress: allow } }`);
    assert.deepEqual(
      fabric.guests.map((g) => [g.name, g.nics[0]?.egress]),
      [
        ['a', 'allow'],
        ['b', 'deny'],
        ['c', 'allow'],
        ['e', 'deny'],
        ['f', 'allow'],
      ],
    );
  });
});

test('addresses of IPv6 stay apart when hashes meet, in a subnet of 65,536', () => {
  const guests = Array.from({ length: 1000 }, (_, i) => `  g${i}: n\n`).join('');
  const fabric = build(`networks: { n: { kind: nat, subnet: "fd00::/112" } }\nguests:\n${guests}`);
  const addresses = new Set(fabric.guests.map((g) => g.nics[0]?.v6));
  assert.equal(addresses.size, 1000);
  assert.ok(!addresses.has(undefined) && !addresses.has('fd00::') && !addresses.has('fd00::1'));
});

test('keywords', () => {
  for (const word of ['tcp', 'ip', 'drop', 'accept', 'mark', 'log', 'counter', 'limit', 'fwd', 'meta'])
    assert.equal(keywordOf(word), 'nft', word);
  for (const word of ['br', 'tx', 'dev', 'name', 'up', 'master']) assert.equal(keywordOf(word), 'ip', word);
  for (const word of ['web', 'db', 'lab', 'vm', 'internal', 'external', 'public', 'home', 'primary', 'data', 'constructor'])
    assert.equal(keywordOf(word), undefined, word);
});

test('thousands of wrong names among thousands of right ones are all reported, the first with a guess', () => {
  const guests = Array.from({ length: 1000 }, (_, i) => `  guest${i}: n\n`).join('');
  const allow = Array.from({ length: 3000 }, (_, i) => `  - gest${i} -> guest${i % 1000}\n`).join('');
  const text = `networks: { n: { kind: nat, subnet: 10.0.0.0/16 } }\nguests:\n${guests}allow:\n${allow}`;
  const said: string[] = [];
  const config = parseConfig('weft.yaml', '/srv/demo', text, (d) => assert.fail(d.message));
  assert.ok(config && !buildFabric(config, undefined, (d) => said.push(d.message)));
  assert.equal(said.length, 3000);
  // Looking through all names for each would take seconds; the first twenty get a guess.
  assert.equal(said[19], '`gest19` is not a guest, network, host or group; did you mean `guest19`?');
  assert.equal(said[20], '`gest20` is not a guest, network, host or group; correct the name, or add it to the file.');
});

test('ten thousand guests with twenty thousand rules ask for no place in the file', () => {
  const networks = Object.fromEntries(
    Array.from({ length: 10 }, (_, i) => [`n${i}`, { kind: 'nat' as const, subnet: [`10.${i}.0.0/16`, `fd00:${i}::/64`] }]),
  );
  const names = Array.from({ length: 10_000 }, (_, i) => `guest${i}`);
  const guests = Object.fromEntries(names.map((name, i) => [name, { nics: [{ network: `n${i % 10}` }], nicPaths: [['guests', name]] }]));
  const allow = Array.from({ length: 20_000 }, (_, i) => {
    const [from = '', to = ''] = [names[i % 10_000], names[(i * 7 + Math.floor(i / 10_000) + 1) % 10_000]];
    const flow = {
      from: [{ kind: 'name' as const, name: from, offset: 0 }],
      to: [{ kind: 'name' as const, name: to, offset: 0 }],
      ports: 'any' as const,
      text: `${from} -> ${to}`,
    };
    return { flow, log: false, path: ['allow', i] };
  });
  const model = { networks, guests, groups: {}, allow, block: [], publish: [], links: {}, expect: [] };
  const span = (): never => assert.fail('asked for a place');
  const fabric = buildFabric({ path: 'weft.yaml', directory: '/srv/demo', text: '', model, span }, undefined, (d) =>
    assert.fail(d.message),
  );
  assert.equal(fabric?.allow.length, 20_000);
  assert.equal(new Set(fabric?.allow.map((rule) => rule.id)).size, 20_000);
  const first = fabric?.allow[0]?.to[0];
  assert.ok(first && fabric?.allow.some((rule, i) => i > 0 && rule.from[0] === first), 'equal parties are one object');
});
