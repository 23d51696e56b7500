/**
 * How the stages of `fabric/` report: a code, a sentence and a path into the file. Places are computed only for problems,
 * because most files of ten thousand guests have none. Remembers whether an error was among them.
 */
import type { ConfigFile, Path } from '../config/model.ts';
import type { DiagnosticCode } from '../diagnostic/codes.ts';
import type { Diagnostic, Report, Span } from '../diagnostic/diagnostic.ts';

export interface Place {
  readonly path: Path;
  readonly part?: 'key' | 'value';
  readonly within?: { readonly offset: number; readonly length: number };
}

/** Another place that matters for a problem. */
export interface Related {
  readonly message: string;
  readonly at: Place;
}

export interface Problems {
  error(code: DiagnosticCode, at: Place, message: string, ...related: Related[]): void;
  warning(code: DiagnosticCode, at: Place, message: string, ...related: Related[]): void;
  /** True once an error was reported. */
  failed(): boolean;
}

/** A value. An index into what is written without a list (`address: 10.0.0.5`) means that one value. */
export const value = (...path: Path): Place => ({ path });

export const key = (...path: Path): Place => ({ path, part: 'key' });

export function collectProblems(config: ConfigFile, report: Report): Problems {
  let failed = false;
  const span = (at: Place): Span => config.span(at.path, at.part ?? 'value', at.within);
  const send = (severity: Diagnostic['severity'], code: DiagnosticCode, at: Place, message: string, related: readonly Related[]): void => {
    const places = related.map((r) => ({ message: r.message, span: span(r.at) }));
    report({ code, severity, message, span: span(at), ...(places.length > 0 ? { related: places } : {}) });
  };
  return {
    error(code, at, message, ...related) {
      failed = true;
      send('error', code, at, message, related);
    },
    warning: (code, at, message, ...related) => send('warning', code, at, message, related),
    failed: () => failed,
  };
}
