/**
 * What a packet's fields are now, in terms of the packet as it was sent. Sets in the walk are always sets of sent packets; a translation does not change the set but
 * says that from here on the destination is this constant. So the reply pass, and a counterexample, need no inverse of anything.
 */
import type { FieldName, Layout } from './layout.ts';
import type { Bdd } from './bdd.ts';
import type { Span } from './intervals.ts';

/** Where the value of a field comes from. */
export type Slot<T> = { readonly id: number } & (
  | { readonly kind: 'const'; readonly value: T }
  /** The sent packet's own field, as its number. */
  | { readonly kind: 'field'; readonly field: FieldName; readonly value: 'itself' }
  /** Told by a field of the sent packet: the value for each of its numbers. */
  | { readonly kind: 'field'; readonly field: FieldName; readonly value: readonly (T | undefined)[] }
  /** By sets of sent packets that are apart. */
  | { readonly kind: 'parts'; readonly parts: ReadonlyMap<T, number> }
  /** There is a value, but nobody knows which. */
  | { readonly kind: 'unknown' }
  /** There is none: what asks for it does not match. */
  | { readonly kind: 'absent' }
);

let lastId = 0;
const fresh = (): { readonly id: number } => ({ id: ++lastId });

const constants = new Map<unknown, Slot<never>>();

/** Equal constants are the same slot. */
export function constant<T extends string | number>(value: T): Slot<T> {
  const known = constants.get(value);
  if (known) return known;
  const made: Slot<T> = { ...fresh(), kind: 'const', value };
  // A slot of one value is a slot of its type alone; the map forgets which.
  constants.set(value, made as Slot<never>);
  return made;
}

export const itself = (field: FieldName): Slot<number> => ({ ...fresh(), kind: 'field', field, value: 'itself' });
export const told = <T>(field: FieldName, values: readonly (T | undefined)[]): Slot<T> => ({
  ...fresh(),
  kind: 'field',
  field,
  value: values,
});
export const inParts = <T>(parts: ReadonlyMap<T, number>): Slot<T> => ({ ...fresh(), kind: 'parts', parts });
export const absent: Slot<never> = { ...fresh(), kind: 'absent' };
export const notKnown: Slot<never> = { ...fresh(), kind: 'unknown' };

export interface Tuple {
  readonly source: Slot<number>;
  readonly destination: Slot<number>;
  readonly sport: Slot<number>;
  readonly dport: Slot<number>;
}

export interface Env extends Tuple {
  /** Names of interfaces; `absent` where the hook has none. */
  readonly iif: Slot<string>;
  readonly oif: Slot<string>;
  readonly mac: Slot<string>;
  readonly protocol: Slot<number>;
  /** Undefined: not known. */
  readonly mark: number | undefined;
  readonly ctMark: number | undefined;
  /** The mark that the way out of the host's own packet was found with. */
  readonly routeMark: number | undefined;
  /** `none`: connection tracking has not seen it yet. */
  readonly tracking: 'none' | 'untracked' | 'new' | 'established';
  /** Connection tracking keeps an entry for it. */
  readonly tracked: boolean;
  readonly reply: boolean;
  readonly dnat: boolean;
  readonly snat: boolean;
  /** As sent: `ct original …`. */
  readonly original: Tuple;
}

/** A set of sent packets that are all in the same situation. */
export interface State {
  readonly env: Env;
  readonly set: number;
}

const trackings = ['none', 'untracked', 'new', 'established'] as const;

export function envKey(env: Env): string {
  const { source, destination, sport, dport, iif, oif, mac, mark, ctMark } = env;
  const ids = [source, destination, sport, dport, iif, oif, mac].map(({ id }) => id).join(' ');
  return `${ids} ${mark} ${ctMark} ${env.routeMark} ${trackings.indexOf(env.tracking)} ${env.tracked} ${env.reply} ${env.dnat} ${env.snat}`;
}

