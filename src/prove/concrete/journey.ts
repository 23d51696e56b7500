/**
 * A packet's way through the host in the kernel's order: from the interface it enters by, or the host's own program, to where it ends, in every
 * world that is possible. Nothing here knows sets of packets: this is the second engine, which has to agree with the symbolic one.
 */
import type { Destination, ModelInterface, Origin } from '../kernel-model.ts';
import type { DecidedBy } from '../packet-model.ts';
import { walkBaseChain, type Post, type Spared } from './chain.ts';
import { decide, NOBODY, tracked, undecided, untranslate, type Flight } from './flight.ts';
import type { BaseChain, Host } from './host.ts';
import { bothIsolated, chosenBySender, outerPort, stationOn, type Way } from './layer2.ts';
import { findRoute, isOwn, localType, type Route } from './routing.ts';
import { refusesSource } from './source-check.ts';
import { surroundingsOf } from './surroundings.ts';
import type { Hook } from './value.ts';
import { doubting, merged, stepping, type World } from './world.ts';

export type End =
  | { readonly kind: 'arrived'; readonly at: Destination; readonly world: World }
  | { readonly kind: 'dropped'; readonly by: DecidedBy; readonly world: World }
  /** What becomes of it is not known; the world's doubts say why. */
  | { readonly kind: 'lost'; readonly world: World };

/** All that may become of the packet. */
export function travel(host: Host, origin: Origin, world: World, spared: Spared): readonly End[] {
  const journey = new Journey(host, spared);
  const unread = host.missing('nftables', 'links', 'addresses');
  const begun = unread === undefined ? world : doubting(world, { what: `the host's ${unread} could not be read` });
  if (unread !== undefined) journey.ends.push({ kind: 'lost', world: begun });
  if (origin.kind === 'host') journey.leaveHost(begun);
  else journey.arrive(begun, origin.name);
  return journey.ends;
}

/** A hook of the kernel, with the interfaces that it has. */
interface Place {
  readonly layer: 'ip' | 'bridge' | 'device';
  readonly hook: Hook;
  /** Empty: none. Undefined: not known. */
  readonly iif: string | undefined;
  readonly oif: string | undefined;
  readonly device?: string;
  /** Whom the frame is for, where the packet leaves by a route. */
  readonly nextHop?: string;
}

/** NF_IP_PRI_CONNTRACK, NF_IP_PRI_NAT_DST, NF_IP_PRI_NAT_SRC. All chains of type nat are called at one of the latter two, whatever their own priority. */
const CONNTRACK = -200;
const NAT = { destination: -100, source: 100 } as const;

type Stage = BaseChain | { readonly type: 'conntrack' | 'translation'; readonly priority: number };

class Journey {
  readonly ends: End[] = [];
  private readonly host: Host;
  private readonly spared: Spared;

  constructor(host: Host, spared: Spared) {
    this.host = host;
    this.spared = spared;
  }

  /** A frame from outside at an interface. */
  arrive(world: World, name: string): void {
    const port = this.host.interface(name);
    if (!port?.up) return this.drop(world, 'interface', `there is no interface ${name} that is up`);
    const way = chosenBySender(this.host, port, world.flight.destination);
    for (const one of this.pass([world], { layer: 'device', hook: 'ingress', iif: name, oif: '', device: name })) {
      const bridge = port.portOf && this.host.interface(port.portOf.bridge);
      if (bridge) this.enterBridge(one, port, bridge, way);
      else this.receive(one, name, false);
    }
  }

  private enterBridge(world: World, port: ModelInterface, bridge: ModelInterface, way: Way): void {
    if (!bridge.up) return this.drop(world, `bridge ${bridge.name}`, `the bridge ${bridge.name} is down`);
    const place = { layer: 'bridge', hook: 'prerouting', iif: port.name, oif: '' } as const;
    const before = this.pass([world], place, (priority) => priority <= 0);
    const seen = this.nfCall(bridge, world.flight.family);
    const inside = seen ? this.pass(before, { layer: 'ip', hook: 'prerouting', iif: bridge.name, oif: '' }) : before;
    for (const one of this.pass(inside, place, (priority) => priority > 0)) {
      const turned = seen && one.flight.destination !== world.flight.destination ? this.turned(one, bridge) : way;
      if (turned.kind === 'across') this.cross(one, port, bridge, turned);
      else this.goUp(one, port, bridge, seen);
    }
  }

