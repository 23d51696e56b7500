/** `weft show`: hosts, networks, guests and ports as the file and its lock have them. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('show')
    .helpGroup(group.look)
    .description('show hosts, networks, guests, ports and addresses, as decided by the file and its lock');
  examples(command, 'weft show', 'weft show --json | jq .guests');
  command.action(async () => {
    const { runShow } = await import('../show.ts');
    runShow(ctx);
  });
};
