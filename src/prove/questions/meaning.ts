/**
 * The flows that the file allows, worked out from its rules and defaults alone (design.md section 2, "Defaults and meanings") and from nothing that the compiler
 * makes of them. Destinations are those after translation, as everywhere in flow sets; so what is asked at a gateway's port 53 stands here as what it becomes.
 */
import type { Ports } from '../../config/flow.ts';
import { prefixesOf } from '../../fabric/addressing.ts';
import type { Publish, Rule } from '../../fabric/model.ts';
import { WEFT_DNS_PORT } from '../../hoststate/ports.ts';
import type { FlowSet, FlowSpace } from '../symbolic/flow-space.ts';
import { familyOf, type Endpoint } from './endpoints.ts';
import { dhcpFlows, echo, portsSet, protocolNumbers, rangesOf } from './ports.ts';
import { routedDestinations, union, type Sides } from './sides.ts';
import { hasOwnRules, type Gateway } from './world.ts';

export interface Meaning {
  /** Flows of which the file decides: from or to a guest with a policy, and what must never pass whatever it says. */
  readonly domain: FlowSet;
  /** Of the domain, what may be delivered. */
  readonly allowed: FlowSet;
  /** What has to be delivered and answered, from every source port: allowed, between those who are there and honest. */
  readonly required: FlowSet;
  /** Of `allowed`, what Weft itself offers its guests: DHCP, DNS and ping at their gateway. */
  readonly housekeeping: FlowSet;
  /** What questions at port 53 of a gateway become. */
  readonly questions: FlowSet;
  /** Of it, DHCP, which passes whatever the file says. */
  readonly leases: FlowSet;
  /** Between guests on an outer network and others here: they send by their own router, of which nothing is known. */
  readonly byRouter: FlowSet;
  /** By rule, what it speaks of (whether it decides or not). */
  ruleSet(rule: Rule): FlowSet;
  publishSet(one: Publish): FlowSet;
  /** `egress: allow` and `from-host: allow`. */
  readonly egress: FlowSet;
  readonly fromHost: FlowSet;
  readonly blocked: FlowSet;
  /** Of published ports, as they are asked for: that never comes to the host itself. */
  readonly taken: FlowSet;
}

