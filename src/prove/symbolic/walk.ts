/**
 * All packets at once through one host, in the kernel's order: the wire, the bridge, prerouting, routing, input or forward, postrouting, the wire; and back as replies.
 * Every packet that lives is in exactly the states it can be in; dropped ones are in none.
 */
import type { KernelModel } from '../kernel-model.ts';
import { Admission } from './admission.ts';
import type { Machinery } from './chain.ts';
import { absent, constant, having, inParts, itself, merge, told, valuesOf, where, withinSpans } from './env.ts';
import type { Env, Slot, State } from './env.ts';
import { Hooks } from './hooks.ts';
import { Layer2 } from './layer2.ts';
import { byLink, questionOf } from './routing.ts';
import type { Routed } from './routing.ts';
import { Topology } from './topology.ts';
import { OTHER_MAC } from './universe.ts';

export interface Arrival extends State {
  readonly at:
    | { readonly kind: 'host' }
    /** The port (or interface) that the packet left by, and the MAC of who is behind it. */
    | { readonly kind: 'station' | 'outside'; readonly port: Slot<string>; readonly mac: Slot<string> };
  /** The interface of IP that it left by; where a reply comes in. */
  readonly link: Slot<string>;
}

export class HostWalk {
  private readonly machinery: Machinery;
  private readonly hooks: Hooks;
  private readonly topology: Topology;
  private readonly layer2: Layer2;
  private readonly admission: Admission;
  private readonly portSlot: Slot<string>;
  private readonly linkSlot: Slot<string>;
  private readonly localSources: number;

  constructor(machinery: Machinery, model: KernelModel) {
    const { universe } = machinery;
    this.machinery = machinery;
    this.admission = new Admission(machinery, model);
    this.hooks = new Hooks(machinery, model);
    this.topology = new Topology(universe, model);
    this.layer2 = new Layer2(machinery, this.topology);
    const names = universe.origins.map((name) => (name === '' ? undefined : name));
    this.portSlot = told('origin', names);
    this.linkSlot = told(
      'origin',
      names.map((name) => (name === undefined ? undefined : (this.topology.bridgeOf(name) ?? name))),
    );
    const { fields, bdd } = universe;
    const kinds = machinery.routing.kindOf(itself('source'));
    this.localSources = where(bdd, fields, kinds, (kind) => kind === 'local') ?? 0;
  }

  /** First packets of all origins, to where they end; `devious`: those for neighbours that are addressed to the host as if it were the router. */
  firstPackets(): { readonly honest: readonly Arrival[]; readonly devious: readonly Arrival[] } {
    const { universe } = this.machinery;
    const host = universe.fields.origin.is(0);
    const wire: Env = { ...this.start(), mac: told('origin', this.topology.honestMacs(universe.origins)), iif: this.portSlot };
    const frames = this.ingress([{ env: wire, set: universe.bdd.minus(universe.valid, host) }], this.portSlot, this.linkSlot);
    const own = universe.bdd.and(universe.bdd.and(universe.valid, host), this.localSources);
    const sent = this.send([{ env: { ...this.start(), mac: absent, iif: absent }, set: own }]);
    return {
      honest: [...this.beyond(frames, this.portSlot, this.linkSlot), ...sent],
      devious: this.receive(this.raise(frames.devious, this.linkSlot), this.portSlot),
    };
  }

  /** Intervals of addresses that some station has. */
  get owned(): ReadonlySet<number> {
    return this.topology.owned;
  }

  /** What gets past everything in front of routing, whatever MAC it says: by the wire only. */
  entering(): readonly State[] {
    const { universe } = this.machinery;
    const wire: Env = { ...this.start(), mac: told('mac', universe.macs), iif: this.portSlot };
    const set = universe.bdd.minus(universe.valid, universe.fields.origin.is(0));
    const { up, across } = this.ingress([{ env: wire, set }], this.portSlot, this.linkSlot);
    return [...this.hooks.ip('prerouting', this.raise(up, this.linkSlot)), ...across];
  }

