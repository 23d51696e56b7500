/**
 * What a base chain does to sets of packets: who comes out of it alive, in which situation (marks and translations are the packet's own). A verdict map's hit ends the
 * rule; `accept` ends one base chain only; a drop is final. What is not modelled becomes a variable: the packet is then on both sides of it.
 */
import type { NftChain, NftExpr, NftRule, NftStatement, NftTable, NftVerdict } from '../../hoststate/nft.ts';
import { isVerdict } from '../../hoststate/nft.ts';
import { ruleText } from '../rule-text.ts';
import { unknownStatement } from './unknown-statement.ts';
import type { DecidedBy } from '../packet-model.ts';
import type { State } from './env.ts';
import { constant, envKey, merge, notKnown } from './env.ts';
import type { Matcher } from './matching.ts';
import type { Translator } from './translate.ts';
import type { Routing } from './routing.ts';
import type { Universe } from './universe.ts';

export type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting' | 'ingress' | 'egress';

export interface Machinery {
  readonly universe: Universe;
  readonly routing: Routing;
  readonly matcher: Matcher;
  readonly translator: Translator;
}

/** Those that a base chain lets pass. */
export function passBaseChain(machinery: Machinery, table: NftTable, chain: NftChain, states: readonly State[]): readonly State[] {
  const base = chain.base;
  if (!base || states.length === 0) return states;
  const walk = new ChainWalk(machinery, table, base.type === 'nat', base.hook);
  const passed = states.flatMap((state) => {
    const { accepted, ended } = walk.through(chain, state);
    const alive = base.policy === 'drop' ? accepted : [...accepted, ...ended];
    // Only after a chain of this type does the kernel look for another way because of a mark (nft_chain_route.c).
    return base.type === 'route' ? alive.map(({ env, set }) => ({ env: { ...env, routeMark: env.mark }, set })) : alive;
  });
  return merge(machinery.universe.bdd, passed);
}

interface Through {
  readonly accepted: State[];
  /** At the chain's end, or by `return`. */
  readonly ended: State[];
}

/** What rules do, of all packets: those they accept, those that leave the chain alive, those they drop. The others go on. */
interface Decision {
  readonly accepted: number;
  readonly ended: number;
  readonly dropped: number;
}

class ChainWalk {
  private readonly machinery: Machinery;
  private readonly table: NftTable;
  private readonly chains: ReadonlyMap<string, NftChain>;
  private readonly translates: boolean;
  private readonly hook: Hook;
  private readonly plain = new Map<NftChain, boolean>();
  private readonly effects = new Map<NftChain, Map<string, Through>>();

  constructor(machinery: Machinery, table: NftTable, translates: boolean, hook: Hook) {
    this.machinery = machinery;
    this.table = table;
    this.chains = chainsOf(table);
    this.translates = translates;
    this.hook = hook;
  }

  /**
   * What becomes of the state in the chain. A chain is walked once for each situation, by all packets there could be, and then by those there are: what rules
   * say of addresses and ports stays small when it is not mixed with who may be at which port.
   */
  through(chain: NftChain, { env, set }: State): Through {
    const { bdd } = this.machinery.universe;
    const key = envKey(env);
    const effects = this.effects.get(chain) ?? new Map<string, Through>();
    this.effects.set(chain, effects);
    const effect = effects.get(key) ?? (this.isPlain(chain) ? this.walkByHalves(chain, env) : this.walk(chain, env));
    effects.set(key, effect);
    const those = (states: readonly State[]): State[] =>
      states.flatMap((one) => {
        const here = bdd.and(set, one.set);
        return here === 0 ? [] : [{ env: one.env, set: here }];
      });
    return { accepted: those(effect.accepted), ended: those(effect.ended) };
  }

  /** No rule of it, or of a chain that it leads to, changes the packet's situation. */
  private isPlain(chain: NftChain): boolean {
    const known = this.plain.get(chain);
    if (known !== undefined) return known;
    // A loop of jumps is none: the kernel refuses it.
    this.plain.set(chain, true);
    const plain = chain.rules.every(({ statements }) => statements.every((statement) => this.isPlainStatement(statement)));
    this.plain.set(chain, plain);
    return plain;
  }

