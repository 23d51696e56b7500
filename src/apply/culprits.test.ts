/** Whose doing a difference was, however late the events come. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { createCulprits } from './culprits.ts';

const change = (generation: number, process = 'nft'): Parameters<ReturnType<typeof createCulprits>['heard']>[0] => ({
  generation,
  by: { process, pid: generation * 10 },
  lines: [],
});

test('those up to the generation that was looked at, also when their events come later, and not the mending', async () => {
  const culprits = createCulprits();
  culprits.heard(change(3), true);
  const asked = culprits.upTo('5 net:[1] boot');
  setTimeout(() => {
    culprits.heard(change(4), false);
    culprits.heard(change(5, 'firewalld'), true);
    culprits.heard(change(6), true);
  }, 30);
  assert.deepEqual(await asked, [
    { process: 'nft', pid: 30 },
    { process: 'firewalld', pid: 50 },
  ]);
  culprits.heard(change(7, 'iptables'), true);
  assert.deepEqual((await culprits.upTo('7 net:[1] boot')).at(-1), { process: 'iptables', pid: 70 });
});

test('what was no drift is forgotten; without a generation everything counts', async () => {
  const culprits = createCulprits();
  culprits.heard(change(3), true);
  culprits.heard(change(4, 'ufw'), true);
  culprits.forget('3 net:[1] boot');
  assert.deepEqual(await culprits.upTo(undefined), [{ process: 'ufw', pid: 40 }]);
});
