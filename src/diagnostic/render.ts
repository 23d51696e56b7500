/**
 * From a diagnostic to what a person reads: `FILE:LINE:COLUMN: error CODE: message`, the line of the file and a caret under the place,
 * then the related places. Pure: what the files contain is handed in.
 */
import { styleText } from 'node:util';
import type { Diagnostic, Span } from './diagnostic.ts';

export interface RenderOptions {
  readonly color: boolean;
}

/** Longest part of a line that is shown, in columns of the terminal. */
const WIDEST = 140;

/** `sources`: the texts of the files, by the name the spans use; a file that is not there gets no excerpt. No newline at the end. */
export function renderDiagnostic(diagnostic: Diagnostic, sources: ReadonlyMap<string, string>, options: RenderOptions): string {
  return renderWith(diagnostic, new Map(), sources, options);
}

/** All of them, sorted by file, line and column; those without a place come first. One text, without a newline at the end; empty for none. */
export function renderAll(diagnostics: readonly Diagnostic[], sources: ReadonlyMap<string, string>, options: RenderOptions): string {
  const lines = new Map<string, readonly string[]>();
  return diagnostics
    .toSorted(byPlace)
    .map((diagnostic) => renderWith(diagnostic, lines, sources, options))
    .join('\n');
}

/** Order of diagnostics: by file, line, column; without a place first, otherwise as they came. */
export function byPlace(a: Diagnostic, b: Diagnostic): number {
  if (!a.span || !b.span) return (a.span ? 1 : 0) - (b.span ? 1 : 0);
  if (a.span.file !== b.span.file) return a.span.file < b.span.file ? -1 : 1;
  return a.span.line - b.span.line || a.span.column - b.span.column;
}

type LinesOfFiles = Map<string, readonly string[]>;

function renderWith(diagnostic: Diagnostic, lines: LinesOfFiles, sources: ReadonlyMap<string, string>, options: RenderOptions): string {
  const paint = (style: Parameters<typeof styleText>[0], text: string): string =>
    options.color ? styleText(style, text, { validateStream: false }) : text;
  const tone = diagnostic.severity === 'error' ? 'red' : 'yellow';
  const place = diagnostic.span ? `${paint('bold', placeText(diagnostic.span))}: ` : '';
  const out = [`${place}${paint([tone, 'bold'], `${diagnostic.severity} ${diagnostic.code}`)}: ${visible(diagnostic.message)}`];
  if (diagnostic.span) out.push(...excerpt(diagnostic.span, lines, sources, (caret) => paint(tone, caret)));
  for (const { message, span } of diagnostic.related ?? []) {
    out.push(`  ${span ? `${placeText(span)}: ` : ''}${visible(message)}`);
    if (span) out.push(...excerpt(span, lines, sources, (caret) => paint('cyan', caret)));
  }
  return out.join('\n');
}

const placeText = (span: Span): string => `${visible(span.file)}:${span.line}:${span.column}`;

/** The line and the caret line below it, both indented; nothing for a file or line that is not there, or for an empty line. */
function excerpt(span: Span, lines: LinesOfFiles, sources: ReadonlyMap<string, string>, paint: (caret: string) => string): string[] {
  const text = sources.get(span.file);
  if (text === undefined) return [];
  let ofFile = lines.get(span.file);
  if (!ofFile) lines.set(span.file, (ofFile = text.split(/\r?\n/)));
  const line = ofFile[span.line - 1];
  if (line === undefined || line.trim() === '') return [];
  const from = Math.min(span.column - 1, line.length);
  const before = flat(line.slice(0, from));
  const marked = flat(line.slice(from, Math.max(from, span.endColumn - 1)));
  const after = flat(line.slice(Math.max(from, span.endColumn - 1)));
  // A long line (a whole file of JSON on one) is shown around the place.
  const beforeShown = tail(before, WIDEST / 2);
  const markedShown = head(marked, WIDEST / 2);
  const afterShown = markedShown === marked ? head(after, Math.max(0, WIDEST - width(beforeShown) - width(markedShown))) : '';
  const cutBefore = beforeShown === before ? '' : '…';
  const cutAfter = afterShown === after && markedShown === marked ? '' : '…';
  const caret = '^'.repeat(Math.max(1, width(markedShown)));
  return [
    `    ${cutBefore}${beforeShown}${markedShown}${afterShown}${cutAfter}`.trimEnd(),
    `    ${' '.repeat(width(cutBefore) + width(beforeShown))}${paint(caret)}`,
  ];
}

/** Tabs become two spaces and other control characters a visible stand-in, so that the caret line fits whatever the terminal does. */
const flat = (text: string): string => visible(text.replaceAll('\t', '  '));

/** No control character of a file or a name ever reaches the terminal (U+2400 "symbol for null" and following stand for them). */
function visible(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/gu, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code < 32 ? String.fromCodePoint(0x2400 + code) : '\ufffd';
  });
}

const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** Columns on a terminal: East Asian wide characters and emoji take two. */
function width(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length;
  let columns = 0;
  for (const { segment } of graphemes.segment(text)) columns += isWide(segment) ? 2 : 1;
  return columns;
}

function isWide(grapheme: string): boolean {
  return /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\u3000-\u303f\uff01-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}|\ufe0f/u.test(
    grapheme,
  );
}

function head(text: string, columns: number): string {
  if (text.length <= columns && width(text) <= columns) return text;
  let shown = '';
  let used = 0;
  for (const { segment } of graphemes.segment(text.slice(0, columns * 4))) {
    used += isWide(segment) ? 2 : 1;
    if (used > columns) break;
    shown += segment;
  }
  return shown;
}

function tail(text: string, columns: number): string {
  if (text.length <= columns && width(text) <= columns) return text;
  const shown: string[] = [];
  let used = 0;
  for (const { segment } of [...graphemes.segment(text.slice(-columns * 4))].toReversed()) {
    used += isWide(segment) ? 2 : 1;
    if (used > columns) break;
    shown.unshift(segment);
  }
  return shown.join('');
}