  /** br_netfilter has translated the destination: what is behind the same bridge is bridged there at once, all else goes up (br_netfilter_hooks.c). */
  private turned(world: World, bridge: ModelInterface): Way {
    const { flight } = world;
    const route = findRoute(this.host, asked(flight, bridge.name));
    if (route.kind !== 'route' || route.type !== 'unicast' || route.link !== bridge.name) return { kind: 'up' };
    const station = stationOn(this.host, bridge.name, route.via ?? flight.destination);
    const port = station?.port ?? outerPort(this.host, bridge.name);
    return port === undefined || station?.throughHost ? { kind: 'up' } : { kind: 'across', port, station };
  }

  private goUp(world: World, port: ModelInterface, bridge: ModelInterface, prerouted: boolean): void {
    const up = stepping(world, { where: `bridge ${bridge.name}`, rule: `from port ${port.name}`, effect: 'up to the host' });
    const inside = this.pass([up], { layer: 'bridge', hook: 'input', iif: port.name, oif: '' });
    const seen = this.pass(inside, { layer: 'device', hook: 'ingress', iif: bridge.name, oif: '', device: bridge.name });
    for (const one of seen) this.receive(one, bridge.name, prerouted);
  }

  private cross(world: World, from: ModelInterface, bridge: ModelInterface, { port }: Extract<Way, { kind: 'across' }>): void {
    const where = `bridge ${bridge.name}`;
    const to = this.host.interface(port);
    if (!to?.up) return this.drop(world, where, `the port ${port} is down`);
    if (bothIsolated(from, to)) return this.drop(world, where, `the ports ${from.name} and ${port} are isolated from each other`);
    if (from.name === port && from.portOf?.hairpin !== true)
      return this.drop(world, where, `the port ${port} has no hairpin: nothing goes back to where it came from`);
    const seen = this.nfCall(bridge, world.flight.family);
    const crossing = stepping(world, { where, rule: `from port ${from.name}`, effect: `across to port ${port}` });
    const place = { layer: 'bridge', hook: 'forward', iif: from.name, oif: port } as const;
    let worlds = this.pass([crossing], place, (priority) => priority <= 0);
    if (seen) worlds = this.pass(worlds, { layer: 'ip', hook: 'forward', iif: bridge.name, oif: bridge.name });
    worlds = this.pass(worlds, place, (priority) => priority > 0);
    worlds = this.pass(worlds, { layer: 'bridge', hook: 'postrouting', iif: '', oif: port });
    if (seen) worlds = this.pass(worlds, { layer: 'ip', hook: 'postrouting', iif: '', oif: bridge.name });
    this.leaveBy(worlds, port);
  }

  /** IP of the host itself, from an interface that is no port (ip_rcv, ip6_rcv). */
  private receive(world: World, iif: string, prerouted: boolean): void {
    const worlds = prerouted ? [world] : this.pass([world], { layer: 'ip', hook: 'prerouting', iif, oif: '' });
    for (const one of worlds) this.routeIn(one, iif);
  }

  private routeIn(world: World, iif: string): void {
    const { flight } = world;
    if (localType(this.host, flight.destination) === 'multicast')
      return this.lose(world, `whether the host listens to the group ${flight.destination}`);
    if (iif !== 'lo' && isLoopback(flight.destination) && !(flight.family === 4 && this.either('route_localnet', iif)))
      return this.drop(world, 'routing', `${flight.destination} is a loopback address, which nothing from outside reaches`);
    const route = flight.destination === EVERYBODY ? toEverybody(iif) : findRoute(this.host, asked(flight, iif));
    if (route.kind === 'unknown') return this.lose(world, route.what);
    if (route.kind === 'refused') return this.drop(world, 'routing', noRoute(flight.destination, route.how));
    const local = route.type !== 'unicast';
    if (!local) {
      const forwards = this.forwards(flight.family, iif);
      if (forwards === undefined) return this.lose(world, 'whether the host forwards: its sysctls could not be read');
      if (!forwards) return this.drop(world, 'routing', `the host does not forward ${flight.family === 4 ? 'IPv4' : 'IPv6'} from ${iif}`);
    }
    const refused = refusesSource(this.host, flight, iif, local ? undefined : route.link);
    if (refused) return refused.certain ? this.drop(world, refused.where, refused.why) : this.lose(world, refused.why);
    const routed = stepping(world, { where: 'routing', rule: routeText(route), effect: local ? 'to the host' : `out by ${route.link}` });
    if (local) this.input(routed, iif);
    else this.forward(routed, iif, route);
  }

