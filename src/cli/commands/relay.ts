/** The process that opens domain names, started as a service by `apply`; not for people, so not in the help. */
import type { Register } from '../command.ts';

export const register: Register = (program, ctx) => {
  program
    .command('relay', { hidden: true })
    .description('pass on questions for the domain names of the rules')
    .argument('<file>')
    .action(async (file: string) => {
      const { openKernel } = await import('../../kernel/open.ts');
      const { runRelay } = await import('../../relay/run.ts');
      await runRelay(openKernel(), file, (line) => ctx.err(line));
    });
};
