/** Finds an element of a large set without looking at each: single values by their text, everything else (prefixes, ranges) one by one. */
import type { NftExpr } from '../../hoststate/nft.ts';
import type { Value } from './value.ts';

export interface Elements<T> {
  /** The element that is this very value. */
  find(value: Value): T | undefined;
  /** After that found none: the elements that have to be compared one by one. */
  toCompare(value: Value): readonly T[];
}

const made = new WeakMap<readonly unknown[], unknown>();

/** Made once for each list of elements. `keyOf` must always be the same for a list. */
export function indexOf<T>(elements: readonly T[], keyOf: (element: T) => NftExpr): Elements<T> {
  const known = made.get(elements);
  if (known instanceof Index) return known;
  const index = new Index(elements, keyOf);
  made.set(elements, index);
  return index;
}

class Index<T> implements Elements<T> {
  private readonly exact = new Map<string, T>();
  private readonly loose: T[] = [];
  private readonly all: readonly T[];
  /** There are words at this place of the key, which may be other names for a number. */
  private readonly words = new Set<number>();

  constructor(elements: readonly T[], keyOf: (element: T) => NftExpr) {
    this.all = elements;
    for (const element of elements) {
      const key = keyOf(element);
      const parts = typeof key === 'object' && 'concat' in key ? key.concat : [key];
      if (parts.every(isSingle)) {
        this.exact.set(parts.join(' . '), element);
        for (const [i, part] of parts.entries()) if (typeof part === 'string') this.words.add(i);
      } else this.loose.push(element);
    }
  }

  find(value: Value): T | undefined {
    for (const text of texts(value)) {
      const found = this.exact.get(text);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  toCompare(value: Value): readonly T[] {
    const parts = value.kind === 'parts' ? value.parts : [value];
    const certain = parts.every(
      (part, i) => part.kind === 'text' || (part.kind === 'number' && (part.words !== undefined || !this.words.has(i))),
    );
    return certain ? this.loose : this.all;
  }
}

const isSingle = (part: NftExpr): part is string | number =>
  typeof part === 'number' || (typeof part === 'string' && !part.endsWith('*') && !part.startsWith('@'));

/** All texts that an element equal to the value may have. */
function texts(value: Value): string[] {
  if (value.kind === 'parts') {
    let all: string[] = [''];
    for (const [i, part] of value.parts.entries())
      all = texts(part).flatMap((text) => all.map((before) => (i === 0 ? text : `${before} . ${text}`)));
    return all;
  }
  if (value.kind === 'text') return [value.text];
  return value.kind === 'number' ? [String(value.number), ...(value.words ?? [])] : [];
}