  /** The replies to what has arrived; sets are still of the packets that began it. */
  replies(arrivals: readonly Arrival[]): readonly { readonly arrival: Arrival; readonly back: readonly Arrival[] }[] {
    return arrivals.map((arrival) => {
      const env = replyEnv(arrival);
      if (arrival.at.kind === 'host')
        return { arrival, back: this.send([{ env: { ...env, mac: absent, iif: absent }, set: arrival.set }]) };
      const { port, mac } = arrival.at;
      // What a machine would answer to an address of its own never leaves it.
      const set = this.machinery.universe.bdd.minus(arrival.set, this.layer2.toItself(arrival.env));
      return { arrival, back: this.arrive([{ env: { ...env, mac, iif: port }, set }], port, arrival.link) };
    });
  }

  /** Where the packet's reply has arrived is where it began. */
  isOrigin(reply: Arrival): number {
    const { bdd, fields, origins, originNumber } = this.machinery.universe;
    const { source, destination, sport, dport, original } = reply.env;
    // From whom it was sent to, or nobody there takes it for an answer.
    const expected = sameSlot(source, original.destination) && sameSlot(sport, original.dport);
    if (!expected || !sameSlot(destination, original.source) || !sameSlot(dport, original.sport)) return 0;
    if (reply.at.kind === 'host') return fields.origin.is(0);
    const { port } = reply.at;
    if (port.kind === 'field' && port.value !== 'itself') {
      const field = fields[port.field];
      const pairs = port.value.flatMap((name, i) => {
        const origin = name === undefined ? undefined : originNumber.get(name);
        return origin === undefined ? [] : [{ origin, set: bdd.and(fields.origin.is(origin), field.is(i)) }];
      });
      pairs.sort((a, b) => a.origin - b.origin);
      return bdd.union(pairs.map(({ set }) => set));
    }
    const names = [...(valuesOf(port) ?? origins)].filter((name) => originNumber.has(name));
    return bdd.union(names.map((name) => bdd.and(fields.origin.is(originNumber.get(name) ?? 0), having(bdd, fields, port, name))));
  }

  private start(): Omit<Env, 'mac' | 'iif'> {
    const tuple = { source: itself('source'), destination: itself('destination'), sport: itself('sport'), dport: itself('dport') };
    return {
      ...tuple,
      original: tuple,
      oif: absent,
      protocol: itself('protocol'),
      mark: 0,
      ctMark: 0,
      routeMark: 0,
      tracking: 'none',
      tracked: false,
      reply: false,
      dnat: false,
      snat: false,
    };
  }

  /** Frames at the interface in `iif`: up to the host, and across bridges. */
  private arrive(states: readonly State[], port: Slot<string>, link: Slot<string>): readonly Arrival[] {
    return this.beyond(this.ingress(states, port, link), port, link);
  }

  private beyond({ up, across }: Ingress, port: Slot<string>, link: Slot<string>): readonly Arrival[] {
    return [...this.receive(this.raise(up, link), port), ...this.across(across, port, link)];
  }

  /**
   * Past the device's own chains and the bridge's first hook. An honest sender addresses its frame to the machine that has the destination on its own layer 2, or to
   * its router on the outer network, and else to the host (concrete/layer2.ts has the rule in words); `devious`: those that address to the host what is a neighbour's.
   */
  private ingress(states: readonly State[], port: Slot<string>, link: Slot<string>): Ingress {
    const { bdd, fields } = this.machinery.universe;
    const entered = this.hooks.device('ingress', states, ({ iif }) => iif);
    const onBridge = where(bdd, fields, port, (name) => this.topology.bridgeOf(name) !== undefined) ?? 0;
    const [bridged, plain] = split(bdd, entered, onBridge);
    const after = this.hooks.bridged('prerouting', bridged);
    // The bridge is a device as well.
    const toHost = (frames: readonly State[]): readonly State[] =>
      this.hooks.device('ingress', this.hooks.bridged('input', frames), () => link);
    const up: State[] = [...plain];
    const across: State[] = [];
    for (const { env, set } of after) {
      const neighbours = bdd.and(set, this.layer2.forNeighbours(env, port));
      if (neighbours !== 0) across.push({ env, set: neighbours });
      const rest = bdd.minus(set, neighbours);
      if (rest !== 0) up.push(...toHost([{ env, set: rest }]));
    }
    return { up, across, devious: toHost(across) };
  }

