/**
 * Parties as sets of flows (design.md section 2, "Flows"): the same words for who sends and for who is meant. Two ways of sending: `possible` is everything that a
 * party could send under its own addresses; `rightful` leaves out what no honest network would bring this way.
 */
import type { Party } from '../../fabric/model.ts';
import type { FlowSet, FlowSpace } from '../symbolic/flow-space.ts';
import { endpointKey, familyOf, type Endpoint } from './endpoints.ts';
import type { Routed, World } from './world.ts';

export class Sides {
  readonly world: World;
  readonly space: FlowSpace;
  /** Those of this family whose port is there. */
  readonly endpoints: readonly Endpoint[];
  /** Guests under their own addresses, at their own ports. */
  readonly guests: FlowSet;
  /** The host's own programs, under any of its addresses. */
  readonly host: FlowSet;
  /** From outside, under any address that is not the host's own. */
  readonly outsideForged: FlowSet;
  /** The same without addresses that are inside. */
  readonly outside: FlowSet;
  readonly outsideRightful: FlowSet;
  /** Towards the host's own addresses. */
  readonly toHost: FlowSet;
  readonly toGuests: FlowSet;
  /** From or to addresses of an outer network's guests that are not there: whoever has them then is not Weft's to know. */
  readonly absent: FlowSet;
  /** Towards everybody who is not inside: neither a guest, nor the host, nor nobody. */
  readonly toOutside: FlowSet;
  readonly toInternet: FlowSet;
  /** Destinations at which there is somebody, as far as that can be known. */
  readonly toSomebody: FlowSet;
  /** From or to an address that installers get first: seldom what a guest's name means. */
  readonly bootstrap: FlowSet;
  readonly #byNic = new Map<string, Endpoint[]>();
  readonly #sources = new Map<Party, FlowSet>();
  readonly #destinations = new Map<Party, FlowSet>();

  constructor(world: World, space: FlowSpace) {
    this.world = world;
    this.space = space;
    this.endpoints = world.endpoints.filter(({ family, standing }) => family === space.family && standing);
    for (const endpoint of this.endpoints) {
      const key = endpointKey({ guest: endpoint.guest, nic: endpoint.nic.index });
      const list = this.#byNic.get(key);
      if (list) list.push(endpoint);
      else this.#byNic.set(key, [endpoint]);
    }
    const { and, minus, or } = bound(space);
    const addresses = this.endpoints.map(({ address }) => address);
    // Of an outer network's guests that are not there (a container that is not attached) nobody has the addresses.
    const absent = world.endpoints
      .filter(({ family, standing, network }) => family === space.family && !standing && network.kind === 'bridged')
      .map(({ address }) => address);
    this.absent = or(space.source(absent), space.destination(absent));
    const nobody = space.source(world.never);
    this.guests = this.from(this.endpoints);
    this.host = and(space.from([{ kind: 'host' }]), space.source(world.hostAddresses));
    this.outsideForged = minus(space.from(world.outer), or(space.source(world.hostAddresses), nobody));
    this.outside = minus(this.outsideForged, space.source([...world.inside, ...addresses, ...absent, ...world.elsewhere]));
    const rightful = world.outer.map((origin) =>
      origin.kind === 'host' ? space.none : and(space.from([origin]), routedSources(space, world.behind.get(origin.name))),
    );
    this.outsideRightful = and(this.outside, or(...rightful));
    this.toHost = space.destination(world.hostAddresses);
    this.toGuests = space.destination(addresses);
    this.toOutside = minus(
      space.all,
      or(
        this.toHost,
        this.toGuests,
        space.destination([...world.inside, ...absent, ...world.unpeopled, ...world.elsewhere, ...world.never]),
      ),
    );
    this.toInternet = minus(space.all, space.destination(world.notInternet));
    const installers = this.endpoints.filter(({ bootstrap }) => bootstrap);
    this.bootstrap = or(this.from(installers), this.to(installers));
    this.toSomebody = or(this.toHost, this.toGuests, this.toOutside);
  }

  /** From these guests' ports, under these addresses. */
  from(endpoints: readonly Endpoint[]): FlowSet {
    const pairs = [...Map.groupBy(endpoints, ({ nic }) => nic.port)].map(([name, list]) => ({
      origin: { kind: 'interface', name } as const,
      sources: list.map(({ address }) => address),
    }));
    return this.space.fromWithSource(pairs);
  }

  to(endpoints: readonly Endpoint[]): FlowSet {
    return this.space.destination(endpoints.map(({ address }) => address));
  }