  private isPlainStatement(statement: NftStatement): boolean {
    if ('mangle' in statement || 'notrack' in statement) return false;
    if ('unknown' in statement) {
      const step = unknownStatement(statement.unknown);
      if (step === 'marks' || step === 'maybe untracks' || (step === 'anything' && this.translates)) return false;
    }
    if (this.translates && ['dnat', 'snat', 'masquerade', 'redirect'].some((word) => word in statement)) return false;
    return targetsOf(statement, this.table).every((target) => {
      const inner = this.chains.get(target);
      return inner !== undefined && this.isPlain(inner);
    });
  }

  /**
   * Rules as functions, put together by halves: what one has not decided, the next decides. Small parts stay small for as long as they can, where one rule after the
   * other would carry a remainder of everything along; and of two halves only what they decide differently has to be told apart.
   */
  private walkByHalves(chain: NftChain, env: State['env']): Through {
    const { bdd } = this.machinery.universe;
    const setOf = (states: readonly State[]): number => bdd.union(states.map(({ set }) => set));
    const half = (from: number, to: number): Decision => {
      if (to - from > 1) {
        const middle = (from + to) >> 1;
        const first = half(from, middle);
        if (first.accepted === 1 || first.ended === 1 || first.dropped === 1) return first;
        const second = half(middle, to);
        return {
          accepted: bdd.or(first.accepted, bdd.minus(second.accepted, bdd.or(first.ended, first.dropped))),
          ended: bdd.or(first.ended, bdd.minus(second.ended, bdd.or(first.accepted, first.dropped))),
          dropped: bdd.or(first.dropped, bdd.minus(second.dropped, bdd.or(first.accepted, first.ended))),
        };
      }
      const rule = chain.rules[from];
      if (!rule) return { accepted: 0, ended: 0, dropped: 0 };
      const through: Through = { accepted: [], ended: [] };
      const stays = setOf(this.rule(chain, rule, from, [{ env, set: 1 }], through));
      const [accepted, ended] = [setOf(through.accepted), setOf(through.ended)];
      return { accepted, ended, dropped: bdd.not(bdd.union([accepted, ended, stays])) };
    };
    const { accepted, dropped } = half(0, chain.rules.length);
    return { accepted: [{ env, set: accepted }], ended: [{ env, set: bdd.not(bdd.or(accepted, dropped)) }] };
  }

  private walk(chain: NftChain, env: State['env']): Through {
    const through: Through = { accepted: [], ended: [] };
    let current: readonly State[] = [{ env, set: 1 }];
    for (const [index, rule] of chain.rules.entries()) {
      if (current.length === 0) break;
      current = this.rule(chain, rule, index, current, through);
    }
    through.ended.push(...current);
    const { bdd } = this.machinery.universe;
    return { accepted: [...merge(bdd, through.accepted)], ended: [...merge(bdd, through.ended)] };
  }

  /** Returns those that go on to the next rule. */
  private rule(chain: NftChain, rule: NftRule, index: number, states: readonly State[], through: Through): readonly State[] {
    const { bdd } = this.machinery.universe;
    const next: State[] = [];
    let current = states;
    const last = rule.statements.findLastIndex(matters);
    for (const [at, statement] of rule.statements.entries()) {
      // Only counts, logs and limits follow.
      if (at > last) break;
      const after: State[] = [];
      for (const state of current) {
        const question = (what: string): number =>
          this.machinery.universe.unknown(
            `${this.table.family} ${this.table.name} ${chain.name} ${index} ${at} ${what} ${state.env.reply}`,
            this.place(chain, rule),
          );
        this.statement(statement, state, { after, next, through, question });
      }
      current = after;
      if (current.length === 0) break;
    }
    next.push(...current);
    return merge(bdd, next);
  }

  private place(chain: NftChain, rule: NftRule): DecidedBy {
    return { family: this.table.family, table: this.table.name, chain: chain.name, rule: ruleText(rule) };
  }

