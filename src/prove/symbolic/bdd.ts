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

/** Of a node: level, low, high, and the node after it in its bucket. Side by side, so that looking at one touches memory once. */
const NODE = 4;
/** Of a place in the cache: operation, both operands, result. */
const ENTRY = 4;

export class Bdd {
  private nodes = new Int32Array(NODE << 16);
  private count = 2;
  /** First node of each bucket; 0 is none. */
  private buckets = new Int32Array(1 << 18);
  private readonly cache = new Int32Array(ENTRY << CACHE_BITS);
  /** Of each group of variables that are quantified together: whether a level is in it. */
  private readonly groups: (readonly boolean[])[] = [];
  private readonly limit: number;

  /** Throws {@link TooManyNodes} beyond `limit` nodes (20 bytes each). */
  constructor(limit = 30_000_000) {
    this.limit = limit;
    this.nodes.set([TERMINAL, 0, 0, 0, TERMINAL, 1, 1, 0]);
  }

  get size(): number {
    return this.count;
  }

  level(node: number): number {
    return this.nodes[node * NODE] ?? TERMINAL;
  }

  low(node: number): number {
    return this.nodes[node * NODE + 1] ?? 0;
  }

  high(node: number): number {
    return this.nodes[node * NODE + 2] ?? 0;
  }

  isTerminal(node: number): boolean {
    return node < 2;
  }

  /** The node that asks `level` and goes on at `low` or `high`, whose levels are behind it. */
  node(level: number, low: number, high: number): number {
    if (low === high) return low;
    const { nodes } = this;
    const bucket = hash(level, low, high) & (this.buckets.length - 1);
    for (let found = this.buckets[bucket] ?? 0; found !== 0;) {
      const at = found * NODE;
      if (nodes[at] === level && nodes[at + 1] === low && nodes[at + 2] === high) return found;
      found = nodes[at + 3] ?? 0;
    }
    return this.insert(bucket, level, low, high);
  }

  private insert(bucket: number, level: number, low: number, high: number): number {
    const made = this.count++;
    if (made >= this.limit) throw new TooManyNodes();
    if (made * NODE === this.nodes.length) this.grow();
    const at = made * NODE;
    this.nodes[at] = level;
    this.nodes[at + 1] = low;
    this.nodes[at + 2] = high;
    this.nodes[at + 3] = this.buckets[bucket] ?? 0;
    this.buckets[bucket] = made;
    if (this.count > this.buckets.length) this.rehash();
    return made;
  }

  private grow(): void {
    const made = new Int32Array(this.nodes.length * 2);
    made.set(this.nodes);
    this.nodes = made;
  }

  private rehash(): void {
    const { nodes, count } = this;
    const buckets = new Int32Array(this.buckets.length * 4);
    const mask = buckets.length - 1;
    for (let node = 2; node < count; node++) {
      const at = node * NODE;
      const bucket = hash(nodes[at] ?? 0, nodes[at + 1] ?? 0, nodes[at + 2] ?? 0) & mask;
      nodes[at + 3] = buckets[bucket] ?? 0;
      buckets[bucket] = node;
    }
    this.buckets = buckets;
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
    const { cache, nodes } = this;
    const key = (hash(op, a, b) & ((1 << CACHE_BITS) - 1)) * ENTRY;
    if (cache[key] === op && cache[key + 1] === a && cache[key + 2] === b) return cache[key + 3] ?? 0;
    const la = nodes[a * NODE] ?? TERMINAL;
    const lb = nodes[b * NODE] ?? TERMINAL;
    const top = la < lb ? la : lb;
    const a0 = la === top ? (nodes[a * NODE + 1] ?? 0) : a;
    const a1 = la === top ? (nodes[a * NODE + 2] ?? 0) : a;
    const b0 = lb === top ? (nodes[b * NODE + 1] ?? 0) : b;
    const b1 = lb === top ? (nodes[b * NODE + 2] ?? 0) : b;
    const low = op === AND ? this.and(a0, b0) : op === OR ? this.or(a0, b0) : this.minus(a0, b0);
    const high = op === AND ? this.and(a1, b1) : op === OR ? this.or(a1, b1) : this.minus(a1, b1);
    const result = this.node(top, low, high);
    cache[key] = op;
    cache[key + 1] = a;
    cache[key + 2] = b;
    cache[key + 3] = result;
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
    const level = this.level(set);
    // Nothing of the group is asked behind its last member.
    if (set < 2 || level >= member.length) return set;
    const op = kind + 8 * (group + 1);
    const { cache } = this;
    const key = (hash(op, set, 0) & ((1 << CACHE_BITS) - 1)) * ENTRY;
    if (cache[key] === op && cache[key + 1] === set && cache[key + 2] === 0) return cache[key + 3] ?? 0;
    const low = this.quantify(kind, group, member, this.low(set));
    const high = this.quantify(kind, group, member, this.high(set));
    const result = member[level] !== true ? this.node(level, low, high) : kind === EXISTS ? this.or(low, high) : this.and(low, high);
    cache[key] = op;
    cache[key + 1] = set;
    cache[key + 2] = 0;
    cache[key + 3] = result;
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