  /** What this party could send under its own addresses. */
  source(party: Party): FlowSet {
    return cached(this.#sources, party, () => this.#source(party));
  }

  sources(parties: readonly Party[]): FlowSet {
    return this.space.or(...parties.map((party) => this.source(party)));
  }

  destination(party: Party): FlowSet {
    return cached(this.#destinations, party, () => this.#destination(party));
  }

  destinations(parties: readonly Party[]): FlowSet {
    return this.space.or(...parties.map((party) => this.destination(party)));
  }

  /** Everything that honest senders send. */
  get honest(): FlowSet {
    return this.space.or(this.guests, this.host, this.outsideRightful);
  }

  /** The guests' addresses of this family among a party's NICs. */
  endpointsOf(party: Party): readonly Endpoint[] {
    if (party.kind !== 'guests') return [];
    return party.endpoints.flatMap((one) => this.#byNic.get(endpointKey(one)) ?? []);
  }

  /** Flows of a machine to itself, which no host sees unless it is asked for a translation. */
  toItself(endpoints: readonly Endpoint[] = this.endpoints): FlowSet {
    const machines = [...Map.groupBy(endpoints, ({ machine }) => machine).values()];
    return union(
      this.space,
      machines.map((list) => this.space.and(this.from(list), this.to(list))),
    );
  }

  #source(party: Party): FlowSet {
    const { space, world } = this;
    const everybody = (): FlowSet => space.or(this.guests, this.host, this.outside);
    switch (party.kind) {
      case 'guests':
        return this.from(this.endpointsOf(party));
      case 'prefix':
        return ofFamily(party.prefix, space) ? space.and(everybody(), space.source([party.prefix])) : space.none;
      case 'host':
        return this.host;
      case 'named-host':
        return party.host === world.host ? this.host : space.and(this.outside, space.source(this.#addressesOf(party.host)));
      case 'internet':
        return space.minus(this.outside, space.source(world.notInternet));
      case 'any':
        return everybody();
      // Of a name nothing is sent.
      case 'domain':
        return space.none;
    }
  }

  #destination(party: Party): FlowSet {
    const { space, world } = this;
    switch (party.kind) {
      case 'guests':
        return this.to(this.endpointsOf(party));
      case 'prefix':
        return ofFamily(party.prefix, space) ? space.destination([party.prefix]) : space.none;
      case 'host':
        return this.toHost;
      case 'named-host':
        return party.host === world.host ? this.toHost : space.destination(this.#addressesOf(party.host));
      case 'internet':
        return this.toInternet;
      case 'any':
        return space.all;
      // What a name's answers open is known only when somebody has asked.
      case 'domain':
        return space.none;
    }
  }

  #addressesOf(host: string): readonly string[] {
    return this.world.fabric.hosts.find(({ name }) => name === host)?.addresses ?? [];
  }
}

const ofFamily = (prefix: string, space: FlowSpace): boolean => familyOf(prefix) === space.family;

/** Sources to which the routes lead by one interface. */
function routedSources(space: FlowSpace, routed: Routed | undefined): FlowSet {
  return foldRouted(space, routed, (prefixes) => space.source(prefixes));
}

/** Destinations to which the routes lead by an outer interface; bridged guests find their own way. */
export function routedDestinations(sides: Sides): FlowSet {
  const { space, world } = sides;
  return space.or(...[...world.behind.values()].map((routed) => foldRouted(space, routed, (prefixes) => space.destination(prefixes))));
}

function foldRouted(space: FlowSpace, routed: Routed | undefined, of: (prefixes: readonly string[]) => FlowSet): FlowSet {
  let set = space.none;
  const steps = (routed?.steps ?? []).filter(({ prefix }) => ofFamily(prefix, space));
  for (let i = 0; i < steps.length;) {
    const there = steps[i]?.there;
    const group: string[] = [];
    // Steps of one kind in a row need no order.
    for (; i < steps.length && steps[i]?.there === there; i++) group.push(steps[i]?.prefix ?? '');
    set = there === true ? space.or(set, of(group)) : space.minus(set, of(group));
  }
  return set;
}

/** Of many sets at once: halves are joined, so that small ones meet small ones. */
export function union(space: FlowSpace, sets: readonly FlowSet[]): FlowSet {
  if (sets.length <= 2) return space.or(...sets);
  const middle = sets.length >>> 1;
  return space.or(union(space, sets.slice(0, middle)), union(space, sets.slice(middle)));
}

function bound(space: FlowSpace): Pick<FlowSpace, 'and' | 'minus' | 'or'> {
  return {
    and: (...sets) => space.and(...sets),
    minus: (a, b) => space.minus(a, b),
    or: (...sets) => space.or(...sets),
  };
}

function cached<K, V>(cache: Map<K, V>, key: K, make: () => V): V {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const value = make();
  cache.set(key, value);
  return value;
}
