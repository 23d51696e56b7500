/** `weft logs [GUEST]`: packets that `log: true` rules and `log: dropped` guests recorded, with the line of the file that decided each. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('logs')
    .helpGroup(group.look)
    .description('show the packets that `log: true` rules and `log: dropped` guests recorded, with the line of the file that decided each')
    .argument('[guest]', 'only packets from or to this guest')
    .option('-n, --lines <n>', 'only the last n');
  examples(command, 'sudo weft logs', 'sudo weft logs web -n 20', 'sudo weft logs --json | jq .packets');
  command.action(async (guest: string | undefined, options: { lines?: string }) => {
    const { runLogs } = await import('../logs.ts');
    await runLogs(ctx, guest, options.lines);
  });
};
