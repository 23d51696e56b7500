/**
 * Routing of whole sets: policy rules by preference, then the longest prefix, then the lowest metric (ip-rule(8), ip-route(8)). Answers are by sets of sent packets.
 */
import type { KernelModel, ModelRoute, ModelRule, RouteType } from '../kernel-model.ts';
import type { Env, Slot } from './env.ts';
import { absent, constant, inParts, valuesOf, where, withinSpans } from './env.ts';
import { joinSpans, spansOf } from './layout.ts';
import { boundsOf } from './numbers.ts';
import type { Universe } from './universe.ts';

export interface Routed {
  /** `none`: no route at all. */
  readonly type: RouteType | 'none';
  readonly link?: string;
  /** By a next hop rather than on the link itself. */
  readonly via: boolean;
  readonly set: number;
}

/** What is looked up: the addresses of a packet, or for the way back the same the other way round. */
export interface Question {
  readonly destination: Slot<number>;
  readonly source: Slot<number>;
  readonly iif: Slot<string>;
  readonly mark: number | undefined;
}

type Outcome = Omit<Routed, 'set'>;

/** Routes of the same prefix and metric that lead to different places. */
interface Choice {
  readonly of: readonly Outcome[];
  readonly key: string;
}

/** What is for the host itself is so by whichever interface. */
function outcomeOf({ type, link, via }: ModelRoute): Outcome {
  return { type, via: via !== undefined, ...(type !== 'local' && link !== undefined ? { link } : {}) };
}

/** The kernel's own, when a model has none. */
const kernelRules: readonly ModelRule[] = ([4, 6] as const).flatMap((family) => [
  { family, preference: 0, action: { table: 'local' } },
  { family, preference: 32766, action: { table: 'main' } },
  { family, preference: 32767, action: { table: 'default' } },
]);

export class Routing {
  private readonly universe: Universe;
  private readonly rules: readonly ModelRule[];
  private readonly routes = new Map<string, ModelRoute[]>();
  private readonly painted = new Map<string, readonly (Choice | undefined)[]>();
  private readonly grouped = new Map<string, readonly Routed[]>();
  private readonly kinds = new Map<number, Slot<string>>();

  constructor(universe: Universe, model: KernelModel) {
    this.universe = universe;
    const own = model.rules.filter(({ family }) => family === universe.family);
    this.rules = own.length > 0 ? own : kernelRules.filter(({ family }) => family === universe.family);
    const up = new Set(model.interfaces.filter((one) => one.up).map(({ name }) => name));
    for (const route of model.routes) {
      if (route.family !== universe.family || (route.link !== undefined && !up.has(route.link))) continue;
      const table = this.routes.get(route.table);
      if (table) table.push(route);
      else this.routes.set(route.table, [route]);
    }
  }

  /** Splits the set by where it is routed. */
  lookup(question: Question, set: number): readonly Routed[] {
    return this.along(this.rules, question, set);
  }

  private along(rules: readonly ModelRule[], question: Question, set: number): readonly Routed[] {
    const { bdd } = this.universe;
    const found: Routed[] = [];
    let rest = set;
    for (const [i, rule] of rules.entries()) {
      if (rest === 0) break;
      const matched = bdd.and(rest, this.matches(rule, question));
      if (matched === 0 || 'nop' in rule.action) continue;
      if ('goto' in rule.action) {
        const target = rule.action.goto;
        // Only forward (ip-rule(8)); what jumps takes up again there, the rest goes on here.
        const later = rules.slice(i + 1).filter(({ preference }) => preference >= target);
        found.push(...this.along(later, question, matched));
        rest = bdd.minus(rest, matched);
        continue;
      }
      if ('answer' in rule.action) {
        found.push({ type: rule.action.answer, via: false, set: matched });
        rest = bdd.minus(rest, matched);
        continue;
      }
      for (const one of this.inTable(rule.action.table, rule.action.suppressPrefixLength ?? -1, question.destination)) {
        const here = bdd.and(matched, one.set);
        // `throw`: as if the table had nothing.
        if (here === 0 || one.type === 'throw') continue;
        found.push({ ...one, set: here });
        rest = bdd.minus(rest, here);
      }
    }
    if (rest !== 0) found.push({ type: 'none', via: false, set: rest });
    return found;
  }

