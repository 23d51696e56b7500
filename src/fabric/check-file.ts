/**
 * What every command does first: read the file and the lock beside it, and build the fabric. Touches nothing else.
 */
import { readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { ConfigFile } from '../config/model.ts';
import { readParts } from '../config/read.ts';
import type { Diagnostic, Report } from '../diagnostic/diagnostic.ts';
import { buildFabric } from './build.ts';
import { readLock } from './lock.ts';
import type { Fabric, Lock } from './model.ts';

export interface CheckedFile {
  /** Undefined when `diagnostics` holds an error. */
  readonly fabric?: Fabric;
  readonly config?: ConfigFile;
  /** As read; undefined without a lock file. What it should be is `fabric.lock`. */
  readonly lock?: Lock;
  /** In the order of their places, so that a reader goes through the file once. */
  readonly diagnostics: readonly Diagnostic[];
}

/** The lock's name; it lies beside the file. */
export const LOCK_FILE = 'weft.lock';

export function checkFile(path: string): CheckedFile {
  const diagnostics: Diagnostic[] = [];
  const report: Report = (diagnostic) => void diagnostics.push(diagnostic);
  const { config, whole } = readParts(path, report);
  if (!config) return { diagnostics: byPlace(diagnostics) };
  // Shown as the file is, relative when it was named so and is no link to another directory.
  const beside = join(dirname(path), LOCK_FILE);
  const shown = dirname(resolve(path)) === config.directory ? beside : join(config.directory, LOCK_FILE);
  const lockText = readLockText(join(config.directory, LOCK_FILE), shown, report);
  const lock = lockText === undefined ? undefined : readLock(lockText, shown, report);
  const damaged = diagnostics.some((d) => d.severity === 'error');
  const fabric = buildFabric(config, lock, whole ? report : reportCertain(report));
  return { config, diagnostics: byPlace(diagnostics), ...(fabric && !damaged && { fabric }), ...(lock && { lock }) };
}

/** Of a file whose wrong parts are left out: not what those parts may be the cause of. */
function reportCertain(report: Report): Report {
  return (diagnostic) => {
    const { code, severity } = diagnostic;
    if (severity === 'error' && code !== 'range-exhausted' && code !== 'address-reserved' && code !== 'lock-conflict') report(diagnostic);
  };
}

function readLockText(path: string, shown: string, report: Report): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined;
    if (code === 'ENOENT') return undefined;
    report({
      code: 'lock-unreadable',
      severity: 'error',
      message: `the lock cannot be read (${String(code ?? cause)}); check its permissions.`,
      span: { file: shown, line: 1, column: 1, endColumn: 2 },
    });
    return undefined;
  }
}

function byPlace(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  return diagnostics.toSorted(
    (a, b) =>
      (a.span?.file ?? '').localeCompare(b.span?.file ?? '') ||
      (a.span?.line ?? 0) - (b.span?.line ?? 0) ||
      (a.span?.column ?? 0) - (b.span?.column ?? 0),
  );
}
