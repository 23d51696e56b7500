/** `weft watch`: mends what others change of what was applied, and says what it did. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('watch')
    .helpGroup(group.change)
    .description('mend what others change of what was applied, as soon as it happens, and say so; until Ctrl-C');
  examples(command, 'sudo weft watch', 'sudo weft watch --json | jq .', 'sudo weft install --watch    # as a service');
  command.action(async () => {
    const { runWatch } = await import('../watch.ts');
    await runWatch(ctx);
  });
};
