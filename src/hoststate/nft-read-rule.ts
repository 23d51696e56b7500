/** Reads statements and expressions of libnftables' JSON. Every reader returns `{unknown: …}` for what it does not know to the last key. */
import type { NftExpr, NftMatchOp, NftStatement, NftVerdict } from './nft.ts';
import { isRecord, text } from './nft-json.ts';

type Json = Readonly<Record<string, unknown>>;

const matchOps: readonly NftMatchOp[] = ['==', '!=', '<', '>', '<=', '>=', 'in'];

/** An entry of a rule's `expr` list. */
export function readStatement(value: unknown): NftStatement {
  const unknown = { unknown: value };
  if (!isRecord(value)) return unknown;
  const [kind, ...more] = Object.keys(value);
  if (kind === undefined || more.length > 0) return unknown;
  const verdict = readVerdict(value);
  if (verdict) return verdict;
  const body = value[kind];
  return statementReaders[kind]?.(body) ?? unknown;
}

/** `{"jump": {"target": "x"}}`, `{"drop": null}`; undefined for what is no verdict. */
export function readVerdict(value: unknown): NftVerdict | undefined {
  if (!isRecord(value)) return undefined;
  if ('accept' in value) return { accept: null };
  if ('drop' in value) return { drop: null };
  if ('return' in value) return { return: null };
  if ('continue' in value) return { continue: null };
  const jump = value['jump'];
  if (isRecord(jump) && typeof jump['target'] === 'string') return { jump: { target: jump['target'] } };
  const goto = value['goto'];
  if (isRecord(goto) && typeof goto['target'] === 'string') return { goto: { target: goto['target'] } };
  return undefined;
}

const statementReaders: Readonly<Record<string, (body: unknown) => NftStatement | undefined>> = {
  match: (body) => {
    if (!isRecord(body) || !only(body, ['op', 'left', 'right'])) return undefined;
    const op = matchOps.find((word) => word === body['op']);
    return op && { match: { op, left: readExpression(body['left']), right: readRight(body['right']) } };
  },
  vmap: (body) => {
    if (!isRecord(body) || !only(body, ['key', 'data'])) return undefined;
    const key = readExpression(body['key']);
    const data = body['data'];
    if (typeof data === 'string') return { vmap: { key, data } };
    const elements: unknown = isRecord(data) ? data['set'] : undefined;
    if (!Array.isArray(elements)) return undefined;
    const set: (readonly [NftExpr, NftVerdict])[] = [];
    for (const element of elements) {
      const [value, target]: unknown[] = Array.isArray(element) ? element : [];
      const verdict = readVerdict(target);
      if (!verdict) return undefined;
      set.push([readExpression(value), verdict]);
    }
    return { vmap: { key, data: { set } } };
  },
  counter: (body) => {
    // A named counter is a string here; it counts like the other.
    if (!isRecord(body)) return { counter: null };
    const { packets, bytes } = body;
    return { counter: typeof packets === 'number' && typeof bytes === 'number' ? { packets, bytes } : null };
  },
  log: (body) => {
    if (body === null) return { log: {} };
    if (!isRecord(body) || !only(body, ['prefix', 'group', 'snaplen'])) return undefined;
    const { prefix, group, snaplen } = body;
    return {
      log: {
        ...(typeof prefix === 'string' ? { prefix } : {}),
        ...(typeof group === 'number' ? { group } : {}),
        ...(typeof snaplen === 'number' ? { snaplen } : {}),
      },
    };
  },
  limit: (body) => {
    if (!isRecord(body) || !only(body, ['rate', 'burst', 'per'])) return undefined;
    const { rate, burst } = body;
    const per = (['second', 'minute', 'hour', 'day'] as const).find((word) => word === body['per']);
    if (typeof rate !== 'number' || !per) return undefined;
    return { limit: { rate, per, ...(typeof burst === 'number' ? { burst } : {}) } };
  },
  masquerade: (body) => {
    if (body === null) return { masquerade: null };
    return isRecord(body) && only(body, ['port']) ? { masquerade: { port: readExpression(body['port']) } } : undefined;
  },
  redirect: (body) => {
    if (body === null) return { redirect: null };
    return isRecord(body) && only(body, ['port']) ? { redirect: { port: readExpression(body['port']) } } : undefined;
  },
  snat: (body) => {
    const nat = readNat(body);
    return nat?.addr === undefined ? undefined : { snat: { ...nat, addr: nat.addr } };
  },
  dnat: (body) => {
    const nat = readNat(body);
    return nat && { dnat: nat };
  },
  mangle: (body) =>
    isRecord(body) && only(body, ['key', 'value'])
      ? { mangle: { key: readExpression(body['key']), value: readExpression(body['value']) } }
      : undefined,
  reject: (body) => {
    if (body === null) return { reject: null };
    if (!isRecord(body) || !only(body, ['type', 'expr'])) return undefined;
    return { reject: { type: text(body['type']), ...(body['expr'] === undefined ? {} : { expr: readExpression(body['expr']) }) } };
  },
  notrack: () => ({ notrack: null }),
};