  private matches(rule: ModelRule, { source, destination, iif, mark }: Question): number {
    const { bdd, fields } = this.universe;
    const ask = (): number =>
      this.universe.unknown(`ip rule ${rule.preference}`, { what: `the routing rule of preference ${rule.preference}` });
    let set = rule.unknown === undefined ? 1 : ask();
    for (const [slot, prefix] of [
      [source, rule.from],
      [destination, rule.to],
    ] as const) {
      if (prefix === undefined || prefix.endsWith('/0')) continue;
      const span = this.universe.addressSpan(prefix);
      set = bdd.and(set, span === undefined ? 0 : (withinSpans(bdd, fields, slot, [span]) ?? ask()));
    }
    if (rule.iif !== undefined) {
      const name = rule.iif;
      // The host's own packets count as coming in by lo.
      set = bdd.and(set, iif.kind === 'absent' ? (name === 'lo' ? 1 : 0) : (where(bdd, fields, iif, (one) => one === name) ?? ask()));
    }
    // Only sockets that are bound to it.
    if (rule.oif !== undefined) set = 0;
    if (rule.mark !== undefined) {
      const { value, mask } = rule.mark;
      set = bdd.and(set, mark === undefined ? ask() : (mark & mask) >>> 0 === value >>> 0 ? 1 : 0);
    }
    return rule.not === true ? bdd.not(set) : set;
  }

  /** The table's answers, by sets of sent packets; what it has no route for is in none. */
  private inTable(table: string, suppressed: number, destination: Slot<number>): readonly Routed[] {
    const key = `${table} ${suppressed} ${destination.id}`;
    const known = this.grouped.get(key);
    if (known) return known;
    const made = this.group(this.paint(table, suppressed), destination);
    this.grouped.set(key, made);
    return made;
  }

  /** For each interval of addresses the outcome. */
  private paint(table: string, suppressed: number, link?: string): readonly (Choice | undefined)[] {
    const key = `${table} ${suppressed} ${link ?? ''}`;
    const known = this.painted.get(key);
    if (known) return known;
    const { addresses, family } = this.universe;
    const painted: (Choice | undefined)[] = Array.from({ length: addresses.count });
    const lengthOf = (route: ModelRoute): number => Number(route.prefix.slice(route.prefix.indexOf('/') + 1));
    const equals = new Map<string, { readonly route: ModelRoute; readonly length: number; readonly outcomes: Map<string, Outcome> }>();
    for (const route of this.routes.get(table) ?? []) {
      const length = lengthOf(route);
      if (length <= suppressed || (link !== undefined && route.link !== link)) continue;
      const prefix = `${route.prefix} ${route.metric}`;
      const equal = equals.get(prefix) ?? { route, length, outcomes: new Map<string, Outcome>() };
      equals.set(prefix, equal);
      const outcome = outcomeOf(route);
      // Every link has a route of its own to link-local addresses and groups, which are nobody's question.
      if (equal.outcomes.size === 0 || !/^(fe80|ff00):/.test(route.prefix))
        equal.outcomes.set(`${outcome.type} ${outcome.link ?? ''}`, outcome);
    }
    // The best one last, over what is worse.
    const sorted = [...equals.values()].sort((a, b) => a.length - b.length || b.route.metric - a.route.metric);
    const choices = new Map<string, Choice>();
    for (const { route, outcomes } of sorted) {
      const bounds = boundsOf(family, route.prefix);
      if (!bounds) continue;
      const { from, to } = addresses.span(...bounds);
      const text = outcomes.size === 1 ? [...outcomes.keys()].join() : `${table} ${route.prefix}`;
      const choice = choices.get(text) ?? { of: [...outcomes.values()], key: text };
      choices.set(text, choice);
      painted.fill(choice, from, to + 1);
    }
    this.painted.set(key, painted);
    return painted;
  }

  private group(painted: readonly (Choice | undefined)[], slot: Slot<number>): readonly Routed[] {
    const { bdd, fields } = this.universe;
    if (slot.kind === 'const') {
      const choice = painted[slot.value];
      return choice ? this.chosen(choice, 1) : [];
    }
    const byChoice = new Map<Choice, number[]>();
    for (const [index, choice] of painted.entries()) {
      if (!choice) continue;
      const list = byChoice.get(choice);
      if (list) list.push(index);
      else byChoice.set(choice, [index]);
    }
    return [...byChoice].flatMap(([choice, indices]) =>
      this.chosen(
        choice,
        withinSpans(bdd, fields, slot, spansOf(indices)) ??
          this.universe.unknown(`route ${slot.id} ${choice.key}`, { what: 'the route to an address that is not known' }),
      ),
    );
  }

