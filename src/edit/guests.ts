/**
 * Adds and removes guests in the text of weft.yaml by the smallest splice: everything else of the file, its comments, order and
 * spacing, stays byte for byte. The text before and after is validated, so that an edit never makes a file that cannot be read.
 */
import { isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Pair, YAMLMap } from 'yaml';
import type { DiagnosticCode } from '../diagnostic/codes.ts';
import type { Diagnostic, Report } from '../diagnostic/diagnostic.ts';
import { nameProblem } from '../config/leaves.ts';
import type { ConfigFile, Path } from '../config/model.ts';
import { nearest } from '../config/nearest.ts';
import { parseConfig } from '../config/read.ts';
import { placesNaming } from './places-naming.ts';

export interface NewGuest {
  readonly name: string;
  readonly network: string;
  /** One, or one of each family. */
  readonly address?: string | readonly string[];
  readonly dns?: string | readonly string[];
  readonly kind?: string;
}

/** The text of `file` with the guest added behind the last one. Undefined when something was reported. */
export function addGuest(file: ConfigFile, guest: NewGuest, report: Report): string | undefined {
  const refuse = (code: DiagnosticCode, message: string, extra: Partial<Diagnostic> = {}): undefined => {
    report({ code, severity: 'error', message, ...extra });
    return undefined;
  };
  const badName = nameProblem(guest.name, 'a guest');
  if (badName !== undefined) return refuse('bad-name', badName);
  const there = Object.keys(file.model.guests).find((name) => name.toLowerCase() === guest.name.toLowerCase());
  if (there !== undefined)
    return refuse('duplicate-name', `there is a guest \`${there}\` already; choose another name.`, {
      span: file.span(['guests', there], 'key'),
    });
  const known = Object.keys(file.model.networks);
  if (guest.network !== 'none' && !known.some((name) => name.toLowerCase() === guest.network.toLowerCase())) {
    const meant = nearest(guest.network, known);
    return refuse(
      'unknown-network',
      `there is no network \`${guest.network}\`; ${meant === undefined ? `there are ${known.join(', ') || 'none'}.` : `did you mean \`${meant}\`?`}`,
    );
  }
  return checked(file, insert(file.text, `${scalar(guest.name)}: ${entryText(guest)}`), report, HAND);
}

/** The text of `file` without the guest. A guest that is named elsewhere is reported with all those places, and nothing is changed. */
export function removeGuest(file: ConfigFile, name: string, report: Report): string | undefined {
  const there = Object.keys(file.model.guests).find((guest) => guest.toLowerCase() === name.toLowerCase());
  if (there === undefined) {
    const meant = nearest(name, Object.keys(file.model.guests));
    report({
      code: 'unknown-guest',
      severity: 'error',
      message: `there is no guest \`${name}\`${meant === undefined ? '' : `; did you mean \`${meant}\`?`}`,
    });
    return undefined;
  }
  const places = placesNaming(file, there);
  if (places.length > 0) {
    const message = `\`${there}\` is still named in ${places.length === 1 ? 'another place' : `${places.length} other places`}; take it out there first.`;
    report({ code: 'guest-in-use', severity: 'error', message, span: file.span(['guests', there], 'key'), related: places });
    return undefined;
  }
  const anchored = `\`${there}\` cannot be cut out of the file as it is written (does another entry use its anchor?); edit the file by hand.`;
  return checked(file, cut(file.text, there), report, anchored, ['guests', there]);
}

const HAND = '`guests` is written in a way that cannot be edited here (an alias, a merge or a `? key`); edit the file by hand.';

/**
 * What cannot be read afterwards is not given out: the arguments were wrong, or the file is built in a way a splice cannot follow, which
 * `byHand` says, at `place`.
 */
function checked(file: ConfigFile, text: string | undefined, report: Report, byHand: string, place: Path = ['guests']): string | undefined {
  const refuse = (message: string): undefined => {
    report({ code: 'bad-value', severity: 'error', message, span: file.span(place, 'key') });
    return undefined;
  };
  if (text === undefined) return refuse(HAND);
  const problems: Diagnostic[] = [];
  const edited = parseConfig(file.path, file.directory, text, (problem) => void problems.push(problem));
  if (problems.some(({ code }) => code === 'yaml-syntax')) return refuse(byHand);
  // Without its place: that would be a line of a file nobody has seen.
  for (const { code, severity, message } of problems) report({ code, severity, message });
  return edited === undefined ? undefined : text;
}

