/** The small parts of a transaction: points of failure, deadlines, programs, signals. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { stateOf } from '../../test/apply/compiled.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { emptyState, planChanges } from '../plan/plan.ts';
import { faultsFromEnvironment } from './faults.ts';
import { programsFor, requirePrograms } from './programs.ts';
import { isOverdue } from './repair.ts';
import { holdSignals } from './signals.ts';
import type { Journal } from './store.ts';

describe('points of failure', () => {
  it('are counted from one; each chosen one fails once, with its name', () => {
    const faults = faultsFromEnvironment({ WEFT_FAULT: 'fail@2,fail@4' });
    faults.point('a');
    assert.throws(() => faults.point('b'), /injected failure at point 2 \(b\)/);
    faults.point('c');
    assert.throws(() => faults.point('d'), /point 4 \(d\)/);
    faults.point('e');
  });

  it('are nothing without the variable, or with a wrong one', () => {
    for (const WEFT_FAULT of [undefined, '', 'fail', 'fail@', 'kill@x']) {
      const faults = faultsFromEnvironment(WEFT_FAULT === undefined ? {} : { WEFT_FAULT });
      for (let point = 0; point < 20; point++) faults.point('any');
    }
  });
});

describe('the deadline of a change to confirm', () => {
  const journal = { deadline: { boot: 'this', ms: 1000 } } as Journal;
  it('counts by the time since boot, and a reboot ends it', () => {
    assert.equal(isOverdue(journal, { boot: 'this', ms: 999 }), false);
    assert.equal(isOverdue(journal, { boot: 'this', ms: 1000 }), true);
    assert.equal(isOverdue(journal, { boot: 'next', ms: 5 }), true);
    assert.equal(isOverdue({} as Journal, { boot: 'next', ms: 5 }), false);
  });
});

describe('programs', () => {
  const base = stateOf(`
name: demo
networks: { internal: { kind: nat, subnet: 10.0.105.0/24 } }
guests: { web: { network: internal, kind: namespace, log: dropped } }
`);
  const empty = emptyState('demo', 'host');

  it('all that a plan and its undo run', () => {
    const all = ['bridge', 'conntrack', 'dnsmasq', 'ip', 'nft', 'nsenter', 'perl', 'setpriv', 'tcpdump'];
    assert.deepEqual([...programsFor(planChanges(empty, base))].sort(), all);
    assert.deepEqual(
      [...programsFor(planChanges(base, empty))].sort(),
      all.filter((name) => name !== 'nsenter'),
    );
    assert.deepEqual([...programsFor(planChanges(base, base))].sort(), ['bridge', 'ip', 'nft', 'setpriv']);
  });

  it('missing ones are all named at once', () => {
    const kernel = {
      programPath: (program: string) => {
        if (program === 'perl' || program === 'dnsmasq')
          throw new WeftError(2, [{ code: 'program-missing', severity: 'error', message: program }]);
        return `/bin/${program}`;
      },
    } as unknown as Kernel;
    assert.throws(
      () => requirePrograms(kernel, planChanges(empty, base)),
      (error) =>
        error instanceof WeftError &&
        error.exitCode === 2 &&
        error.diagnostics
          .map((d) => d.message)
          .sort()
          .join() === 'dnsmasq,perl',
    );
  });
});

describe('signals', () => {
  it('are noted while held, by all who hold, and end the program again afterwards', async () => {
    const outer = holdSignals();
    const inner = holdSignals();
    process.kill(process.pid, 'SIGHUP');
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.kill(process.pid, 'SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual([outer.received(), inner.received()], ['SIGHUP', 'SIGHUP']);
    const during = process.listenerCount('SIGINT');
    inner.release();
    outer.release();
    assert.equal(process.listenerCount('SIGINT'), during - 2);
  });
});
