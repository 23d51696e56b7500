/**
 * Reduced ordered binary decision diagrams (Bryant 1986): sets of packets as canonical graphs, so that equal sets are equal numbers. One arena a run: nodes
 * are never freed. Handles are node numbers; 0 is the empty set, 1 everything. A variable's number is its level; lower ones are asked first.
 */

/** Level of the two terminals: behind every variable. */
const TERMINAL = 0x7fffffff;

const AND = 1;
const OR = 2;
const MINUS = 3;
const EXISTS = 4;
const FORALL = 5;

const CACHE_BITS = 20;

export class TooManyNodes extends Error {}

export class Bdd {
  private levels = new Int32Array(1 << 18);
  private lows = new Int32Array(1 << 18);
  private highs = new Int32Array(1 << 18);
  private count = 2;
  /** Open addressing; 0 is an empty place (terminals are never in it). */
  private unique = new Int32Array(1 << 20);
  private readonly cacheKeys = new Int32Array(3 << CACHE_BITS);
  private readonly cacheResults = new Int32Array(1 << CACHE_BITS);
  /** Of each group of variables that are quantified together: whether a level is in it. */
  private readonly groups: (readonly boolean[])[] = [];
  private readonly limit: number;

  /** Throws {@link TooManyNodes} beyond `limit` nodes (16 bytes each). */
  constructor(limit = 30_000_000) {
    this.limit = limit;
    this.levels[0] = TERMINAL;
    this.levels[1] = TERMINAL;
    this.highs[1] = 1;
    this.lows[1] = 1;
  }

  get size(): number {
    return this.count;
  }

  level(node: number): number {
    return this.levels[node] ?? TERMINAL;
  }

  low(node: number): number {
    return this.lows[node] ?? 0;
  }

  high(node: number): number {
    return this.highs[node] ?? 0;
  }

  isTerminal(node: number): boolean {
    return node < 2;
  }

  /** The node that asks `level` and goes on at `low` or `high`, whose levels are behind it. */
  node(level: number, low: number, high: number): number {
    if (low === high) return low;
    const mask = this.unique.length - 1;
    let place = hash(level, low, high) & mask;
    for (;;) {
      const found = this.unique[place] ?? 0;
      if (found === 0) break;
      if (this.levels[found] === level && this.lows[found] === low && this.highs[found] === high) return found;
      place = (place + 1) & mask;
    }
    return this.insert(place, level, low, high);
  }

  private insert(place: number, level: number, low: number, high: number): number {
    const made = this.count++;
    if (made >= this.limit) throw new TooManyNodes();
    if (made === this.levels.length) this.grow();
    this.levels[made] = level;
    this.lows[made] = low;
    this.highs[made] = high;
    this.unique[place] = made;
    if (this.count * 2 > this.unique.length) this.rehash();
    return made;
  }

  private grow(): void {
    const larger = (old: Int32Array): Int32Array<ArrayBuffer> => {
      const made = new Int32Array(old.length * 2);
      made.set(old);
      return made;
    };
    this.levels = larger(this.levels);
    this.lows = larger(this.lows);
    this.highs = larger(this.highs);
  }

  private rehash(): void {
    this.unique = new Int32Array(this.unique.length * 2);
    const mask = this.unique.length - 1;
    for (let node = 2; node < this.count; node++) {
      let place = hash(this.level(node), this.low(node), this.high(node)) & mask;
      while (this.unique[place] !== 0) place = (place + 1) & mask;
      this.unique[place] = node;
    }
  }

  /** The set in which a variable is 1. */
  variable(level: number): number {
    return this.node(level, 0, 1);
  }

  and(a: number, b: number): number {
    if (a === b || b === 1) return a;
    if (a === 1) return b;
    if (a === 0 || b === 0) return 0;
    return a < b ? this.apply(AND, a, b) : this.apply(AND, b, a);
  }

  or(a: number, b: number): number {
    if (a === b || b === 0) return a;
    if (a === 0) return b;
    if (a === 1 || b === 1) return 1;
    return a < b ? this.apply(OR, a, b) : this.apply(OR, b, a);
  }

  /** What is in `a` and not in `b`. */
  minus(a: number, b: number): number {
    if (a === 0 || b === 1 || a === b) return 0;
    if (b === 0) return a;
    return this.apply(MINUS, a, b);
  }

  not(a: number): number {
    return this.minus(1, a);
  }

