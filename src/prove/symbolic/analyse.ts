/** What a host does to all flows of a family at once: the walk's packets as flows, certain and possible. */
import type { Family } from '../../net/ip.ts';
import type { KernelModel } from '../kernel-model.ts';
import type { DecidedBy, SentPacket } from '../packet-model.ts';
import type { Machinery } from './chain.ts';
import { having, valuesOf, withinSpans } from './env.ts';
import type { Env, State } from './env.ts';
import type { Answer, Constants, Exit, FlowSet, Reachability, Tri } from './flow-space.ts';
import { joinSpans } from './layout.ts';
import { reduceModel } from './machines.ts';
import { Matcher } from './matching.ts';
import { ipText } from './numbers.ts';
import { Routing } from './routing.ts';
import { asFlows, Space } from './space.ts';
import { Translator } from './translate.ts';
import { Universe } from './universe.ts';
import { HostWalk } from './walk.ts';
import type { Arrival } from './walk.ts';

/** Throws `TooManyNodes` when the model is beyond what fits. */
export function analyse(model: KernelModel, family: Family, constants: Constants): Reachability {
  const { groups } = constants;
  const { model: reduced, standIns } = groups === undefined ? { model, standIns: nobody } : reduceModel(model, groups);
  const prefixes = constants.prefixes.filter((prefix) => !standIns.has(prefix));
  const macs = constants.macs.filter((mac) => !standIns.has(mac));
  return new Analysis(reduced, new Universe([reduced], family, { ...constants, prefixes, macs }, standIns));
}

/** Several models in one space, so that their flows can be compared: all of their machines. */
export function analyseAll(models: readonly KernelModel[], family: Family, constants: Constants): readonly Reachability[] {
  const universe = new Universe(models, family, constants);
  return models.map((model) => new Analysis(model, universe));
}

const nobody: ReadonlyMap<string, readonly [string, string]> = new Map();

class Analysis implements Reachability {
  readonly space: Space;
  readonly delivered: Tri;
  readonly answered: Tri;
  readonly exits: readonly Exit[];
  private readonly universe: Universe;
  private readonly walk: HostWalk;
  private readonly arrivals: readonly Arrival[];
  private readonly raw: number;
  private readonly sent: { readonly delivered: readonly State[]; readonly answered: readonly State[] };
  private readonly unknownGroup: number;
  private enteredSets: Tri | undefined;

  constructor(model: KernelModel, universe: Universe) {
    const routing = new Routing(universe, model);
    const machinery: Machinery = { universe, routing, matcher: new Matcher(universe), translator: new Translator(universe, model) };
    this.universe = universe;
    this.space = new Space(universe);
    this.walk = new HostWalk(machinery, model);
    const owned = [...this.walk.owned].map((index) => ({ from: index, to: index }));
    const local = model.routes.flatMap(({ type, prefix }) => (type === 'local' ? (universe.addressSpan(prefix) ?? []) : []));
    const ownedSpans = joinSpans([...owned, ...local]);
    const { bdd, fields } = universe;
    // An address that some station or the host itself has is rightfully nowhere else.
    const rightful = (arrivals: readonly Arrival[]): readonly Arrival[] =>
      arrivals
        .map((arrival) =>
          arrival.at.kind === 'outside'
            ? { ...arrival, set: bdd.minus(arrival.set, withinSpans(bdd, fields, arrival.env.destination, ownedSpans) ?? 0) }
            : arrival,
        )
        .filter(({ set }) => set !== 0);
    const first = this.walk.firstPackets();
    const honest = rightful(first.honest);
    this.arrivals = [...honest, ...rightful(first.devious)];
    const delivered = this.arrivals.map(({ env, set }) => this.asFlow(env, set));
    const returned = this.walk.replies(honest).map(({ arrival, back }) => {
      const home = bdd.union(back.map((reply) => bdd.and(reply.set, this.walk.isOrigin(reply))));
      return { env: arrival.env, set: bdd.and(arrival.set, home) };
    });
    const answered = returned.map(({ env, set }) => this.asFlow(env, set));
    this.sent = { delivered: honest, answered: returned };
    this.raw = bdd.union([...delivered, ...answered]);
    // From here on no new question is asked.
    this.unknownGroup = bdd.group(universe.unknowns.map((_, i) => universe.behind + i));
    this.delivered = this.tri(bdd.union(delivered));
    this.answered = this.tri(bdd.union(answered));
    this.exits = this.waysOut();
  }

