/** Which ports and pairs are chosen, and the twin's addresses, without a kernel. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Fabric } from '../fabric/model.ts';
import { parseConfig } from '../config/read.ts';
import { buildFabric } from '../fabric/build.ts';
import { casesOf, doorsOf, spread } from './cases.ts';
import type { Attempt } from './cases.ts';
import { chooseGuests, placesOf } from './places.ts';
import { wavesOf } from './rehearse.ts';
import { planTwin } from './twin-fabric.ts';

describe('doorsOf', () => {
  const range = (from: number, to = from): { from: number; to: number } => ({ from, to });
  it('takes both ends of a range and a port beside it that is not named', () => {
    assert.deepEqual(doorsOf([{ protocol: 'tcp', ranges: [range(80), range(81, 90)] }], true), [
      { protocol: 'tcp', port: 80 },
      { protocol: 'tcp', port: 81 },
      { protocol: 'tcp', port: 90 },
      { protocol: 'tcp', port: 91 },
    ]);
  });
  it('stays within the port numbers', () => {
    assert.deepEqual(doorsOf([{ protocol: 'udp', ranges: [range(65535)] }], true), [
      { protocol: 'udp', port: 65535 },
      { protocol: 'udp', port: 65534 },
    ]);
    assert.deepEqual(doorsOf([{ protocol: 'udp', ranges: [range(1, 65535)] }], true).length, 2);
  });
  it('tries a TCP port beside ping', () => {
    assert.deepEqual(doorsOf([{ protocol: 'icmp' }], true), [{ protocol: 'icmp' }, { protocol: 'tcp', port: 22 }]);
    assert.deepEqual(doorsOf([{ protocol: 'icmp' }], false), [{ protocol: 'icmp' }]);
  });
  it('tries each protocol for `any`', () => {
    assert.deepEqual(
      doorsOf('any', true).map(({ protocol }) => protocol),
      ['tcp', 'udp', 'icmp'],
    );
  });
});

describe('spread', () => {
  it('keeps the first and the last', () => {
    assert.deepEqual(spread([1, 2, 3, 4, 5, 6, 7, 8, 9], 3), [1, 5, 9]);
    assert.deepEqual(spread([1, 2], 3), [1, 2]);
  });
});

/** 60 guests in two networks, each allowed to reach another one at a port of its own. */
function bigFabric(): Fabric {
  const list = Array.from({ length: 60 }, (_, i) => i);
  const text = `name: big
networks:
  a: { kind: nat, subnet: 10.1.0.0/24 }
  b: { kind: isolated, subnet: [10.2.0.0/24, fd00:2::/64] }
guests:
${list.map((i) => `  g${i}: ${i % 2 ? 'a' : 'b'}`).join('\n')}
  omega: a
allow:
${list.map((i) => `  - g${i} -> g${(i * 7 + 3) % 60} tcp/${1000 + 2 * i}`).join('\n')}
expect:
  - cannot: omega -> g1
`;
  const config = parseConfig('weft.yaml', '/etc/weft', text, (problem) => assert.fail(problem.message));
  return (config && buildFabric(config, undefined, (problem) => assert.fail(problem.message))) ?? assert.fail();
}

describe('a big fabric', () => {
  const fabric = bigFabric();
  const names = (budget: { named: number; others: number }): string[] =>
    chooseGuests(fabric, fabric.guests, budget).map(({ name }) => name);

  it('tries every rule, at its port and at a neighbouring one', () => {
    const places = placesOf(planTwin(fabric, 'host'), '/run/netns/host', '/run/netns/outer');
    assert.equal(places.taken, 61, 'an expectation names the last one');
    const { cases, rules, rulesTried } = casesOf(fabric, places, () => true);
    assert.deepEqual([rules, rulesTried], [60, 60]);
    for (const [index, rule] of fabric.allow.entries()) {
      const ports = cases.filter(({ because }) => because === rule.text).map(({ port }) => port);
      assert.deepEqual([...new Set(ports)], [1000 + 2 * index, 1001 + 2 * index], rule.text);
    }
  });

  it('says how many rules it leaves out when there are more guests than it can take', () => {
    const places = placesOf(planTwin(fabric, 'host'), '/run/netns/host', '/run/netns/outer', { named: 20, others: 4 });
    assert.equal(places.taken, 20);
    const { rules, rulesTried } = casesOf(fabric, places, () => true);
    assert.ok(rules === 60 && rulesTried >= 10 && rulesTried < 60, `${rulesTried}`);
  });

  it('takes those first that rules name, in the order of the rules, and fills up with others', () => {
    assert.deepEqual(names({ named: 4, others: 0 }), ['g0', 'g1', 'g3', 'g10']);
    assert.equal(names({ named: 100, others: 20 }).length, 61);
    const none = { ...fabric, allow: [], expect: [] };
    assert.equal(chooseGuests(none, none.guests, { named: 100, others: 20 }).length, 20);
  });
});

