/**
 * Routing of whole sets: policy rules by preference, then the longest prefix, then the lowest metric (ip-rule(8), ip-route(8)). Answers are by sets of sent packets.
 */
import type { KernelModel, ModelRoute, ModelRule, RouteType } from '../kernel-model.ts';
import type { Env, Slot } from './env.ts';
import { constant, inParts, valuesOf, where, withinSpans } from './env.ts';
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
  private readonly painted = new Map<string, readonly (Outcome | undefined)[]>();
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
  private paint(table: string, suppressed: number, link?: string): readonly (Outcome | undefined)[] {
    const key = `${table} ${suppressed} ${link ?? ''}`;
    const known = this.painted.get(key);
    if (known) return known;
    const { addresses, family } = this.universe;
    const painted: (Outcome | undefined)[] = Array.from({ length: addresses.count });
    const outcomes = new Map<string, Outcome>();
    const lengthOf = (route: ModelRoute): number => Number(route.prefix.slice(route.prefix.indexOf('/') + 1));
    const routes = (this.routes.get(table) ?? [])
      .map((route) => ({ route, length: lengthOf(route) }))
      .filter(({ route, length }) => length > suppressed && (link === undefined || route.link === link))
      // The best one last, over what is worse.
      .sort((a, b) => a.length - b.length || b.route.metric - a.route.metric);
    for (const { route } of routes) {
      const bounds = boundsOf(family, route.prefix);
      if (!bounds) continue;
      const { from, to } = addresses.span(...bounds);
      const text = `${route.type} ${route.link ?? ''} ${route.via !== undefined}`;
      const outcome = outcomes.get(text) ?? {
        type: route.type,
        via: route.via !== undefined,
        ...(route.link === undefined ? {} : { link: route.link }),
      };
      outcomes.set(text, outcome);
      painted.fill(outcome, from, to + 1);
    }
    this.painted.set(key, painted);
    return painted;
  }

  private group(painted: readonly (Outcome | undefined)[], slot: Slot<number>): readonly Routed[] {
    const { bdd, fields } = this.universe;
    if (slot.kind === 'const') {
      const outcome = painted[slot.value];
      return outcome ? [{ ...outcome, set: 1 }] : [];
    }
    const byOutcome = new Map<Outcome, number[]>();
    for (const [index, outcome] of painted.entries()) {
      if (!outcome) continue;
      const list = byOutcome.get(outcome);
      if (list) list.push(index);
      else byOutcome.set(outcome, [index]);
    }
    return [...byOutcome].map(([outcome, indices]) => ({
      ...outcome,
      set:
        withinSpans(bdd, fields, slot, spansOf(indices)) ??
        this.universe.unknown(`route ${slot.id} ${outcome.type} ${outcome.link}`, { what: 'the route to an address that is not known' }),
    }));
  }

  /** `fib saddr . iif oif`: whether the address has a route by that very interface (nft_fib_ipv4.c: `fl4.flowi4_oif`). */
  reachedBy(slot: Slot<number>, iif: Slot<string>): number | undefined {
    const { bdd, fields } = this.universe;
    const names = valuesOf(iif);
    if (!names) return undefined;
    const sets: number[] = [];
    for (const name of names) {
      const here = where(bdd, fields, iif, (one) => one === name);
      if (here === undefined) return undefined;
      if (here === 0) continue;
      const routed = ['main', 'default', 'local'].flatMap((table) => this.group(this.paint(table, -1, name), slot));
      sets.push(bdd.and(here, bdd.union(routed.filter(({ type }) => type === 'unicast').map(({ set }) => set))));
    }
    return bdd.union(sets);
  }

  /** `local`, `broadcast`, `multicast`, `anycast`, `unicast`: what the local table and the address itself say (inet_addr_type(), nft_fib(8)). */
  kindOf(slot: Slot<number>): Slot<string> {
    const known = this.kinds.get(slot.id);
    if (known) return known;
    const { bdd, fields, family, addresses } = this.universe;
    const kinds = this.paint('local', -1).map((outcome) => outcome?.type ?? 'unicast');
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
