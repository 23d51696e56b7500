import assert from 'node:assert/strict';
import { it } from 'node:test';
import { smallFabric, smallFacts, type SmallNetwork } from '../../test/policy/small-fabric.ts';
import type { HostFacts } from '../hoststate/model.ts';
import { hostProblems } from './problems.ts';

const problems = (network: SmallNetwork, facts: Partial<HostFacts> = {}): string[] =>
  hostProblems(smallFabric({ networks: { n: network }, guests: {} }), 'host', { ...smallFacts, ...facts }).map(
    ({ code, severity }) => `${severity} ${code}`,
  );
const withRoute = (prefix: string): Partial<HostFacts> => ({ routes: [{ prefix, link: 'tun0' }] });
const v4 = '10.1.0.0/24';

const cases: readonly [string, SmallNetwork, Partial<HostFacts>, string[]][] = [
  ['nothing', { v4 }, {}, []],
  ['the same subnet', { v4 }, withRoute('10.1.0.0/24'), ['error subnet-in-use']],
  ['a smaller one inside', { v4 }, withRoute('10.1.0.128/25'), ['error subnet-in-use']],
  ['an address inside, with its length', { v4 }, withRoute('10.1.0.7/32'), ['error subnet-in-use']],
  ['a wider one', { v4 }, withRoute('10.0.0.0/8'), ['warning subnet-in-use']],
  ['another one', { v4 }, withRoute('10.2.0.0/24'), []],
  [
    'the default route',
    { v4, v6: 'fd00:1::/64' },
    {
      routes: [
        { prefix: '0.0.0.0/0', link: 'a' },
        { prefix: '::/0', link: 'a' },
      ],
    },
    [],
  ],
  ['what every host has', { v4: '169.254.7.0/24' }, withRoute('169.254.0.0/16'), []],
  ['IPv6', { v6: 'fd00:1::/64' }, withRoute('fd00:1::/64'), ['error subnet-in-use']],
  [
    'a route seen twice',
    { v4 },
    {
      routes: [
        { prefix: v4, link: 'a' },
        { prefix: v4, link: 'a' },
      ],
    },
    ['error subnet-in-use'],
  ],
  ['snat on the uplink', { v4, snat: '203.0.113.11' }, {}, []],
  ['snat elsewhere', { v4, snat: '203.0.113.12' }, {}, ['error snat-not-on-uplink']],
  ['filter off', { v4, filter: 'off' }, {}, ['warning filter-off']],
  ['another host', { v4, host: 'home', filter: 'off' }, withRoute(v4), []],
];
for (const [name, network, facts, want] of cases) it(name, () => assert.deepEqual(problems(network, facts), want));

it('says so when there is no uplink', () => {
  const { uplink: _, ...facts } = smallFacts;
  const of = (network: SmallNetwork): string[] =>
    hostProblems(smallFabric({ networks: { n: network }, guests: {} }), 'host', facts).map(({ code, severity }) => `${severity} ${code}`);
  assert.deepEqual(of({ v4 }), ['warning uplink-unknown']);
  assert.deepEqual(of({ v4, snat: '203.0.113.11' }), ['error uplink-unknown']);
  assert.deepEqual(of({ v4, kind: 'isolated' }), []);
});

it('names route and interface', () => {
  const [problem] = hostProblems(smallFabric({ networks: { n: { v4 } }, guests: {} }), 'host', {
    ...smallFacts,
    ...withRoute('10.1.0.0/25'),
  });
  assert.match(problem?.message ?? '', /10\.1\.0\.0\/25 on tun0/);
});

it('warns of what an isolated network never reaches, and of nothing else', () => {
  const { guests, ...rest } = smallFabric({
    networks: { lab: { kind: 'isolated', v4 }, lan: { v4: '10.2.0.0/24' } },
    guests: { vault: { networks: ['lab'] }, safe: { networks: ['lab'] }, web: { networks: ['lan'] } },
    allow: [
      { from: 'vault', to: '192.0.2.0/24' },
      { from: '192.0.2.7', to: 'safe' },
      { from: 'vault', to: '10.2.0.0/16' },
      { from: 'vault', to: '203.0.113.10' },
      { from: 'web', to: '192.0.2.0/24' },
    ],
  });
  const withDns = guests.map((guest) => ({
    ...guest,
    nics: guest.nics.map((nic) => ({ ...nic, dns: guest.name === 'safe' ? ['192.0.2.53'] : ['10.2.0.1'] })),
  }));
  const said = hostProblems({ ...rest, guests: withDns }, 'host', smallFacts).map(
    ({ code, message }) => `${code} ${message.split(/[:;]/)[0]}`,
  );
  assert.deepEqual(said, [
    'isolated-outside `vault -> 192.0.2.0/24` opens nothing',
    'isolated-outside `192.0.2.7 -> safe` opens nothing',
    'isolated-outside `safe` does not reach the name server 192.0.2.53',
  ]);
});