  /** From here on the interface is the bridge, not its port. */
  private raise(states: readonly State[], link: Slot<string>): readonly State[] {
    return states.map(({ env, set }) => ({ env: { ...env, iif: link }, set }));
  }

  private receive(states: readonly State[], port: Slot<string>): readonly Arrival[] {
    const { bdd } = this.machinery.universe;
    return this.route(
      this.hooks.ip('prerouting', states).map(({ env, set }) => ({ env, set: bdd.minus(set, this.layer2.bridgedAway(env, port)) })),
    );
  }

  private route(states: readonly State[]): readonly Arrival[] {
    const { bdd } = this.machinery.universe;
    const local: State[] = [];
    const onward: State[] = [];
    for (const state of states) {
      const believable = bdd.and(state.set, this.admission.believable(state));
      if (believable === 0) continue;
      const routed = this.machinery.routing.lookup(questionOf(state.env), believable);
      for (const { type, set } of routed)
        if (type === 'local' || type === 'broadcast' || type === 'anycast' || type === 'multicast') local.push({ env: state.env, set });
      const ways = byLink(bdd, routed);
      if (ways.size === 0) continue;
      const set = bdd.and(bdd.union([...ways.values()]), this.admission.forwards(state.env));
      if (set !== 0) onward.push({ env: { ...state.env, oif: inParts(ways) }, set });
    }
    return [
      ...this.hooks.ip('input', local).map((state) => this.atHost(state)),
      ...this.leave(this.hooks.ip('postrouting', this.hooks.ip('forward', onward))),
    ];
  }

  private atHost(state: State): Arrival {
    return { ...state, at: { kind: 'host' }, link: absent };
  }

  /** The host's own packets. */
  private send(states: readonly State[]): readonly Arrival[] {
    const after = this.hooks.ip('output', this.ways(states));
    // What was translated or marked on its way is routed again (ip_route_me_harder()).
    const again = this.ways(
      after.map(({ env, set }) => {
        const translated = env.reply ? env.snat : env.dnat;
        return { env: { ...env, oif: absent, routeMark: translated ? env.mark : env.routeMark }, set };
      }),
    );
    const { bdd, fields } = this.machinery.universe;
    const out = this.hooks.ip('postrouting', again);
    const toItself = (env: Env): number => having(bdd, fields, env.oif, 'lo');
    const looped = out.map(({ env, set }) => ({ env: { ...env, iif: constant('lo'), oif: absent }, set: bdd.and(set, toItself(env)) }));
    const gone = out.map(({ env, set }) => ({ env, set: bdd.minus(set, toItself(env)) }));
    const back = this.hooks.ip('prerouting', merge(bdd, looped), true);
    return [...this.hooks.ip('input', back, true).map((state) => this.atHost(state)), ...this.leave(merge(bdd, gone))];
  }

  /** The way out of the host's own packets; to its own addresses that is the loopback interface. */
  private ways(states: readonly State[]): readonly State[] {
    const { bdd, fields, family } = this.machinery.universe;
    // An address of the loopback network leaves by no other interface (route.c: ip_route_output_key_hash_rcu()).
    const loopback = this.machinery.universe.addressSpan(family === 4 ? '127.0.0.0/8' : '::1');
    return states.flatMap(({ env, set }) => {
      const inside = withinSpans(bdd, fields, env.source, loopback === undefined ? [] : [loopback]) ?? 0;
      const routed = this.machinery.routing
        .lookup({ ...questionOf(env), mark: env.routeMark }, set)
        .map((one) => (one.type === 'local' ? one : { ...one, set: bdd.minus(one.set, inside) }));
      const toItself = routed.filter(({ type }) => type === 'local').map((one): Routed => ({ ...one, type: 'unicast', link: 'lo' }));
      const ways = byLink(bdd, [...routed.filter(({ type }) => type !== 'local'), ...toItself], true);
      return ways.size === 0 ? [] : [{ env: { ...env, oif: inParts(ways) }, set: bdd.union([...ways.values()]) }];
    });
  }

