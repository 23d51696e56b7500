/**
 * Difference of two keyed collections: the one comparison all parts of a plan are made of.
 */

export interface KeyedDifference<T> {
  readonly created: readonly T[];
  readonly deleted: readonly T[];
  readonly changed: readonly { readonly before: T; readonly after: T }[];
}

/** Values are compared by their canonical JSON; order of the inputs is kept. */
export function difference<T>(
  before: readonly T[],
  after: readonly T[],
  key: (value: T) => string,
  same: (a: T, b: T) => boolean = sameJson,
): KeyedDifference<T> {
  const old = new Map(before.map((value) => [key(value), value]));
  const created: T[] = [];
  const changed: { before: T; after: T }[] = [];
  for (const value of after) {
    const name = key(value);
    const previous = old.get(name);
    if (previous === undefined) created.push(value);
    else {
      old.delete(name);
      if (!same(previous, value)) changed.push({ before: previous, after: value });
    }
  }
  return { created, deleted: [...old.values()], changed };
}

/** Equal as JSON, whatever the order of keys; values of one making, whose keys are in one order, are compared by the fast native text. */
export const sameJson = (a: unknown, b: unknown): boolean =>
  a === b || JSON.stringify(a) === JSON.stringify(b) || canonicalJson(a) === canonicalJson(b);

/** JSON with sorted keys, so that equal values have equal texts. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'null';
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  const parts: string[] = [];
  for (const [name, member] of Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (member !== undefined) parts.push(`${JSON.stringify(name)}:${canonicalJson(member)}`);
  }
  return `{${parts.join(',')}}`;
}