describe('wavesOf', () => {
  it('needs few namespaces at once and loses no attempt', () => {
    const place = (namespace: string): Attempt['from'] => ({ label: namespace, kind: 'guest', namespace, address: '10.0.0.1', family: 4 });
    const attempts = Array.from({ length: 300 }, (_, i): Attempt => ({
      from: place(`n${i % 97}`),
      to: place(`n${(i * 31 + 5) % 97}`),
      protocol: 'tcp',
      port: i,
    }));
    const waves = wavesOf(attempts, 20);
    assert.deepEqual(
      waves
        .flat()
        .map(({ port }) => port ?? 0)
        .sort((a, b) => a - b),
      attempts.map(({ port }) => port),
    );
    for (const wave of waves) assert.ok(new Set(wave.flatMap(({ from, to }) => [from.namespace, to.namespace])).size <= 20);
    assert.equal(wavesOf(attempts, 200).length, 1);
  });
});

describe('planTwin', () => {
  const network = {
    name: 'n',
    kind: 'nat' as const,
    host: 'h',
    bridge: 'br-n',
    mac: '02:00:00:00:00:01',
    egress: 'allow' as const,
    fromHost: 'allow' as const,
    dns: [],
    filter: 'on' as const,
  };
  const fabric = (over: Partial<Fabric>): Fabric => ({
    name: 'f',
    domain: 'weft.internal',
    hosts: [{ name: 'h', addresses: [] }],
    networks: [],
    guests: [],
    allow: [],
    block: [],
    publish: [],
    expect: [],
    groups: [],
    lock: { version: 1, guests: {} },
    ...over,
  });

  it('gives the uplink and the internet addresses that are not the file’s', () => {
    const v4 = { subnet: '203.0.113.0/25', gateway: '203.0.113.1', range: { from: '203.0.113.2', to: '203.0.113.9' } };
    const plan = planTwin(fabric({ networks: [{ ...network, v4 }] }), 'h');
    assert.deepEqual(plan.bedHost.addresses, ['198.51.100.2/24', '2001:db8:cb00::2/64']);
    assert.deepEqual(plan.bedHost.gateways, ['198.51.100.1', '2001:db8:cb00::1']);
    assert.deepEqual(plan.outside, ['192.0.2.1', '2001:db8:c633::1']);
    assert.deepEqual(plan.bedHost.routes, ['203.0.113.0/25']);
  });

  it('puts the declared addresses and the chosen NAT address on the uplink', () => {
    const plan = planTwin(
      fabric({ hosts: [{ name: 'h', addresses: ['203.0.113.1'], uplink: 'wan0' }], networks: [{ ...network, snat: '203.0.113.9' }] }),
      'h',
    );
    assert.equal(plan.bedHost.uplink, 'wan0');
    assert.deepEqual(plan.bedHost.addresses.slice(0, 2), ['203.0.113.1/24', '203.0.113.9/24']);
    assert.equal(plan.bedHost.gateways?.[0], '203.0.113.2');
    assert.deepEqual(plan.outside[0], '192.0.2.1');
  });

  it('gives an address inside a network of the file an uplink of its own', () => {
    const v4 = { subnet: '203.0.113.128/25', gateway: '203.0.113.129', range: { from: '203.0.113.130', to: '203.0.113.140' } };
    const plan = planTwin(fabric({ hosts: [{ name: 'h', addresses: ['203.0.113.1'] }], networks: [{ ...network, v4 }] }), 'h');
    assert.equal(plan.bedHost.addresses[0], '203.0.113.1/32');
    assert.equal(plan.bedHost.gateways?.[0], '198.51.100.1');
  });
});
