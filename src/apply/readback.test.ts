/** What nft lists in other words than it was given is known again; what is really different is not. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stateOf } from '../../test/apply/compiled.ts';
import type { NftTable } from '../hoststate/nft.ts';
import { asWritten, listedDifferently } from './readback.ts';
import type { AppliedRecord } from './store.ts';

const { tables } = stateOf(`
name: demo
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
guests:
  web: internal
  db: internal
allow: [web -> db tcp/5432]
`);

/** As a version of nft that writes its comments in capitals would list them. */
const shouted = (all: readonly NftTable[]): NftTable[] =>
  all.map((table) => ({
    ...table,
    chains: table.chains.map((chain) =>
      chain.name === 'forward' ? { ...chain, rules: chain.rules.map((rule) => ({ ...rule, comment: 'SHOUTED' })) } : chain,
    ),
  }));

/** Only what asWritten looks at. */
const recordOf = (written: readonly NftTable[], listed: AppliedRecord['listed']): AppliedRecord =>
  ({ state: { tables: written }, listed }) as unknown as AppliedRecord;

describe('a listing in other words', () => {
  const listed = listedDifferently(tables, shouted(tables));

  it('is remembered by object, and only where it differs', () => {
    assert.deepEqual(Object.keys(listed), ['inet weft forward']);
    assert.deepEqual(listedDifferently(tables, tables), {});
  });

  it('means what was written', () => {
    assert.deepEqual(asWritten(shouted(tables), [recordOf(tables, listed)]), tables);
    assert.deepEqual(asWritten(tables, [recordOf(tables, {})]), tables);
  });

  it('means nothing else: a foreign hand in the same chain is seen', () => {
    const touched = shouted(tables).map((table) => ({
      ...table,
      chains: table.chains.map((chain) =>
        chain.name === 'forward' ? { ...chain, rules: [{ statements: [{ accept: null }] }, ...chain.rules] } : chain,
      ),
    }));
    assert.deepEqual(asWritten(touched, [recordOf(tables, listed)]), touched);
  });

  it('the newest record that knows it counts, an older one still helps', () => {
    assert.deepEqual(asWritten(shouted(tables), [recordOf(tables, listed), recordOf([], {})]), tables);
  });
});
