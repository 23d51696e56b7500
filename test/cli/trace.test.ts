/** Where the answer of `explain` and the kernel's trace part is found, and named. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { differenceOf } from '../../src/cli/explain/trace.ts';
import type { TraceLine } from '../../src/kernel/trace.ts';
import type { Step } from '../../src/prove/concrete/interpret.ts';

const step = (chain: string, rule: string, effect: string): Step => ({
  where: `inet t ${chain}`,
  rule,
  place: { family: 'inet', table: 't', chain, rule, index: 0 },
  effect,
});
const line = (chain: string, verdict: string, rule?: string): TraceLine => ({
  family: 'inet',
  table: 't',
  chain,
  verdict,
  ...(rule === undefined ? {} : { rule }),
});

test('the same rules agree, whatever their words; policies that accept are not steps', () => {
  const steps = [
    step('pre', 'dnat to 10.0.0.2', 'destination 10.0.0.2:80'),
    { where: 'routing', rule: 'default', effect: 'out by eth0' },
    step('f', 'drop', 'drop'),
  ];
  assert.equal(
    differenceOf(steps, [line('pre', 'accept', 'dnat ip to 10.0.0.2'), line('p', 'accept'), line('f', 'drop', 'counter drop')], false),
    undefined,
  );
  assert.equal(differenceOf([step('f', 'policy', 'drop')], [line('f', 'drop')], false), undefined);
});

test('another verdict, another rule, one more, one less, and no packet at all do not', () => {
  const steps = [step('f', 'accept', 'accept')];
  assert.equal(differenceOf(steps, [line('f', 'drop', 'drop')], false), 'Weft has accept in inet t f, the kernel has drop in inet t f');
  assert.equal(differenceOf(steps, [line('f', 'drop')], false), 'Weft has accept in inet t f, the kernel has policy drop in inet t f');
  assert.equal(
    differenceOf(steps, [line('f', 'accept', 'a'), line('g', 'accept', 'b')], false),
    'Weft has nothing more, the kernel has accept in inet t g',
  );
  assert.equal(
    differenceOf([...steps, step('g', 'x', 'drop')], [line('f', 'accept', 'a')], false),
    'Weft has drop in inet t g, the kernel has nothing more',
  );
  assert.match(differenceOf(steps, [], false) ?? '', /no packet/);
});