interface Nat {
  readonly family?: 'ip' | 'ip6';
  readonly addr?: NftExpr;
  readonly port?: NftExpr;
}

function readNat(body: unknown): Nat | undefined {
  if (!isRecord(body) || !only(body, ['family', 'addr', 'port'])) return undefined;
  const family = readIpFamily(body['family']);
  return {
    ...(family === undefined ? {} : { family }),
    ...(body['addr'] === undefined ? {} : { addr: readExpression(body['addr']) }),
    ...(body['port'] === undefined ? {} : { port: readExpression(body['port']) }),
  };
}

/** The right side of a match: a list there is a list of flag words, any of which may be set. */
function readRight(value: unknown): NftExpr {
  return Array.isArray(value) ? { '|': value.map(readExpression) } : readExpression(value);
}

/** An expression; what is not understood becomes `{unknown: …}`. */
export function readExpression(value: unknown): NftExpr {
  if (typeof value === 'string' || typeof value === 'number') return value;
  if (!isRecord(value)) return { unknown: value };
  const [kind, ...more] = Object.keys(value);
  if (kind === undefined || more.length > 0) return { unknown: value };
  return expressionReaders[kind]?.(value[kind]) ?? { unknown: value };
}

const expressionReaders: Readonly<Record<string, (body: unknown) => NftExpr | undefined>> = {
  meta: (body) => (isRecord(body) && typeof body['key'] === 'string' ? { meta: { key: body['key'] } } : undefined),
  payload: (body) => {
    if (!isRecord(body)) return undefined;
    const { protocol, field, base, offset, len } = body;
    // The key `protocol` says how deep in the packet for a tunnelled header; only the plain form is understood.
    if (typeof protocol === 'string' && typeof field === 'string' && only(body, ['protocol', 'field']))
      return { payload: { protocol, field } };
    const from = (['ll', 'nh', 'th'] as const).find((word) => word === base);
    return from && typeof offset === 'number' && typeof len === 'number' ? { payload: { base: from, offset, len } } : undefined;
  },
  ct: (body) => {
    if (!isRecord(body) || typeof body['key'] !== 'string' || !only(body, ['key', 'family', 'dir'])) return undefined;
    const family = readIpFamily(body['family']);
    const dir = (['original', 'reply'] as const).find((word) => word === body['dir']);
    return { ct: { key: body['key'], ...(family === undefined ? {} : { family }), ...(dir === undefined ? {} : { dir }) } };
  },
  fib: (body) => {
    if (!isRecord(body) || typeof body['result'] !== 'string') return undefined;
    const flags: unknown[] = Array.isArray(body['flags']) ? body['flags'] : [body['flags']];
    return { fib: { result: body['result'], flags: flags.map(text) } };
  },
  rt: (body) => {
    if (!isRecord(body) || typeof body['key'] !== 'string') return undefined;
    const family = readIpFamily(body['family']);
    return { rt: { key: body['key'], ...(family === undefined ? {} : { family }) } };
  },
  concat: (body) => (Array.isArray(body) ? { concat: body.map(readExpression) } : undefined),
  set: (body) => ({ set: (Array.isArray(body) ? body : [body]).map(readExpression) }),
  // An element with a timeout, a counter or a comment of its own.
  elem: (body) => (isRecord(body) ? readExpression(body['val']) : undefined),
  prefix: (body) =>
    isRecord(body) && typeof body['addr'] === 'string' && typeof body['len'] === 'number'
      ? { prefix: { addr: body['addr'], len: body['len'] } }
      : undefined,
  range: (body) => (Array.isArray(body) && body.length === 2 ? { range: [readExpression(body[0]), readExpression(body[1])] } : undefined),
  'tcp option': (body) =>
    isRecord(body) && typeof body['name'] === 'string' && typeof body['field'] === 'string'
      ? { 'tcp option': { name: body['name'], field: body['field'] } }
      : undefined,
  '&': (body) => (Array.isArray(body) && body.length === 2 ? { '&': [readExpression(body[0]), readRight(body[1])] } : undefined),
  '|': (body) => (Array.isArray(body) ? { '|': body.map(readExpression) } : undefined),
  map: (body) =>
    isRecord(body) && only(body, ['key', 'data'])
      ? { map: { key: readExpression(body['key']), data: readExpression(body['data']) } }
      : undefined,
};

function readIpFamily(value: unknown): 'ip' | 'ip6' | undefined {
  return value === 'ip' || value === 'ip6' ? value : undefined;
}

/** True when a record has no other keys: an unknown key could change the meaning of all the others. */
function only(body: Json, keys: readonly string[]): boolean {
  return Object.keys(body).every((key) => keys.includes(key));
}
