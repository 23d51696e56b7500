/** `weft rollback`: back to what was there before the last apply, confirmed or not. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('rollback')
    .helpGroup(group.change)
    .description('go back to what was there before the last apply; a second time goes forward again')
    .option('--verbose', 'print each command before it runs');
  examples(command, 'sudo weft rollback');
  command.action(async (options: { readonly verbose?: boolean }) => {
    const { sessionOf } = await import('../change.ts');
    const { requireRoot, withLock } = await import('../../apply/session.ts');
    const { rollBack, rollBackPending } = await import('../../apply/confirm.ts');
    const { WeftError } = await import('../../diagnostic/diagnostic.ts');
    requireRoot('weft rollback');
    const session = sessionOf(ctx, { verbose: options.verbose === true });
    await withLock(session, ctx.report, async (repaired) => {
      // What was half-way or not confirmed in time has gone back just now: that is what was asked for, and not one change more.
      if (repaired === 'undone' || repaired === 'expired') {
        ctx.answer({ ok: true }, () => 'Gone back: the host is as it was before the change.');
        return;
      }
      ctx.touched = true;
      const left = await rollBackPending(session);
      if (left !== undefined) {
        if (left.length > 0) throw new WeftError(4, left);
        ctx.answer({ ok: true }, () => 'Gone back: the unconfirmed change is undone.');
        return;
      }
      if ((await rollBack(session)) === undefined) {
        const message = 'there is nothing before the last apply to go back to; `weft destroy` removes everything of Weft from this host';
        throw new WeftError(1, [{ code: 'nothing-to-roll-back', severity: 'error', message }]);
      }
      ctx.answer(
        { ok: true },
        () => 'Gone back to what was there before the last apply. The file is as it was: `weft plan` shows the difference.',
      );
    });
    ctx.touched = false;
  });
};
