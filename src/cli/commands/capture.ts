/** `weft capture`: the live state of this host as one document. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('capture')
    .helpGroup(group.look)
    .description("print this host's live network state as one JSON document, untouched output of nft, ip, bridge and wg; keys are left out")
    .option('-o, --output <file>', 'write it there instead of to standard output');
  examples(command, 'sudo weft capture -o before.json', 'sudo weft capture | jq .routes4');
  command.action(async (options: { output?: string }) => {
    const { runCapture } = await import('../capture.ts');
    await runCapture(ctx, options.output);
  });
};
