/** What a statement that is neither a match nor a verdict does to a packet. More than one effect: it is not known which. */
import { isRecord, text } from '../../hoststate/nft-json.ts';
import { readExpression, readStatement } from '../../hoststate/nft-read-rule.ts';
import type { NftExpr, NftStatement, NftVerdict } from '../../hoststate/nft.ts';
import { undecided, type Flight } from './flight.ts';
import { lookUpData } from './match.ts';
import { masquerade, nat, redirect } from './translation.ts';
import { valueOf, type View } from './value.ts';

export type Effect =
  /** On to the next statement, perhaps with a changed packet. */
  | { readonly kind: 'next'; readonly flight?: Flight }
  /** The rule ends as if it had not matched. */
  | { readonly kind: 'break' }
  | { readonly kind: 'dropped' }
  /** A translation, which also accepts. */
  | { readonly kind: 'translated'; readonly flight: Flight; readonly text: string }
  | { readonly kind: 'verdict'; readonly verdict: NftVerdict }
  /** Not understood: any verdict, but the packet as it is. */
  | { readonly kind: 'anything' }
  /** Not understood: what becomes of the packet cannot be followed. */
  | { readonly kind: 'lost' };

export const NEXT: Effect = { kind: 'next' };
const BREAK: Effect = { kind: 'break' };

export function perform(statement: NftStatement, view: View): readonly Effect[] {
  if ('limit' in statement) return [NEXT, BREAK];
  if ('reject' in statement) return [{ kind: 'dropped' }];
  if ('notrack' in statement) return [untracked(view.flight)];
  if ('mangle' in statement) return [mangle(statement.mangle.key, statement.mangle.value, view)];
  if ('masquerade' in statement) return masquerade(statement.masquerade?.port, view);
  if ('redirect' in statement) return redirect(statement.redirect?.port, view);
  if ('snat' in statement) return nat('source', statement.snat, view);
  if ('dnat' in statement) return nat('destination', statement.dnat, view);
  if ('unknown' in statement) return unknownStatement(statement.unknown, view);
  // Counters and logs.
  return [NEXT];
}

const untracked = (flight: Flight): Effect =>
  flight.tracking === 'before' ? { kind: 'next', flight: { ...flight, tracking: 'untracked', connection: undefined } } : NEXT;

function mangle(key: NftExpr, value: NftExpr, view: View): Effect {
  const { flight } = view;
  if (typeof key !== 'object') return { kind: 'anything' };
  if ('tcp option' in key) return NEXT;
  if ('meta' in key) {
    if (key.meta.key === 'mark') return { kind: 'next', flight: { ...flight, mark: numberOf(value, view) } };
    return ['nftrace', 'priority', 'secmark'].includes(key.meta.key) ? NEXT : { kind: 'lost' };
  }
  if ('ct' in key) {
    if (key.ct.key === 'zone') return { kind: 'lost' };
    const { connection } = flight;
    if (key.ct.key !== 'mark' || flight.tracking !== 'tracked' || !connection) return NEXT;
    return { kind: 'next', flight: { ...flight, connection: { ...connection, mark: numberOf(value, view) } } };
  }
  if ('payload' in key && 'protocol' in key.payload) return rewritten(key.payload.protocol, key.payload.field, value, view);
  return { kind: 'lost' };
}

/** Undefined: a value that is not known. */
function numberOf(expr: NftExpr, view: View): number | undefined {
  if (typeof expr === 'object' && 'map' in expr) {
    const found = lookUpData(expr.map, view);
    const [only] = found?.values ?? [];
    return found && !found.none && found.values.length === 1 && typeof only === 'number' ? only : undefined;
  }
  const value = valueOf(expr, view);
  return value.kind === 'number' ? value.number : undefined;
}

/** Fields set without connection tracking: `ip daddr set 10.0.0.2`. */
function rewritten(protocol: string, field: string, expr: NftExpr, view: View): Effect {
  const { flight } = view;
  const value = valueOf(expr, view);
  if (field === 'saddr' || field === 'daddr') {
    if (value.kind !== 'text') return { kind: 'lost' };
    if (protocol === 'ether') {
      if (!flight.ether) return NEXT;
      return field === 'saddr' ? { kind: 'next', flight: { ...flight, ether: { ...flight.ether, source: value.text } } } : { kind: 'lost' };
    }
    if (protocol !== 'ip' && protocol !== 'ip6') return { kind: 'lost' };
    if ((protocol === 'ip6') !== (flight.family === 6)) return BREAK;
    return { kind: 'next', flight: { ...flight, [field === 'saddr' ? 'source' : 'destination']: value.text } };
  }
  if (field === 'sport' || field === 'dport')
    return value.kind === 'number' ? { kind: 'next', flight: { ...flight, [field]: value.number } } : { kind: 'lost' };
  // Lifetimes, marks of service: nothing that decides here.
  return ['ip', 'ip6', 'tcp'].includes(protocol) && ['ttl', 'hoplimit', 'dscp', 'ecn', 'window'].includes(field) ? NEXT : { kind: 'lost' };
}

