/**
 * From zod's issues to diagnostics: which branch of a union was meant, what is said, and where it stands in the file.
 */
import type * as z from 'zod';
import { diagnosticCodes } from '../diagnostic/codes.ts';
import type { DiagnosticCode } from '../diagnostic/codes.ts';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { Path } from './model.ts';
import type { Places } from './tree.ts';

type Issue = z.core.$ZodIssue;

/**
 * One diagnostic for each thing that is wrong, in the order of the file. `root` is what the file says, as plain values; `whole` what it is
 * called where all of it is meant.
 */
export function diagnosticsOf(issues: readonly Issue[], root: unknown, places: Places, whole = 'weft.yaml'): Diagnostic[] {
  const placed = placedIssues(issues);
  const misspelt = new Set(placed.flatMap(meantKeys));
  const seen = new Set<string>();
  return placed
    .filter(({ issue, path }) => !misspelt.has(JSON.stringify(missingPath(issue, path))))
    .flatMap((issue) => diagnose(issue, root, places, whole))
    .filter((d) => {
      const key = `${d.span?.line}:${d.span?.column}:${d.message}`;
      return seen.size !== seen.add(key).size;
    })
    .sort((a, b) => (a.span?.line ?? 0) - (b.span?.line ?? 0) || (a.span?.column ?? 0) - (b.span?.column ?? 0));
}

/** The issues themselves instead of the unions they are in, with the full path of each. */
export function placedIssues(issues: readonly Issue[]): readonly PlacedIssue[] {
  return issues.flatMap((issue) => meant(issue, []));
}

/** Paths of the keys that "did you mean" suggests: that they are missing need not be said as well. */
function meantKeys({ issue, path }: PlacedIssue): string[] {
  if (issue.code !== 'unrecognized_keys') return [];
  return [...issue.message.matchAll(/did you mean `(.*)`\?$/gm)].map((match) => JSON.stringify([...path, match[1]]));
}

function missingPath(issue: Issue, path: Path): Path {
  const lacks: unknown = issue.code === 'custom' ? issue.params?.['lacks'] : undefined;
  return typeof lacks === 'string' ? [...path, lacks] : path;
}

export interface PlacedIssue {
  readonly issue: Issue;
  readonly path: Path;
}

/** The issues inside a union's branch that fits the value's type; the union's own issue when none or several fit. */
function meant(issue: Issue, base: Path): PlacedIssue[] {
  const path: Path = [...base, ...issue.path.map((step) => (typeof step === 'number' ? step : String(step)))];
  if (issue.code === 'invalid_union') {
    const fitting = issue.errors.filter((branch) => !branch.some((inner) => inner.path.length === 0 && isOfOtherType(inner)));
    const [only] = fitting;
    if (only && fitting.length === 1) return only.flatMap((inner) => meant(inner, path));
    // Sections wrap another union (`section` in shape.ts): the inner one has the words.
    const inner = issue.message === '' ? issue.errors.flat()[0] : undefined;
    if (inner) return [{ issue: inner, path }];
  }
  return [{ issue, path }];
}

function isOfOtherType(issue: Issue): boolean {
  if (issue.code === 'invalid_union')
    return (
      issue.errors.length > 0 && issue.errors.every((branch) => branch.some((inner) => inner.path.length === 0 && isOfOtherType(inner)))
    );
  return issue.code === 'invalid_type' || issue.code === 'invalid_value';
}

