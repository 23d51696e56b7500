/** `weft check`: the file, the lock and the expectations, without root and without the kernel. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('check')
    .helpGroup(group.file)
    .description('check the file and its lock; needs no root and touches nothing');
  examples(command, 'weft check', 'weft check -f lab.yaml --json');
  command.action(async () => {
    const { runCheck } = await import('../check.ts');
    runCheck(ctx);
  });
};
