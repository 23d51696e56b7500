/**
 * What every command gets: the global options, the ways to answer (text, one JSON document) and to complain (diagnostics), and the
 * exit status. Commands answer through this and touch no stream themselves.
 */
import type { Command } from 'commander';
import { lstatSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Diagnostic, Report } from '../diagnostic/diagnostic.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { renderAll } from '../diagnostic/render.ts';
import type { Io } from './io.ts';

export interface GlobalOptions {
  readonly file?: string;
  readonly host?: string;
  readonly json: boolean;
  readonly color: boolean;
  /** Absolute. */
  readonly stateDir: string;
  /** Absolute. */
  readonly runDir: string;
}

/** Exit status of design.md section 3. */
export type ExitCode = 0 | 1 | 2 | 3 | 4 | 5;

export class CliContext {
  readonly io: Io;
  /** Collects; shown by {@link showProblems}, at the latest when the command ends. Hand it to the stages as it is. */
  readonly report: Report = (diagnostic) => void this.#pending.push(diagnostic);
  /** Everything reported so far, shown or not. */
  readonly problems: readonly Diagnostic[];
  exitCode: ExitCode = 0;
  /** Set by commands once they begin to change the host: an unexpected error then ends with 4 instead of 2. */
  touched = false;
  answered = false;
  readonly #program: Command;
  readonly #pending: Diagnostic[] = [];
  readonly #all: Diagnostic[] = [];
  readonly #sources = new Map<string, string>();

  constructor(program: Command, io: Io) {
    this.#program = program;
    this.io = io;
    this.problems = this.#all;
  }

  get options(): GlobalOptions {
    const given = this.#program.opts<{
      file?: string;
      host?: string;
      json?: boolean;
      color: boolean;
      stateDir?: string;
      runDir?: string;
    }>();
    const { env, cwd } = this.io;
    return {
      ...(given.file === undefined ? {} : { file: given.file }),
      ...(given.host === undefined ? {} : { host: given.host }),
      json: given.json === true,
      color: given.color && (env['NO_COLOR'] ?? '') === '',
      stateDir: resolve(cwd, given.stateDir ?? (env['WEFT_STATE_DIR'] || '/var/lib/weft')),
      runDir: resolve(cwd, given.runDir ?? (env['WEFT_RUN_DIR'] || '/run/weft')),
    };
  }

  /** Whether standard output, standard error may carry colours. */
  get color(): { readonly out: boolean; readonly err: boolean } {
    const wanted = this.options.color;
    return { out: wanted && this.io.color.out, err: wanted && this.io.color.err };
  }

  /** Human text to standard output; a newline is added. Under `--json` standard output belongs to {@link json} alone. */
  out(text: string): void {
    this.io.out(`${text}\n`);
  }

  /** A message or progress to standard error; a newline is added. */
  err(text: string): void {
    this.io.err(`${text}\n`);
  }

  /** The one document of a `--json` answer. */
  json(document: unknown): void {
    this.answered = true;
    this.io.out(`${JSON.stringify(document, undefined, 2)}\n`);
  }

  /** The command's answer: the document under `--json`, else the text. Problems are shown first. */
  answer(document: unknown, text: () => string): void {
    this.showProblems();
    if (this.options.json) this.json(document);
    else {
      const lines = text();
      if (lines !== '') this.out(lines);
    }
  }

  /** Makes a file's text known, for the excerpts under its problems. */
  source(path: string, text: string): void {
    this.#sources.set(path, text);
  }

  /** Writes the problems that are not shown yet to standard error, in the order of the file. */
  showProblems(): void {
    const pending = this.#pending.splice(0);
    this.#all.push(...pending);
    if (pending.length === 0) return;
    const { shown, more } = withoutFloods(pending);
    this.err(renderAll(shown, this.#sources, { color: this.color.err }));
    for (const [code, count] of more) this.err(`and ${count} more warnings ${code}; --json has them all.`);
  }

  /** Shows what was reported and, when an error is among it, ends the command with `exitCode`. */
  stopOnErrors(exitCode: 1 | 2 | 3 | 4 | 5 = 2): void {
    this.showProblems();
    if (this.#all.some((diagnostic) => diagnostic.severity === 'error')) throw new WeftError(exitCode, []);
  }

  /** The file this command is about: `-f`, else weft.yaml here, else /etc/weft/weft.yaml. As the user would write it. */
  configPath(): string {
    const { file } = this.options;
    if (file === '') throw new WeftError(2, [{ code: 'usage', severity: 'error', message: '-f is empty: name the file' }]);
    if (file !== undefined) return file;
    for (const candidate of ['weft.yaml', '/etc/weft/weft.yaml']) {
      if (mayBeThere(resolve(this.io.cwd, candidate))) return candidate;
    }
    throw new WeftError(2, [
      {
        code: 'file-not-found',
        severity: 'error',
        message: `there is no weft.yaml in ${this.io.cwd} and no /etc/weft/weft.yaml: name one with -f FILE, or write one with \`weft init\``,
      },
    ]);
  }
}

/** Also of a link to nowhere and in a directory one may not look into: reading it then says what is wrong. */
function mayBeThere(path: string): boolean {
  try {
    lstatSync(path);
    return true;
  } catch (cause) {
    return cause instanceof Error && 'code' in cause && cause.code === 'EACCES';
  }
}

/** The form of a problem in JSON answers. */
export function problemDocument(diagnostic: Diagnostic): object {
  const { severity, code, message, span } = diagnostic;
  return { severity, code, message, ...(span === undefined ? {} : { file: span.file, line: span.line, column: span.column }) };
}

/** So many warnings of one code are shown: the rest of a thousand says nothing new. Errors are all shown. */
const WARNINGS_SHOWN = 20;

function withoutFloods(problems: readonly Diagnostic[]): { readonly shown: Diagnostic[]; readonly more: ReadonlyMap<string, number> } {
  const seen = new Map<string, number>();
  const more = new Map<string, number>();
  const shown = problems.filter(({ severity, code }) => {
    if (severity === 'error') return true;
    const count = (seen.get(code) ?? 0) + 1;
    seen.set(code, count);
    if (count > WARNINGS_SHOWN) more.set(code, count - WARNINGS_SHOWN);
    return count <= WARNINGS_SHOWN;
  });
  return { shown, more };
}
