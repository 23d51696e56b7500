/** nft text of rules: a statement's text for each kind of statement of `nft.ts`, in the words of nft(8). */
import type { NftExpr, NftRule, NftStatement, NftVerdict } from './nft.ts';
import { kindOf, printExpression, quote } from './nft-print-expression.ts';

/** `tcp dport 22 accept comment "weft:1a2b3c4d"`, without the chain and without a line end. */
export function printRule(rule: NftRule): string {
  const words = rule.statements.map(printStatement);
  if (rule.comment !== undefined) {
    if (Buffer.byteLength(rule.comment) > 128) throw new Error(`The comment of a rule is longer than nft's 128 bytes: ${rule.comment}`);
    words.push(`comment ${quote(rule.comment)}`);
  }
  return words.join(' ');
}

/** `jump policy`, `drop`. */
export function printVerdict(verdict: NftVerdict): string {
  if ('jump' in verdict) return `jump ${verdict.jump.target}`;
  if ('goto' in verdict) return `goto ${verdict.goto.target}`;
  return Object.keys(verdict)[0] ?? 'continue';
}

/** One statement; throws on `unknown`, which is only ever read. */
export function printStatement(statement: NftStatement): string {
  if ('match' in statement) return printMatch(statement.match);
  if ('vmap' in statement) {
    const { key, data } = statement.vmap;
    return `${printExpression(key)} vmap ${typeof data === 'string' ? data : printVerdictSet(key, data.set)}`;
  }
  if ('counter' in statement)
    return statement.counter ? `counter packets ${statement.counter.packets} bytes ${statement.counter.bytes}` : 'counter';
  if ('log' in statement) {
    const { prefix, group, snaplen } = statement.log;
    const words = ['log'];
    if (prefix !== undefined) words.push(`prefix ${quote(prefix)}`);
    if (group !== undefined) words.push(`group ${group}`);
    if (snaplen !== undefined) words.push(`snaplen ${snaplen}`);
    return words.join(' ');
  }
  if ('limit' in statement) {
    const { rate, per, burst } = statement.limit;
    return `limit rate ${rate}/${per}${burst === undefined ? '' : ` burst ${burst} packets`}`;
  }
  if ('masquerade' in statement) return `masquerade${toPort(statement.masquerade?.port)}`;
  if ('redirect' in statement) return `redirect${toPort(statement.redirect?.port)}`;
  if ('snat' in statement) return printNat('snat', statement.snat);
  if ('dnat' in statement) return printNat('dnat', statement.dnat);
  if ('mangle' in statement) return `${printExpression(statement.mangle.key)} set ${printExpression(statement.mangle.value)}`;
  if ('reject' in statement) {
    if (!statement.reject) return 'reject';
    const { type, expr } = statement.reject;
    return ['reject with', type, expr === undefined ? undefined : printExpression(expr)].filter((word) => word !== undefined).join(' ');
  }
  if ('notrack' in statement) return 'notrack';
  if ('unknown' in statement)
    throw new Error(`An nft statement that was read but not understood cannot be printed: ${JSON.stringify(statement.unknown)}`);
  return printVerdict(statement);
}

function printMatch(match: { readonly op: string; readonly left: NftExpr; readonly right: NftExpr }): string {
  const { op, left, right } = match;
  // Without an operator nft takes `in` for flag words and `==` for the rest, so equality of flags and of masked values has to be said.
  const operator = op === 'in' || (op === '==' && !(isFlags(left) && isWord(right))) ? '' : `${op} `;
  return `${printExpression(left)} ${operator}${op === 'in' ? printFlags(right) : isReference(right) ? right : printExpression(right, kindOf(left))}`;
}

function isFlags(left: NftExpr): boolean {
  if (typeof left !== 'object') return false;
  if ('&' in left) return true;
  if ('ct' in left) return left.ct.key === 'state' || left.ct.key === 'status';
  return 'payload' in left && 'protocol' in left.payload && left.payload.protocol === 'tcp' && left.payload.field === 'flags';
}

function isReference(right: NftExpr): right is string {
  return typeof right === 'string' && right.startsWith('@');
}

function isWord(right: NftExpr): boolean {
  return typeof right === 'object' ? '|' in right : !isReference(right);
}

/** `established,related`: any of these bits. */
function printFlags(right: NftExpr): string {
  if (typeof right === 'object' && '|' in right) return right['|'].map((flag) => printExpression(flag)).join(',');
  if (typeof right === 'object' && 'set' in right) return right.set.map((flag) => printExpression(flag)).join(',');
  return printExpression(right);
}

function printVerdictSet(key: NftExpr, elements: readonly (readonly [NftExpr, NftVerdict])[]): string {
  return `{ ${elements.map(([value, verdict]) => `${printExpression(value, kindOf(key))} : ${printVerdict(verdict)}`).join(', ')} }`;
}

function toPort(port: NftExpr | undefined): string {
  return port === undefined ? '' : ` to :${printExpression(port)}`;
}

function printNat(
  word: 'snat' | 'dnat',
  nat: { readonly family?: 'ip' | 'ip6'; readonly addr?: NftExpr; readonly port?: NftExpr },
): string {
  const port = nat.port === undefined ? '' : `:${printExpression(nat.port)}`;
  const addr = nat.addr === undefined ? '' : printExpression(nat.addr);
  const target = port !== '' && typeof nat.addr === 'string' && nat.addr.includes(':') ? `[${addr}]${port}` : `${addr}${port}`;
  return `${word}${nat.family === undefined ? '' : ` ${nat.family}`} to ${target}`;
}