/** Statements of nft, not modelled, that let the packet go on as it is. */
const harmless: ReadonlySet<string> = new Set([
  'log',
  'counter',
  'ct helper',
  'ct timeout',
  'ct expectation',
  'dup',
  'flow',
  'secmark',
  'last',
  'map',
]);
/** Those that may end the rule. */
const mayBreak: ReadonlySet<string> = new Set(['limit', 'quota', 'ct count']);
const translations: ReadonlySet<string> = new Set(['snat', 'dnat', 'masquerade', 'redirect']);

function unknownStatement(raw: unknown, view: View): readonly Effect[] {
  if (!isRecord(raw)) return notUnderstood(view);
  const [kind = ''] = Object.keys(raw);
  if (kind === 'xt') return iptables(raw[kind], view);
  if (kind === 'match') return noneOf(raw[kind], view);
  if (mayBreak.has(kind)) return [NEXT, BREAK];
  // A set that packets fill, perhaps with a limit of its own.
  if (kind === 'set') return /"(limit|quota|ct count)"/.test(JSON.stringify(raw[kind])) ? [NEXT, BREAK] : [NEXT];
  if (harmless.has(kind)) return [NEXT];
  const body = raw[kind];
  if (translations.has(kind) && isRecord(body) && 'flags' in body) {
    // `random`, `persistent`: which port and which address of several; no other meaning.
    const { flags: _, ...rest } = body;
    const plain = readStatement({ [kind]: Object.keys(rest).length === 0 ? null : rest });
    if (!('unknown' in plain)) return perform(plain, view).map(withoutPort);
  }
  return notUnderstood(view);
}

/** `tcp flags ! syn`: none of the bits is set. Other matches that the reader does not know may hold or not. */
function noneOf(match: unknown, view: View): readonly Effect[] {
  if (!isRecord(match) || match['op'] !== '!') return [NEXT, BREAK];
  const value = valueOf(readExpression(match['left']), view);
  const words: unknown[] = Array.isArray(match['right']) ? match['right'] : [match['right']];
  if (value.kind === 'absent') return [BREAK];
  if (value.kind !== 'flags' || !words.every((word) => typeof word === 'string')) return [NEXT, BREAK];
  return [value.flags.some((flag) => words.includes(flag)) ? BREAK : NEXT];
}

function withoutPort(effect: Effect): Effect {
  if (effect.kind !== 'translated' || effect.flight.destination !== effect.flight.connection?.original.destination) return effect;
  return { ...effect, flight: { ...effect.flight, sport: undefined } };
}

const notUnderstood = (view: View): readonly Effect[] => [{ kind: view.type === 'nat' ? 'lost' : 'anything' }];

/** Targets of iptables (through nft), whose arguments nft's JSON does not tell, that let the packet go on as it is. */
const harmlessTargets: ReadonlySet<string> = new Set([
  'LOG',
  'NFLOG',
  'TCPMSS',
  'CHECKSUM',
  'CLASSIFY',
  'TRACE',
  'TTL',
  'HL',
  'DSCP',
  'SET',
]);

function iptables(xt: unknown, view: View): readonly Effect[] {
  const name = isRecord(xt) ? text(xt['name']) : '';
  const { flight } = view;
  if (isRecord(xt) && xt['type'] === 'match') return name === 'comment' ? [NEXT] : [NEXT, BREAK];
  if (harmlessTargets.has(name)) return [NEXT];
  switch (name) {
    case 'REJECT':
    case 'DROP':
      return [{ kind: 'dropped' }];
    case 'MASQUERADE':
      return masquerade(undefined, view);
    case 'MARK':
    case 'CONNMARK':
      return [
        {
          kind: 'next',
          flight: { ...flight, mark: undefined, connection: flight.connection && { ...flight.connection, mark: undefined } },
        },
      ];
    case 'CT':
      // A helper, a zone, or `--notrack`.
      return flight.tracking === 'before' ? [NEXT, untracked(flight)] : [NEXT];
    case 'NOTRACK':
      return [untracked(flight)];
    default:
      return name === 'NFQUEUE' || name === 'TPROXY' || (view.type === 'nat' && undecidedAny(flight))
        ? [{ kind: 'lost' }]
        : [{ kind: 'anything' }];
  }
}

const undecidedAny = (flight: Flight): boolean => undecided(flight, 'destination') || undecided(flight, 'source');
