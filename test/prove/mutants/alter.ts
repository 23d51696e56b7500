/** One value, verdict or match of a rule made another: a prefix wider by a bit, a port or address the next one, accept for drop, a match left out or turned round. */
import { formatPrefix, parseIp, parsePrefix, prefixOf } from '../../../src/net/ip.ts';
import type { NftExpr, NftStatement } from '../../../src/hoststate/nft.ts';

export interface Altered<T> {
  readonly how: string;
  readonly value: T;
}

/** Of an expression, one part at a time. */
export function alteredValue(value: NftExpr): Altered<NftExpr>[] {
  if (typeof value === 'number') return [{ how: `${value + 1} for ${value}`, value: value + 1 }];
  if (typeof value === 'string') return next(value);
  if ('concat' in value) return parts(value.concat).map(({ how, value: concat }) => ({ how, value: { concat } }));
  if ('set' in value)
    return [
      ...(value.set.length > 1
        ? value.set.map((_, i) => ({ how: `element ${i} of the set left out`, value: { set: value.set.toSpliced(i, 1) } }))
        : []),
      ...parts(value.set).map(({ how, value: set }) => ({ how, value: { set } })),
    ];
  if ('prefix' in value) {
    const { addr, len } = value.prefix;
    const ip = parseIp(addr);
    if (!ip || len === 0) return [];
    const wider = parsePrefix(formatPrefix(prefixOf(ip, len - 1)));
    return wider ? [{ how: 'a bit wider', value: { prefix: { addr: formatPrefix(wider).split('/')[0] ?? addr, len: len - 1 } } }] : [];
  }
  if ('range' in value) {
    const [from, to] = value.range;
    return typeof from === 'number' && typeof to === 'number' && to < 65535 ? [{ how: 'one more', value: { range: [from, to + 1] } }] : [];
  }
  return [];
}

export const anotherMac = (mac: string): string => `${mac.slice(0, -2)}${mac.endsWith('f0') ? 'f1' : 'f0'}`;

/** The neighbour of an address or MAC; protocols are each other's. Names and `@sets` stay. */
function next(text: string): Altered<NftExpr>[] {
  const swapped: Readonly<Record<string, string>> = { tcp: 'udp', udp: 'tcp', icmp: 'udp', 'ipv6-icmp': 'udp', icmpv6: 'udp' };
  const protocol = swapped[text];
  if (protocol !== undefined) return [{ how: `${protocol} for ${text}`, value: protocol }];
  if (/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/.test(text)) return [{ how: 'another MAC', value: anotherMac(text) }];
  const v4 = /^(\d+\.\d+\.\d+\.)(\d+)$/.exec(text);
  if (v4) return [{ how: 'another address', value: `${v4[1] ?? ''}${Number(v4[2]) ^ 64}` }];
  if (parseIp(text)?.family === 6 && text !== '::' && !text.startsWith('0x'))
    return [{ how: 'another address', value: text.endsWith('::') ? `${text}40` : `${text.slice(0, -1)}${text.endsWith('9') ? '8' : '9'}` }];
  return [];
}

const parts = (list: readonly NftExpr[]): Altered<NftExpr[]>[] =>
  list.flatMap((part, i) => alteredValue(part).map(({ how, value }) => ({ how, value: list.with(i, value) })));

export interface AlteredRule {
  readonly how: string;
  readonly kind: 'verdict' | 'match';
  readonly statements: readonly NftStatement[];
}

export function alteredStatements(statements: readonly NftStatement[]): AlteredRule[] {
  return statements.flatMap((statement, i): AlteredRule[] =>
    alternatives(statement).map(({ how, kind, value }) => ({
      how,
      kind,
      statements: value === undefined ? statements.toSpliced(i, 1) : statements.with(i, value),
    })),
  );
}

interface Alternative {
  readonly how: string;
  readonly kind: 'verdict' | 'match';
  /** Undefined: without it. */
  readonly value?: NftStatement;
}

function alternatives(statement: NftStatement): Alternative[] {
  if ('accept' in statement) return [{ how: 'drops', kind: 'verdict', value: { drop: null } }];
  if ('drop' in statement) return [{ how: 'accepts', kind: 'verdict', value: { accept: null } }];
  if ('match' in statement) {
    const { match } = statement;
    const { op } = match;
    return [
      { how: `without the match of ${Object.keys(match.left).join()}`, kind: 'match' },
      ...(op === '==' || op === '!='
        ? [{ how: 'turned round', kind: 'match', value: { match: { ...match, op: op === '==' ? '!=' : '==' } } } as const]
        : []),
      ...alteredValue(match.right).map(({ how, value }): Alternative => ({
        how,
        kind: 'match',
        value: { match: { ...match, right: value } },
      })),
    ];
  }
  if ('vmap' in statement && typeof statement.vmap.data === 'object') {
    const { key, data } = statement.vmap;
    return data.set.map((_, i) => ({
      how: `entry ${i} left out`,
      kind: 'match',
      value: { vmap: { key, data: { set: data.set.toSpliced(i, 1) } } },
    }));
  }
  if ('snat' in statement)
    return alteredValue(statement.snat.addr).map(({ how, value }) => ({
      how,
      kind: 'verdict',
      value: { snat: { ...statement.snat, addr: value } },
    }));
  if ('dnat' in statement) {
    const { addr, port } = statement.dnat;
    return [
      ...(addr === undefined
        ? []
        : alteredValue(addr).map(({ how, value }): Alternative => ({
            how,
            kind: 'verdict',
            value: { dnat: { ...statement.dnat, addr: value } },
          }))),
      ...(port === undefined
        ? []
        : alteredValue(port).map(({ how, value }): Alternative => ({
            how,
            kind: 'verdict',
            value: { dnat: { ...statement.dnat, port: value } },
          }))),
    ];
  }
  return [];
}
