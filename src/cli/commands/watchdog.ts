/** The process behind `--confirm`, started by `apply` itself; not for people, so not in the help. */
import type { Register } from '../command.ts';

export const register: Register = (program, ctx) => {
  program
    .command('watchdog', { hidden: true })
    .description('undo an apply that nobody confirms')
    .argument('<id>')
    .action(async (id: string) => {
      // The terminal of the apply may close: that is what this process is for.
      process.on('SIGHUP', () => undefined);
      const { sessionOf } = await import('../change.ts');
      const { watch } = await import('../../apply/watchdog.ts');
      const outcome = await watch(sessionOf(ctx), id);
      ctx.exitCode = outcome === 'left' ? 4 : 0;
    });
};
