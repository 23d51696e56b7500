/**
 * What a YAML text says, as plain values, with the offsets of every key and value beside them: small enough to keep (the library's nodes are
 * many times the size of the file). Made by library-yaml.ts.
 */
import type { Span } from '../diagnostic/diagnostic.ts';
import type { ConfigFile, Path } from './model.ts';

/** Offsets of the entries of one map or list: key start, key end, value start, value end. In a list, both pairs are the item's. */
export interface Entries {
  /** The keys of a map in file order; undefined for a list. */
  readonly keys?: string[];
  readonly offsets: number[];
}

export interface Tree {
  /** Maps are plain objects, lists arrays. */
  readonly root: unknown;
  readonly rootRange: readonly [start: number, end: number];
  readonly entries: ReadonlyMap<object, Entries>;
}

/** Turns offsets into places. */
export interface Lines {
  /** The place of `text.slice(start, end)`, cut at the end of its first line. */
  span(start: number, end: number): Span;
}

export function linesOf(file: string, text: string): Lines {
  let starts: number[] | undefined;
  return {
    span(start, end) {
      starts ??= lineStarts(text);
      let low = 0;
      let high = starts.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if ((starts[middle] ?? 0) <= start) low = middle;
        else high = middle - 1;
      }
      const first = starts[low] ?? 0;
      let lineEnd = (starts[low + 1] ?? text.length + 1) - 1;
      if (text[lineEnd - 1] === '\r') lineEnd--;
      const column = start - first + 1;
      return { file, line: low + 1, column, endColumn: Math.max(column + 1, Math.min(end, lineEnd) - first + 1) };
    },
  };
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return starts;
}

/** {@link ConfigFile.span} over a tree, and the source text of the value a path leads to. */
export interface Places {
  readonly span: ConfigFile['span'];
  /** As written in the file, e.g. `1.10` for what YAML reads as the number 1.1; undefined when there is nothing. */
  source(path: Path): string | undefined;
}

interface Found {
  readonly value: unknown;
  readonly key?: readonly [start: number, end: number];
  readonly range: readonly [start: number, end: number];
  readonly missing: boolean;
}

export function placesOf(tree: Tree, text: string, lines: Lines): Places {
  const indexes = new Map<object, Map<string, number>>();

  const indexOf = (container: object, entries: Entries, step: string | number): number => {
    if (!entries.keys) return typeof step === 'number' && step * 4 < entries.offsets.length ? step : -1;
    if (entries.keys.length < 16) return entries.keys.indexOf(String(step));
    let index = indexes.get(container);
    if (!index) {
      index = new Map(entries.keys.map((key, i) => [key, i]));
      indexes.set(container, index);
    }
    return index.get(String(step)) ?? -1;
  };

  /** As far as the path leads; `missing` when not to its end. */
  const find = (path: Path): Found => {
    let found: Found = { value: tree.root, range: tree.rootRange, missing: false };
    for (const step of path) {
      const { value } = found;
      const entries = typeof value === 'object' && value !== null ? tree.entries.get(value) : undefined;
      const index = entries && typeof value === 'object' && value !== null ? indexOf(value, entries, step) : -1;
      if (!entries || index < 0) return { ...found, missing: true };
      const at = (i: number): number => entries.offsets[index * 4 + i] ?? 0;
      found = {
        value: Reflect.get(Object(value), step),
        ...(entries.keys && { key: [at(0), at(1)] }),
        range: [at(2), at(3)],
        missing: false,
      };
    }
    return found;
  };

  return {
    span(path, part = 'value', within) {
      const found = find(path);
      const { value, key, range } = found;
      const missing = found.missing && (typeof value === 'object' || value === undefined);
      // An empty value has no place of its own worth showing; a missing one none at all.
      if (key && (part === 'key' || missing || range[0] === range[1])) return lines.span(...key);
      return lines.span(...(within && !missing ? rangeWithin(value, range, within, tree, text) : range));
    },
    source(path) {
      const { range, missing } = find(path);
      return missing ? undefined : text.slice(...range);
    },
  };
}

type Range = readonly [start: number, end: number];

/**
 * A part of a text's value. Where the source differs from the value (escapes, folded lines, block scalars) the place of the
 * whole text has to do. For a rule in its long form, offsets go through its `from` and `to` texts (schema-rules.ts).
 */
function rangeWithin(
  value: unknown,
  range: Range,
  within: { readonly offset: number; readonly length: number },
  tree: Tree,
  text: string,
): Range {
  if (typeof value === 'string') {
    const [start, end] = range;
    const source = text.slice(start, end);
    const base = source === value ? start : source.slice(1, -1) === value ? start + 1 : undefined;
    if (base === undefined) return range;
    // What is missing at the end is shown at the last character.
    const offset = Math.max(0, Math.min(within.offset, value.length - 1));
    return [base + offset, base + Math.min(value.length, within.offset + within.length)];
  }
  let { offset } = within;
  for (const [part, place] of partyTexts(value, tree)) {
    if (offset < part.length) return rangeWithin(part, place, { offset, length: within.length }, tree, text);
    offset -= part.length + 1;
  }
  return range;
}

function partyTexts(rule: unknown, tree: Tree): (readonly [text: string, range: Range])[] {
  const texts: (readonly [string, Range])[] = [];
  const entries = typeof rule === 'object' && rule !== null ? tree.entries.get(rule) : undefined;
  for (const side of ['from', 'to']) {
    const index = entries?.keys?.indexOf(side) ?? -1;
    if (!entries || index < 0) continue;
    const value: unknown = Reflect.get(Object(rule), side);
    const items: readonly unknown[] = Array.isArray(value) ? value : [value];
    const offsets = Array.isArray(value) ? (tree.entries.get(value)?.offsets ?? []) : entries.offsets.slice(index * 4, index * 4 + 4);
    items.forEach((item, i) => {
      if (typeof item === 'string') texts.push([item, [offsets[i * 4 + 2] ?? 0, offsets[i * 4 + 3] ?? 0]]);
    });
  }
  return texts;
}
