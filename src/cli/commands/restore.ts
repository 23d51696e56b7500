/** `weft restore`: what was applied last, from the state directory alone; what the boot units run. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

interface RestoreOptions {
  readonly early?: boolean;
  readonly verbose?: boolean;
}

export const register: Register = (program, ctx) => {
  const command = program
    .command('restore')
    .helpGroup(group.change)
    .description('bring back what was applied last, without the file: after a reboot, or after others have changed it')
    .option('--early', 'only what needs no interface but those that Weft makes: before the network is up')
    .option('--verbose', 'print each command before it runs');
  examples(command, 'sudo weft restore', 'sudo weft restore --early    # what the unit weft-early.service runs: see weft install');
  command.action(async (options: RestoreOptions) => {
    const { sessionOf } = await import('../change.ts');
    const { requireRoot, withLock } = await import('../../apply/session.ts');
    const { restore } = await import('../../apply/restore.ts');
    requireRoot('weft restore');
    const session = sessionOf(ctx, { verbose: options.verbose === true, stage: options.early === true ? 'early' : 'full' });
    await withLock(
      session,
      ctx.report,
      async () => {
        ctx.touched = true;
        const restored = await restore(session);
        ctx.touched = false;
        if (restored === undefined) {
          ctx.answer({ ok: true, applied: false, changes: [] }, () => 'Nothing is applied on this host, so there is nothing to restore.');
          return;
        }
        const { changes, problems, detached } = restored;
        for (const problem of problems) ctx.report(problem);
        const ok = problems.length === 0;
        if (!ok) ctx.exitCode = 1;
        ctx.answer({ ok, applied: true, changes, detached }, () => restoredText(changes.length, detached, options.early === true));
      },
      { waitMs: BUSY_MS },
    );
  });
};

/** At boot nobody is there to try again: a run of Weft that is under way may end first. */
const BUSY_MS = 60_000;

function restoredText(changes: number, detached: readonly string[], early: boolean): string {
  const things = `${changes} thing${changes === 1 ? '' : 's'}`;
  const done = changes === 0 ? 'Everything is as it was applied.' : `Restored ${things} as applied.`;
  const later = early && changes > 0 ? ' What is on interfaces of the host itself follows with `weft restore`.' : '';
  const waiting = detached.length === 0 ? '' : `\nNot attached any more: ${detached.join(', ')} (\`weft attach\` when the container runs).`;
  return `${done}${later}${waiting}`;
}
