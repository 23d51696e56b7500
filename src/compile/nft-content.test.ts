/** Sets and chains that are named by their content. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { stateOf } from '../../test/apply/compiled.ts';

it('the same peers of a rule and of a published port are one set', () => {
  const { tables } = stateOf(`
name: demo
networks:
  front: { kind: nat, subnet: [10.1.0.0/24, "fd00:1::/64"] }
guests: { a: front, b: front, web: front, db: front }
allow:
  - { from: [a, b], to: web, ports: tcp/80, log: true }
publish:
  - host tcp/80 -> db from a, b
`);
  for (const { sets, maps, chains } of tables) {
    for (const parts of [[...sets, ...maps], chains]) assert.equal(new Set(parts.map(({ name }) => name)).size, parts.length);
  }
  const shared = tables.flatMap((table) => table.sets.filter(({ name }) => name.startsWith('s_')));
  assert.equal(shared.length, 2, 'of each family');
});
