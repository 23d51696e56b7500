/** The law of the difference: before, loaded, then the difference, lists as after; there and back; nothing for equal tables. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import fc from 'fast-check';
import { inetTable, netdevTable } from '../hoststate/nft-arbitrary.ts';
import { normalizeTable } from '../hoststate/nft-normal.ts';
import { printTable } from '../hoststate/nft-print.ts';
import { readRuleset } from '../hoststate/nft-read.ts';
import type { NftSet, NftTable } from '../hoststate/nft.ts';
import { openKernel } from '../kernel/open.ts';
import { nftDifference } from './nft-difference.ts';

const root = openKernel();
const namespace = `kt-difference-${process.pid}`;
const kernel = root.at(`/run/netns/${namespace}`);
before(() => root.run('ip', ['netns', 'add', namespace]));
after(() => root.run('ip', ['netns', 'del', namespace]));

const load = (input: string): Promise<string> => kernel.run('nft', ['-f', '-'], { input });

async function list(): Promise<NftTable[]> {
  const [json, netdevChains] = await Promise.all([
    kernel.run('nft', ['-j', 'list', 'ruleset']),
    kernel.run('nft', ['list', 'chains', 'netdev']),
  ]);
  return readRuleset(JSON.parse(json), { netdevChains });
}

/** A set that no rule asks, of one type or another: declared anew, the whole table is emptied and filled again. */
const extra: fc.Arbitrary<NftSet | undefined> = fc.oneof(
  fc.constant(undefined),
  fc
    .uniqueArray(fc.nat(65535), { maxLength: 4 })
    .map((elements): NftSet => ({ name: 'x', key: { types: ['inet_service'] }, flags: [], elements })),
  fc.uniqueArray(fc.nat(255), { maxLength: 4 }).map((n): NftSet => ({
    name: 'x',
    key: { types: ['ipv4_addr'] },
    flags: [],
    elements: n.map((last) => `10.9.9.${last}`),
  })),
);

/** Leaves out what nothing refers to, as chosen, so that chains, sets and maps come and go. */
function pruned(table: NftTable, more: NftSet | undefined, choices: number): NftTable {
  const all = JSON.stringify(table.chains);
  const maps = table.maps.filter((map, i) => all.includes(`"@${map.name}"`) || (choices & (1 << i)) === 0);
  const targets = all + JSON.stringify(maps);
  const chains = table.chains.filter(
    (chain, i) => chain.base !== undefined || targets.includes(`"target":"${chain.name}"`) || (choices & (4 << i)) === 0,
  );
  const rules = JSON.stringify(chains);
  // A set with a raw key that no rule asks loses its width in nft's JSON; the compiler makes no such sets.
  const sets = table.sets.filter((set, i) => rules.includes(`"@${set.name}"`) || (!('typeof' in set.key) && (choices & (4 << i)) === 0));
  return { ...table, maps, chains, sets: more === undefined ? sets : [...sets, more] };
}

const shaped = (table: fc.Arbitrary<NftTable>): fc.Arbitrary<NftTable> =>
  fc.tuple(table, extra, fc.nat(0xffff)).map((parts) => pruned(...parts));

/** Tables get a name each, so that one load tries many pairs; one of a pair may be missing. */
const pairs = fc
  .array(
    fc.oneof(inetTable, netdevTable).chain((one) => {
      const other = fc.constant(one.family).chain((family) => (family === 'inet' ? inetTable : netdevTable));
      return fc.tuple(fc.option(shaped(fc.constant(one))), fc.option(shaped(other)));
    }),
    { minLength: 12, maxLength: 12 },
  )
  .map((all) => {
    const named = (side: 0 | 1): NftTable[] =>
      all.flatMap((pair, i) => {
        const table = pair[side];
        return table === null ? [] : [normalizeTable({ ...table, name: `t${String(i).padStart(2, '0')}` })];
      });
    return [named(0), named(1)] as const;
  });

const byName = (a: NftTable, b: NftTable): number => (a.name < b.name ? -1 : 1);

it('leads from any tables to any others and back, each in one transaction', async () => {
  await fc.assert(
    fc.asyncProperty(pairs, async ([old, fresh]) => {
      await load(`flush ruleset\n${old.map(printTable).join('')}`);
      const seen = (await list()).sort(byName);
      assert.deepEqual(seen, old);
      const there = nftDifference(seen, fresh);
      await load(there.text);
      const changed = (await list()).sort(byName);
      assert.deepEqual(changed, fresh);
      assert.equal(nftDifference(changed, fresh).text, '');
      assert.deepEqual(nftDifference(changed, fresh).changes, []);
      await load(nftDifference(changed, old).text);
      assert.deepEqual((await list()).sort(byName), old);
    }),
    { numRuns: 12 },
  );
});

