/** Decision diagrams against truth tables, intervals and fields against counting. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Bdd, TooManyNodes } from './bdd.ts';
import { Intervals } from './intervals.ts';
import { Field, joinSpans } from './layout.ts';

const variables = 5;
type Formula =
  { readonly var: number } | { readonly op: 'and' | 'or' | 'minus'; readonly of: readonly [Formula, Formula] } | { readonly not: Formula };

const { formula } = fc.letrec<{ formula: Formula }>((tie) => ({
  formula: fc.oneof(
    { maxDepth: 6 },
    fc.record({ var: fc.nat(variables - 1) }),
    fc.record({ op: fc.constantFrom('and', 'or', 'minus'), of: fc.tuple(tie('formula'), tie('formula')) }),
    fc.record({ not: tie('formula') }),
  ),
}));

function build(bdd: Bdd, f: Formula): number {
  if ('var' in f) return bdd.variable(f.var);
  if ('not' in f) return bdd.not(build(bdd, f.not));
  return bdd[f.op](build(bdd, f.of[0]), build(bdd, f.of[1]));
}

function holds(f: Formula, values: number): boolean {
  if ('var' in f) return ((values >> f.var) & 1) === 1;
  if ('not' in f) return !holds(f.not, values);
  const [a, b] = [holds(f.of[0], values), holds(f.of[1], values)];
  return f.op === 'and' ? a && b : f.op === 'or' ? a || b : a && !b;
}

function inSet(bdd: Bdd, set: number, values: number): boolean {
  let node = set;
  while (!bdd.isTerminal(node)) node = ((values >> bdd.level(node)) & 1) === 1 ? bdd.high(node) : bdd.low(node);
  return node === 1;
}

const all = Array.from({ length: 2 ** variables }, (_, i) => i);

test('a diagram holds what its formula holds, and equal formulas are equal numbers', () => {
  const check = (f: Formula, g: Formula): void => {
    const bdd = new Bdd();
    const [a, b] = [build(bdd, f), build(bdd, g)];
    for (const values of all) assert.equal(inSet(bdd, a, values), holds(f, values));
    assert.equal(
      a === b,
      all.every((values) => holds(f, values) === holds(g, values)),
    );
  };
  fc.assert(fc.property(formula, formula, check), { numRuns: 300, seed: 1 });
});

test('quantified variables are gone: for some, or for every value', () => {
  const check = (f: Formula, levels: readonly number[]): void => {
    const bdd = new Bdd();
    const set = build(bdd, f);
    const group = bdd.group(levels);
    const mask = levels.reduce((bits, level) => bits | (1 << level), 0);
    for (const values of all) {
      const others = all.filter((one) => (one & ~mask) === (values & ~mask)).map((one) => holds(f, one));
      assert.equal(inSet(bdd, bdd.exists(group, set), values), others.includes(true));
      assert.equal(inSet(bdd, bdd.forall(group, set), values), !others.includes(false));
    }
  };
  fc.assert(fc.property(formula, fc.uniqueArray(fc.nat(variables - 1)), check), { numRuns: 200, seed: 2 });
});

test('too many nodes are told of, not waited for', () => {
  const bdd = new Bdd(10);
  assert.throws(() => Array.from({ length: 20 }, (_, level) => bdd.variable(level)), TooManyNodes);
});

test('a field within spans holds exactly their values', () => {
  const check = (count: number, drawn: readonly (readonly [number, number])[]): void => {
    const bdd = new Bdd();
    const field = new Field(bdd, 'source', count, 3);
    const spans = joinSpans(
      drawn.map(([a, b]) => ({ from: Math.min(a, b) % count, to: Math.max(Math.min(a, b) % count, Math.max(a, b) % count) })),
    );
    const set = field.within(spans);
    for (let value = 0; value < count; value++) {
      const wanted = spans.some(({ from, to }) => from <= value && value <= to);
      assert.equal(bdd.and(set, field.is(value)) === field.is(value), wanted);
      assert.equal(bdd.and(set, field.is(value)) === 0, !wanted);
    }
  };
  fc.assert(fc.property(fc.integer({ min: 1, max: 70 }), fc.array(fc.tuple(fc.nat(100), fc.nat(100)), { maxLength: 5 }), check), {
    numRuns: 300,
    seed: 3,
  });
});

test('intervals are cut at every constant, and only there', () => {
  const intervals = new Intervals(
    [
      [10n, 19n],
      [15n, 15n],
      [250n, 255n],
    ],
    255n,
  );
  assert.deepEqual(
    Array.from({ length: intervals.count }, (_, i) => [intervals.first(i), intervals.final(i)]),
    [
      [0n, 9n],
      [10n, 14n],
      [15n, 15n],
      [16n, 19n],
      [20n, 249n],
      [250n, 255n],
    ],
  );
  assert.deepEqual(intervals.span(10n, 19n), { from: 1, to: 3 });
  assert.throws(() => intervals.span(10n, 12n), /was not among the constants/);
});