  private input(world: World, iif: string): void {
    for (const one of this.pass([world], { layer: 'ip', hook: 'input', iif, oif: '' }))
      this.ends.push({ kind: 'arrived', at: { kind: 'host' }, world: one });
  }

  private forward(world: World, iif: string, route: Extract<Route, { kind: 'route' }>): void {
    if (world.flight.family === 6 && isLinkLocal(world.flight.source))
      return this.drop(world, 'routing', `${world.flight.source} is a link-local address, which is not forwarded`);
    const nextHop = route.via ?? world.flight.destination;
    const worlds = this.pass([world], { layer: 'ip', hook: 'forward', iif, oif: route.link });
    for (const one of this.pass(worlds, { layer: 'ip', hook: 'postrouting', iif, oif: route.link, nextHop }))
      this.transmit(one, route.link, nextHop);
  }

  /** A packet of one of the host's programs. */
  leaveHost(world: World): void {
    const route = this.routeOut(world);
    if (!route) return;
    const routed = stepping(world, { where: 'routing', rule: routeText(route), effect: `out by ${route.link}` });
    for (const one of this.pass([routed], { layer: 'ip', hook: 'output', iif: '', oif: route.link })) {
      const again = one.flight.astray ? this.routeOut(one) : route;
      if (!again) continue;
      const sent =
        again.link === route.link ? one : stepping(one, { where: 'routing', rule: routeText(again), effect: `out by ${again.link}` });
      this.leaveRouted(sent, again);
    }
  }

  private leaveRouted(world: World, route: Extract<Route, { kind: 'route' }>): void {
    const nextHop = route.via ?? world.flight.destination;
    for (const one of this.pass([world], { layer: 'ip', hook: 'postrouting', iif: '', oif: route.link, nextHop })) {
      if (route.link === 'lo') this.loop(one);
      else this.transmit(one, route.link, nextHop);
    }
  }

  /** To one of the host's own addresses: out by `lo` and in again, with its route (loopback packets keep it). */
  private loop(world: World): void {
    const out = this.pass([world], { layer: 'device', hook: 'egress', iif: '', oif: 'lo', device: 'lo' });
    const back = this.pass(out, { layer: 'device', hook: 'ingress', iif: 'lo', oif: '', device: 'lo' });
    for (const one of this.pass(back, { layer: 'ip', hook: 'prerouting', iif: 'lo', oif: '' })) this.input(one, 'lo');
  }

  private routeOut(world: World): Extract<Route, { kind: 'route' }> | undefined {
    const { flight } = world;
    if (localType(this.host, flight.destination) === 'multicast')
      this.lose(world, `by which interface the host speaks to the group ${flight.destination}`);
    else {
      const link = isLinkLocal(flight.destination) ? this.linkOf(flight.destination) : undefined;
      const route = findRoute(this.host, { ...asked(flight, 'lo'), ...(link === undefined ? {} : { oif: link }) });
      // The local table says where the address stands; packets for it go by the loopback interface.
      if (route.kind === 'route') return route.type === 'local' ? { ...route, link: 'lo', via: undefined } : route;
      if (route.kind === 'unknown') this.lose(world, route.what);
      else this.drop(world, 'routing', noRoute(flight.destination, route.how));
    }
    return undefined;
  }

  /** Where a station with that link-local address is. */
  private linkOf(address: string): string | undefined {
    if (isOwn(this.host, address)) return undefined;
    const station = this.host.model.stations.find(({ addresses }) => addresses.includes(address));
    return station && (this.host.interface(station.port)?.portOf?.bridge ?? station.port);
  }

