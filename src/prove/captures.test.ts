/** Rulesets that other programs have made (test/fixtures/captures/make.ts): read without a guess, judged alike by both engines, and so much of them understood. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { addressesOf, disagreement, randomPacket, sequence } from '../../test/prove/agreement.ts';
import type { NftStatement } from '../hoststate/nft.ts';
import { isRecord } from '../hoststate/nft-json.ts';
import { interpret } from './concrete/interpret.ts';
import type { KernelModel, Origin } from './kernel-model.ts';
import { modelOfCapture } from './model/read-capture.ts';
import type { DecidedBy, Fate } from './packet-model.ts';
import { analyse } from './symbolic/analyse.ts';
import type { Answer } from './symbolic/flow-space.ts';

const directory = join(import.meta.dirname, '../../test/fixtures/captures');

function documentOf(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(directory, `${name}.json`), 'utf8')) as Record<string, unknown>;
}

function captured(name: string): KernelModel {
  const model = modelOfCapture(documentOf(name));
  assert(model);
  assert.deepEqual(model.missing, []);
  return model;
}

/** Names of what is not understood in them. */
function unknownParts({ tables }: KernelModel): string[] {
  const names = (statement: NftStatement): string[] => {
    if (!('unknown' in statement)) return [];
    const { unknown } = statement;
    if (!isRecord(unknown)) return ['?'];
    const { xt } = unknown;
    return [isRecord(xt) ? String(xt['name']) : (Object.keys(unknown)[0] ?? '?')];
  };
  return tables.flatMap(({ chains }) =>
    chains.flatMap(({ rules }) => rules.flatMap(({ statements }) => [...new Set(statements.flatMap(names))])),
  );
}

/** Random packets between addresses and ports that the ruleset speaks of, by what becomes of them. */
function sample(model: KernelModel, ports: readonly number[], perFamily: number): Record<'answered' | 'refused' | 'unknown', number> {
  const counts = { answered: 0, refused: 0, unknown: 0 };
  for (const family of [4, 6] as const) {
    const addresses = addressesOf(model, family);
    const spans = ports.map((port) => ({ from: port, to: port }));
    const reach = analyse(model, family, { prefixes: addresses, ports: spans, protocols: [47], macs: [] });
    const random = sequence(family);
    for (let i = 0; i < perFamily; i++) {
      const packet = randomPacket(model, family, addresses, ports, random);
      const different = disagreement(model, reach, packet);
      assert.equal(different, undefined, different);
      const { delivered, answered } = reach.fateOf(packet);
      if (delivered === 'maybe' || answered === 'maybe') counts.unknown++;
      else counts[answered === 'yes' ? 'answered' : 'refused']++;
    }
  }
  return counts;
}

const edges = [22, 23, 53, 67, 68, 80, 81, 137, 443, 445, 2222, 5353, 8000, 8010, 8011, 8080, 40000];

interface Expected {
  readonly rules: number;
  /** What is not understood in them, and how often. */
  readonly parts: Readonly<Record<string, number>>;
  /** Of 1,000 packets of each family. */
  readonly unknown: number;
}

/** The table of docs/proofs.md. */
const expected: Readonly<Record<string, Expected>> = {
  docker: { rules: 32, parts: {}, unknown: 0 },
  // `limit` of ufw is iptables' `recent`; the others ask for kinds of ICMPv6 that nft has no words for, and for hop limits.
  ufw: { rules: 190, parts: { recent: 4, hl: 22, icmp6: 26 }, unknown: 3 },
  firewalld: { rules: 253, parts: { 'ct helper': 2 }, unknown: 0 },
  libvirt: { rules: 77, parts: { CHECKSUM: 1 }, unknown: 0 },
};

for (const [name, { rules, parts, unknown }] of Object.entries(expected)) {
  test(`${name}: both engines say the same, and what is not understood is known`, () => {
    const model = captured(name);
    assert.equal(model.tables.flatMap(({ chains }) => chains.flatMap((chain) => chain.rules)).length, rules);
    const counted = [...Map.groupBy(unknownParts(model), (part) => part)].map(([part, all]): [string, number] => [part, all.length]);
    assert.deepEqual(Object.fromEntries(counted), parts);
    const found = sample(model, edges, 1000);
    assert(found.answered > 100 && found.refused > 100, JSON.stringify(found));
    assert.equal(found.unknown, unknown);
  });
}

type Said = Readonly<Record<'delivered' | 'answered', Answer>>;

