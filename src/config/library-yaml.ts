/**
 * Any YAML 1.2 text to a {@link Tree} through the `yaml` library, with everything that is wrong with it as YAML.
 */
import { isAlias, isMap, isScalar, isSeq, parseDocument } from 'yaml';
import type { Document, Node, Pair } from 'yaml';
import type { Report } from '../diagnostic/diagnostic.ts';
import type { Entries, Lines, Tree } from './tree.ts';
import { yamlProblem } from './yaml-problems.ts';

/** Values after aliases are followed, more than any honest file has: an alias bomb is refused. */
const MAX_VALUES = 5_000_000;

/** Undefined when something was reported. `shape`: what the text has to be as a whole. */
export function readWithLibrary(text: string, lines: Lines, report: Report, shape: 'map' | 'anything' = 'map'): Tree | undefined {
  let failed = false;
  const error: ReportError = (message, range, first) => {
    failed = true;
    const related = first && [{ message: 'it is first here', span: lines.span(...first) }];
    report({ code: 'yaml-syntax', severity: 'error', message, span: lines.span(...range), ...(related && { related }) });
  };
  // The library's own check for duplicate keys compares every key with every other one.
  const document = parseDocument(text, {
    uniqueKeys: false,
    keepSourceTokens: false,
    prettyErrors: false,
    stringKeys: true,
    merge: true,
    // 'silent' would also silence the error about a second document.
    logLevel: 'error',
  });
  // Once the reader has lost its place, every later word surprises it: the first one is the mistake.
  const lost = document.errors.find(({ code }) => code === 'UNEXPECTED_TOKEN');
  for (const problem of [...document.errors, ...document.warnings]) {
    failed = true;
    if (lost && problem !== lost && problem.code === 'UNEXPECTED_TOKEN') continue;
    report(yamlProblem(problem, document, text, lines));
  }
  const tree = new TreeBuilder(document, error).build();
  const { contents } = document;
  if (!failed && shape === 'map' && !isMap(contents)) {
    const empty = contents === null || (isScalar(contents) && contents.value === null);
    const message = empty
      ? 'the file is empty; `weft init` writes a starting one.'
      : 'the file must be a map with keys such as `networks` and `guests`.';
    failed = true;
    report({ code: 'wrong-type', severity: 'error', message, span: lines.span(...(empty ? ([0, 1] as const) : rangeOf(contents))) });
  }
  return failed ? undefined : tree;
}

type Range = readonly [start: number, end: number];

/** `first`: where the same thing stood before. */
type ReportError = (message: string, range: Range, first?: Range) => void;

class TreeBuilder {
  readonly #document: Document.Parsed;
  readonly #error: ReportError;
  readonly #entries = new Map<object, Entries>();
  /** Values of anchored nodes and how many values are in them; undefined while one is being built. */
  readonly #anchored = new Map<Node, { readonly value: unknown; readonly count: number } | undefined>();
  #count = 0;

  constructor(document: Document.Parsed, error: ReportError) {
    this.#document = document;
    this.#error = error;
  }

  build(): Tree {
    const { contents } = this.#document;
    const root = this.#value(contents);
    if (this.#count > MAX_VALUES)
      this.#error('the aliases of this file make it larger than any honest file; write it out instead.', rangeOf(contents));
    return { root, rootRange: rangeOf(contents), entries: this.#entries };
  }

  #value(node: unknown): unknown {
    if (isAlias(node)) return this.#alias(node);
    this.#count++;
    if (isScalar(node)) return this.#keep(node, node.value, 1);
    if (!isMap(node) && !isSeq(node)) return null;
    const anchored = node.anchor !== undefined;
    if (anchored) this.#anchored.set(node, undefined);
    const before = this.#count;
    const value = isMap(node) ? this.#map(node.items) : this.#list(node.items);
    return this.#keep(node, value, this.#count - before + 1);
  }

  #keep<T>(node: Node, value: T, count: number): T {
    if ('anchor' in node && node.anchor !== undefined) this.#anchored.set(node, { value, count });
    return value;
  }

  #alias(alias: Node): unknown {
    const target = isAlias(alias) ? alias.resolve(this.#document) : undefined;
    const known = target && this.#anchored.get(target);
    if (!known) {
      const message = target
        ? 'this alias stands inside what it names; write it out instead.'
        : 'there is no anchor (`&name`) of this name before it; write a text that begins with `*` in quotes.';
      this.#error(message, rangeOf(alias));
      return null;
    }
    this.#count += known.count;
    return known.value;
  }

  #list(items: readonly unknown[]): unknown[] {
    const offsets: number[] = [];
    const values = items.map((item) => {
      const range = rangeOf(item);
      offsets.push(...range, ...range);
      return this.#value(item);
    });
    this.#entries.set(values, { offsets });
    return values;
  }

  #map(items: readonly Pair[]): Record<string, unknown> {
    const value: Record<string, unknown> = {};
    const keys: string[] = [];
    const offsets: number[] = [];
    const merged: unknown[] = [];
    const first = new Map<string, Range>();
    for (const pair of items) {
      if (!isScalar(pair.key)) continue;
      const key = String(pair.key.value);
      const keyRange = rangeOf(pair.key);
      const twin = first.get(key);
      // JavaScript's own word, which the validation would pass over.
      if (key === '__proto__') this.#error('`__proto__` cannot be a key or a name; choose another.', keyRange);
      const content = this.#value(pair.value);
      if (twin) {
        this.#error(`\`${key}\` stands here a second time in the same map; merge the two, or rename one.`, keyRange, twin);
        continue;
      }
      first.set(key, keyRange);
      if (key === '<<' && pair.key.type === 'PLAIN') {
        merged.push(...(Array.isArray(content) ? content : [content]));
        continue;
      }
      define(value, key, content);
      keys.push(key);
      offsets.push(...keyRange, ...(pair.value === null ? ([keyRange[1], keyRange[1]] as const) : rangeOf(pair.value)));
    }
    for (const source of merged) {
      const entries = typeof source === 'object' && source !== null ? this.#entries.get(source) : undefined;
      entries?.keys?.forEach((key, index) => {
        if (Object.hasOwn(value, key)) return;
        define(value, key, Reflect.get(Object(source), key));
        keys.push(key);
        offsets.push(...entries.offsets.slice(index * 4, index * 4 + 4));
      });
    }
    this.#entries.set(value, { keys, offsets });
    return value;
  }
}

/** Also `__proto__` becomes an own key. */
function define(target: Record<string, unknown>, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
}

function rangeOf(node: unknown): Range {
  const range = typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined;
  return Array.isArray(range) && typeof range[0] === 'number' && typeof range[1] === 'number' ? [range[0], range[1]] : [0, 1];
}
