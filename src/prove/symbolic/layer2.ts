/** Which frames go where on a bridge, as sets: to neighbours, to nobody, or to the host (concrete/layer2.ts has the rules in words). */
import type { Machinery } from './chain.ts';
import { absent, having, inParts, valuesOf, where, withinSpans } from './env.ts';
import type { Env, Slot } from './env.ts';
import type { Topology } from './topology.ts';
import { OTHER_MAC } from './universe.ts';

export class Layer2 {
  private readonly machinery: Machinery;
  private readonly topology: Topology;
  /** By source and destination: most arrivals have the same. */
  private readonly ownAnswers = new Map<string, number>();

  constructor(machinery: Machinery, topology: Topology) {
    this.machinery = machinery;
    this.topology = topology;
  }

  /** Packets whose destination is a station's at that interface. */
  at(name: string, env: Env): number {
    const { bdd, fields } = this.machinery.universe;
    return withinSpans(bdd, fields, env.destination, this.topology.spansAt(name)) ?? 0;
  }

  /** Frames that an honest sender at the port addresses to others on its layer 2. */
  forNeighbours(env: Env, port: Slot<string>): number {
    const { bdd, fields } = this.machinery.universe;
    const unicast = where(bdd, fields, this.machinery.routing.kindOf(env.destination), (kind) => kind === 'unicast') ?? 0;
    const bridges = new Set([...(valuesOf(port) ?? [])].flatMap((name) => this.topology.bridgeOf(name) ?? []));
    const sets = [...bridges].map((bridge) => {
      const outer = new Set(this.topology.outerPorts(bridge));
      const stations = this.topology.stationsAt(bridge);
      const [to] = stations ? this.topology.slotsOf(stations, env.destination) : [absent];
      const known = stations ? this.at(bridge, env) : 0;
      const through = where(bdd, fields, to, (name) => this.topology.isThroughHost(name)) ?? 0;
      const toStation = known === 0 ? 0 : bdd.minus(bdd.minus(known, through), this.mayNot(port, to));
      const inner = outer.size === 0 ? 0 : (where(bdd, fields, port, (name) => this.topology.hasStation(name)) ?? 0);
      const here = where(bdd, fields, port, (name) => this.topology.bridgeOf(name) === bridge) ?? 0;
      return bdd.and(here, bdd.or(toStation, bdd.minus(inner, known)));
    });
    return bdd.and(unicast, bdd.union(sets));
  }

  /**
   * Where br_netfilter sees a bridge's frames, what is translated to another machine of the bridge is bridged there at once, not routed (br_netfilter_hooks.c:
   * br_nf_pre_routing_finish()), and between isolated ports that is nowhere.
   */
  bridgedAway(env: Env, port: Slot<string>): number {
    if (!env.dnat || env.reply) return 0;
    const { bdd, fields, family } = this.machinery.universe;
    const bridges = new Set([...(valuesOf(port) ?? [])].flatMap((name) => this.topology.bridgeOf(name) ?? []));
    const sets = [...bridges].map((bridge) => {
      const stations = this.topology.stationsAt(bridge);
      if (!stations || this.topology.interfaces.get(bridge)?.nfCall?.[family === 4 ? 'v4' : 'v6'] !== true) return 0;
      const [to] = this.topology.slotsOf(stations, env.destination);
      const here = where(bdd, fields, port, (name) => this.topology.bridgeOf(name) === bridge) ?? 0;
      const through = where(bdd, fields, to, (name) => this.topology.isThroughHost(name)) ?? 0;
      return bdd.and(bdd.and(here, this.at(bridge, env)), bdd.minus(this.mayNot(port, to), through));
    });
    return bdd.union(sets);
  }

  /** Not back out of the port it came in by, and not from one isolated port to another. */
  mayNot(from: Slot<string>, to: Slot<string>): number {
    const { bdd, fields } = this.machinery.universe;
    const isolated = (slot: Slot<string>): number => where(bdd, fields, slot, (name) => this.topology.isolated(name)) ?? 0;
    const both = bdd.and(isolated(from), isolated(to));
    const names = [...(valuesOf(to) ?? [])].filter((name) => name !== '' && this.topology.bridgeOf(name) !== undefined);
    const same = names.map((name) => bdd.and(having(bdd, fields, from, name), having(bdd, fields, to, name)));
    return bdd.or(both, bdd.union(same));
  }

  ownMac(link: Slot<string>): Slot<string> {
    const macs = new Map<string, number>();
    const { bdd, fields } = this.machinery.universe;
    for (const name of valuesOf(link) ?? []) {
      const mac = this.topology.interfaces.get(name)?.mac ?? OTHER_MAC;
      macs.set(mac, bdd.or(macs.get(mac) ?? 0, having(bdd, fields, link, name)));
    }
    return macs.size === 0 ? absent : inParts(macs);
  }

  /** Packets of which a station is both source and destination, as they are when they arrive. */
  toItself({ source, destination }: Env): number {
    const { bdd, fields } = this.machinery.universe;
    const key = `${source.id} ${destination.id}`;
    const known = this.ownAnswers.get(key);
    if (known !== undefined) return known;
    const both = [...this.topology.owned].map((index) => {
      const span = [{ from: index, to: index }];
      return bdd.and(withinSpans(bdd, fields, source, span) ?? 0, withinSpans(bdd, fields, destination, span) ?? 0);
    });
    const made = bdd.union(both);
    this.ownAnswers.set(key, made);
    return made;
  }
}
