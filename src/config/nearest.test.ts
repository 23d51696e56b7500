import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { editDistance, nearest } from './nearest.ts';

test('finds the word that was meant', () => {
  const words = ['network', 'address', 'from-host', 'dns', 'gateway'];
  assert.equal(nearest('netwrok', words), 'network');
  assert.equal(nearest('Adress', words), 'address');
  assert.equal(nearest('from_host', words), 'from-host');
  assert.equal(nearest('dsn', words), 'dns');
  assert.equal(nearest('colour', words), undefined);
  assert.equal(nearest('x', []), undefined);
  assert.equal(nearest('x', ['a', 'xa']), 'xa');
  assert.equal(nearest('x', ['a']), undefined);
  assert.equal(nearest('', ['a']), undefined);
});

test('the distance is symmetric, zero for equals, and at most the longer length', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), (a, b) => {
      const distance = editDistance(a, b);
      assert.equal(distance, editDistance(b, a));
      assert.equal(distance === 0, a === b);
      assert.ok(distance <= Math.max(a.length, b.length) && distance >= Math.abs(a.length - b.length));
    }),
  );
  assert.equal(editDistance('ab', 'ba'), 1);
  assert.equal(editDistance('kitten', 'sitting'), 3);
});
