/** `weft confirm`: keeps the change that waits for it. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program.command('confirm').helpGroup(group.change).description('keep the change that an apply with --confirm has made');
  examples(command, 'sudo weft confirm    # after: sudo weft apply --yes --confirm 5m');
  command.action(async () => {
    const { sessionOf } = await import('../change.ts');
    const { requireRoot, withLock } = await import('../../apply/session.ts');
    const { confirmPending } = await import('../../apply/confirm.ts');
    const { WeftError } = await import('../../diagnostic/diagnostic.ts');
    requireRoot('weft confirm');
    const session = sessionOf(ctx);
    await withLock(session, ctx.report, async () => {
      if ((await confirmPending(session)) === 'confirmed') {
        ctx.answer({ ok: true, confirmed: true }, () => 'Kept.');
        return;
      }
      const message =
        'no change waits to be confirmed: it was confirmed before, or not in time and has gone back; `weft status` shows what is there';
      throw new WeftError(1, [{ code: 'nothing-pending', severity: 'error', message }]);
    });
  });
};
