/** Expectations by example, and the proofs that are always on: they hold of every file, and of no compiled state that was tampered with. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { HostState } from '../../src/hoststate/model.ts';
import type { NftChain, NftTable } from '../../src/hoststate/nft.ts';
import { fileOf, shape } from '../apply/random-file.ts';
import { proved } from './file.ts';

const file = `name: model
hosts: { h: { uplink: eth0, address: [192.0.2.10, 192.0.2.11] } }
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64], snat: 192.0.2.11 }
  b: { kind: nat, subnet: [10.4.0.0/24, 2001:db8:9::/64], from-host: deny, egress: deny }
  lab: { kind: isolated, subnet: 10.3.0.0/24 }
  off: { kind: nat, subnet: 10.5.0.0/24, filter: off }
  pub: { kind: routed, addresses: [198.51.100.64/29, 2001:db8:7::/64], bootstrap: 172.30.0.0/24 }
  ext: { kind: bridged, interface: em0, subnet: [192.168.118.0/24, 2001:db8:118::/64], gateway: 192.168.118.254, range: 192.168.118.220-192.168.118.230 }
guests:
  web: { network: a, kind: namespace, address: 10.1.0.2 }
  db: { network: a, kind: container, address: 10.1.0.3 }
  jail: { inside: web, network: a }
  two: { nics: [{ network: b }, { network: a }] }
  vm: { network: lab, address: 10.3.0.2 }
  vm2: { network: lab }
  o: off
  shop: { network: pub, kind: namespace, address: [198.51.100.65, "2001:db8:7::5"] }
  shop2: { network: pub, address: [198.51.100.66] }
  lan: { network: ext, kind: namespace }
  lan2: { network: ext, kind: namespace }
groups: { all: [web, db, lan] }
allow:
  - web -> db tcp/5432
  - all -> all tcp/9000-9010
  - internet -> shop tcp/80,443 udp/443
  - 192.168.118.0/24 -> lan tcp/22
  - lan -> 192.168.118.0/24 tcp/445
  - web -> lan udp/5
  - lan -> lan2 icmp
  - shop -> host tcp/22
  - vm -> vm2
  - lan -> host tcp/2049
  - lab -> web tcp/8
  - two -> o udp/9
  - 10.0.0.0/8 -> two icmp
  - any -> db udp/77
  - two -> updates.example.org tcp/443
block:
  - web -> host udp/53
  - shop -> 8.8.8.0/24
  - host -> vm tcp/1-1000
  - db -> any sctp/3
publish:
  - h tcp/2222 -> web tcp/22
  - 192.0.2.11 udp/5000-5010 -> two.b udp/6000-6010 from internet
  - h tcp/81-90 -> o tcp/81-90
`;

const expecting = (...lines: readonly string[]): string => `${file}expect:\n${lines.map((line) => `  - ${line}\n`).join('')}`;

/** Verdicts in the order of the lines. */
function verdicts(cases: readonly (readonly [line: string, verdict: string, counterexample?: RegExp])[]): void {
  const { expectations, proofs } = proved(expecting(...cases.map(([line]) => line)));
  assert.deepEqual(
    proofs.map(({ verdict }) => verdict),
    proofs.map(() => 'proved'),
  );
  cases.forEach(([line, verdict, counterexample], i) => {
    const answer = expectations[i];
    const shown = answer?.vacuous === true ? 'vacuous' : answer?.verdict;
    assert.equal(shown, verdict, `${line}: ${answer?.counterexample ?? ''}`);
    if (counterexample) assert.match(answer?.counterexample ?? '', counterexample, line);
  });
}

