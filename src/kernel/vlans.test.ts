/** What the name of an interface says of a VLAN. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { vlanOf } from './vlans.ts';

test('parent and number, by the last dot', () => {
  assert.deepEqual(vlanOf('em0.10'), { parent: 'em0', id: 10 });
  assert.deepEqual(vlanOf('em0.10.4094'), { parent: 'em0.10', id: 4094 });
});

test('no VLAN: no number, none there is, or one written otherwise', () => {
  for (const name of ['em0', 'em0.', '.10', 'em0.0', 'em0.010', 'em0.4095', 'em0.x', 'em0:10']) assert.equal(vlanOf(name), undefined, name);
});