/** The share of certain answers falls, and none becomes another one. */
test('without the text that tells what iptables matches, both engines know less, and nothing else', () => {
  for (const name of ['docker', 'ufw', 'libvirt']) {
    const { listing: _, ...rest } = documentOf(name);
    const [whole, part] = [captured(name), modelOfCapture(rest)];
    assert(part);
    const addresses = addressesOf(whole, 4);
    const constants = { prefixes: addresses, ports: edges.map((port) => ({ from: port, to: port })), protocols: [47], macs: [] };
    const [knows, guesses] = [analyse(whole, 4, constants), analyse(part, 4, constants)];
    const random = sequence(1);
    let less = 0;
    for (let i = 0; i < 300; i++) {
      const packet = randomPacket(whole, 4, addresses, edges, random);
      const answers: readonly (readonly [Said, Said])[] = [
        [guesses.fateOf(packet), knows.fateOf(packet)],
        [interpret(part, packet), interpret(whole, packet)],
      ];
      for (const [said, truth] of answers) {
        for (const what of ['delivered', 'answered'] as const) {
          if (said[what] === 'maybe') less++;
          else assert.equal(said[what], truth[what], `${name}: ${what} ${JSON.stringify(packet)}`);
        }
      }
    }
    assert(less > 10, `${name}: ${less}`);
  }
});

type Fact = readonly [origin: string, source: string, destination: string, protocol: 6 | 17, dport: number, fate: string];
const outer = ['eth0', '198.51.100.1'] as const;
/** What everybody who uses these programs knows; `interface source` it arrives with, or the end of the rule that drops it. */
const facts: Readonly<Record<string, readonly Fact[]>> = {
  docker: [
    [...outer, '198.51.100.2', 6, 8080, 'answered station 198.51.100.1 172.30.0.2:80'],
    [...outer, '198.51.100.2', 17, 5353, 'answered station 198.51.100.1 172.30.0.2:53'],
    [...outer, '172.30.0.3', 6, 80, 'dropped policy drop'],
    ['host', '172.30.0.1', '172.30.0.3', 6, 80, 'answered station 172.30.0.1 172.30.0.3:80'],
  ],
  ufw: [
    [...outer, '198.51.100.2', 6, 22, 'answered host 198.51.100.1 198.51.100.2:22'],
    [...outer, '198.51.100.2', 6, 23, 'dropped tcp dport 23 reject'],
    [...outer, '198.51.100.2', 6, 2222, 'unknown tcp dport 2222 ct state new (recent) jump ufw-user-limit'],
    ['w-a', '10.5.0.11', '10.5.0.1', 6, 8005, 'answered host 10.5.0.11 10.5.0.1:8005'],
    ['w-a', '10.5.0.11', '10.5.0.1', 6, 8011, 'dropped policy drop'],
    ['w-a', '10.5.0.11', '203.0.113.5', 6, 443, 'answered outside 10.5.0.11 203.0.113.5:443'],
    ['eth0', '2001:db8:1::1', 'fd00:5::11', 6, 80, 'answered station 2001:db8:1::1 [fd00:5::11]:80'],
    ['eth0', '2001:db8:1::1', 'fd00:5::11', 6, 81, 'dropped policy drop'],
  ],
  firewalld: [
    [...outer, '198.51.100.2', 6, 8080, 'answered station 198.51.100.1 10.5.0.11:80'],
    ['eth0', '198.51.100.66', '198.51.100.2', 6, 80, 'dropped ip saddr 198.51.100.66 drop'],
    ['w-a', '10.5.0.11', '203.0.113.5', 6, 443, 'answered outside 198.51.100.2 203.0.113.5:443'],
    ['eth0', 'fd00:5::12', 'fd00:5::11', 6, 80, 'dropped meta nfproto ipv6 … drop'],
  ],
  libvirt: [
    ['w-a', '192.168.122.11', '203.0.113.5', 6, 443, 'answered outside 198.51.100.2 203.0.113.5:443'],
    [...outer, '192.168.122.11', 6, 80, 'dropped oifname "virbr-nat" reject'],
    ['w-a', '192.168.122.11', '192.168.123.1', 6, 53, 'answered host 192.168.122.11 192.168.123.1:53'],
  ],
};

for (const [name, list] of Object.entries(facts)) {
  test(`${name}: what its users rely on`, () => {
    const model = captured(name);
    for (const [from, source, destination, protocol, dport, said] of list) {
      const origin: Origin = from === 'host' ? { kind: 'host' } : { kind: 'interface', name: from };
      const { fate } = interpret(model, { origin, source, destination, protocol, sport: 40000, dport });
      assert.equal(inWords(fate), said, `${from} ${source} to ${destination} ${dport}`);
    }
  });
}

function inWords(fate: Fate): string {
  const place = (by: DecidedBy): string => ('rule' in by ? (by.rule === 'policy' ? 'policy drop' : by.rule) : by.what);
  if (fate.kind === 'dropped') return `dropped ${place(fate.by)}`;
  if (fate.kind === 'unknown') return `unknown ${fate.because.map(place).join(', ')}`;
  const { destination, dport, source } = fate.arrives;
  return `${fate.kind} ${fate.at.kind} ${source} ${destination.includes(':') ? `[${destination}]` : destination}:${dport}`;
}
