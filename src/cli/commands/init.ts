/** `weft init`: a commented weft.yaml to start from, made of what is found on this host. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('init')
    .helpGroup(group.file)
    .description('write a commented weft.yaml to start from, with subnets that are free on this host; never overwrites a file')
    .option('-o, --output <file>', 'where to write, or - for standard output (default: the -f file, else weft.yaml here)');
  examples(command, 'weft init && weft check', 'weft init -o -');
  command.action(async (options: { output?: string }) => {
    const { runInit } = await import('../new-file.ts');
    await runInit(ctx, options.output);
  });
};