  get entered(): Tri {
    const { bdd } = this.universe;
    this.enteredSets ??= ((): Tri => {
      const set = bdd.union(this.walk.entering().map((state) => state.set));
      const group = bdd.group(this.universe.unknowns.map((_, i) => this.universe.behind + i));
      return { must: asFlows(bdd.forall(group, set)), may: asFlows(bdd.exists(group, set)) };
    })();
    return this.enteredSets;
  }

  fateOf(packet: SentPacket): { readonly delivered: Answer; readonly answered: Answer } {
    const { bdd } = this.universe;
    const { mac: _, ...unsaid } = packet;
    const one = this.space.only(unsaid);
    const judged = (states: readonly State[]): Answer => {
      const set = bdd.union(states.map((state) => bdd.and(state.set, one)));
      if (bdd.exists(this.unknownGroup, set) === 0) return 'no';
      return bdd.minus(one, bdd.forall(this.unknownGroup, set)) === 0 ? 'yes' : 'maybe';
    };
    return { delivered: judged(this.sent.delivered), answered: judged(this.sent.answered) };
  }

  unknowns(set: FlowSet): readonly DecidedBy[] {
    const { bdd, behind, unknowns } = this.universe;
    return [...bdd.support(bdd.and(this.raw, set), behind)].sort((a, b) => a - b).flatMap((level) => unknowns[level - behind] ?? []);
  }

  sentAs(set: FlowSet): SentPacket | undefined {
    const { bdd } = this.universe;
    for (const { env, set: sent } of this.arrivals) {
      const flows = bdd.and(this.asFlow(env, sent), set);
      if (flows === 0) continue;
      const before = this.beforeTranslation(env, flows);
      const possible = bdd.exists(this.unknownGroup, bdd.and(sent, before));
      const picked = this.space.pick(asFlows(possible));
      if (picked) return picked;
    }
    return this.space.pick(set);
  }

  private tri(set: number): Tri {
    const { bdd } = this.universe;
    return {
      must: this.space.and(asFlows(bdd.forall(this.unknownGroup, set))),
      may: this.space.and(asFlows(bdd.exists(this.unknownGroup, set))),
    };
  }

  /** Sent packets as flows: with the destination that they have in the end, and whatever MAC. */
  private asFlow(env: Env, set: number): number {
    const { bdd, fields } = this.universe;
    let flows = this.space.without('mac', set);
    if (env.destination.kind !== 'field') {
      flows = this.space.without('destination', flows);
      if (env.destination.kind === 'const') flows = bdd.and(flows, fields.destination.is(env.destination.value));
    }
    if (env.dport.kind !== 'field') {
      flows = this.space.without('dport', flows);
      if (env.dport.kind === 'const') flows = bdd.and(flows, fields.dport.is(env.dport.value));
    }
    return flows;
  }

  private beforeTranslation(env: Env, flows: number): number {
    const { bdd } = this.universe;
    let sent = flows;
    if (env.destination.kind !== 'field') sent = this.space.without('destination', sent);
    if (env.dport.kind !== 'field') sent = this.space.without('dport', sent);
    return bdd.and(sent, this.universe.valid);
  }

  private waysOut(): readonly Exit[] {
    const { bdd, fields, family, addresses } = this.universe;
    const ways = new Map<string, { interface: string; seenAs?: string; sets: number[] }>();
    for (const { env, set, at } of this.arrivals) {
      if (at.kind !== 'outside') continue;
      const seenAs = env.source.kind === 'const' ? ipText(family, addresses.first(env.source.value)) : undefined;
      for (const name of valuesOf(at.port) ?? []) {
        const here = bdd.and(set, having(bdd, fields, at.port, name));
        if (here === 0) continue;
        const key = `${name} ${seenAs ?? ''}`;
        const way = ways.get(key) ?? { interface: name, ...(seenAs === undefined ? {} : { seenAs }), sets: [] };
        ways.set(key, way);
        way.sets.push(this.asFlow(env, here));
      }
    }
    return [...ways.values()].map(({ sets, ...way }) => ({ ...way, flows: this.tri(bdd.union(sets)) }));
  }
}
