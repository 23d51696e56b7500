/**
 * Walks one base chain with a packet and says everything that may happen to it there. Where a match is maybe, both ways are followed, so a
 * drop is certain only when no way leads past it.
 */
import type { NftChain, NftRule, NftStatement, NftVerdict } from '../hoststate/nft.ts';
import { printStatement } from '../hoststate/nft-print-rule.ts';
import { isRecord, text } from '../hoststate/nft-json.ts';
import { evaluateMatch, evaluateVerdictMap } from './evaluate.ts';
import type { Surroundings } from './evaluate.ts';

/** A rule in its chain; `rule` is its text, or `policy`. */
export interface RulePlace {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly rule: string;
}

export interface Outcome {
  /** The packet may leave this base chain alive. */
  readonly passes: boolean;
  /** Rules that may drop it, in the order of the walk. */
  readonly drops: readonly RulePlace[];
  /** Rules of which it is not known whether they match or what they do. */
  readonly unknown: readonly RulePlace[];
}

/** What may happen in the chain and the chains it jumps to. */
export function walkBaseChain(chain: NftChain, around: Surroundings): Outcome {
  const walk = new Walk(around);
  const { accepts, falls, drops } = walk.chain(chain);
  const policyDrops = falls && chain.base?.policy === 'drop';
  return {
    passes: accepts || (falls && !policyDrops),
    drops: policyDrops ? [...drops, walk.place(chain, 'policy')] : drops,
    unknown: walk.unknown,
  };
}

/**
 * Rules of a NAT chain that may be the first to translate where the packet goes (dnat, redirect), in the order of the walk: they may be reached, and match it for
 * certain.
 */
export function translationsIn(chain: NftChain, around: Surroundings): readonly RulePlace[] {
  const walk = new Walk(around);
  walk.chain(chain);
  return walk.translations;
}

/** Of a chain: the packet may be accepted, may come out at its end or by return, may be dropped. */
interface Effect {
  accepts: boolean;
  falls: boolean;
  drops: RulePlace[];
}

/** Of a rule: also, the next rule may be reached. */
interface RuleEffect extends Effect {
  next: boolean;
}

class Walk {
  readonly unknown: RulePlace[] = [];
  readonly translations: RulePlace[] = [];
  private readonly around: Surroundings;
  private readonly seen = new Map<string, Effect>();

  constructor(around: Surroundings) {
    this.around = around;
  }

  place(chain: NftChain, rule: string): RulePlace {
    return { family: this.around.table.family, table: this.around.table.name, chain: chain.name, rule };
  }

  chain(chain: NftChain): Effect {
    const known = this.seen.get(chain.name);
    if (known) return known;
    const effect: Effect = { accepts: false, falls: false, drops: [] };
    let reached = true;
    for (const rule of chain.rules) {
      const { accepts, falls, drops, next } = this.rule(chain, rule);
      effect.accepts ||= accepts;
      effect.falls ||= falls;
      effect.drops.push(...drops);
      reached = next;
      if (!reached) break;
    }
    effect.falls ||= reached;
    this.seen.set(chain.name, effect);
    return effect;
  }

  private rule(chain: NftChain, rule: NftRule): RuleEffect {
    const effect: RuleEffect = { accepts: false, falls: false, drops: [], next: false };
    const note = (): void => void this.unknown.push(this.place(chain, ruleText(rule)));
    let certain = true;
    for (const statement of rule.statements) {
      if (isTranslation(statement)) {
        if (certain) this.translations.push(this.place(chain, ruleText(rule)));
        effect.accepts = true;
        effect.next = !certain;
        return effect;
      }
      const step = this.statement(statement);
      if (step === 'goes on') continue;
      if (step === 'stops') {
        effect.next = true;
        return effect;
      }
      if (step === 'maybe stops') {
        certain = false;
        note();
        effect.next = true;
        continue;
      }
      if (step === 'anything') {
        note();
        effect.accepts = true;
        effect.falls = true;
        effect.next = true;
        return effect;
      }
      if (step.uncertain) note();
      if (step.none) effect.next = true;
      for (const verdict of step.verdicts) this.apply(verdict, effect, chain, rule);
      return effect;
    }
    effect.next = true;
    return effect;
  }