  /** Out of an interface, to whom the next hop is. */
  private transmit(world: World, link: string, nextHop: string): void {
    const from = this.host.interface(link);
    if (!from) return this.drop(world, 'interface', `there is no interface ${link}`);
    const bridged = from.kind === 'bridge';
    const station = bridged
      ? stationOn(this.host, link, nextHop)
      : this.host.stationsAt(link).find(({ addresses }) => addresses.includes(nextHop));
    const port = bridged ? (station?.port ?? outerPort(this.host, link)) : link;
    const ether =
      from.kind === 'wireguard' || from.mac === undefined ? undefined : { source: from.mac, destination: station?.mac ?? NOBODY };
    const framed = { ...world, flight: { ...world.flight, ether } };
    let worlds = this.pass([framed], { layer: 'device', hook: 'egress', iif: '', oif: link, device: link });
    if (bridged) {
      worlds = this.pass(worlds, { layer: 'bridge', hook: 'output', iif: '', oif: port });
      worlds = this.pass(worlds, { layer: 'bridge', hook: 'postrouting', iif: '', oif: port });
      if (port !== undefined) return this.leaveBy(worlds, port);
    }
    for (const one of worlds) this.ends.push({ kind: 'arrived', at: this.endAt(link, one.flight), world: one });
  }

  private leaveBy(worlds: readonly World[], port: string): void {
    for (const one of this.pass(worlds, { layer: 'device', hook: 'egress', iif: '', oif: port, device: port }))
      this.ends.push({ kind: 'arrived', at: this.endAt(port, one.flight), world: one });
  }

  /** With the station whose address it is, or outside: beyond a station that passes it on, too. */
  private endAt(port: string, { destination }: Flight): Destination {
    const there = this.host.stationsAt(port).some(({ addresses }) => addresses.includes(destination));
    return there ? { kind: 'station', port } : { kind: 'outside', interface: port };
  }

  /** Through the chains of a hook; `only` those of some priorities. */
  private pass(worlds: readonly World[], place: Place, only?: (priority: number) => boolean): readonly World[] {
    let going = worlds;
    for (const stage of this.stages(place)) {
      if (going.length === 0) return going;
      if (only?.(stage.priority) === false) continue;
      going = merged(going.flatMap((world) => this.stage(world, stage, place)));
    }
    return going;
  }

  private stages({ layer, hook, device }: Place): readonly Stage[] {
    const chains = this.host.chains(layer, hook, device);
    if (layer !== 'ip') return chains;
    const filters = chains.filter(({ type }) => type !== 'nat');
    const tracking = hook === 'prerouting' || hook === 'output' ? [{ type: 'conntrack' as const, priority: CONNTRACK }] : [];
    const part = translates(hook);
    const translation = part === undefined ? [] : [{ type: 'translation' as const, priority: NAT[part] }];
    return [...tracking, ...translation, ...filters].toSorted((a, b) => a.priority - b.priority);
  }

  private stage(world: World, stage: Stage, place: Place): readonly World[] {
    if (stage.type === 'conntrack') return [{ ...world, flight: tracked(world.flight) }];
    if (stage.type === 'translation') return this.translation(world, place);
    return 'chain' in stage ? this.chain(world, stage, place) : [world];
  }

  private chain(world: World, { table, chain, type }: BaseChain, place: Place): readonly World[] {
    if (table.family === (world.flight.family === 4 ? 'ip6' : 'ip')) return [world];
    const { hook, iif, oif, nextHop } = place;
    const post: Post = { table, hook, iif, oif, type, surroundings: surroundingsOf(this.host, nextHop) };
    const { passed, dropped, lost } = walkBaseChain(chain, world, post, this.spared);
    for (const one of dropped) this.ends.push({ kind: 'dropped', by: one.by, world: one.world });
    for (const one of lost) this.ends.push({ kind: 'lost', world: doubting(one.world, one.by) });
    // Only these look whether what they changed leads elsewhere (nf_route_table_hook4, nf_nat_ipv4_local_fn).
    return hook === 'output' && type !== 'filter' ? passed.map((one) => marked(one, world.flight)) : passed;
  }

