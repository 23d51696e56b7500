/**
 * nft text of expressions. What a string constant has to look like depends on what it is compared with: interface names are
 * always quoted (`"w-x"`; nft knows hundreds of keywords a bare name could be), everything else is a word or an address.
 */
import type { NftExpr, NftSetKey } from './nft.ts';

/** What a constant is compared with, per component of a concatenation: an interface name, or anything else. */
export type ValueKind = 'ifname' | 'plain' | readonly ValueKind[];

/**
 * `{payload: {protocol: 'ip', field: 'saddr'}}` becomes `ip saddr`; `{concat: ['w-x', '10.0.0.1']}` of kind `['ifname', 'plain']`
 * becomes `"w-x" . 10.0.0.1`. Throws on `unknown`, which is only ever read and never printed.
 */
export function printExpression(expr: NftExpr, kind: ValueKind = 'plain'): string {
  if (typeof expr === 'number') return String(expr);
  if (typeof expr === 'string') return kind === 'ifname' ? quote(expr) : plainWord(expr);
  if ('concat' in expr)
    return expr.concat.map((part, i) => printExpression(part, typeof kind === 'string' ? kind : (kind[i] ?? 'plain'))).join(' . ');
  if ('set' in expr) return `{ ${expr.set.map((element) => printExpression(element, kind)).join(', ')} }`;
  if ('range' in expr) return `${printExpression(expr.range[0], kind)}-${printExpression(expr.range[1], kind)}`;
  if ('prefix' in expr) return `${expr.prefix.addr}/${expr.prefix.len}`;
  if ('meta' in expr) return unqualifiedMeta.has(expr.meta.key) ? expr.meta.key : `meta ${expr.meta.key}`;
  if ('payload' in expr) {
    const payload = expr.payload;
    return 'base' in payload ? `@${payload.base},${payload.offset},${payload.len}` : `${payload.protocol} ${payload.field}`;
  }
  if ('ct' in expr) return ['ct', expr.ct.dir, expr.ct.family, expr.ct.key].filter((word) => word !== undefined).join(' ');
  if ('fib' in expr) return `fib ${expr.fib.flags.join(' . ')} ${expr.fib.result}`;
  if ('rt' in expr) return ['rt', expr.rt.family, expr.rt.key].filter((word) => word !== undefined).join(' ');
  if ('tcp option' in expr) return `tcp option ${expr['tcp option'].name} ${expr['tcp option'].field}`;
  if ('&' in expr) return `${printExpression(expr['&'][0], kind)} & ${parenthesised(expr['&'][1])}`;
  if ('|' in expr) return expr['|'].map((part) => printExpression(part)).join(' | ');
  if ('map' in expr) return `${printExpression(expr.map.key)} map ${printExpression(expr.map.data)}`;
  throw new Error(`An nft expression that was read but not understood cannot be printed: ${JSON.stringify(expr.unknown)}`);
}

/** The kind of constants that `expr`, the left side of a match, is compared with. */
export function kindOf(expr: NftExpr): ValueKind {
  if (typeof expr !== 'object') return 'plain';
  if ('concat' in expr) return expr.concat.map(kindOf);
  return 'meta' in expr && interfaceMeta.has(expr.meta.key) ? 'ifname' : 'plain';
}

/** The kind of a set's or map's elements. */
export function kindOfKey(key: NftSetKey): ValueKind {
  const kinds = 'types' in key ? key.types.map((type): ValueKind => (type === 'ifname' ? 'ifname' : 'plain')) : key.typeof.map(kindOf);
  return kinds.length === 1 ? (kinds[0] ?? 'plain') : kinds;
}

/** `"text"`. nft knows no escapes inside quotes, so a quote or a line break cannot be expressed. */
export function quote(text: string): string {
  if (/["\n\\]/.test(text))
    throw new Error(`${JSON.stringify(text)} cannot be written in nft: no quote, backslash or line break is possible inside quotes.`);
  return `"${text}"`;
}

const interfaceMeta: ReadonlySet<string> = new Set(['iifname', 'oifname', 'iif', 'oif', 'ibrname', 'obrname', 'ibriport', 'obriport']);
/** Keys that nft prints without `meta`. */
const unqualifiedMeta: ReadonlySet<string> = new Set(['iifname', 'oifname', 'iif', 'oif', 'iiftype', 'oiftype']);

function plainWord(word: string): string {
  if (!/^@?[A-Za-z0-9_.:/*+-]+$/.test(word)) throw new Error(`${JSON.stringify(word)} is no word of nft.`);
  return word;
}

function parenthesised(expr: NftExpr): string {
  const text = printExpression(expr);
  return typeof expr === 'object' && '|' in expr && expr['|'].length > 1 ? `(${text})` : text;
}