  private statement(
    statement: NftStatement,
  ):
    | 'goes on'
    | 'stops'
    | 'maybe stops'
    | 'anything'
    | { readonly verdicts: readonly NftVerdict[]; readonly none: boolean; readonly uncertain: boolean } {
    if ('match' in statement) {
      const holds = evaluateMatch(statement.match, this.around);
      return holds === 'yes' ? 'goes on' : holds === 'no' ? 'stops' : 'maybe stops';
    }
    if ('vmap' in statement) {
      const found = evaluateVerdictMap(statement.vmap, this.around);
      if (!found) return 'anything';
      return found.verdicts.length === 0 ? 'stops' : { ...found, uncertain: found.none || found.verdicts.length > 1 };
    }
    if ('reject' in statement) return { verdicts: [{ drop: null }], none: false, uncertain: false };
    if ('limit' in statement) return 'maybe stops';
    if ('unknown' in statement) return unknownStatement(statement.unknown);
    if (isVerdict(statement)) return { verdicts: [statement], none: false, uncertain: false };
    // Counters, logs, marks, NAT (which decides nothing in a filter chain).
    return 'goes on';
  }

  private apply(verdict: NftVerdict, effect: RuleEffect, chain: NftChain, rule: NftRule): void {
    if ('accept' in verdict) effect.accepts = true;
    else if ('drop' in verdict) effect.drops.push(this.place(chain, ruleText(rule)));
    else if ('return' in verdict) effect.falls = true;
    else if ('continue' in verdict) effect.next = true;
    else {
      const target = 'jump' in verdict ? verdict.jump.target : verdict.goto.target;
      const inner = this.around.table.chains.find(({ name }) => name === target);
      const result: Effect = inner ? this.chain(inner) : { accepts: true, falls: true, drops: [] };
      effect.accepts ||= result.accepts;
      effect.drops.push(...result.drops);
      // After a jump the next rule follows; after a goto the chain that was left is left for good.
      if ('jump' in verdict) effect.next ||= result.falls;
      else effect.falls ||= result.falls;
    }
  }
}

/** True when some rule of the table sets marks: what asks for marks cannot be answered then. */
export function setsMarks(chains: readonly NftChain[]): boolean {
  return chains.some(({ rules }) =>
    rules.some(({ statements }) =>
      statements.some((statement) => {
        if ('mangle' in statement) return JSON.stringify(statement.mangle.key).includes('"mark"');
        if (!('unknown' in statement) || !isRecord(statement.unknown)) return false;
        const xt = statement.unknown['xt'];
        return isRecord(xt) && text(xt['name']).endsWith('MARK');
      }),
    ),
  );
}

/** Targets of iptables (through nft) that let the packet go on, and foreign statements of nft that do. */
const harmlessTargets: ReadonlySet<string> = new Set([
  'LOG',
  'NFLOG',
  'TCPMSS',
  'MARK',
  'CONNMARK',
  'CHECKSUM',
  'CLASSIFY',
  'CT',
  'TRACE',
  'TTL',
  'HL',
  'DSCP',
]);
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

function unknownStatement(
  raw: unknown,
): 'goes on' | 'maybe stops' | 'anything' | { verdicts: NftVerdict[]; none: boolean; uncertain: boolean } {
  if (!isRecord(raw)) return 'anything';
  const [kind] = Object.keys(raw);
  const xt = raw['xt'];
  if (isRecord(xt)) {
    const name = text(xt['name']);
    if (xt['type'] === 'match') return name === 'comment' ? 'goes on' : 'maybe stops';
    if (name === 'REJECT' || name === 'DROP') return { verdicts: [{ drop: null }], none: false, uncertain: false };
    return harmlessTargets.has(name) ? 'goes on' : 'anything';
  }
  if (kind === 'match' || kind === 'limit') return 'maybe stops';
  // `quota` and a named limit may end the rule; a log never does.
  return kind === 'quota' ? 'maybe stops' : kind !== undefined && harmlessStatements.has(kind) ? 'goes on' : 'anything';
}

/** Where a packet goes, also as iptables-nft writes it. */
function isTranslation(statement: NftStatement): boolean {
  if ('dnat' in statement || 'redirect' in statement) return true;
  if (!('unknown' in statement) || !isRecord(statement.unknown)) return false;
  const xt = statement.unknown['xt'];
  return isRecord(xt) && xt['type'] === 'target' && ['DNAT', 'REDIRECT', 'NETMAP'].includes(text(xt['name']));
}

function isVerdict(statement: NftStatement): statement is NftVerdict {
  return ['accept', 'drop', 'return', 'continue', 'jump', 'goto'].some((word) => word in statement);
}

/** The rule in nft's words, `…` for what Weft does not understand. */
export function ruleText(rule: NftRule): string {
  const words = rule.statements
    .filter((statement) => !('counter' in statement))
    .map((statement) => {
      if ('unknown' in statement) return unknownText(statement.unknown);
      try {
        return printStatement(statement);
      } catch {
        return '…';
      }
    });
  return [...words, ...(rule.comment === undefined ? [] : [`comment "${rule.comment}"`])].join(' ');
}

function unknownText(raw: unknown): string {
  const xt = isRecord(raw) ? raw['xt'] : undefined;
  return isRecord(xt) && text(xt['name']) !== '' ? `(${text(xt['name'])})` : '…';
}