describe('expectations', () => {
  it('can: every combination, by a published way too', () =>
    verdicts([
      ['can: web -> db tcp/5432', 'proved'],
      [
        'can: web -> db tcp/5433',
        'refuted',
        /^web \(10\.1\.0\.2\) -> db \(10\.1\.0\.3\) tcp\/5433 is not delivered: nothing in the file allows it$/,
      ],
      ['can: web,jail -> db tcp/5432', 'refuted', /^jail \(/],
      ['can: internet -> web tcp/22', 'proved'],
      ['can: internet -> web tcp/22,23', 'refuted', / by eth0 -> web .* tcp\/23 is not delivered/],
      ['can: internet -> two udp/6000-6010', 'proved'],
      ['can: web -> internet', 'proved'],
      ['can: shop -> internet', 'refuted', /8\.8\.8\.0 .*: `shop -> 8\.8\.8\.0\/24` blocks it \(.*:\d+\)$/],
      ['can: db -> 10.1.0.1 udp/53 icmp', 'proved'],
      ['can: web -> 10.1.0.1 udp/53', 'refuted', /10\.1\.0\.1\) udp\/53 is not delivered: `web -> host udp\/53` blocks it/],
      ['can: lan -> 192.168.118.254 tcp/445', 'proved'],
      ['can: host -> a', 'proved'],
    ]));

  it('cannot: not one packet', () =>
    verdicts([
      ['cannot: internet -> db tcp/1-76 udp/1-76', 'proved'],
      [
        'cannot: internet -> web',
        'refuted',
        /^198\.51\.100\.7 by \w+ -> web \(10\.1\.0\.2\) tcp\/22, sent to 192\.0\.2\.1[01] tcp\/2222 is delivered, by `publish h tcp\/2222 -> web tcp\/22` \(.*:\d+\)$/,
      ],
      // The host's 10.1.0.1 is one of 10.0.0.0/8.
      ['cannot: host -> b', 'refuted', /icmp is delivered, by `10\.0\.0\.0\/8 -> two icmp`/],
      ['cannot: host -> b tcp/1-65535', 'proved'],
      ['cannot: lab -> a', 'refuted', /tcp\/8 is delivered, by `lab -> web tcp\/8`/],
      ['cannot: two.b -> 9.9.9.9', 'unknown'],
    ]));

  it('only, isolated, exposed: nobody else', () =>
    verdicts([
      ['only: web -> db', 'refuted', /udp\/77 is delivered/],
      ["only: 'any -> db udp/77'", 'proved'],
      ["only: 'web,lan,a,10.0.0.0/8 -> db tcp/1-9999'", 'proved'],
      ["only-strict: 'web -> db tcp/5432'", 'refuted', /^h \(.*by `from-host: allow`$/],
      ['isolated: lab', 'refuted', /tcp\/8/],
      [
        "exposed: ['internet -> web tcp/22', 'internet -> shop tcp/80,443 udp/443', 'internet -> two udp/6000-6010', 'internet -> o tcp/81-90']",
        'proved',
      ],
    ]));

  it('seen-as and via: how it leaves', () =>
    verdicts([
      ['seen-as: a -> internet 192.0.2.11', 'proved'],
      ['seen-as: a -> internet 192.0.2.10', 'refuted', /is seen as 192\.0\.2\.11$/],
      ['seen-as: shop -> internet 198.51.100.65', 'proved'],
      ['seen-as: lab -> internet 192.0.2.11', 'vacuous'],
      ['via: a -> internet through h', 'proved'],
    ]));
});

describe('what is always proved', () => {
  it('of any file', () => {
    fc.assert(
      fc.property(shape, (some) => {
        for (const { text, verdict, counterexample, because } of proved(fileOf(some)).proofs)
          assert.equal(verdict, 'proved', `${text}: ${counterexample ?? ''} ${because ?? ''}`);
      }),
      { numRuns: 40, seed: 40 },
    );
  });

  const refuted = (change: (state: HostState) => HostState): string[] =>
    proved(file, change).proofs.flatMap(({ name, verdict }) => (verdict === 'refuted' ? [name] : []));
  const table = (state: HostState, family: string, edit: (table: NftTable) => NftTable): HostState => ({
    ...state,
    tables: state.tables.map((one) => (one.family === family ? edit(one) : one)),
  });
  const chain =
    (name: string, edit: (chain: NftChain) => NftChain) =>
    (one: NftTable): NftTable => ({
      ...one,
      chains: one.chains.map((other) => (other.name === name ? edit(other) : other)),
    });
  const set =
    (name: string) =>
    (one: NftTable): NftTable => ({
      ...one,
      sets: one.sets.map((other) => (other.name === name ? { ...other, elements: other.elements.slice(1) } : other)),
    });

  it('not of a state that lets more through, or less', () => {
    const open = (one: NftChain): NftChain => ({ ...one, rules: one.rules.slice(0, -1) });
    const without =
      (statement: string) =>
      (one: NftChain): NftChain => ({
        ...one,
        rules: one.rules.filter(({ statements }) => !JSON.stringify(statements).includes(statement)),
      });
    const tampered: Readonly<Record<string, (state: HostState) => HostState>> = {
      'no last drop': (state) => table(state, 'inet', chain('guests', open)),
      'one allowed element less': (state) => table(state, 'inet', set('allow_port4')),
      'no masquerading': (state) => table(state, 'inet', chain('nat_postrouting', without('masquerade'))),
      'no guards': (state) => ({ ...state, tables: state.tables.filter(({ family }) => family !== 'netdev') }),
      'one address less at its port': (state) => table(state, 'netdev', set('port_ip4')),
      'an unknown port': (state) => ({ ...state, fdb: state.fdb.slice(1) }),
      'no unreachable routes': (state) => ({ ...state, routes: state.routes.filter((route) => !('unreachable' in route)) }),
    };
    const found = Object.fromEntries(Object.entries(tampered).map(([what, change]) => [what, refuted(change)]));
    assert.deepEqual(found, {
      'no last drop': ['nothing-more'],
      'one allowed element less': ['nothing-less'],
      'no masquerading': ['nothing-less'],
      'no guards': ['nothing-more', 'no-forged-source'],
      'one address less at its port': ['nothing-less'],
      'an unknown port': ['guests-are-found'],
      'no unreachable routes': ['nothing-more', 'no-loop'],
    });
  });
});