  private apply(op: number, a: number, b: number): number {
    const slot = hash(op, a, b) & ((1 << CACHE_BITS) - 1);
    const key = slot * 3;
    if (this.cacheKeys[key] === op && this.cacheKeys[key + 1] === a && this.cacheKeys[key + 2] === b) return this.cacheResults[slot] ?? 0;
    const la = this.levels[a] ?? TERMINAL;
    const lb = this.levels[b] ?? TERMINAL;
    const top = la < lb ? la : lb;
    const a0 = la === top ? (this.lows[a] ?? 0) : a;
    const a1 = la === top ? (this.highs[a] ?? 0) : a;
    const b0 = lb === top ? (this.lows[b] ?? 0) : b;
    const b1 = lb === top ? (this.highs[b] ?? 0) : b;
    const low = op === AND ? this.and(a0, b0) : op === OR ? this.or(a0, b0) : this.minus(a0, b0);
    const high = op === AND ? this.and(a1, b1) : op === OR ? this.or(a1, b1) : this.minus(a1, b1);
    const result = this.node(top, low, high);
    this.cacheKeys[key] = op;
    this.cacheKeys[key + 1] = a;
    this.cacheKeys[key + 2] = b;
    this.cacheResults[slot] = result;
    return result;
  }

  /** Union of many sets; of sets sorted so that neighbours are alike it costs least. */
  union(sets: readonly number[]): number {
    if (sets.length === 0) return 0;
    let row = sets;
    while (row.length > 1) {
      const next: number[] = [];
      for (let i = 0; i < row.length; i += 2) next.push(this.or(row[i] ?? 0, row[i + 1] ?? 0));
      row = next;
    }
    return row[0] ?? 0;
  }

  /** Variables that are quantified together; the handle is for {@link exists} and {@link forall}. */
  group(levels: Iterable<number>): number {
    const member: boolean[] = [];
    for (const level of levels) member[level] = true;
    return this.groups.push(member) - 1;
  }

  /** What is in the set for some value of the group's variables. */
  exists(group: number, set: number): number {
    return this.quantify(EXISTS, group, this.groups[group] ?? [], set);
  }

  /** What is in the set for every value of the group's variables. */
  forall(group: number, set: number): number {
    return this.quantify(FORALL, group, this.groups[group] ?? [], set);
  }

  private quantify(kind: number, group: number, member: readonly boolean[], set: number): number {
    const level = this.levels[set] ?? TERMINAL;
    // Nothing of the group is asked behind its last member.
    if (set < 2 || level >= member.length) return set;
    const op = kind + 8 * (group + 1);
    const slot = hash(op, set, 0) & ((1 << CACHE_BITS) - 1);
    const key = slot * 3;
    if (this.cacheKeys[key] === op && this.cacheKeys[key + 1] === set && this.cacheKeys[key + 2] === 0) return this.cacheResults[slot] ?? 0;
    const low = this.quantify(kind, group, member, this.low(set));
    const high = this.quantify(kind, group, member, this.high(set));
    const result = member[level] !== true ? this.node(level, low, high) : kind === EXISTS ? this.or(low, high) : this.and(low, high);
    this.cacheKeys[key] = op;
    this.cacheKeys[key + 1] = set;
    this.cacheKeys[key + 2] = 0;
    this.cacheResults[slot] = result;
    return result;
  }

  /** The set restricted to a variable's value. */
  restrict(set: number, level: number, value: boolean): number {
    const memo = new Map<number, number>();
    const walk = (node: number): number => {
      const at = this.level(node);
      if (at > level) return node;
      if (at === level) return value ? this.high(node) : this.low(node);
      const known = memo.get(node);
      if (known !== undefined) return known;
      const made = this.node(at, walk(this.low(node)), walk(this.high(node)));
      memo.set(node, made);
      return made;
    };
    return walk(set);
  }

  /** Levels that the set depends on, from `from` on. */
  support(set: number, from = 0): ReadonlySet<number> {
    const seen = new Set<number>();
    const found = new Set<number>();
    const walk = (node: number): void => {
      if (node < 2 || seen.has(node)) return;
      seen.add(node);
      const level = this.level(node);
      if (level >= from) found.add(level);
      walk(this.low(node));
      walk(this.high(node));
    };
    walk(set);
    return found;
  }

  /** Nodes of one set. */
  nodesOf(set: number): number {
    const seen = new Set<number>();
    const walk = (node: number): void => {
      if (node < 2 || seen.has(node)) return;
      seen.add(node);
      walk(this.low(node));
      walk(this.high(node));
    };
    walk(set);
    return seen.size;
  }
}

function hash(a: number, b: number, c: number): number {
  let h = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return (h ^ (h >>> 13)) >>> 0;
}
