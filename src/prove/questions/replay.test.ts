/** Where the two engines contradict each other about a counterexample, nothing is decided, and the answer says so. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { base, fromA, router, table, withTables } from '../concrete/example.ts';
import type { Answer, Reachability } from '../symbolic/flow-space.ts';
import type { Finding } from './answer.ts';
import { replayed } from './replay.ts';

const saying = (delivered: Answer, answered: Answer): Pick<Reachability, 'fateOf'> => ({ fateOf: () => ({ delivered, answered }) });
const passes: Finding = { verdict: 'refuted', how: 'passes', flow: fromA };
const closed = withTables(table('f', [base('forward', 'forward', 0, [], { policy: 'drop' })]));

it('a packet about which both engines say the same goes against what was asked', () => {
  assert.equal(replayed(passes, router, saying('yes', 'yes')), passes);
  assert.equal(replayed(passes, closed, saying('no', 'no')), passes);
  // Not known to one of them is no contradiction.
  assert.equal(replayed(passes, closed, saying('maybe', 'maybe')), passes);
  const nothing: Finding = { verdict: 'refuted', because: 'no packet is shown' };
  assert.equal(replayed(nothing, router, saying('no', 'no')), nothing);
});

it('a packet about which they contradict each other decides nothing', () => {
  const wrong = replayed(passes, closed, saying('yes', 'yes'));
  assert.deepEqual([wrong.verdict, wrong.how, wrong.flow], ['unknown', 'passes', fromA]);
  assert.match(wrong.because ?? '', /two engines disagree: .* it is delivered, step by step it is not; .* report it/);
  assert.match(replayed(passes, router, saying('yes', 'no')).because ?? '', /it is not answered, step by step it is;/);
  // As it is sent, under its sender's own MAC.
  const sent = { ...fromA, mac: '02:00:00:00:99:99' };
  assert.equal(replayed({ ...passes, sent }, router, saying('no', 'no')).verdict, 'unknown');
});
