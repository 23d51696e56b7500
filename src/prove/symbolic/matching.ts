/** Matches and lookups as sets of packets. What is not modelled is undefined here; the walk makes a question of it. */
import type { NftExpr, NftMap, NftMatchOp, NftSet, NftTable, NftVerdict } from '../../hoststate/nft.ts';
import { isVerdict } from '../../hoststate/nft.ts';
import { addressRange } from '../../hoststate/nft-normal-expression.ts';
import type { Slot } from './env.ts';
import { having, where, withinSpans } from './env.ts';
import type { Span } from './intervals.ts';
import { joinSpans } from './layout.ts';
import { ipNumber } from './numbers.ts';
import { protocolNumber } from '../../net/protocols.ts';
import { flagWords, REACHED, termOf } from './terms.ts';
import type { Asking, Term } from './terms.ts';
import type { Universe } from './universe.ts';

export interface Found<T> {
  readonly value: T;
  readonly set: number;
}

/** Sets of a table by name, looked for once. */
interface Named {
  readonly sets: ReadonlyMap<string, NftSet>;
  readonly maps: ReadonlyMap<string, NftMap>;
}

export class Matcher {
  private readonly universe: Universe;
  private readonly named = new WeakMap<NftTable, Named>();
  private readonly known = new WeakMap<readonly NftExpr[], Map<string, number | undefined>>();
  private readonly grouped = new WeakMap<object, readonly { readonly value: NftVerdict | NftExpr; readonly keys: readonly NftExpr[] }[]>();

  constructor(universe: Universe) {
    this.universe = universe;
  }

  match(
    { op, left, right }: { readonly op: NftMatchOp; readonly left: NftExpr; readonly right: NftExpr },
    table: NftTable,
    asking: Asking,
  ): number | undefined {
    const { bdd } = this.universe;
    const term = termOf(left, asking);
    if (!term) return undefined;
    if (term.present === 0) return 0;
    const equal =
      op === 'in' ? overlaps(term, right) : op === '==' || op === '!=' ? this.equals(term, right, table) : this.compares(term, op, right);
    if (equal === undefined) return undefined;
    return op === '!=' ? bdd.minus(term.present, equal) : bdd.and(term.present, equal);
  }

  /** What a map gives for the key, by sets that are apart; what it has nothing for is in none. Undefined: not modelled. */
  lookup(
    key: NftExpr,
    data: string | { readonly set: readonly (readonly [NftExpr, NftVerdict | NftExpr])[] },
    table: NftTable,
    asking: Asking,
  ): readonly Found<NftVerdict | NftExpr>[] | undefined {
    const map = typeof data === 'string' ? this.tableNames(table).maps.get(data.slice(1)) : undefined;
    const elements = typeof data === 'string' ? map?.elements : data.set;
    if (!elements || (map && changes(map.flags))) return undefined;
    const term = termOf(key, asking);
    if (!term) return undefined;
    const found: Found<NftVerdict | NftExpr>[] = [];
    for (const { value, keys } of this.group(elements)) {
      const set = this.anyOf(term, keys, table);
      if (set === undefined) return undefined;
      const hit = this.universe.bdd.and(term.present, set);
      if (hit !== 0) found.push({ value, set: hit });
    }
    return found;
  }

  private tableNames(table: NftTable): Named {
    const known = this.named.get(table);
    if (known) return known;
    const made = {
      sets: new Map(table.sets.map((set) => [set.name, set])),
      maps: new Map(table.maps.map((map) => [map.name, map])),
    };
    this.named.set(table, made);
    return made;
  }

  /** Elements that lead to the same, together. */
  private group(
    elements: readonly (readonly [NftExpr, NftVerdict | NftExpr])[],
  ): readonly { readonly value: NftVerdict | NftExpr; readonly keys: readonly NftExpr[] }[] {
    const known = this.grouped.get(elements);
    if (known) return known;
    const byValue = new Map<string, { value: NftVerdict | NftExpr; keys: NftExpr[] }>();
    for (const [key, value] of elements) {
      const text = typeof value === 'object' ? (isVerdict(value) ? verdictKey(value) : JSON.stringify(value)) : `${value}`;
      const same = byValue.get(text);
      if (same) same.keys.push(key);
      else byValue.set(text, { value, keys: [key] });
    }
    const made = [...byValue.values()];
    this.grouped.set(elements, made);
    return made;
  }

  private equals(term: Term, right: NftExpr, table: NftTable): number | undefined {
    if (typeof right === 'string' && right.startsWith('@')) {
      const set = this.tableNames(table).sets.get(right.slice(1));
      if (!set || changes(set.flags)) return undefined;
      return this.anyOf(term, set.elements, table);
    }
    if (typeof right === 'object' && 'set' in right) return this.anyOf(term, right.set, table);
    return this.one(term, right);
  }

