/** Whether a match holds for a packet, and what maps give for it. */
import { ownMap } from '../../hoststate/nft-own-map.ts';
import { addressRange } from '../../hoststate/nft-normal-expression.ts';
import { isVerdict } from '../../hoststate/nft.ts';
import type { NftExpr, NftMapElement, NftMatchOp, NftTable, NftVerdict } from '../../hoststate/nft.ts';
import { compareIp, parseIp } from '../../net/ip.ts';
import { indexOf } from './elements.ts';
import { every, not, some, tri, type Tri } from './tri.ts';
import { flagWords, valueOf, type Value, type View } from './value.ts';

export function evaluateMatch(match: { readonly op: NftMatchOp; readonly left: NftExpr; readonly right: NftExpr }, view: View): Tri {
  const value = valueOf(match.left, view);
  if (value.kind === 'absent') return 'no';
  const { op, right } = match;
  switch (op) {
    case '==':
      return equals(value, right, view);
    case '!=':
      return not(equals(value, right, view));
    case 'in':
      return overlaps(value, right);
    default:
      return ordered(value, op, right);
  }
}

/** What a map has for a key: what it certainly or perhaps gives, in the order of the map, and whether it may have nothing. */
export interface Found<T> {
  readonly values: readonly T[];
  readonly none: boolean;
}

/** Undefined: nothing is known of the map. */
export function lookUpVerdict(
  { key, data }: { readonly key: NftExpr; readonly data: string | { readonly set: readonly (readonly [NftExpr, NftVerdict])[] } },
  view: View,
): Found<NftVerdict> | undefined {
  const found = lookUp(valueOf(key, view), typeof data === 'string' ? data : { set: data.set }, view);
  return found && { ...found, values: found.values.filter(isVerdict) };
}

/** The value for the target of a translation or a mark: `dnat to ip daddr . tcp dport map @m`. */
export function lookUpData({ key, data }: { readonly key: NftExpr; readonly data: NftExpr }, view: View): Found<NftExpr> | undefined {
  const elements = typeof data === 'string' ? data : ownMap(data);
  const found = elements === undefined ? undefined : lookUp(valueOf(key, view), elements, view);
  return found && { ...found, values: found.values.filter((value): value is NftExpr => !isVerdict(value)) };
}

function lookUp(
  value: Value,
  data: string | { readonly set: readonly NftMapElement[] },
  { table, ...view }: View,
): Found<NftMapElement[1]> | undefined {
  const map = typeof data === 'string' ? table.maps.find(({ name }) => `@${name}` === data) : undefined;
  if (typeof data === 'string' && (!map || changes(map.flags))) return undefined;
  const elements = typeof data === 'string' ? (map?.elements ?? []) : data.set;
  if (value.kind === 'absent') return { values: [], none: true };
  const index = indexOf(elements, ([key]) => key);
  const hit = index.find(value);
  if (hit) return { values: [hit[1]], none: false };
  const values: NftMapElement[1][] = [];
  // What is in no other element is the last one asked.
  const rest = index.toCompare(value);
  for (const [key, result] of [...rest.filter(([one]) => one !== '*'), ...rest.filter(([one]) => one === '*')]) {
    const holds = equals(value, key, { table, ...view });
    if (holds === 'yes') return { values: [...values, result], none: false };
    if (holds === 'maybe') values.push(result);
  }
  return { values, none: true };
}

/** Packets, or time, change what is in it. */
const changes = (flags: readonly string[]): boolean => flags.includes('dynamic') || flags.includes('timeout');

function isIn(value: Value, name: string, view: View): Tri {
  const set = setCalled(name, view.table);
  if (!set || changes(set.flags)) return 'maybe';
  const index = indexOf(set.elements, (element) => element);
  if (index.find(value) !== undefined) return 'yes';
  return some(index.toCompare(value).map((element) => equals(value, element, view)));
}

/** A map may be asked like a set. */
function setCalled(
  name: string,
  table: NftTable,
): { readonly flags: readonly string[]; readonly elements: readonly NftExpr[] } | undefined {
  const set = table.sets.find((one) => `@${one.name}` === name);
  if (set) return set;
  const map = table.maps.find((one) => `@${one.name}` === name);
  return map && { flags: map.flags, elements: map.elements.map(([key]) => key) };
}

