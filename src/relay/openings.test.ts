/** How long what is open stays open, and that one bad set does not spoil the others. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { OpenedAddress } from '../kernel/opened.ts';
import { Openings } from './openings.ts';

interface Bench {
  readonly openings: Openings;
  /** `SET ADDRESS SECONDS` of each transaction so far. */
  readonly written: string[][];
  at: number;
}

function bench(problem: (addresses: readonly OpenedAddress[]) => string | undefined = () => undefined): Bench {
  const written: string[][] = [];
  const self: Bench = {
    at: 0,
    written,
    openings: new Openings(
      (addresses) => {
        written.push(addresses.map(({ set, address, seconds }) => `${set} ${address} ${seconds}`));
        return Promise.resolve(problem(addresses));
      },
      () => self.at,
    ),
  };
  return self;
}
const one = (set: string, address: string, seconds: number): OpenedAddress => ({ set, address, seconds });

test('a shorter answer does not shorten, a longer one lengthens, one that is over opens again', async () => {
  const self = bench();
  await self.openings.open([one('n', '192.0.2.1', 100)]);
  self.at = 50;
  await self.openings.open([one('n', '192.0.2.1', 20)]);
  assert.deepEqual(self.written, [['n 192.0.2.1 100']]);
  await self.openings.open([one('n', '192.0.2.1', 60)]);
  self.at = 200;
  await self.openings.open([one('n', '192.0.2.1', 5)]);
  assert.deepEqual(self.written.slice(1), [['n 192.0.2.1 60'], ['n 192.0.2.1 5']]);
});

test('what comes while a transaction is under way is one transaction, each address once and for the longest time', async () => {
  const self = bench();
  await Promise.all([
    self.openings.open([one('n', '192.0.2.1', 10)]),
    self.openings.open([one('n', '192.0.2.2', 10), one('m', '192.0.2.2', 10)]),
    self.openings.open([one('n', '192.0.2.2', 30)]),
    self.openings.open([]),
  ]);
  assert.deepEqual(self.written, [['n 192.0.2.1 10'], ['n 192.0.2.2 30', 'm 192.0.2.2 10']]);
});

test('a set that is gone spoils its own answers only, which are not remembered as open', async () => {
  const self = bench((addresses) => (addresses.some(({ set }) => set === 'gone') ? 'no such set' : undefined));
  const said = await Promise.all([
    self.openings.open([one('n', '192.0.2.1', 10)]),
    self.openings.open([one('gone', '192.0.2.1', 10)]),
    self.openings.open([one('n', '192.0.2.3', 10)]),
  ]);
  assert.deepEqual(said, [undefined, 'no such set', undefined]);
  assert.equal(await self.openings.open([one('gone', '192.0.2.1', 10)]), 'no such set');
});

test('sets made anew get what is still open, for the time that is left', async () => {
  const self = bench();
  self.openings.remember([one('n', '192.0.2.9', 100)]);
  await self.openings.open([one('n', '192.0.2.1', 10), one('n', '192.0.2.2', 30), one('left', '192.0.2.3', 30)]);
  self.at = 15;
  assert.equal(await self.openings.refill(new Set(['n'])), undefined);
  assert.deepEqual(self.written.at(-1), ['n 192.0.2.9 85', 'n 192.0.2.2 15']);
  await self.openings.open([one('left', '192.0.2.3', 1)]);
  assert.deepEqual(self.written.at(-1), ['left 192.0.2.3 1']);
});

test('a program that cannot be run is a problem said, not thrown', async () => {
  const openings = new Openings(() => Promise.reject(new Error('no nft')));
  assert.match((await openings.open([one('n', '192.0.2.1', 1)])) ?? '', /no nft/);
  assert.match((await openings.open([one('n', '192.0.2.1', 1)])) ?? '', /no nft/);
});