  private compares(term: Term, op: '<' | '>' | '<=' | '>=', right: NftExpr): number | undefined {
    if (typeof right !== 'number') return undefined;
    const limits = (last: number): Span | undefined => {
      const from = op === '>' ? right + 1 : op === '>=' ? right : 0;
      const to = op === '<' ? right - 1 : op === '<=' ? right : last;
      return from <= to ? { from, to } : undefined;
    };
    const { bdd, fields, ports, protocols } = this.universe;
    if (term.domain === 'number')
      return where(bdd, fields, term.slot, (value) =>
        op === '<' ? value < right : op === '>' ? value > right : op === '<=' ? value <= right : value >= right,
      );
    if (term.domain !== 'port' && term.domain !== 'protocol') return undefined;
    const table = term.domain === 'port' ? ports : protocols;
    const span = limits(term.domain === 'port' ? 65535 : 255);
    if (!span) return 0;
    const [from, to] = [table.at(BigInt(span.from)), table.at(BigInt(span.to))];
    // The collector makes single values constants: what lies on one side of them is whole intervals.
    return withinSpans(bdd, fields, term.slot, [{ from, to }]);
  }

  private anyOf(term: Term, elements: readonly NftExpr[], table: NftTable): number | undefined {
    const key = slotKey(term);
    const byTerm = this.known.get(elements) ?? new Map<string, number | undefined>();
    this.known.set(elements, byTerm);
    if (key !== undefined && byTerm.has(key)) return byTerm.get(key);
    const made = this.anyOfNew(term, elements, table);
    if (key !== undefined) byTerm.set(key, made);
    return made;
  }

  private anyOfNew(term: Term, elements: readonly NftExpr[], table: NftTable): number | undefined {
    const { bdd, fields } = this.universe;
    switch (term.domain) {
      case 'address':
      case 'port':
      case 'protocol': {
        const spans: Span[] = [];
        for (const element of elements) {
          const span = this.spanOf(term.domain, element);
          if (span === undefined) return undefined;
          if (span !== 'none') spans.push(span);
        }
        return withinSpans(bdd, fields, term.slot, joinSpans(spans));
      }
      case 'interface':
      case 'mac':
      case 'word': {
        const words = elements.filter((element) => typeof element === 'string');
        const missing = elements.some((element) => isMissing(element));
        if (words.length + (missing ? 1 : 0) < elements.length) return undefined;
        const exact = new Set(missing ? [...words, 'missing'] : words);
        const beginnings = words.filter((word) => word.endsWith('*')).map((word) => word.slice(0, -1));
        return where(bdd, fields, term.slot, (value) => exact.has(value) || beginnings.some((beginning) => value.startsWith(beginning)));
      }
      case 'concat':
        return this.products(term.parts, elements);
      default: {
        const sets = elements.map((element) => this.equals(term, element, table));
        return sets.includes(undefined) ? undefined : bdd.union(sets.filter((set) => set !== undefined));
      }
    }
  }

  /** Tuples of a concatenation, sorted so that neighbours share what is asked first. */
  private products(parts: readonly Term[], elements: readonly NftExpr[]): number | undefined {
    const { bdd } = this.universe;
    const sets: number[] = [];
    for (const element of elements) {
      if (typeof element !== 'object' || !('concat' in element) || element.concat.length !== parts.length) return undefined;
      let set = 1;
      for (let i = parts.length - 1; i >= 0; i--) {
        const part = parts[i];
        const value = element.concat[i];
        if (!part || value === undefined) return undefined;
        const one = this.one(part, value);
        if (one === undefined) return undefined;
        set = bdd.and(set, one);
      }
      if (set !== 0) sets.push(set);
    }
    if (sets.length > 2) sortByPath(bdd, sets);
    return bdd.union(sets);
  }

  /** Packets whose value is this one constant (an address may be a prefix or a range). */
  private one(term: Term, element: NftExpr): number | undefined {
    const { bdd, fields } = this.universe;
    switch (term.domain) {
      case 'address':
      case 'port':
      case 'protocol': {
        const span = this.spanOf(term.domain, element);
        if (span === undefined) return undefined;
        return span === 'none' ? 0 : withinSpans(bdd, fields, term.slot, [span]);
      }
      case 'number': {
        if (typeof element === 'object' && 'range' in element) {
          const [from, to] = element.range;
          if (typeof from !== 'number' || typeof to !== 'number') return undefined;
          return where(bdd, fields, term.slot, (value) => from <= value && value <= to);
        }
        return typeof element === 'number' ? where(bdd, fields, term.slot, (value) => value === element) : undefined;
      }
      case 'interface':
      case 'mac':
      case 'word':
        return this.oneWord(term.domain, term.slot, element);
      case 'flags': {
        const words = flagWords(element);
        if (!words) return undefined;
        // A bit that may be set or not makes equality unknown, unless another bit decides.
        const known =
          term.flags.every((flag) => words.includes(flag)) && words.every((word) => term.flags.includes(word) || term.free.includes(word));
        return !known ? 0 : term.free.length > 0 ? undefined : 1;
      }
      case 'concat':
        return this.products(term.parts, [element]);
    }
  }

