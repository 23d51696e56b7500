/** `weft version`: the same as `--version`, and with `--json` a document. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';
import { version } from '../version.ts';

export const register: Register = (program, ctx) => {
  const command = program.command('version').helpGroup(group.look).description('print the version of Weft');
  examples(command, 'weft version', 'weft version --json');
  command.action(() => ctx.answer({ version }, () => version));
};