function diagnose({ issue, path }: PlacedIssue, root: unknown, places: Places, whole: string): Diagnostic[] {
  const error = (code: DiagnosticCode, message: string, span: Diagnostic['span']): Diagnostic => ({
    code,
    severity: 'error',
    message,
    ...(span && { span }),
  });
  if (issue.code === 'unrecognized_keys') {
    const messages = issue.message.split('\n');
    return issue.keys.map((key, index) => error('unknown-key', messages[index] ?? '', places.span([...path, key], 'key')));
  }
  if (issue.code === 'custom') {
    const params = issue.params ?? {};
    const { offset, length } = params;
    const within = typeof offset === 'number' && typeof length === 'number' ? { offset, length } : undefined;
    return [
      error(
        codeOf(params['code']),
        issue.message,
        places.span(path, params['part'] === 'key' || isMissing(root, path) ? 'key' : 'value', within),
      ),
    ];
  }
  const key = path.at(-1);
  if (key !== undefined && isMissing(root, path)) {
    return [error('missing-key', `${parentName(path) ?? whole} needs \`${key}\`: ${issue.message}.`, places.span(path))];
  }
  const value = valueAt(root, path);
  const code = wrongType(issue, value) ? 'wrong-type' : 'bad-value';
  return [error(code, wrongValue(nameOf(path) ?? whole, issue, value, places.source(path) ?? ''), places.span(path))];
}

function wrongType(issue: Issue, value: unknown): boolean {
  if (issue.code === 'invalid_union')
    return issue.errors.length > 0 && (typeof value !== 'string' || !issue.errors.flat().some((inner) => inner.code === 'invalid_value'));
  return issue.code === 'invalid_type';
}

/** "`mtu` must be a whole number …, not a list", with the way to mend what YAML made of the text. */
function wrongValue(name: string, issue: Issue, value: unknown, source: string): string {
  const must = `must be ${issue.message}`;
  if (value === null || value === undefined) return `${name} is empty; it ${must}.`;
  // Schemas of lists say themselves how many entries they need.
  if (issue.code === 'too_small' && Array.isArray(value)) return `${name} ${issue.message}.`;
  if (Array.isArray(value)) return `${name} ${must}, not a list.`;
  if (typeof value === 'object') return `${name} ${must}, not a map.`;
  if (typeof value === 'string') {
    if (/^['"]/.test(source) && /^(?:\d+|true|false)$/.test(value)) return `${name} ${must}; take the quotes away from ${source}.`;
    const glued = /^([A-Za-z][A-Za-z0-9-]*):\S/.exec(value)?.[1];
    if (glued !== undefined) return `${name} ${must}, not the text \`${value}\`; is the space behind \`${glued}:\` missing?`;
    return `${name} ${must}, not ${value.length > 60 ? 'this text' : `\`${value}\``}.`;
  }
  const what = `${typeof value === 'number' ? 'the number' : 'the truth value'} \`${source}\``;
  const quotes = TAKES_ANY_WORD.test(issue.message) ? `; put it in quotes if you mean the text: "${source}"` : '';
  return `${name} ${must}, not ${what}${quotes}.`;
}

/** Schemas whose text may also look like a number. */
const TAKES_ANY_WORD = /^(?:the name of|a text)/;

const codeOf = (code: unknown): DiagnosticCode => diagnosticCodes.find((known) => known === code) ?? 'bad-value';

/** "`mtu`", "an entry of `allow`"; undefined for the whole file. */
function nameOf(path: Path): string | undefined {
  const last = path.at(-1);
  if (last === undefined) return undefined;
  if (typeof last === 'string') return `\`${last}\``;
  const list = path.findLast((step) => typeof step === 'string');
  return list === undefined ? `entry ${last + 1}` : `entry ${last + 1} of \`${list}\``;
}

/** "network `lab`", "entry 2 of `allow`"; undefined for the whole file. */
function parentName(path: Path): string | undefined {
  const parent = path.slice(0, -1);
  const [section, name] = parent;
  if (parent.length === 0) return undefined;
  if (parent.length === 2 && typeof section === 'string' && typeof name === 'string') return `${section.replace(/s$/, '')} \`${name}\``;
  return nameOf(parent);
}

function valueAt(root: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, step) => (typeof value === 'object' && value !== null && Object.hasOwn(value, step) ? Reflect.get(value, step) : undefined),
    root,
  );
}

function isMissing(root: unknown, path: Path): boolean {
  const parent = valueAt(root, path.slice(0, -1));
  const key = path.at(-1);
  return key !== undefined && typeof parent === 'object' && parent !== null && !Object.hasOwn(parent, key);
}