  private statement(statement: NftStatement, state: State, ways: Ways): void {
    const { universe, routing, matcher, translator } = this.machinery;
    const { bdd } = universe;
    const { env, set } = state;
    const asking = { universe, routing, table: this.table.family, env };
    const only = (part: number, to: State[]): void => {
      if (part !== 0) to.push({ env, set: part });
    };
    if ('match' in statement) {
      const matched = matcher.match(statement.match, this.table, asking) ?? ways.question('match');
      only(bdd.and(set, matched), ways.after);
      only(bdd.minus(set, matched), ways.next);
    } else if ('vmap' in statement) {
      const found = matcher.lookup(statement.vmap.key, statement.vmap.data, this.table, asking);
      if (!found) return this.anything(state, ways);
      let rest = set;
      for (const { value, set: hit } of found) {
        const here = bdd.and(rest, hit);
        if (here === 0) continue;
        rest = bdd.minus(rest, here);
        if (isVerdict(value)) this.verdict(value, { env, set: here }, ways);
      }
      only(rest, ways.next);
    } else if (isVerdict(statement)) this.verdict(statement, state, ways);
    else if ('reject' in statement) return;
    else if ('counter' in statement || 'log' in statement) ways.after.push(state);
    else if ('limit' in statement) {
      const within = ways.question('limit');
      only(bdd.and(set, within), ways.after);
      only(bdd.minus(set, within), ways.next);
    } else if ('mangle' in statement) ways.after.push({ env: changed(universe, env, statement.mangle.key, statement.mangle.value), set });
    else if ('notrack' in statement) ways.after.push({ env: env.tracking === 'none' ? { ...env, tracking: 'untracked' } : env, set });
    else if ('unknown' in statement) this.unknown(statement.unknown, state, ways);
    else if (this.translates && env.tracking === 'new') {
      const { translated, untouched } = translator.translate(statement, state, this.hook, this.table, matcher, asking);
      ways.through.accepted.push(...translated);
      ways.next.push(...untouched);
    } else ways.through.accepted.push(state);
  }

  private verdict(verdict: NftVerdict, state: State, ways: Ways): void {
    if ('accept' in verdict) ways.through.accepted.push(state);
    else if ('drop' in verdict) return;
    else if ('return' in verdict) ways.through.ended.push(state);
    else if ('continue' in verdict) ways.after.push(state);
    else {
      const inner = this.chains.get('jump' in verdict ? verdict.jump.target : verdict.goto.target);
      if (!inner) return this.anything(state, ways);
      const { accepted, ended } = this.through(inner, state);
      ways.through.accepted.push(...accepted);
      // After a jump the next rule follows; after a goto the chain that was left is left for good.
      ('jump' in verdict ? ways.next : ways.through.ended).push(...ended);
    }
  }

  private unknown(raw: unknown, state: State, ways: Ways): void {
    const { bdd } = this.machinery.universe;
    const { env, set } = state;
    const step = unknownStatement(raw);
    if (step === 'goes on') ways.after.push(state);
    else if (step === 'anything') this.anything(state, ways);
    else if (step === 'marks') ways.after.push({ env: { ...env, mark: undefined, ctMark: undefined }, set });
    else if (step === 'maybe untracks') {
      const untracked = env.tracking === 'none' ? bdd.and(set, ways.question('untracks')) : 0;
      ways.after.push({ env, set: bdd.minus(set, untracked) }, { env: { ...env, tracking: 'untracked' }, set: untracked });
    } else if (step === 'maybe stops') {
      const matched = ways.question('match');
      ways.after.push({ env, set: bdd.and(set, matched) });
      ways.next.push({ env, set: bdd.minus(set, matched) });
    } else for (const verdict of step.verdicts) this.verdict(verdict, state, ways);
  }

  /** Dropped, accepted, or on to the next rule; in a chain of translations perhaps accepted as something that nobody knows. */
  private anything({ env, set }: State, ways: Ways): void {
    const { bdd } = this.machinery.universe;
    const lives = bdd.and(set, ways.question('lives'));
    const accepted = ways.question('accepted');
    const translated = this.translates && env.tracking === 'new' ? bdd.and(bdd.and(lives, accepted), ways.question('translates')) : 0;
    ways.through.accepted.push({ env, set: bdd.minus(bdd.and(lives, accepted), translated) });
    if (translated !== 0) {
      const to = this.hook === 'prerouting' || this.hook === 'output';
      const other: State['env'] = to
        ? { ...env, destination: notKnown, dport: notKnown, dnat: true }
        : { ...env, source: notKnown, sport: notKnown, snat: true };
      ways.through.accepted.push({ env: other, set: translated });
    }
    ways.next.push({ env, set: bdd.minus(lives, accepted) });
  }
}

