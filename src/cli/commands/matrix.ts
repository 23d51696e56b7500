/** `weft matrix`: who reaches whom at which ports, proved. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('matrix')
    .helpGroup(group.look)
    .description('show who reaches whom at which ports: every guest, the host, the internet')
    .option('--html <file>', 'write a page to look at')
    .option('--live', 'of this host as it is now, other programs’ rules included (needs root)')
    .option('--state <file>', 'of the host that a captured document is of (`weft capture`)');
  examples(
    command,
    'weft matrix         # as the file wants it; no root, no kernel',
    'weft matrix --html matrix.html',
    'sudo weft matrix --live --json',
  );
  command.action(async (options: { html?: string; live?: boolean; state?: string }) => {
    const { runMatrix } = await import('../matrix.ts');
    await runMatrix(ctx, options);
  });
};