  private oneWord(domain: 'interface' | 'mac' | 'word', slot: Slot<string>, element: NftExpr): number | undefined {
    const { bdd, fields } = this.universe;
    if (isMissing(element)) return where(bdd, fields, slot, (value) => value === 'missing');
    // `exists` is `true` there.
    if (typeof element === 'object' && 'unknown' in element && element.unknown === true)
      return where(bdd, fields, slot, (value) => value === REACHED);
    // A hardware address as the number of a raw field.
    const text =
      domain === 'mac' && typeof element === 'number' ? (element.toString(16).padStart(12, '0').match(/../g)?.join(':') ?? '') : element;
    if (typeof text !== 'string') return undefined;
    if (domain !== 'word' && text.endsWith('*')) return where(bdd, fields, slot, (value) => value.startsWith(text.slice(0, -1)));
    // Which of its interfaces: one by name may be another than the one that was found.
    if (domain === 'word' && slot.kind === 'parts' && slot.parts.has(REACHED)) return undefined;
    return slot.kind === 'unknown' ? undefined : having(bdd, fields, slot, text);
  }

  /** `none`: of the other family. Undefined: not a constant that is known. */
  private spanOf(domain: 'address' | 'port' | 'protocol', element: NftExpr): Span | 'none' | undefined {
    const { family, addresses, ports, protocols } = this.universe;
    if (domain === 'address') {
      // Of a raw field, a number.
      if (typeof element === 'number') return family === 4 ? addresses.spanOf(BigInt(element), BigInt(element)) : undefined;
      if (typeof element === 'string')
        return addressRange(element) === undefined ? undefined : (this.universe.addressSpan(element) ?? 'none');
      const range = addressRange(element);
      if (!range) return undefined;
      return range.from.family === family ? addresses.spanOf(ipNumber(range.from), ipNumber(range.to)) : 'none';
    }
    const number = (value: NftExpr): bigint | undefined => {
      const found =
        typeof value === 'number' ? value : domain === 'protocol' && typeof value === 'string' ? protocolNumber(value) : undefined;
      return found === undefined ? undefined : BigInt(found);
    };
    const [from, to] = typeof element === 'object' && 'range' in element ? element.range.map(number) : [number(element), number(element)];
    if (from === undefined || to === undefined) return undefined;
    return (domain === 'port' ? ports : protocols).spanOf(from, to);
  }
}

function verdictKey(verdict: NftVerdict): string {
  return 'jump' in verdict
    ? `jump ${verdict.jump.target}`
    : 'goto' in verdict
      ? `goto ${verdict.goto.target}`
      : (Object.keys(verdict)[0] ?? '');
}

/** `missing` is `false` in nft's JSON. */
const isMissing = (element: NftExpr): boolean => typeof element === 'object' && 'unknown' in element && element.unknown === false;

/** `ct state established,related`: some of the bits are set. */
function overlaps(term: Term, right: NftExpr): number | undefined {
  const words = flagWords(right);
  if (term.domain !== 'flags' || !words) return undefined;
  if (term.flags.some((flag) => words.includes(flag))) return 1;
  return term.free.some((flag) => words.includes(flag)) ? undefined : 0;
}

/** The same slots make the same sets. */
function slotKey(term: Term): string | undefined {
  if (term.domain === 'concat') {
    const keys = term.parts.map(slotKey);
    return keys.includes(undefined) ? undefined : keys.join(' ');
  }
  return term.domain === 'flags' ? undefined : `${term.slot.id}`;
}

/** In the order of their first paths: what differs late stands side by side. */
function sortByPath(bdd: Universe['bdd'], sets: number[]): void {
  sets.sort((a, b) => {
    let [x, y] = [a, b];
    while (x !== y && x > 1 && y > 1) {
      const [lx, ly] = [bdd.level(x), bdd.level(y)];
      if (lx !== ly) return lx - ly;
      // Constants' graphs are chains: one of the two branches is empty, or both are the same way.
      const [upX, upY] = [bdd.low(x) === 0, bdd.low(y) === 0];
      if (upX !== upY) return upX ? 1 : -1;
      [x, y] = upX ? [bdd.high(x), bdd.high(y)] : [bdd.low(x), bdd.low(y)];
    }
    return x - y;
  });
}

/** What packets or services fill is different at each moment. */
const changes = (flags: readonly string[]): boolean => flags.includes('dynamic') || flags.includes('timeout');
