/** `weft status`: what runs, and every difference between what was applied and what is there. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('status')
    .helpGroup(group.look)
    .description('what was applied here, what runs, and what differs from it (exit 1 when something does)');
  examples(command, 'sudo weft status', 'sudo weft status --json');
  command.action(async () => {
    const { sessionOf } = await import('../change.ts');
    const { requireRoot, withLock } = await import('../../apply/session.ts');
    const { hostStatus, statusText } = await import('../../apply/status.ts');
    requireRoot('weft status');
    const session = sessionOf(ctx);
    await withLock(session, ctx.report, async () => {
      const status = await hostStatus(session, ctx.report);
      ctx.answer(status, () => statusText(status));
      if (!status.ok) ctx.exitCode = 1;
    });
  });
};