const chain = (name: string, ...verdicts: readonly ('accept' | 'drop')[]): NftTable['chains'][number] => ({
  name,
  rules: verdicts.map((verdict) => ({ statements: [verdict === 'accept' ? { accept: null } : { drop: null }] })),
});
const port = (name: string): NftTable['chains'][number] => ({
  name: `p_${name}`,
  base: { type: 'filter', hook: 'ingress', priority: -500, policy: 'accept', devices: [name] },
  rules: [{ statements: [{ drop: null }] }],
});
const inet = (parts: Partial<NftTable>): NftTable => ({ family: 'inet', name: 'weft', sets: [], maps: [], chains: [], ...parts });
const guard = (...names: readonly string[]): NftTable => ({ family: 'netdev', name: 'weft', sets: [], maps: [], chains: names.map(port) });
const set = (name: string, ...elements: readonly string[]): NftSet => ({ name, key: { types: ['ipv4_addr'] }, flags: [], elements });

describe('what the text says', () => {
  it('one element more is one element; nothing is flushed, nothing to try, and nothing to cut', () => {
    const { text, narrowing, check, summary } = nftDifference(
      [inet({ sets: [set('allow_port4', '10.0.0.1')] })],
      [inet({ sets: [set('allow_port4', '10.0.0.1', '10.0.0.2')] })],
    );
    assert.equal(text, 'add element inet weft allow_port4 {\n10.0.0.2\n}\n');
    assert.deepEqual([narrowing, check, summary], [false, '', '1 element']);
  });

  it('whatever takes away, or may, has connections judged again', () => {
    const narrowing = (old: Partial<NftTable>, now: Partial<NftTable>): boolean => nftDifference([inet(old)], [inet(now)]).narrowing;
    assert.equal(narrowing({ sets: [set('allow_port4', '10.0.0.1')] }, { sets: [set('allow_port4')] }), true);
    assert.equal(narrowing({ sets: [set('block_port4')] }, { sets: [set('block_port4', '10.0.0.1')] }), true);
    assert.equal(narrowing({ sets: [set('not_internet4')] }, { sets: [set('not_internet4', '10.0.0.1')] }), true);
    assert.equal(narrowing({ chains: [chain('forward', 'accept')] }, { chains: [chain('forward', 'drop')] }), true);
    assert.equal(narrowing({}, { chains: [chain('a_1', 'accept')] }), false);
    assert.equal(nftDifference([], [inet({})]).narrowing, true);
    assert.equal(nftDifference([inet({})], []).narrowing, true);
  });

  it('a map’s new verdict is taken away and given in one transaction', () => {
    const map = (target: string): Partial<NftTable> => ({
      maps: [{ name: 'allow_to4', key: { types: ['ipv4_addr'] }, flags: [], elements: [['10.0.0.1', { jump: { target } }]] }],
      chains: [chain('a_1', 'accept'), chain('a_2', 'drop')],
    });
    assert.equal(
      nftDifference([inet(map('a_1'))], [inet(map('a_2'))]).text,
      'delete element inet weft allow_to4 {\n10.0.0.1 : jump a_1\n}\nadd element inet weft allow_to4 {\n10.0.0.1 : jump a_2\n}\n',
    );
  });

  it('of netdev tables nothing is tried beforehand: their devices may not be there yet', () => {
    assert.equal(nftDifference([], [guard('w-a')]).check, '');
    assert.match(nftDifference([], [inet({ chains: [chain('forward', 'drop')] })]).check, /chain forward/);
  });
});

it('is right whether a chain has left with its device (before Linux 6.18) or not', async () => {
  const other = guard('w-b');
  for (const [seen, wanted, renewed] of [
    [guard('w-a', 'w-b'), other, []],
    [guard('w-a', 'w-b'), guard('w-a', 'w-b'), ['w-a']],
  ] as const) {
    const { text } = nftDifference([seen], [wanted], new Set(renewed));
    for (const there of [seen, other]) {
      await load(`flush ruleset\n${printTable(there)}`);
      await load(text);
      assert.deepEqual(await list(), [wanted]);
    }
  }
});
