/** The law of the nft modules: print, load into a kernel, list, read gives the table back, in normal form. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { openKernel } from '../kernel/open.ts';
import { inetTable, netdevTable } from './nft-arbitrary.ts';
import type { NftTable } from './nft.ts';
import { normalizeTable } from './nft-normal.ts';
import {
  addChain,
  addElements,
  addRules,
  addSet,
  addTable,
  deleteElements,
  flushChain,
  deleteChain,
  deleteSet,
  flushSet,
  printTable,
} from './nft-print.ts';
import { readRuleset } from './nft-read.ts';

const root = openKernel();
const namespace = `kt-roundtrip-${process.pid}`;
const kernel = root.at(`/run/netns/${namespace}`);
before(() => root.run('ip', ['netns', 'add', namespace]));
after(() => root.run('ip', ['netns', 'del', namespace]));

const load = (input: string) => kernel.run('nft', ['-f', '-'], { input });

async function list(): Promise<NftTable[]> {
  const [json, netdevChains] = await Promise.all([
    kernel.run('nft', ['-j', 'list', 'ruleset']),
    kernel.run('nft', ['list', 'chains', 'netdev']),
  ]);
  return readRuleset(JSON.parse(json), { netdevChains });
}

/**
 * Sets that no rule of the table uses lose the width of raw payload fields in nft's JSON; the compiler makes no such sets.
 * Here they get a user.
 */
function withUsers(table: NftTable): NftTable {
  const users = table.sets.flatMap((set) =>
    'typeof' in set.key
      ? [{ statements: [{ match: { op: '!=' as const, left: { concat: set.key.typeof }, right: `@${set.name}` } }, { return: null }] }]
      : [],
  );
  return { ...table, chains: [...table.chains, { name: 'users', rules: users }] };
}

/** Tables get a name each, so that one load tries many. */
const tables = fc
  .array(fc.oneof(inetTable, netdevTable), { minLength: 15, maxLength: 15 })
  .map((all) => all.map((table, i) => withUsers({ ...table, name: `t${String(i).padStart(2, '0')}` })));

test('print, load, list, read: the same table, also from its pieces', async () => {
  await fc.assert(
    fc.asyncProperty(tables, async (all) => {
      await load(`flush ruleset\n${all.map(printTable).join('')}`);
      const byName = (a: NftTable, b: NftTable): number => (a.name < b.name ? -1 : 1);
      const read = (await list()).sort(byName);
      for (const [i, table] of all.entries()) assert.deepEqual(read[i], normalizeTable(table));
      await load(`flush ruleset\n${all.map(inPieces).join('')}`);
      assert.deepEqual((await list()).sort(byName), read);
      // What was read prints and loads again; normal form is a fixed point.
      await load(`flush ruleset\n${read.map(printTable).join('')}`);
      assert.deepEqual((await list()).sort(byName), read);
      for (const table of read) assert.deepEqual(normalizeTable(table), table);
    }),
    { numRuns: 8 },
  );
});

function inPieces(table: NftTable): string {
  const containers = [...table.sets, ...table.maps];
  return [
    addTable(table),
    ...containers.map((container) => addSet(table, container)),
    ...table.chains.map((chain) => addChain(table, chain)),
    ...table.chains.map((chain) => addRules(table, chain)),
    ...containers.map((container) => addElements(table, container, container.elements)),
  ].join('');
}

test('pieces take away what they brought', async () => {
  await fc.assert(
    fc.asyncProperty(inetTable.map(withUsers).map(normalizeTable), async (table) => {
      const containers = [...table.sets, ...table.maps];
      await load(`flush ruleset\n${printTable(table)}`);
      await load(containers.map((container) => deleteElements(table, container, container.elements)).join(''));
      const emptied = await list();
      assert.deepEqual(emptied, [
        { ...table, sets: table.sets.map((set) => ({ ...set, elements: [] })), maps: table.maps.map((map) => ({ ...map, elements: [] })) },
      ]);
      await load(containers.map((container) => addElements(table, container, container.elements)).join(''));
      assert.deepEqual(await list(), [table]);
      await load(
        [
          ...table.chains.map((chain) => flushChain(table, chain)),
          ...containers.map((container) => flushSet(table, container)),
          ...table.chains.map((chain) => deleteChain(table, chain)),
          ...containers.map((container) => deleteSet(table, container)),
        ].join(''),
      );
      assert.deepEqual(await list(), [{ family: 'inet', name: 'weft', sets: [], maps: [], chains: [] }]);
    }),
    { numRuns: 6 },
  );
});
