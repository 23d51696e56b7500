/**
 * The command line as a whole: global options, the commands, and the one place where errors of any kind become messages and an exit status.
 * Nothing here throws, and no stack is ever printed unless WEFT_DEBUG=1 asks for it.
 */
import { Command, CommanderError } from 'commander';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { type Register, group } from './command.ts';
import { CliContext, problemDocument } from './context.ts';
import { type Io, processIo } from './io.ts';
import { timingLines } from './timing.ts';
import { version } from './version.ts';
import { register as registerApply } from './commands/apply.ts';
import { register as registerAttach } from './commands/attach.ts';
import { register as registerCheck } from './commands/check.ts';
import { register as registerConfirm } from './commands/confirm.ts';
import { register as registerDestroy } from './commands/destroy.ts';
import { register as registerExplain } from './commands/explain.ts';
import { register as registerExport } from './commands/export.ts';
import { register as registerGuest } from './commands/guest.ts';
import { register as registerImport } from './commands/import.ts';
import { register as registerInstall } from './commands/install.ts';
import { register as registerInit } from './commands/init.ts';
import { register as registerRehearse } from './commands/rehearse.ts';
import { register as registerCapture } from './commands/capture.ts';
import { register as registerMatrix } from './commands/matrix.ts';
import { register as registerLogs } from './commands/logs.ts';
import { register as registerPlan } from './commands/plan.ts';
import { register as registerRestore } from './commands/restore.ts';
import { register as registerRollback } from './commands/rollback.ts';
import { register as registerShow } from './commands/show.ts';
import { register as registerStatus } from './commands/status.ts';
import { register as registerVersion } from './commands/version.ts';
import { register as registerWatch } from './commands/watch.ts';
import { register as registerWatchdog } from './commands/watchdog.ts';

/** In the order of `weft --help`. */
const commands: readonly Register[] = [
  registerInit,
  registerImport,
  registerGuest,
  registerCheck,
  registerRehearse,
  registerPlan,
  registerApply,
  registerConfirm,
  registerRollback,
  registerRestore,
  registerDestroy,
  registerAttach,
  registerInstall,
  registerStatus,
  registerWatch,
  registerShow,
  registerMatrix,
  registerExplain,
  registerExport,
  registerLogs,
  registerCapture,
  registerVersion,
  registerWatchdog,
];

/** Runs one command line (without the program's name) and resolves to the exit status. */
export async function main(argv: readonly string[], io: Io = processIo()): Promise<number> {
  const program = new Command('weft');
  const ctx = new CliContext(program, io);
  let usage: string | undefined;
  program
    .description('Owns the network of the guests on this Linux host: one file says who may talk to whom.')
    .version(version, '-V, --version', 'print the version')
    .option('-f, --file <file>', 'the file (default: weft.yaml here, else /etc/weft/weft.yaml)')
    .option('--host <name>', 'which host of the file this one is')
    .option('--json', 'answer with one JSON document on standard output')
    .option('--state-dir <directory>', 'where Weft remembers (default: WEFT_STATE_DIR, else /var/lib/weft)')
    .option('--run-dir <directory>', 'where what runs has its files (default: WEFT_RUN_DIR, else /run/weft)')
    .option('--no-color', 'no colours (also: NO_COLOR=1)')
    .commandsGroup(group.look)
    .configureHelp({ showGlobalOptions: true, helpWidth: Math.min(io.columns ?? 100, 120) })
    .configureOutput({
      writeOut: io.out,
      writeErr: io.err,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
      outputError: (text) => {
        usage = text;
      },
    })
    .exitOverride();
  for (const register of commands) register(program, ctx);
  inheritEverywhere(program);

  try {
    if (argv.every((word) => word === '--json')) {
      io.err(program.helpInformation());
      throw new CommanderError(2, 'commander.help', '');
    }
    if (io.cwdIsGone === true)
      throw refused('file-not-found', 'the working directory has been removed: change to one that is there, and try again');
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    end(ctx, problemsOf(error, usage, program, ctx));
  }
  ctx.showProblems();
  // One document in every outcome: of a command that ended with a message only, and where the options were not understood.
  if (ctx.exitCode !== 0 && argv.includes('--json') && !ctx.answered) ctx.json({ ok: false, problems: ctx.problems.map(problemDocument) });
  for (const line of timingLines()) ctx.err(line);
  return ctx.exitCode;
}