interface Ways {
  /** On to the next statement. */
  readonly after: State[];
  /** On to the next rule. */
  readonly next: State[];
  readonly through: Through;
  readonly question: (what: string) => number;
}

const chainMaps = new WeakMap<NftTable, ReadonlyMap<string, NftChain>>();

function chainsOf(table: NftTable): ReadonlyMap<string, NftChain> {
  const known = chainMaps.get(table) ?? new Map(table.chains.map((chain) => [chain.name, chain]));
  chainMaps.set(table, known);
  return known;
}

/** Chains that a statement may lead to. */
function targetsOf(statement: NftStatement, table: NftTable): readonly string[] {
  const of = (verdict: unknown): readonly string[] => {
    if (typeof verdict !== 'object' || verdict === null) return [];
    const inner: unknown = 'jump' in verdict ? verdict.jump : 'goto' in verdict ? verdict.goto : undefined;
    return typeof inner === 'object' && inner !== null && 'target' in inner ? [String(inner.target)] : [];
  };
  if (!('vmap' in statement)) return of(statement);
  const { data } = statement.vmap;
  const elements = typeof data === 'string' ? (table.maps.find(({ name }) => `@${name}` === data)?.elements ?? []) : data.set;
  return [...new Set(elements.flatMap(([, verdict]) => of(verdict)))];
}

/** It may change what becomes of the packet. */
function matters(statement: NftStatement): boolean {
  return !('match' in statement || 'counter' in statement || 'log' in statement || 'limit' in statement);
}

/** `meta mark set 1`, `ct mark set meta mark`, `ip daddr set 10.0.0.1`; other fields (MSS, hop limits, priorities) decide nothing that is modelled. */
function changed(universe: Universe, env: State['env'], key: NftExpr, value: NftExpr): State['env'] {
  if (typeof key !== 'object' || !('payload' in key) || !('field' in key.payload)) return marked(env, key, value);
  const { protocol, field } = key.payload;
  const part = { saddr: 'source', daddr: 'destination', sport: 'sport', dport: 'dport' } as const;
  const name = field in part ? part[field as keyof typeof part] : undefined;
  if (name === undefined || (field.endsWith('addr') && protocol !== 'ip' && protocol !== 'ip6')) return env;
  const bounds = field.endsWith('addr')
    ? typeof value === 'string'
      ? universe.addressSpan(value)?.from
      : undefined
    : typeof value === 'number'
      ? universe.ports.at(BigInt(value))
      : undefined;
  const slot = bounds === undefined ? notKnown : constant(bounds);
  // Connection tracking sees what is there when it looks.
  return { ...env, [name]: slot, ...(env.tracking === 'none' ? { original: { ...env.original, [name]: slot } } : {}) };
}

function marked(env: State['env'], key: NftExpr, value: NftExpr): State['env'] {
  if (typeof key !== 'object') return env;
  const to = 'meta' in key && key.meta.key === 'mark' ? 'mark' : 'ct' in key && key.ct.key === 'mark' ? 'ctMark' : undefined;
  return to === undefined ? env : { ...env, [to]: markOf(value, env) };
}

function markOf(value: NftExpr, env: State['env']): number | undefined {
  if (typeof value === 'number') return value;
  if (typeof value !== 'object') return undefined;
  if ('meta' in value && value.meta.key === 'mark') return env.mark;
  if ('ct' in value && value.ct.key === 'mark') return env.ctMark;
  const [left, right, combine] =
    '&' in value
      ? [value['&'][0], value['&'][1], (a: number, b: number): number => (a & b) >>> 0]
      : '|' in value && value['|'].length === 2
        ? [value['|'][0], value['|'][1], (a: number, b: number): number => (a | b) >>> 0]
        : [undefined, undefined, undefined];
  if (left === undefined || right === undefined || combine === undefined) return undefined;
  const a = markOf(left, env);
  const b = markOf(right, env);
  return a === undefined || b === undefined ? undefined : combine(a, b);
}
