/**
 * Reads weft.yaml: text to YAML document, to plain values, to the validated model. All problems are reported at once, each with its place.
 */
import { readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Diagnostic, Report } from '../diagnostic/diagnostic.ts';
import { diagnosticsOf } from './issues.ts';
import { leaveOut } from './leave-out.ts';
import { readWithLibrary } from './library-yaml.ts';
import type { ConfigFile } from './model.ts';
import { fileSchema } from './schema.ts';
import { linesOf, placesOf } from './tree.ts';

/** Larger files are refused before they are read: 64 MiB. */
export const MAX_FILE_BYTES = 64 * 1024 * 1024;

/**
 * Reads and validates a file. Undefined when an error was reported. `path` is shown in messages as it is. A link is followed for
 * `directory`: one file has one lock and one default name, however it is called.
 */
export function readConfig(path: string, report: Report): ConfigFile | undefined {
  const { config, whole } = readParts(path, report);
  return whole ? config : undefined;
}

export interface ReadParts {
  /** Undefined when too much is wrong to go on. */
  readonly config?: ConfigFile;
  /** Nothing is wrong; else `config` lacks what is, which was reported. */
  readonly whole: boolean;
}

/** As {@link readConfig}, but a file with wrong parts gives what is left without them, to look for more problems in. */
export function readParts(path: string, report: Report): ReadParts {
  const text = readText(path, report);
  return text === undefined ? { whole: false } : parseParts(path, directoryOf(path), text, report);
}

function directoryOf(path: string): string {
  try {
    return dirname(realpathSync(path));
  } catch {
    // A pipe, such as -f <(…), has no path of its own.
    return dirname(resolve(path));
  }
}

/** The same for a text already read. `directory` is absolute; weft.lock lies there. */
export function parseConfig(path: string, directory: string, text: string, report: Report): ConfigFile | undefined {
  const { config, whole } = parseParts(path, directory, text, report);
  return whole ? config : undefined;
}

function parseParts(path: string, directory: string, text: string, report: Report): ReadParts {
  const lines = linesOf(path, text);
  const tree = readWithLibrary(text, lines, report);
  if (!tree) return { whole: false };
  const places = placesOf(tree, text, lines);
  const result = fileSchema.safeParse(tree.root);
  if (result.success) return { config: { path, directory, text, model: result.data, span: places.span }, whole: true };
  for (const problem of diagnosticsOf(result.error.issues, tree.root, places)) report(problem);
  const rest = leaveOut(tree, result.error.issues);
  const again = rest && fileSchema.safeParse(rest.root);
  if (!rest || !again?.success) return { whole: false };
  return { config: { path, directory, text, model: again.data, span: placesOf(rest, text, lines).span }, whole: false };
}

/** The file's text; refuses what is not there, not readable, too large or not UTF-8. */
function readText(path: string, report: Report): string | undefined {
  const refuse = (code: Diagnostic['code'], message: string): undefined => {
    report({ code, severity: 'error', message, span: { file: path, line: 1, column: 1, endColumn: 2 } });
    return undefined;
  };
  let bytes: Buffer;
  try {
    const { size } = statSync(path);
    if (size > MAX_FILE_BYTES)
      return refuse(
        'file-unreadable',
        `the file has ${Math.ceil(size / 1048576)} MiB, at most ${MAX_FILE_BYTES / 1048576} are read; split the fabric.`,
      );
    bytes = readFileSync(path);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ENOENT') return refuse('file-not-found', 'there is no such file; `weft init` writes one, `-f FILE` names another.');
    if (code === 'EISDIR') return refuse('file-unreadable', 'this is a directory; name the file in it.');
    return refuse('file-unreadable', `the file cannot be read (${String(code ?? cause)}); check its permissions.`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    return refuse('file-unreadable', 'the file is not UTF-8 text; save it as UTF-8.');
  }
}