  /** Out of the interface in `oif`: to the station that has the address there, or to the outer network. */
  private leave(states: readonly State[]): readonly Arrival[] {
    const { bdd, fields } = this.machinery.universe;
    const arrivals: Arrival[] = [];
    // What the host sends, passed on or its own, has the MAC of the interface it leaves by.
    const framed = this.hooks.looksAtEgress
      ? states.map(({ env, set }): State => ({ env: { ...env, mac: this.layer2.ownMac(env.oif) }, set }))
      : states;
    const outward = this.hooks.device('egress', framed, ({ oif }) => oif);
    for (const state of outward) {
      const { env, set } = state;
      const names = [...(valuesOf(env.oif) ?? [])];
      // All stations at once: a reply then comes from wherever its address says.
      const [port, mac] = this.topology.whereabouts(env.destination);
      const owned =
        port === undefined ? 0 : bdd.union(names.map((name) => bdd.and(having(bdd, fields, env.oif, name), this.layer2.at(name, env))));
      const here = bdd.and(set, owned);
      if (port !== undefined && here !== 0)
        arrivals.push(...this.egress(this.throughBridge([{ env, set: here, at: { kind: 'station', port, mac }, link: env.oif }])));
      const rest = bdd.minus(set, owned);
      const plain = where(bdd, fields, env.oif, (name) => !this.topology.isBridge(name)) ?? 0;
      const outside = bdd.and(rest, plain);
      if (outside !== 0)
        arrivals.push({
          env,
          set: outside,
          at: { kind: 'outside', port: env.oif, mac: constant(OTHER_MAC) },

          link: env.oif,
        });
      for (const name of names) {
        if (!this.topology.isBridge(name) || (port !== undefined && this.topology.outerPorts(name).length === 0)) continue;
        const onto = bdd.and(rest, having(bdd, fields, env.oif, name));
        if (onto !== 0) arrivals.push(...this.ontoBridge(name, { env, set: onto }, undefined, constant(name)));
      }
    }
    return arrivals;
  }

  /** The host's own and routed packets onto a bridge: its hooks see the port. */
  private throughBridge(arrivals: readonly Arrival[]): readonly Arrival[] {
    if (!this.hooks.hasBridged('output') && !this.hooks.hasBridged('postrouting')) return arrivals;
    const { bdd, fields } = this.machinery.universe;
    return arrivals.flatMap((arrival) => {
      const { at, env, set } = arrival;
      if (at.kind === 'host') return [arrival];
      const onBridge = bdd.and(set, where(bdd, fields, at.port, (name) => this.topology.bridgeOf(name) !== undefined) ?? 0);
      const sent = this.hooks.bridged(
        'postrouting',
        this.hooks.bridged('output', [{ env: { ...env, oif: at.port, iif: absent }, set: onBridge }]),
      );
      const plain = { ...arrival, set: bdd.minus(set, onBridge) };
      return [...sent.map((state) => ({ ...arrival, env: { ...state.env, oif: env.oif, iif: env.iif }, set: state.set })), plain].filter(
        (one) => one.set !== 0,
      );
    });
  }