/** States of the same situation as one. */
export function merge(bdd: Bdd, states: readonly State[]): readonly State[] {
  const [only, ...more] = states;
  if (only === undefined) return states;
  if (more.length === 0) return only.set === 0 ? [] : states;
  const byKey = new Map<string, State[]>();
  for (const state of states) {
    if (state.set === 0) continue;
    const key = envKey(state.env);
    const same = byKey.get(key);
    if (same) same.push(state);
    else byKey.set(key, [state]);
  }
  return [...byKey.values()].flatMap((same) => {
    const [first] = same;
    return first ? [{ env: first.env, set: bdd.union(same.map(({ set }) => set)) }] : [];
  });
}

/** Packets whose value is in the spans; undefined: nobody knows. */
export function withinSpans(bdd: Bdd, fields: Layout, slot: Slot<number>, spans: readonly Span[]): number | undefined {
  const inside = (value: number): boolean => spans.some(({ from, to }) => from <= value && value <= to);
  return slot.kind === 'field' && slot.value === 'itself' ? fields[slot.field].within(spans) : where(bdd, fields, slot, inside);
}

/** Packets whose value passes the test; undefined: nobody knows. */
export function where<T>(bdd: Bdd, fields: Layout, slot: Slot<T>, test: (value: T) => boolean): number | undefined {
  switch (slot.kind) {
    case 'const':
      return test(slot.value) ? 1 : 0;
    case 'absent':
      return 0;
    case 'unknown':
      return undefined;
    case 'parts':
      return bdd.union([...slot.parts].flatMap(([value, set]) => (test(value) ? [set] : [])));
    case 'field': {
      const field = fields[slot.field];
      const spans: { from: number; to: number }[] = [];
      const { value } = slot;
      for (let i = 0; i < field.count; i++) {
        // A field itself is a slot of numbers: its number is its value.
        const one = value === 'itself' ? (i as T) : value[i];
        if (one === undefined || !test(one)) continue;
        const last = spans.at(-1);
        if (last && last.to === i - 1) last.to = i;
        else spans.push({ from: i, to: i });
      }
      return field.within(spans);
    }
  }
}

/** The values that a slot can have; undefined: nobody knows. */
export function valuesOf<T>(slot: Slot<T>): Iterable<T> | undefined {
  switch (slot.kind) {
    case 'const':
      return [slot.value];
    case 'absent':
      return [];
    case 'unknown':
      return undefined;
    case 'parts':
      return slot.parts.keys();
    case 'field':
      return slot.value === 'itself' ? undefined : new Set(slot.value.filter((value) => value !== undefined));
  }
}

/** Packets whose value is this one. */
export function having<T>(bdd: Bdd, fields: Layout, slot: Slot<T>, value: T): number {
  switch (slot.kind) {
    case 'parts':
      return slot.parts.get(value) ?? 0;
    case 'field':
      return slot.value === 'itself'
        ? (where(bdd, fields, slot, (one) => one === value) ?? 0)
        : fields[slot.field].within(placesOf(slot.value, value));
    default:
      return where(bdd, fields, slot, (one) => one === value) ?? 0;
  }
}

const places = new WeakMap<readonly unknown[], Map<unknown, Span[]>>();

/** Where in the list the value stands, as spans. */
export function placesOf<T>(values: readonly (T | undefined)[], value: T): readonly Span[] {
  let known = places.get(values);
  if (!known) {
    known = new Map<unknown, { from: number; to: number }[]>();
    for (const [i, one] of values.entries()) {
      if (one === undefined) continue;
      const list = known.get(one);
      if (!list) known.set(one, [{ from: i, to: i }]);
      else if (list.at(-1)?.to === i - 1) list.splice(-1, 1, { from: list.at(-1)?.from ?? i, to: i });
      else list.push({ from: i, to: i });
    }
    places.set(values, known);
  }
  return known.get(value) ?? [];
}