export function meaningOf(sides: Sides): Meaning {
  const { space, world } = sides;
  const { fabric, gateways } = world;
  const filtered = sides.endpoints.filter(({ network }) => network.filter === 'on');
  const isolated = sides.endpoints.filter(({ network }) => network.kind === 'isolated');
  const shared = sides.endpoints.filter(({ network }) => network.kind === 'bridged');
  const someone = space.or(sides.guests, sides.host, sides.outside);

  const rules = new Map<Rule, FlowSet>();
  const ruleSet = (rule: Rule): FlowSet => {
    const known = rules.get(rule);
    if (known !== undefined) return known;
    const set = space.and(sides.sources(rule.from), sides.destinations(rule.to), portsSet(space, rule.ports));
    rules.set(rule, set);
    return set;
  };
  const published = new Map<Publish, Published>();
  const publication = (one: Publish): Published => {
    const known = published.get(one);
    if (known !== undefined) return known;
    const set = one.host === world.host ? publishedFlows(one, sides) : { flows: space.none, asked: space.none };
    published.set(one, set);
    return set;
  };
  const blocked = union(space, fabric.block.map(ruleSet));
  const allowed = union(space, fabric.allow.map(ruleSet));
  const publishSet = (one: Publish): FlowSet => publication(one).flows;
  const translated = union(space, fabric.publish.map(publishSet));
  const taken = union(
    space,
    fabric.publish.map((one) => publication(one).asked),
  );

  const egress = space.and(
    sides.from(sides.endpoints.filter(({ nic, network }) => nic.egress === 'allow' && network.kind !== 'isolated')),
    sides.toInternet,
  );
  const fromHost = space.and(sides.host, sides.to(filtered.filter(({ network }) => network.fromHost === 'allow')));
  const local = gateways.filter(({ address }) => familyOf(address) === space.family);
  const services = offered(sides, local, filtered, fabric.block);

  // Whatever is allowed: isolated networks and the outside have nothing to do with each other.
  const outer = space.or(sides.outside, sides.from(shared));
  const toOuter = space.or(sides.toOutside, sides.to(shared), space.destination(world.elsewhere));
  const sealed = space.or(space.and(sides.from(isolated), toOuter), space.and(outer, sides.to(isolated)));
  // Nor is a private address reached from there but by a translation, nor a gateway at all, nor another host's network by its address.
  const closed = space.destination(local.filter((one) => !one.public).map(({ address }) => address));
  const hidden = space.or(
    space.minus(space.and(outer, space.destination(world.keptIn)), sides.toHost),
    space.and(sides.outsideForged, closed),
  );
  const elsewhere = space.and(sides.guests, space.destination(world.elsewhere));

  // What a name's answers open is known only when somebody has asked; it is never more than internet.
  const byName = union(
    space,
    fabric.allow
      .filter(({ to }) => to.some(({ kind }) => kind === 'domain'))
      .map((rule) => space.and(sides.sources(rule.from), sides.toInternet, portsSet(space, rule.ports))),
  );
  const plain = space.minus(space.or(allowed, egress, fromHost), space.or(hidden, elsewhere));
  const opened = space.minus(space.or(plain, translated, services.required, services.optional), space.or(blocked, sealed));

  const nobody = space.destination(world.never);
  const strangers = space.or(someone, sides.outsideForged);
  const decided = space.or(
    space.and(sides.from(filtered), someone),
    space.and(strangers, sides.to(filtered)),
    sealed,
    space.and(sides.outsideForged, space.destination(world.keptIn)),
    space.and(sides.outsideForged, closed),
  );
  const dnsAsked = union(
    space,
    local.map((one) =>
      space.and(sides.from(ofNetwork(filtered, one)), space.destination([one.address]), tcpOrUdp(space), space.dport([port53])),
    ),
  );
  const domain = space.minus(decided, space.or(nobody, sides.absent));
  const named = space.minus(byName, space.or(blocked, sealed));
  const inDomain = space.and(space.or(opened, named, services.always, space.minus(services.dns, services.dnsBlocked)), domain);
  const reached = space.or(sides.toHost, sides.toGuests, hasOwnRules(world.model) ? space.none : routedDestinations(sides));
  const outward = hasOwnRules(world.model) ? space.none : space.and(sides.from(shared), sides.toOutside);
  const required = space.and(
    space.or(opened, space.minus(services.dns, services.dnsBlocked)),
    sides.honest,
    sides.toSomebody,
    space.or(reached, outward),
    domain,
  );
  // Addresses that are not seen outside are no way for the host and those who are there to speak with each other.
  const isolatedSubnets = world.networks.flatMap((network) => (network.kind === 'isolated' ? prefixesOf(network) : []));
  const inward = space.or(
    // Under the address that it has in an isolated network, it counts as one of its guests.
    space.minus(space.and(sides.host, space.source(isolatedSubnets)), sides.to(isolated)),
    space.and(sides.host, space.source(world.inside), sides.to(shared)),
    space.and(sides.from(shared), sides.toHost, space.destination(world.inside)),
  );
  const byRouter = space.minus(beyondRouter(sides, shared), translated);
  // Who is outside and calls a gateway's address, which is nobody's there, gets no answer from it (chain postrouting).
  const isInner = ({ address }: Publish): boolean => world.gateways.some((one) => !one.public && one.address === address);
  const publishedAt = (inner: boolean): FlowSet =>
    space.or(...world.fabric.publish.filter((one) => isInner(one) === inner).map(publishSet));
  const unanswered = space.minus(space.and(sides.outside, publishedAt(true)), publishedAt(false));
  return {
    domain,
    allowed: inDomain,
    required: space.minus(
      required,
      space.or(sides.toItself(), dnsAsked, services.optional, dhcpFlows(space), inward, taken, byRouter, unanswered),
    ),
    housekeeping: space.or(services.always, services.dns, services.required, services.optional),
    leases: services.always,
    questions: services.dns,
    byRouter,
    ruleSet,
    publishSet,
    egress,
    fromHost,
    blocked,
    taken,
  };
}

const port53 = { from: 53, to: 53 };
const dnsAnswered = { from: WEFT_DNS_PORT, to: WEFT_DNS_PORT };
const tcpOrUdp = (space: FlowSpace): FlowSet => space.protocol([protocolNumbers.tcp, protocolNumbers.udp]);
const ofNetwork = (endpoints: readonly Endpoint[], { network }: Gateway): readonly Endpoint[] =>
  endpoints.filter((endpoint) => endpoint.network === network);

/** From or to guests on an outer network, one way or the other by that network's router: all but the host where it is on that network, their neighbours, and what is masqueraded. */
function beyondRouter(sides: Sides, shared: readonly Endpoint[]): FlowSet {
  const { space, world } = sides;
  const hidden = space.source(world.keptIn);
  const ways = [...Map.groupBy(shared, ({ network }) => network).values()].flatMap((own) => {
    const others = space.minus(sides.toGuests, sides.to(own));
    const strangers = space.minus(sides.guests, space.or(sides.from(own), hidden));
    // Without an address of that network the host is no neighbour either.
    const neighbour = world.gateways.some(({ network, address }) => network === own[0]?.network && familyOf(address) === space.family);
    const host = neighbour ? [] : [space.and(sides.from(own), sides.toHost), space.and(sides.host, sides.to(own))];
    return [space.and(sides.from(own), others), space.and(strangers, sides.to(own)), ...host];
  });
  return space.or(...ways);
}

interface Published {
  /** What it lets through, after the translation. */
  readonly flows: FlowSet;
  /** What it translates, as it was asked for: that never comes to the host itself. */
  readonly asked: FlowSet;
}

