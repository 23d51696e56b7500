/** What opens and what closes between two files, by proof. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { caseOf, fabricOf } from '../../../test/prove/file.ts';
import { differenceOf, type FlowDifference } from './difference.ts';

const file = (rules: string, network = 'kind: nat, subnet: [10.1.0.0/24, fd00:1::/64]'): string => `
name: demo
networks:
  a: { ${network} }
guests:
  web: a
  db: a
  box: { network: a, kind: container }
${rules}
`;

const between = (before: string, after: string): FlowDifference | undefined =>
  differenceOf(caseOf(fabricOf(before)), caseOf(fabricOf(after)));

it('a rule opens, its leaving closes; what another rule covers does neither', () => {
  const [none, rule] = [file(''), file('allow: [web -> db tcp/5432]')];
  assert.deepEqual(between(none, rule), { opened: ['web -> db tcp/5432'], closed: [] });
  assert.deepEqual(between(rule, none), { opened: [], closed: ['web -> db tcp/5432'] });
  assert.deepEqual(between(rule, rule), { opened: [], closed: [] });
  const wide = file('allow: [web -> db tcp/1-9999]');
  assert.deepEqual(between(wide, file('allow: [web -> db tcp/1-9999, web -> db tcp/5432]')), { opened: [], closed: [] });
  // Only a part of a rule is new: the part is told.
  assert.deepEqual(between(rule, file('allow: [web -> db tcp/5432-5433]')), { opened: ['web -> db tcp/5433'], closed: [] });
});

it('blocks, defaults and published ports', () => {
  assert.deepEqual(between(file(''), file('block: [web -> internet]')), { opened: [], closed: ['web -> internet'] });
  assert.deepEqual(between(file('block: [web -> internet tcp/25]'), file('')), { opened: ['web -> internet tcp/25'], closed: [] });
  assert.deepEqual(between(file(''), file('publish: [host tcp/2222 -> web tcp/22]')), { opened: [], closed: [] });
});

it('neighbours by their prefix, and guests that come', () => {
  const routed = (rules: string): string => file(rules, 'kind: routed, addresses: 198.51.100.64/29');
  assert.deepEqual(between(routed(''), routed('allow: [192.0.2.0/24 -> web tcp/22]')), {
    opened: ['192.0.2.0/24 -> web tcp/22'],
    closed: [],
  });
  const more = file('').replace('  db: a', '  db: a\n  new: a');
  assert.deepEqual(between(file(''), more), { opened: ['host -> new', 'new -> internet'], closed: [] });
  const many = file('').replace('  db: a', `  db: a\n${Array.from({ length: 40 }, (_, i) => `  g${i}: a`).join('\n')}`);
  const few = many.replace(/ {2}g[12]\d: a\n/g, '').replace(/ {2}g3[0-9]: a\n/g, '');
  assert.deepEqual(between(few, `${few}allow: [any -> db tcp/80]\n`), { opened: ['any -> db tcp/80'], closed: [] });
  assert.equal(between(many, many), undefined, 'too many');
});

it('an address that changes opens and closes nothing', () => {
  const rule = 'allow: [web -> db tcp/5432]';
  assert.deepEqual(between(file(rule), file(rule, 'kind: nat, subnet: [10.2.0.0/24, fd00:1::/64]')), { opened: [], closed: [] });
});