function entryText({ network, address, dns, kind }: NewGuest): string {
  const keys = Object.entries({ network, address, dns, kind }).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}: ${typeof value === 'string' ? scalar(value) : `[${value.map(scalar).join(', ')}]`}`],
  );
  return keys.length === 1 ? scalar(network) : `{ ${keys.join(', ')} }`;
}

/** Quoted where YAML would read something else: reserved words, and everything that is no plain word or address. */
const scalar = (value: string): string =>
  /^[A-Za-z0-9][A-Za-z0-9.:-]*$/.test(value) && !/:$|^(?:true|false|null|yes|no|on|off|[\d.]+e?\d*)$/i.test(value)
    ? value
    : /^\d+(?:\.\d+){3}$/.test(value)
      ? value
      : JSON.stringify(value);

function insert(text: string, entry: string): string | undefined {
  const newline = text.includes('\r\n') ? '\r\n' : '\n';
  const root = parseDocument(text).contents;
  if (!isMap(root)) return undefined;
  const pair = pairOf(root, 'guests');
  if (!pair) {
    if (root.flow) return insertFlow(text, root, `guests: { ${entry} }`);
    const end = endOfLastEntry(text, root);
    return splice(
      text,
      end,
      end,
      `${newline.repeat(text.endsWith('\n') || end < text.length ? 1 : 2)}guests:${newline}  ${entry}${newline}`,
    );
  }
  const guests = pair.value;
  if (isMap(guests) && guests.flow)
    return guests.items.length > 0 || root.flow ? insertFlow(text, guests, entry) : replaceEmpty(text, guests.range, entry, newline);
  if (isMap(guests)) {
    const end = endOfLastEntry(text, guests);
    const indent = indentOf(text, keyStart(guests.items[0]));
    return indent === undefined ? undefined : splice(text, end, end, `${text[end - 1] === '\n' ? '' : newline}${indent}${entry}${newline}`);
  }
  if (guests !== null && !(isScalar(guests) && guests.value === null)) return undefined;
  if (root.flow) return undefined;
  // `guests: ~`
  if (isScalar(guests) && guests.range && guests.range[0] < guests.range[1]) return replaceEmpty(text, guests.range, entry, newline);
  // From inside the key: a place at the start of a line would be taken for the end of the one before.
  const end = lineEndAfter(text, keyStart(pair) + 1);
  return splice(text, end, end, `${text[end - 1] === '\n' ? '' : newline}  ${entry}${newline}`);
}

function cut(text: string, name: string): string | undefined {
  const root = parseDocument(text).contents;
  const guests = isMap(root) ? pairOf(root, 'guests')?.value : undefined;
  if (!isMap(guests)) return undefined;
  const index = guests.items.findIndex((pair) => isScalar(pair.key) && pair.key.value === name);
  const pair = guests.items[index];
  if (!pair) return undefined;
  const start = keyStart(pair);
  if (guests.flow) {
    // On a line of its own it takes its comma and its comment with it, and leaves those of its neighbours.
    const lineEnd = lineEndAfter(text, contentEnd(pair));
    if (indentOf(text, start) !== undefined && /^\s*,?[ \t]*(?:#.*)?\r?\n?$/.test(text.slice(contentEnd(pair), lineEnd)))
      return splice(text, text.lastIndexOf('\n', start - 1) + 1, lineEnd, '');
    const next = guests.items[index + 1];
    const before = guests.items[index - 1];
    if (next) return splice(text, start, keyStart(next), '');
    return before ? splice(text, contentEnd(before), contentEnd(pair), '') : splice(text, start, contentEnd(pair), '');
  }
  if (indentOf(text, start) === undefined) return undefined;
  return splice(text, text.lastIndexOf('\n', start - 1) + 1, lineEndAfter(text, contentEnd(pair)), '');
}

const splice = (text: string, start: number, end: number, inserted: string): string => text.slice(0, start) + inserted + text.slice(end);

function insertFlow(text: string, map: YAMLMap, entry: string): string | undefined {
  const last = map.items.at(-1);
  const end = last ? contentEnd(last) : (map.range?.[0] ?? 0) + 1;
  return splice(text, end, end, last ? `, ${entry}` : ` ${entry} `);
}

/** `guests: {}` and `guests: ~` become a block; a comment behind stays on the line of the key. */
function replaceEmpty(text: string, range: readonly number[] | null | undefined, entry: string, newline: string): string {
  const [start = 0, end = 0] = range ?? [];
  const rest = text.slice(end, lineEndAfter(text, end)).trim();
  const key = text.slice(0, start).trimEnd();
  return `${key}${rest === '' ? '' : ` ${rest}`}${newline}  ${entry}${newline}${text.slice(lineEndAfter(text, end))}`;
}

function pairOf(map: YAMLMap, name: string): Pair | undefined {
  return map.items.find((pair) => isScalar(pair.key) && pair.key.value === name);
}

const keyStart = (pair: Pair | undefined): number => (pair && isScalar(pair.key) ? (pair.key.range?.[0] ?? 0) : 0);

/** Behind the last character of a pair that is content: not the comments and blank lines that YAML counts to a block. */
function contentEnd(pair: Pair): number {
  let node: unknown = pair.value ?? pair.key;
  for (;;) {
    if ((isMap(node) || isSeq(node)) && !node.flow && node.items.length > 0) {
      const last: unknown = node.items.at(-1);
      node = typeof last === 'object' && last !== null && 'key' in last && 'value' in last ? (last.value ?? last.key) : last;
      continue;
    }
    const range = typeof node === 'object' && node !== null && 'range' in node && Array.isArray(node.range) ? node.range : undefined;
    const end = Number(range?.[1] ?? 0);
    // An empty value has its place behind the colon.
    return range && range[0] === range[1] && isScalar(pair.key) ? Math.max(end, pair.key.range?.[1] ?? 0) : end;
  }
}

function endOfLastEntry(text: string, map: YAMLMap): number {
  const last = map.items.at(-1);
  return last ? lineEndAfter(text, contentEnd(last)) : text.length;
}

/** The offset behind the line feed that ends the line of `at`; `at` itself when it is the start of a line (after a block scalar). */
function lineEndAfter(text: string, at: number): number {
  if (text[at - 1] === '\n') return at;
  const feed = text.indexOf('\n', at);
  return feed < 0 ? text.length : feed + 1;
}

/** The spaces before a key that is the first thing on its line; undefined when it is not. */
function indentOf(text: string, at: number): string | undefined {
  const indent = text.slice(text.lastIndexOf('\n', at - 1) + 1, at);
  return /^ *$/.test(indent) ? indent : undefined;
}
