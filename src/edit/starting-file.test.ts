import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { parseConfig } from '../config/read.ts';
import type { HostFacts } from '../hoststate/model.ts';
import { parsePrefix, prefixesOverlap } from '../net/ip.ts';
import { startingFile } from './starting-file.ts';

const facts = (routes: readonly string[], v6 = true): HostFacts => ({
  uplink: { name: 'enp1s0', mtu: 1500, mac: '02:00:00:00:aa:01', gateways: [], addresses: ['203.0.113.4/24'], v6 },
  interfaces: [],
  forwarding: { v4: false, v6: false },
  acceptRa: [],
  routes: routes.map((prefix) => ({ prefix, link: 'enp1s0' })),
  features: { forceForwarding: false, bridgeNetfilter: false },
});

function subnetsOf(text: string): readonly string[] {
  const config = parseConfig('weft.yaml', '/etc/weft', text, (problem) => assert.fail(problem.message));
  const network = config?.model.networks['internal'];
  assert.ok(network?.kind === 'nat');
  return network.subnet;
}

test('the starting file is valid and says what was found', () => {
  const text = startingFile(facts(['0.0.0.0/0', '10.87.0.0/16']), { fabric: 'my_lab', resolvers: ['9.9.9.9'] });
  assert.match(text, /^name: my-lab /m);
  assert.match(text, /here enp1s0 \(203\.0\.113\.4\/24\)/);
  assert.match(text, /default: the resolver of the host, here 9\.9\.9\.9/);
  const [v4, v6] = subnetsOf(text);
  assert.equal(v4, '10.88.0.0/24');
  assert.match(v6 ?? '', /^fd.*\/64$/);
});

test('without IPv6 outside there is no IPv6 subnet; without an uplink the file says so', () => {
  assert.equal(subnetsOf(startingFile(facts([], false), { fabric: 'lab' })).length, 1);
  const { uplink: _, ...rest } = facts([]);
  const text = startingFile(rest, { fabric: '' });
  assert.match(text, /^# No default route was found here/m);
  assert.equal(subnetsOf(text).length, 1);
});

test('what is uncommented from its examples is valid too', () => {
  const text = startingFile(facts([]), { fabric: 'lab' }).replace(/^( +)# (?=web:|db:|- |egress|dns)/gm, '$1');
  const config = parseConfig('weft.yaml', '/etc/weft', text, (problem) => assert.fail(problem.message));
  assert.deepEqual(Object.keys(config?.model.guests ?? {}), ['web', 'db']);
  assert.equal(config?.model.allow.length, 1);
});

test('the subnets overlap nothing the host has', () => {
  const octet = fc.nat(255);
  const route = fc
    .tuple(fc.constantFrom('10', '172', '192'), octet, octet, fc.constantFrom(16, 20, 24, 32))
    .map(([a, b, c, length]) => `${a}.${b}.${c}.0/${length}`);
  fc.assert(
    fc.property(fc.array(route, { maxLength: 60 }), (routes) => {
      const [subnet = ''] = subnetsOf(startingFile(facts(routes), { fabric: 'lab' }));
      const chosen = parsePrefix(subnet);
      assert.ok(chosen);
      for (const other of routes.map(parsePrefix)) assert.ok(other && !prefixesOverlap(chosen, other), subnet);
    }),
  );
});

test('when every private range is in use, the file says that the subnet has to be chosen', () => {
  const text = startingFile(facts(['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16']), { fabric: 'lab' });
  assert.match(text, /every private range is in use here/);
  subnetsOf(text);
});