function equals(value: Value, expr: NftExpr, view: View): Tri {
  if (value.kind === 'absent') return 'no';
  if (value.kind === 'way') return isWay(value.name, expr, view);
  if (typeof expr === 'object' && 'set' in expr) return some(expr.set.map((element) => equals(value, element, view)));
  if (typeof expr === 'string' && expr.startsWith('@')) return isIn(value, expr, view);
  if (value.kind === 'unknown') return 'maybe';
  // nft 1.0.6 lists `*`, what is in no other element, as this.
  if (expr === '*') return 'yes';
  if (value.kind === 'parts') {
    if (typeof expr !== 'object' || !('concat' in expr) || expr.concat.length !== value.parts.length) return 'maybe';
    return every(value.parts.map((part, i) => equals(part, expr.concat[i] ?? { unknown: null }, view)));
  }
  if (value.kind === 'flags') return sameFlags(value, expr);
  if (typeof expr === 'object' && ('meta' in expr || 'ct' in expr || '&' in expr || '|' in expr)) {
    const other = valueOf(expr, view);
    return other.kind === 'number' && value.kind === 'number' ? tri(other.number === value.number) : 'maybe';
  }
  return value.kind === 'number' ? numberEquals(value, expr) : textEquals(value.text, expr);
}

/** `fib saddr . iif oif missing` is `false` in nft's JSON, `exists` is `true`. */
function isWay(name: string | undefined, expr: NftExpr, view: View): Tri {
  if (typeof expr === 'object' && 'unknown' in expr && typeof expr.unknown === 'boolean') return tri((name !== '') === expr.unknown);
  if (name === undefined) return 'maybe';
  return name === '' ? 'no' : equals({ kind: 'text', text: name }, expr, view);
}

function sameFlags(value: Extract<Value, { kind: 'flags' }>, expr: NftExpr): Tri {
  const words = expr === 0 ? [] : flagWords(expr);
  if (!words) return 'maybe';
  if (value.exact) return tri(words.length === value.flags.length && words.every((word) => value.flags.includes(word)));
  // Bits that nft has no words for are set beside them.
  return words.every((word) => value.flags.includes(word)) ? 'maybe' : 'no';
}

/** `ct state established,related`, `tcp flags syn`: one of the bits is set. */
function overlaps(value: Value, right: NftExpr): Tri {
  const words = flagWords(right);
  return value.kind === 'flags' && words ? tri(value.flags.some((flag) => words.includes(flag))) : 'maybe';
}

function ordered(value: Value, op: '<' | '>' | '<=' | '>=', right: NftExpr): Tri {
  if (value.kind !== 'number' || typeof right !== 'number') return 'maybe';
  const { number } = value;
  return tri(op === '<' ? number < right : op === '>' ? number > right : op === '<=' ? number <= right : number >= right);
}

function numberEquals({ number, words }: Extract<Value, { kind: 'number' }>, expr: NftExpr): Tri {
  if (typeof expr === 'number') return tri(number === expr);
  if (typeof expr === 'string') {
    if (words?.includes(expr)) return 'yes';
    if (/^0x[0-9a-f]+$/.test(expr)) return tri(BigInt(number) === BigInt(expr));
    // It has another name, or none that is known.
    return words && words.length > 0 ? 'no' : 'maybe';
  }
  if (!('range' in expr)) return 'maybe';
  const [from, to] = expr.range;
  return typeof from === 'number' && typeof to === 'number' ? tri(from <= number && number <= to) : 'maybe';
}

function textEquals(value: string, expr: NftExpr): Tri {
  if (typeof expr === 'object') {
    const range = addressRange(expr);
    const ip = parseIp(value);
    if (!range || !ip) return 'maybe';
    return tri(range.from.family === ip.family && compareIp(range.from, ip) <= 0 && compareIp(ip, range.to) <= 0);
  }
  if (typeof expr === 'number') return 'maybe';
  // `virbr*` stands for all names that begin so; of names 16 bytes are compared, of which the last is 0.
  return tri(expr.endsWith('*') ? value.startsWith(expr.slice(0, -1)) : value === expr);
}