  /** Frames that a bridge forwards from port to port. */
  private across(states: readonly State[], port: Slot<string>, link: Slot<string>): readonly Arrival[] {
    const { bdd, fields, family } = this.machinery.universe;
    const arrivals: Arrival[] = [];
    const bridges = new Set([...(valuesOf(port) ?? [])].flatMap((name) => this.topology.bridgeOf(name) ?? []));
    for (const bridge of bridges) {
      const here = having(bdd, fields, link, bridge);
      const seen = this.topology.interfaces.get(bridge)?.nfCall?.[family === 4 ? 'v4' : 'v6'] === true;
      const [on] = split(bdd, states, here);
      const raised = this.raise(on, constant(bridge));
      const [translated, entered] = partition(seen ? this.hooks.ip('prerouting', raised) : raised, ({ env }) => env.dnat && !env.reply);
      // Translated there, it goes where it is routed to.
      if (translated.length > 0) arrivals.push(...this.route(translated));
      for (const { env, set } of entered) {
        for (const one of this.ontoBridge(bridge, { env, set }, port, constant(bridge))) {
          if (one.at.kind === 'host') continue;
          const out = one.at.port;
          const forwarded = this.hooks.bridged('forward', [{ env: { ...one.env, iif: port, oif: out }, set: one.set }]);
          const both = forwarded.map((state) => ({ env: { ...state.env, iif: constant(bridge), oif: constant(bridge) }, set: state.set }));
          const passed = seen ? this.hooks.ip('postrouting', this.hooks.ip('forward', both)) : both;
          const last = this.hooks.bridged(
            'postrouting',
            // There a frame has a way out only.
            passed.map((state) => ({ env: { ...state.env, iif: absent, oif: out }, set: state.set })),
          );
          arrivals.push(...last.map((state): Arrival => ({ ...one, ...state })));
        }
      }
    }
    return arrivals;
  }

  /** To which of a bridge's ports; `from`: the port it came in by, undefined for the host's own. */
  private ontoBridge(bridge: string, { env, set }: State, from: Slot<string> | undefined, link: Slot<string>): readonly Arrival[] {
    const { bdd, fields } = this.machinery.universe;
    const stations = this.topology.stationsAt(bridge);
    const owned = bdd.and(set, this.layer2.at(bridge, env));
    const arrivals: Arrival[] = [];
    if (stations && owned !== 0) {
      const [port, mac] = this.topology.slotsOf(stations, env.destination);
      const kept = from === undefined ? owned : bdd.minus(owned, this.layer2.mayNot(from, port));
      arrivals.push({ env, set: kept, at: { kind: 'station', port, mac }, link });
    }
    const [outer] = this.topology.outerPorts(bridge);
    const others = bdd.minus(set, this.layer2.at(bridge, env));
    if (outer !== undefined && others !== 0) {
      const back = from === undefined ? 0 : (where(bdd, fields, from, (name) => name === outer || this.topology.isolated(name)) ?? 0);
      const kept = bdd.minus(others, this.topology.isolated(outer) ? back : from === undefined ? 0 : having(bdd, fields, from, outer));
      arrivals.push({ env, set: kept, at: { kind: 'outside', port: constant(outer), mac: constant(OTHER_MAC) }, link });
    }
    const there = arrivals.filter((one) => one.set !== 0);
    return this.egress(from === undefined ? this.throughBridge(there) : there);
  }

  private egress(arrivals: readonly Arrival[]): readonly Arrival[] {
    return arrivals.flatMap((arrival) => {
      if (arrival.at.kind === 'host') return [arrival];
      const { port } = arrival.at;
      return this.hooks.device('egress', [arrival], () => port).map((state): Arrival => ({ ...arrival, ...state }));
    });
  }
}

interface Ingress {
  readonly up: readonly State[];
  readonly across: readonly State[];
  readonly devious: readonly State[];
}

const sameSlot = (a: Slot<number>, b: Slot<number>): boolean => a.id === b.id;

function replyEnv({ env }: Arrival): Omit<Env, 'mac' | 'iif'> {
  const { source, destination, sport, dport } = env;
  return {
    ...env,
    source: destination,
    destination: source,
    sport: dport,
    dport: sport,
    oif: absent,
    mark: 0,
    routeMark: 0,
    tracking: 'none',
    reply: true,
  };
}

function split(bdd: Machinery['universe']['bdd'], states: readonly State[], part: number): readonly [inside: State[], outside: State[]] {
  const inside: State[] = [];
  const outside: State[] = [];
  for (const { env, set } of states) {
    const here = bdd.and(set, part);
    if (here !== 0) inside.push({ env, set: here });
    const rest = bdd.minus(set, here);
    if (rest !== 0) outside.push({ env, set: rest });
  }
  return [inside, outside];
}

function partition<T>(list: readonly T[], test: (one: T) => boolean): readonly [yes: T[], no: T[]] {
  return [list.filter(test), list.filter((one) => !test(one))];
}
