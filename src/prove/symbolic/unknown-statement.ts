/** What the symbolic walk makes of statements that the reader of rulesets does not know: iptables' matches and targets, and the rarer ones of nft. */
import { isRecord, text } from '../../hoststate/nft-json.ts';
import type { NftVerdict } from '../../hoststate/nft.ts';

/** Targets of iptables (through nft) that let the packet go on, and foreign statements of nft that do. */
const harmlessTargets: ReadonlySet<string> = new Set(['LOG', 'NFLOG', 'TCPMSS', 'CHECKSUM', 'CLASSIFY', 'TRACE', 'TTL', 'HL', 'DSCP']);
const harmlessStatements: ReadonlySet<string> = new Set([
  'log',
  'quota',
  'counter',
  'ct helper',
  'ct timeout',
  'set',
  'map',
  'dup',
  'flow',
  'meta',
  'secmark',
]);

export type UnknownStep =
  | 'goes on'
  | 'maybe stops'
  /** Goes on, with marks that nobody knows. */
  | 'marks'
  /** Goes on, perhaps without connection tracking. */
  | 'maybe untracks'
  | 'anything'
  | { readonly verdicts: readonly NftVerdict[] };

export function unknownStatement(raw: unknown): UnknownStep {
  if (!isRecord(raw)) return 'anything';
  const [kind] = Object.keys(raw);
  const xt = raw['xt'];
  if (isRecord(xt)) {
    const name = text(xt['name']);
    if (xt['type'] === 'match') return name === 'comment' ? 'goes on' : 'maybe stops';
    if (name === 'REJECT' || name === 'DROP') return { verdicts: [{ drop: null }] };
    if (name === 'MARK' || name === 'CONNMARK') return 'marks';
    if (name === 'CT' || name === 'NOTRACK') return 'maybe untracks';
    return harmlessTargets.has(name) ? 'goes on' : 'anything';
  }
  if (kind === 'match' || kind === 'limit') return 'maybe stops';
  // `quota` and a named limit may end the rule; a log never does.
  return kind === 'quota' ? 'maybe stops' : kind !== undefined && harmlessStatements.has(kind) ? 'goes on' : 'anything';
}