/** For who may use it: without `from` everybody but the guests of isolated networks. */
function publishedFlows({ address, ports, to, from }: Publish, sides: Sides): Published {
  const { space, world } = sides;
  const nothing = { flows: space.none, asked: space.none };
  if (address !== undefined && familyOf(address) !== space.family) return nothing;
  const targets = sides.endpointsOf({ kind: 'guests', text: '', endpoints: [to] }).filter(({ bootstrap }) => !bootstrap);
  const inner = world.gateways.filter((one) => !one.public).map((one) => one.address);
  const outerAddresses = world.hostAddresses.filter((own) => familyOf(own) === space.family && !inner.includes(own));
  // Without an address of the family there is nothing to call.
  const positions = address === undefined ? outerAddresses : [address];
  // A container that is not attached has its ports all the same: they lead nowhere.
  const has = world.endpoints.some(
    (one) => one.guest === to.guest && one.nic.index === to.nic && one.family === space.family && !one.bootstrap,
  );
  if (!has || positions.length === 0) return nothing;
  const guests = sides.from(sides.endpoints.filter(({ network }) => network.kind !== 'isolated'));
  const open = space.or(guests, sides.host, sides.outside);
  const users = from === undefined ? open : sides.sources(from);
  const doors = (first: (range: Publish['ports'][number]) => number): FlowSet =>
    space.or(
      ...ports.map((range) => {
        const [start, length] = [first(range), range.last - range.first];
        return space.and(space.protocol([protocolNumbers[range.protocol]]), space.dport([{ from: start, to: start + length }]));
      }),
    );
  return {
    flows: space.and(
      users,
      sides.to(targets),
      doors(({ target }) => target),
    ),
    asked: space.and(
      users,
      space.destination(positions),
      doors(({ first }) => first),
    ),
  };
}

interface Services {
  /** Ping of the gateway, unless blocked. */
  readonly required: FlowSet;
  /** Let in though nothing need answer. */
  readonly optional: FlowSet;
  /** DHCP at the gateway and its answers, which no block touches. */
  readonly always: FlowSet;
  /** What questions at port 53 of the gateway become. */
  readonly dns: FlowSet;
  /** Of it, what a block of port 53 at the gateway forbids. */
  readonly dnsBlocked: FlowSet;
}

/** What a guest with a policy may always ask of its own gateway. */
function offered(sides: Sides, gateways: readonly Gateway[], filtered: readonly Endpoint[], block: readonly Rule[]): Services {
  const { space } = sides;
  const all = gateways.map((one) => {
    const from = sides.from(ofNetwork(filtered, one));
    const to = space.destination([one.address]);
    const bridged = one.network.kind === 'bridged';
    const ping = bridged ? space.none : space.and(from, to, echo(space));
    const plainDns = bridged ? space.none : space.and(from, to, tcpOrUdp(space), space.dport([port53]));
    const dns = space.and(from, space.destination([one.answers]), tcpOrUdp(space), space.dport([dnsAnswered]));
    const leases = space.and(from, to, between(space, 'client'));
    return { ping, plainDns, dns, leases, blocked: space.and(dns, blockedQuestions(sides, one, block)) };
  });
  return {
    required: union(
      space,
      all.map(({ ping }) => ping),
    ),
    optional: union(
      space,
      all.map(({ plainDns }) => plainDns),
    ),
    always: union(space, [...all.map(({ leases }) => leases), space.and(sides.host, sides.to(filtered), between(space, 'server'))]),
    dns: union(
      space,
      all.map(({ dns }) => dns),
    ),
    dnsBlocked: union(
      space,
      all.map(({ blocked }) => blocked),
    ),
  };
}

/** What DHCP's clients or servers send; rules do not ask in which family they do. */
function between(space: FlowSpace, sender: 'client' | 'server'): FlowSet {
  const pairs = [
    [68, 67],
    [546, 547],
  ].map(([client = 0, server = 0]) => (sender === 'client' ? [client, server] : [server, client]));
  const flows = pairs.map(([from = 0, to = 0]) => space.and(space.sport([{ from, to: from }]), space.dport([{ from: to, to }])));
  return space.and(space.protocol([protocolNumbers.udp]), space.or(...flows));
}

/** By whom and with which protocol the gateway's port 53 must not be asked. */
function blockedQuestions(sides: Sides, { address }: Gateway, block: readonly Rule[]): FlowSet {
  const { space } = sides;
  const covers = (ports: Ports, protocol: 'tcp' | 'udp'): boolean =>
    rangesOf(ports, protocol).some(({ from, to }) => from <= 53 && 53 <= to);
  const at = space.destination([address]);
  return union(
    space,
    block
      .filter((rule) => space.and(sides.destinations(rule.to), at) !== space.none)
      .map((rule) => {
        const protocols = (['tcp', 'udp'] as const).filter((protocol) => covers(rule.ports, protocol));
        return space.and(sides.sources(rule.from), space.protocol(protocols.map((protocol) => protocolNumbers[protocol])));
      }),
  );
}
