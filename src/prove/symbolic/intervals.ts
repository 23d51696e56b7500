/**
 * Elementary intervals of a field: everything that any rule, route or question tells apart, cut at every constant. A value of the field is then the number of
 * its interval, which keeps the order: a prefix or a range is a span of numbers.
 */

/** Both ends belong to it. */
export interface Span {
  readonly from: number;
  readonly to: number;
}

export class Intervals {
  /** First value of each interval, ascending, the first one 0. */
  private readonly starts: readonly bigint[];
  private readonly last: bigint;

  /** `bounds`: first and last values of all constants; `last`: the field's greatest value. */
  constructor(bounds: Iterable<readonly [bigint, bigint]>, last: bigint) {
    const starts = new Set<bigint>([0n]);
    for (const [from, to] of bounds) {
      starts.add(from);
      if (to < last) starts.add(to + 1n);
    }
    this.starts = [...starts].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
    this.last = last;
  }

  get count(): number {
    return this.starts.length;
  }

  /** The interval a value is in. */
  at(value: bigint): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.starts[middle] ?? 0n) <= value) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The intervals that make up the values `from` to `to`; throws when these were no constants, for no set could say it. */
  span(from: bigint, to: bigint): Span {
    const span = this.spanOf(from, to);
    if (!span) throw new Error(`${from}-${to} was not among the constants`);
    return span;
  }

  /** As {@link span}; undefined when no set can say it. */
  spanOf(from: bigint, to: bigint): Span | undefined {
    const span = { from: this.at(from), to: this.at(to) };
    return this.first(span.from) === from && this.final(span.to) === to ? span : undefined;
  }

  first(index: number): bigint {
    return this.starts[index] ?? 0n;
  }

  final(index: number): bigint {
    const next = this.starts[index + 1];
    return next === undefined ? this.last : next - 1n;
  }
}
