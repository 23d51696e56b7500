/** The two engines of the prover against each other: random files, random packets at the edges of whatever the model compares with. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fileOf, shape } from '../../test/apply/random-file.ts';
import { fabricOf } from '../../test/apply/compiled.ts';
import { addressesOf, disagreement, randomPacket, sequence } from '../../test/prove/agreement.ts';
import { assumedFacts } from '../compile/assumed-facts.ts';
import { compileHost } from '../compile/host.ts';
import { normalizeTable } from '../hoststate/nft-normal.ts';
import { bridgedGuests } from './model/bridged-guests.ts';
import { modelOf } from './model/model-of.ts';
import { analyse } from './symbolic/analyse.ts';

const ports = [22, 53, 67, 68, 80, 81, 443, 546, 547, 8000, 8080, 40000];

test('of random files, both engines say the same of random packets', () => {
  let packets = 0;
  const checkFile = (drawn: Parameters<typeof fileOf>[0], seed: number): void => {
    const { fabric, host } = fabricOf(fileOf(drawn));
    const facts = assumedFacts(fabric, host);
    const state = compileHost(fabric, host, facts);
    const model = modelOf({ ...state, tables: state.tables.map(normalizeTable) }, facts, { bridgedGuests: bridgedGuests(fabric, host) });
    const random = sequence(seed);
    for (const family of [4, 6] as const) {
      const addresses = addressesOf(model, family);
      const reach = analyse(model, family, {
        prefixes: addresses,
        ports: ports.map((port) => ({ from: port, to: port })),
        protocols: [47],
        macs: [],
      });
      for (let i = 0; i < 60; i++) {
        const different = disagreement(model, reach, randomPacket(model, family, addresses, ports, random));
        packets++;
        assert.equal(different, undefined, different);
      }
    }
  };
  fc.assert(fc.property(shape, fc.integer(), checkFile), {
    numRuns: 25,
    seed: 7,
  });
  assert.ok(packets >= 3000);
});