function refused(code: Diagnostic['code'], message: string): WeftError {
  return new WeftError(2, [{ code, severity: 'error', message }]);
}

/** Commands get what the program was told: help width, where output goes, no process.exit. */
function inheritEverywhere(command: Command): void {
  for (const child of command.commands) {
    child.copyInheritedSettings(command);
    inheritEverywhere(child);
  }
}

interface Ending {
  readonly exitCode: CliContext['exitCode'];
  readonly diagnostics: readonly Diagnostic[];
  readonly stack?: string;
}

function problemsOf(error: unknown, usage: string | undefined, program: Command, ctx: CliContext): Ending {
  if (error instanceof WeftError) {
    const stack = error.cause instanceof Error ? error.cause.stack : undefined;
    return { exitCode: error.exitCode, diagnostics: error.diagnostics, ...(stack === undefined ? {} : { stack }) };
  }
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return { exitCode: 0, diagnostics: [] };
    return { exitCode: 2, diagnostics: [usage === undefined ? noCommandDiagnostic(program) : usageDiagnostic(usage)] };
  }
  const message = error instanceof Error ? error.message : String(error);
  const left = ctx.touched ? 'the host may be half-way: run the command again, it repairs first' : 'nothing was changed';
  return {
    exitCode: ctx.touched ? 4 : 2,
    diagnostics: [
      {
        code: 'internal',
        severity: 'error',
        message: `Weft itself went wrong (${message.split('\n')[0]}), and ${left}; please report it with the output of the same command under WEFT_DEBUG=1`,
      },
    ],
    ...(error instanceof Error && error.stack !== undefined ? { stack: error.stack } : {}),
  };
}

function end(ctx: CliContext, { exitCode, diagnostics, stack }: Ending): void {
  for (const diagnostic of diagnostics) ctx.report(diagnostic);
  ctx.showProblems();
  ctx.exitCode = exitCode;
  if (stack !== undefined && ctx.io.env['WEFT_DEBUG'] === '1') ctx.err(stack);
}

/** Of `weft` and of `weft guest`: the help, which lists the commands, is shown already. */
function noCommandDiagnostic(program: Command): Diagnostic {
  const named = program.args[0];
  const parent = program.commands.find((command) => command.name() === named);
  const name = parent === undefined ? 'weft' : `weft ${parent.name()}`;
  const example = (parent ?? program).commands[0]?.name() ?? 'help';
  return { code: 'usage', severity: 'error', message: `${name} needs the name of a command, such as \`${name} ${example}\`` };
}

/** Commander's `error: unknown command 'aply'\n(Did you mean apply?)` as one of our sentences. */
function usageDiagnostic(text: string): Diagnostic {
  const sentence = text
    .replace(/^error: /, '')
    .trim()
    .replace(/\s*\n\s*/g, ' ')
    .replace(/\(Did you mean (.*)\?\)$/, '- did you mean $1?');
  const many = /^too many arguments for '(.*)'\. Expected (\d+) arguments? but got \d+: (.*)\.$/.exec(sentence);
  if (many) {
    const [, name = '', expected = '', given = ''] = many;
    const extra = given.split(', ').slice(Number(expected)).join(' ');
    return { code: 'usage', severity: 'error', message: `\`${extra}\` is more than ${name} takes: see \`weft ${name} --help\`` };
  }
  return { code: 'usage', severity: 'error', message: /did you mean/.test(sentence) ? sentence : `${sentence}: see \`weft --help\`` };
}
