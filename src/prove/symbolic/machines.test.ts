/** That machines which nothing tells apart are left out changes no answer: with and without, every packet has the same fate. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fabricOf } from '../../../test/apply/compiled.ts';
import { assumedFacts } from '../../compile/assumed-facts.ts';
import { compileHost } from '../../compile/host.ts';
import { normalizeTable } from '../../hoststate/nft-normal.ts';
import type { KernelModel, Origin } from '../kernel-model.ts';
import { modelOf } from '../model/model-of.ts';
import type { SentPacket } from '../packet-model.ts';
import { analyse } from './analyse.ts';
import type { Constants } from './flow-space.ts';
import { reduceModel } from './machines.ts';

const guests = Array.from({ length: 18 }, (_, i) => `g${i}`);
const file = `
name: many
networks:
  one: { kind: nat, subnet: [10.1.0.0/24, 'fd00:1::/64'] }
  two: { kind: isolated, subnet: 10.2.0.0/24 }
guests:
${guests.map((name, i) => `  ${name}: { network: ${i % 3 === 2 ? 'two' : 'one'} }`).join('\n')}
groups:
  even: [${guests.filter((_, i) => i % 2 === 0).join(', ')}]
  first: [g0, g1, g2]
allow:
  - even -> even tcp/80
  - first -> one tcp/443 icmp
  - internet -> g0 tcp/22
  - g3 -> g4 udp/53
  - one -> 10.1.0.0/28 tcp/8080
block:
  - g7 -> internet
publish:
  - host tcp/2222 -> g1 tcp/22
`;

function modelHere(): KernelModel {
  const { fabric, host } = fabricOf(file);
  const facts = assumedFacts(fabric, host);
  const state = compileHost(fabric, host, facts);
  return modelOf({ ...state, tables: state.tables.map(normalizeTable) }, facts);
}

test('of each kind two machines stay', () => {
  const model = modelHere();
  const { model: less, standIns } = reduceModel(model, []);
  assert.ok(less.stations.length < model.stations.length && less.stations.length >= 12, String(less.stations.length));
  assert.ok(standIns.size > 0);
  const names = new Set(less.interfaces.map(({ name }) => name));
  for (const kept of ['w-g0', 'w-g1', 'w-g3', 'w-g4', 'w-g7']) assert.ok(names.has(kept), `${kept} is like no other`);
  // A question that speaks of one of them alone tells it apart.
  const [gone] = [...standIns.keys()].filter((name) => name.startsWith('10.'));
  assert.ok(gone);
  assert.ok(!reduceModel(model, [[gone]]).standIns.has(gone));
});

test('every packet between machines has the same fate with all of them and with two of each kind', () => {
  const model = modelHere();
  const extra: Omit<Constants, 'groups'> = {
    prefixes: ['198.51.100.7', '2001:db8:5::7'],
    ports: [22, 53, 80, 443, 2222, 8080].map((port) => ({ from: port, to: port })),
    protocols: [],
    macs: [],
  };
  let compared = 0;
  for (const family of [4, 6] as const) {
    const whole = analyse(model, family, extra);
    const less = analyse(model, family, { ...extra, groups: [] });
    const ends: { readonly origin: Origin; readonly address: string }[] = [
      ...model.stations.flatMap(({ port, addresses }) =>
        addresses.map((address) => ({ origin: { kind: 'interface', name: port } as const, address })),
      ),
      ...['198.51.100.7', '2001:db8:5::7'].map((address) => ({ origin: { kind: 'interface', name: 'eth0' } as const, address })),
    ].filter(({ address }) => address.includes(':') === (family === 6));
    for (const from of ends) {
      for (const to of ends) {
        if (from.address === to.address) continue;
        for (const dport of [22, 80, 443, 8080]) {
          const packet: SentPacket = {
            origin: from.origin,
            source: from.address,
            destination: to.address,
            protocol: 6,
            sport: 40000,
            dport,
          };
          assert.deepEqual(less.fateOf(packet), whole.fateOf(packet), JSON.stringify(packet));
          compared++;
        }
      }
    }
  }
  assert.ok(compared > 1500);
});

test('a question that names a machine which was left out, and not those like it, is refused', () => {
  const model = modelHere();
  const less = analyse(model, 4, { prefixes: [], ports: [], protocols: [], macs: [], groups: [] });
  const [gone] = [...reduceModel(model, []).standIns.keys()].filter((name) => name.startsWith('10.'));
  assert.ok(gone);
  assert.throws(() => less.space.destination([gone]), /is asked about without/);
});
