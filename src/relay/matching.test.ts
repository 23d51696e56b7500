import assert from 'node:assert/strict';
import test from 'node:test';
import { matcherOf } from './matching.ts';

const matching = matcherOf([
  { pattern: 'updates.example.org' },
  { pattern: '*.example.org' },
  { pattern: '*.b.example.org' },
  { pattern: 'example.net' },
]);

const cases: readonly (readonly [string, readonly string[]])[] = [
  ['updates.example.org', ['updates.example.org', '*.example.org']],
  ['UPDATES.Example.ORG', ['updates.example.org', '*.example.org']],
  ['a.updates.example.org', ['*.example.org']],
  ['a.b.example.org', ['*.b.example.org', '*.example.org']],
  ['b.example.org', ['*.example.org']],
  ['example.org', []],
  ['notexample.org', []],
  ['example.org.evil.test', []],
  ['a.example.net', []],
  ['example.net', ['example.net']],
  ['*.example.org', ['*.example.org']],
  ['org', []],
  ['', []],
];
for (const [name, patterns] of cases) {
  test(`${name || 'the root'} is ${patterns.join(', ') || 'none of them'}`, () => {
    assert.deepEqual(
      matching(name)
        .map(({ pattern }) => pattern)
        .sort(),
      [...patterns].sort(),
    );
  });
}
