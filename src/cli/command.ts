/** The shape of a command's module: `src/cli/commands/<name>.ts` exports `register`, which says what the command takes and loads its work lazily. */
import type { Command } from 'commander';
import type { CliContext } from './context.ts';

export type Register = (program: Command, ctx: CliContext) => void;

/** Headings of `weft --help`. */
export const group = {
  file: 'The file:',
  change: 'Changing the host:',
  look: 'Looking:',
} as const;

/** Adds examples to a command's `--help`, one a line; text after `#` explains. */
export function examples(command: Command, ...lines: readonly string[]): Command {
  return command.addHelpText('after', `\nExamples:\n${lines.map((line) => `  ${line}`).join('\n')}`);
}
