/** What the compiler emits is in normal form, loads, and reads back equal; and nothing in it depends on chance. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { compileHost } from '../../src/compile/host.ts';
import { normalizeTable } from '../../src/hoststate/nft-normal.ts';
import { readRuleset } from '../../src/hoststate/nft-read.ts';
import { withPolicy } from './policy-bed.ts';
import { everything, smallFabric, smallFacts } from './small-fabric.ts';

it('is in normal form', () => {
  for (const table of compileHost(smallFabric(everything), 'host', smallFacts, { services: () => [] }).tables) {
    assert.deepEqual(table, normalizeTable(table));
  }
});

it('is the same every time and survives JSON', () => {
  const compile = (): unknown => compileHost(smallFabric(everything), 'host', smallFacts);
  assert.equal(JSON.stringify(compile()), JSON.stringify(compile()));
  assert.deepEqual(JSON.parse(JSON.stringify(compile())), compile());
});

it('reads back equal from the kernel', async () => {
  await withPolicy(everything, {}, async ({ host, state }) => {
    const json: unknown = JSON.parse(await host.kernel.run('nft', ['-j', 'list', 'ruleset']));
    const read = readRuleset(json, { netdevChains: await host.kernel.run('nft', ['list', 'chains', 'netdev']) });
    for (const table of state.tables)
      assert.deepEqual(
        read.find((one) => one.family === table.family),
        table,
      );
  });
});
