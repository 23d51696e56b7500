/**
 * The one shape of every problem Weft reports. Stages never throw for bad input and never print:
 * they hand diagnostics to a collector, so that all problems of a file are shown at once; the command
 * line renders them at the very end (`src/diagnostic/render.ts`).
 */
import type { DiagnosticCode } from './codes.ts';

/** A place in a file. Lines and columns count from 1, columns in UTF-16 code units, as editors do. */
export interface Span {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Column after the last character, on the same line; `column + 1` when only a point is known. */
  readonly endColumn: number;
}

export interface Diagnostic {
  readonly code: DiagnosticCode;
  readonly severity: 'error' | 'warning';
  /** One sentence: what is wrong, then how to mend it. */
  readonly message: string;
  readonly span?: Span;
  /** Other places that matter, e.g. where the same address was taken first. */
  readonly related?: readonly { readonly message: string; readonly span?: Span }[];
}

/** Collects diagnostics; the only channel by which a stage reports. */
export type Report = (diagnostic: Diagnostic) => void;

/**
 * Carries diagnostics through an exception where a promise chain cannot go on (e.g. the kernel refused).
 * `exitCode` is the process exit status of design.md section 3.
 */
export class WeftError extends Error {
  readonly diagnostics: readonly Diagnostic[];
  readonly exitCode: 1 | 2 | 3 | 4 | 5;
  constructor(exitCode: 1 | 2 | 3 | 4 | 5, diagnostics: readonly Diagnostic[], cause?: unknown) {
    super(diagnostics.map((d) => d.message).join('\n'), cause === undefined ? {} : { cause });
    this.name = 'WeftError';
    this.exitCode = exitCode;
    this.diagnostics = diagnostics;
  }
}
