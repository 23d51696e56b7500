/** Maps of a rule's own: `dnat to tcp dport map { 80 : 10.0.0.1 }`. */
import type { NftExpr, NftMapElement } from './nft.ts';
import { normalExpression } from './nft-normal-expression.ts';
import { readExpression } from './nft-read-rule.ts';

/** `{ 80 : 10.0.0.1 }`: to the reader of rules a set of pairs, or a pair alone, which it does not know. */
export function ownMap(data: NftExpr): { readonly set: readonly NftMapElement[] } | undefined {
  if (typeof data !== 'object') return undefined;
  const before = known.get(data);
  if (before) return before;
  const pairs = ('set' in data ? data.set : [data]).map((element): NftMapElement | undefined => {
    const raw: unknown = typeof element === 'object' && 'unknown' in element ? element.unknown : undefined;
    if (!Array.isArray(raw) || raw.length !== 2) return undefined;
    const [key, value]: unknown[] = raw;
    return [normalExpression(readExpression(key)), normalExpression(readExpression(value))];
  });
  if (!pairs.every((pair) => pair !== undefined)) return undefined;
  const made = { set: pairs };
  known.set(data, made);
  return made;
}

const known = new WeakMap<object, { readonly set: readonly NftMapElement[] }>();