  /** First packets ask the NAT chains, in the order of their own priorities, until one has chosen; all others follow what was chosen. */
  private translation(world: World, place: Place): readonly World[] {
    const part = translates(place.hook);
    if (part === undefined) return [world];
    if (!undecided(world.flight, part)) {
      const flight = untranslate(world.flight, part);
      if (flight === world.flight) return [world];
      const effect = part === 'source' ? `source back to ${flight.source}` : `destination back to ${flight.destination}`;
      return [stepping(world, { where: 'connection tracking', rule: 'the translation of the first packet', effect, packet: flight })];
    }
    let worlds: readonly World[] = [world];
    for (const chain of this.host.chains('ip', place.hook)) {
      if (chain.type === 'nat')
        worlds = merged(worlds.flatMap((one) => (undecided(one.flight, part) ? this.chain(one, chain, place) : [one])));
    }
    return worlds.map((one) => ({ ...one, flight: decide(one.flight, part) }));
  }

  private drop(world: World, where: string, what: string): void {
    this.ends.push({ kind: 'dropped', by: { what }, world: stepping(world, { where, rule: what, effect: 'drop' }) });
  }

  private lose(world: World, what: string): void {
    this.ends.push({ kind: 'lost', world: doubting(stepping(world, { where: 'routing', rule: what, effect: 'not known' }), { what }) });
  }

  private nfCall(bridge: ModelInterface, family: 4 | 6): boolean {
    return (family === 4 ? bridge.nfCall?.v4 : bridge.nfCall?.v6) === true;
  }

  /** Undefined: not known. */
  private forwards(family: 4 | 6, iif: string): boolean | undefined {
    const { host } = this;
    const values =
      family === 4
        ? [
            host.setting(`net/ipv4/conf/${iif}/forwarding`) ??
              host.setting('net/ipv4/ip_forward') ??
              host.setting('net/ipv4/conf/all/forwarding'),
          ]
        : [host.setting('net/ipv6/conf/all/forwarding'), host.setting(`net/ipv6/conf/${iif}/force_forwarding`)];
    if (values.some((value) => (value ?? 0) !== 0)) return true;
    return host.missing('sysctls') === undefined ? false : undefined;
  }

  private either(setting: string, name: string): boolean {
    return ['all', name].some((one) => (this.host.setting(`net/ipv4/conf/${one}/${setting}`) ?? 0) !== 0);
  }
}

const marked = (world: World, { mark, source, destination }: Flight): World =>
  world.flight.destination !== destination || world.flight.source !== source || world.flight.mark !== mark
    ? { ...world, flight: { ...world.flight, astray: true } }
    : world;

const asked = (flight: Flight, iif: string): Parameters<typeof findRoute>[1] => ({
  family: flight.family,
  destination: flight.destination,
  source: flight.source,
  mark: flight.mark,
  iif,
  // Link-local addresses mean the link they come from.
  ...(isLinkLocal(flight.destination) && iif !== 'lo' ? { oif: iif } : {}),
});

/** Prerouting and output translate destinations, the other two sources. */
function translates(hook: Hook): 'destination' | 'source' | undefined {
  if (hook === 'prerouting' || hook === 'output') return 'destination';
  return hook === 'postrouting' || hook === 'input' ? 'source' : undefined;
}

/** The limited broadcast address is the host's, whatever its routes say (route.c: brd_input). */
const EVERYBODY = '255.255.255.255';
const toEverybody = (link: string): Route => ({
  kind: 'route',
  type: 'broadcast',
  link,
  via: undefined,
  route: { family: 4, table: 'local', prefix: `${EVERYBODY}/32`, type: 'broadcast', link, metric: 0 },
});

const isLinkLocal = (address: string | undefined): boolean => address !== undefined && /^fe[89ab]/.test(address);
const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';

const noRoute = (address: string, how: string): string =>
  how === 'none' ? `there is no route to ${address}` : `the route to ${address} is ${how}`;

const routeText = ({ route }: Extract<Route, { kind: 'route' }>): string =>
  [
    ...(route.type === 'unicast' ? [] : [route.type]),
    route.prefix,
    ...(route.via === undefined ? [] : [`via ${route.via}`]),
    ...(route.link === undefined ? [] : [`dev ${route.link}`]),
    ...(['main', 'local', '254', '255'].includes(route.table) ? [] : [`table ${route.table}`]),
  ].join(' ');
