/**
 * Which variables stand for which field of a packet. What a guest may be comes first (where it enters, and what it may call itself there, which is little), then
 * what it asks for, so that guests with the same policy share the rest of the graph. Variables of what is not known come last.
 */
import type { Bdd } from './bdd.ts';
import type { Span } from './intervals.ts';

export const fieldNames = ['origin', 'mac', 'source', 'protocol', 'destination', 'dport', 'sport'] as const;
export type FieldName = (typeof fieldNames)[number];

export class Field {
  readonly name: FieldName;
  /** Values are 0 to `count - 1`. */
  readonly count: number;
  readonly first: number;
  readonly bits: number;
  private readonly bdd: Bdd;
  private readonly singles: number[] = [];

  constructor(bdd: Bdd, name: FieldName, count: number, first: number) {
    this.bdd = bdd;
    this.name = name;
    this.count = count;
    this.first = first;
    this.bits = Math.max(1, Math.ceil(Math.log2(count)));
  }

  get levels(): readonly number[] {
    return Array.from({ length: this.bits }, (_, i) => this.first + i);
  }

  /** Packets whose value is this one. */
  is(value: number): number {
    const known = this.singles[value];
    if (known !== undefined) return known;
    let set = 1;
    for (let bit = 0; bit < this.bits; bit++) {
      const level = this.first + this.bits - 1 - bit;
      set = (value >> bit) & 1 ? this.bdd.node(level, 0, set) : this.bdd.node(level, set, 0);
    }
    this.singles[value] = set;
    return set;
  }

  /** Packets whose value is in one of the spans, which are sorted and apart. */
  within(spans: readonly Span[]): number {
    const [only] = spans;
    if (spans.length === 0) return 0;
    if (spans.length === 1 && only !== undefined && only.from === only.to) return this.is(only.from);
    const build = (bit: number, base: number, from: number, to: number): number => {
      // Of the spans from `from` to `to` (excluded) some lie within this half.
      if (from === to) return 0;
      const last = base + 2 ** (this.bits - bit) - 1;
      const span = spans[from];
      if (span !== undefined && span.from <= base && span.to >= last) return 1;
      const half = base + 2 ** (this.bits - bit - 1);
      // First span that reaches into the upper half.
      let upper = from;
      let high = to;
      while (upper < high) {
        const middle = (upper + high) >> 1;
        if ((spans[middle]?.to ?? 0) >= half) high = middle;
        else upper = middle + 1;
      }
      const shared = upper < to && (spans[upper]?.from ?? 0) < half ? upper + 1 : upper;
      return this.bdd.node(this.first + bit, build(bit + 1, base, from, shared), build(bit + 1, half, upper, to));
    };
    return build(0, 0, 0, spans.length);
  }

  get any(): number {
    return this.within([{ from: 0, to: this.count - 1 }]);
  }

  /** The value that the path of a picked packet has, given the bits by level (0 where it does not matter). */
  valueOf(bits: ReadonlyMap<number, boolean>): number {
    let value = 0;
    for (let bit = 0; bit < this.bits; bit++) value = value * 2 + (bits.get(this.first + bit) === true ? 1 : 0);
    return value;
  }
}

export type Layout = Readonly<Record<FieldName, Field>>;

/** `counts`: how many values each field has. */
export function layoutOf(bdd: Bdd, counts: Readonly<Record<FieldName, number>>): { readonly fields: Layout; readonly behind: number } {
  let next = 0;
  const made = fieldNames.map((name) => {
    const field = new Field(bdd, name, counts[name], next);
    next += field.bits;
    return field;
  });
  const of = (name: FieldName): Field => {
    const field = made.find((one) => one.name === name);
    if (!field) throw new Error(`no field ${name}`);
    return field;
  };
  return {
    fields: {
      origin: of('origin'),
      mac: of('mac'),
      source: of('source'),
      protocol: of('protocol'),
      destination: of('destination'),
      dport: of('dport'),
      sport: of('sport'),
    },
    behind: next,
  };
}

/** Sorted, apart and not touching. */
export function joinSpans(spans: readonly Span[]): readonly Span[] {
  if (spans.length < 2) return spans;
  const sorted = [...spans].sort((a, b) => a.from - b.from);
  const joined: { from: number; to: number }[] = [];
  for (const { from, to } of sorted) {
    const last = joined.at(-1);
    if (last && from <= last.to + 1) last.to = Math.max(last.to, to);
    else joined.push({ from, to });
  }
  return joined;
}

/** The values of an ascending list as spans. */
export function spansOf(values: readonly number[]): readonly Span[] {
  const spans: { from: number; to: number }[] = [];
  for (const value of values) {
    const last = spans.at(-1);
    if (last && value <= last.to + 1) last.to = Math.max(value, last.to);
    else spans.push({ from: value, to: value });
  }
  return spans;
}