  /** Of several equal routes nobody knows which is taken: a question each. */
  private chosen({ of, key }: Choice, set: number): readonly Routed[] {
    const { bdd } = this.universe;
    let rest = set;
    return of.map((outcome, i) => {
      const taken =
        i === of.length - 1
          ? 1
          : this.universe.unknown(`equal route ${key} ${i}`, { what: `which of several equal routes is taken (${key})` });
      const here = bdd.and(rest, taken);
      rest = bdd.minus(rest, here);
      return { ...outcome, set: here };
    });
  }

  /**
   * `fib saddr . iif oif`: whether the best route to the address leads by that very interface (nft_fib_ipv4.c, nft_fib_ipv6.c; tried on Linux 6.18: a worse one by
   * it does not count). Of link-local addresses every interface has its own. What comes by `lo` always does.
   */
  reachedBy({ destination, source, iif, mark }: Question): number | undefined {
    const { bdd, fields } = this.universe;
    const names = valuesOf(iif);
    if (!names) return undefined;
    const routed = this.lookup({ destination, source, iif: absent, mark }, 1);
    const sets: number[] = [];
    for (const name of names) {
      const here = where(bdd, fields, iif, (one) => one === name);
      if (here === undefined) return undefined;
      if (here === 0) continue;
      const best =
        name === 'lo' ? 1 : bdd.union(routed.filter(({ type, link }) => type === 'unicast' && link === name).map(({ set }) => set));
      sets.push(bdd.and(here, bdd.or(best, this.linkLocal(destination, name))));
    }
    return bdd.union(sets);
  }

  private linkLocal(slot: Slot<number>, link: string): number {
    const { bdd, fields, family } = this.universe;
    const span = family === 6 ? this.universe.addressSpan('fe80::/10') : undefined;
    if (!span) return 0;
    const own = this.group(this.paint('main', -1, link), slot).filter(({ type }) => type === 'unicast');
    return bdd.and(withinSpans(bdd, fields, slot, [span]) ?? 0, bdd.union(own.map(({ set }) => set)));
  }

  /** `local`, `broadcast`, `multicast`, `anycast`, `unicast`: what the local table and the address itself say (inet_addr_type(), nft_fib(8)). */
  kindOf(slot: Slot<number>): Slot<string> {
    const known = this.kinds.get(slot.id);
    if (known) return known;
    const { bdd, fields, family, addresses } = this.universe;
    const kinds = this.paint('local', -1).map((choice) => choice?.of[0]?.type ?? 'unicast');
    const mark = (prefix: string, kind: string): void => {
      const span = this.universe.addressSpan(prefix);
      for (let i = span?.from ?? 1; i <= (span?.to ?? 0); i++) kinds[i] = kind as RouteType;
    };
    if (family === 4) {
      mark('224.0.0.0/4', 'multicast');
      mark('255.255.255.255', 'broadcast');
      mark('0.0.0.0/8', 'broadcast');
    } else mark('ff00::/8', 'multicast');
    const all = Array.from({ length: addresses.count }, (_, i) => i);
    const parts = new Map<string, number>();
    for (const kind of new Set(kinds)) {
      const set = withinSpans(bdd, fields, slot, joinSpans(spansOf(all.filter((i) => kinds[i] === kind))));
      parts.set(kind, set ?? this.universe.unknown(`kind ${slot.id} ${kind}`, { what: 'the kind of an address that is not known' }));
    }
    const made = slot.kind === 'const' ? constant<string>(kinds[slot.value] ?? 'unicast') : inParts(parts);
    this.kinds.set(slot.id, made);
    return made;
  }
}

export const questionOf = (env: Env): Question => ({ destination: env.destination, source: env.source, iif: env.iif, mark: env.mark });

/** The sets that leave by each interface; `broadcasts`: also what is for everybody there. */
export function byLink(bdd: Universe['bdd'], routed: readonly Routed[], broadcasts = false): Map<string, number> {
  const ways = new Map<string, number>();
  for (const { type, link, set } of routed) {
    if (link === undefined || !(type === 'unicast' || (broadcasts && (type === 'broadcast' || type === 'multicast' || type === 'anycast'))))
      continue;
    ways.set(link, bdd.or(ways.get(link) ?? 0, set));
  }
  return ways;
}
