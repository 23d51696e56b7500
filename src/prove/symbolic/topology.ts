/** Who is behind which interface, by intervals of addresses: where a packet for an address ends, and with which MAC an honest sender sends. */
import type { KernelModel, ModelInterface } from '../kernel-model.ts';
import { absent, constant, notKnown, told } from './env.ts';
import type { Slot } from './env.ts';
import type { Span } from './intervals.ts';
import { spansOf } from './layout.ts';
import { addressNumber } from './numbers.ts';
import { OTHER_MAC, type Universe } from './universe.ts';

export interface Behind {
  /** For each interval of addresses the port behind which that station is. */
  readonly ports: readonly (string | undefined)[];
  readonly macs: readonly (string | undefined)[];
}

export class Topology {
  readonly interfaces: ReadonlyMap<string, ModelInterface>;
  /** By bridge. */
  private readonly members = new Map<string, string[]>();
  private readonly stationPorts = new Set<string>();
  private readonly throughHost = new Set<string>();
  /** By bridge, or by the interface itself. */
  private readonly behind = new Map<string, { ports: (string | undefined)[]; macs: (string | undefined)[] }>();
  /** By port, the MAC of who is there. */
  private readonly macAt = new Map<string, string>();
  private readonly spans = new Map<string, readonly Span[]>();
  private readonly slots = new WeakMap<Behind, Map<number, readonly [Slot<string>, Slot<string>]>>();
  /** All stations of the host; undefined when two have the same address. */
  private readonly everywhere: Behind | undefined;
  /** Intervals of addresses that some station has. */
  readonly owned: ReadonlySet<number>;

  constructor(universe: Universe, model: KernelModel) {
    this.interfaces = new Map(model.interfaces.map((one) => [one.name, one]));
    for (const { name, portOf, up } of model.interfaces) {
      if (!portOf || !up) continue;
      const list = this.members.get(portOf.bridge);
      if (list) list.push(name);
      else this.members.set(portOf.bridge, [name]);
    }
    const owned = new Set<number>();
    const all: { ports: (string | undefined)[]; macs: (string | undefined)[] } = { ports: [], macs: [] };
    let twice = false;
    for (const { port, mac, addresses, throughHost } of model.stations) {
      const known = this.interfaces.get(port);
      if (known?.up !== true) continue;
      const at = known.portOf?.bridge ?? port;
      const behind = this.behind.get(at) ?? { ports: [], macs: [] };
      this.behind.set(at, behind);
      this.stationPorts.add(port);
      if (throughHost === true) this.throughHost.add(port);
      if (!this.macAt.has(port)) this.macAt.set(port, mac);
      for (const text of addresses) {
        const number = addressNumber(universe.family, text);
        if (number === undefined) continue;
        const index = universe.addresses.at(number);
        behind.ports[index] = port;
        behind.macs[index] = mac;
        twice ||= owned.has(index);
        all.ports[index] = port;
        all.macs[index] = mac;
        owned.add(index);
      }
    }
    this.owned = owned;
    this.everywhere = twice ? undefined : all;
  }

  /** Intervals of the addresses behind a bridge, or behind an interface that is none. */
  spansAt(name: string): readonly Span[] {
    const known = this.spans.get(name);
    if (known) return known;
    const ports = this.behind.get(name)?.ports ?? [];
    const made = spansOf([...ports.keys()].filter((i) => ports[i] !== undefined));
    this.spans.set(name, made);
    return made;
  }

  /** Port and MAC of whoever has the destination, wherever that is; undefined when it is not known, or two have the same address. */
  whereabouts(destination: Slot<number>): readonly [port: Slot<string> | undefined, mac: Slot<string>] {
    return this.everywhere === undefined ? [undefined, absent] : this.slotsOf(this.everywhere, destination);
  }

  /** Port and MAC of the station that has the destination. */
  slotsOf(stations: Behind, destination: Slot<number>): readonly [port: Slot<string>, mac: Slot<string>] {
    const key = this.slots.get(stations) ?? new Map<number, readonly [Slot<string>, Slot<string>]>();
    this.slots.set(stations, key);
    const known = key.get(destination.id);
    if (known) return known;
    const made = slotsNew(stations, destination);
    key.set(destination.id, made);
    return made;
  }

  /** Stations behind a bridge, or behind an interface that is none. */
  stationsAt(name: string): Behind | undefined {
    return this.behind.get(name);
  }

  bridgeOf(port: string): string | undefined {
    return this.interfaces.get(port)?.portOf?.bridge;
  }

  isBridge(name: string): boolean {
    return this.interfaces.get(name)?.kind === 'bridge';
  }

  /** Ports of the bridge behind which nobody in particular is known: the outer network, unless kept apart from the others as guests are. */
  outerPorts(bridge: string): readonly string[] {
    return (this.members.get(bridge) ?? []).filter((port) => !this.stationPorts.has(port) && !this.isolated(port));
  }

  hasStation(port: string): boolean {
    return this.stationPorts.has(port);
  }

  /** Frames of others on the bridge for who is there go to the host. */
  isThroughHost(port: string): boolean {
    return this.throughHost.has(port);
  }

  isolated(port: string): boolean {
    return this.interfaces.get(port)?.portOf?.isolated === true;
  }

  /** By origin's number: the MAC that an honest sender there has. */
  honestMacs(origins: readonly string[]): readonly string[] {
    return origins.map((name) => this.macAt.get(name) ?? OTHER_MAC);
  }
}

function slotsNew({ ports, macs }: Behind, destination: Slot<number>): readonly [Slot<string>, Slot<string>] {
  if (destination.kind === 'const') return [constant(ports[destination.value] ?? ''), constant(macs[destination.value] ?? OTHER_MAC)];
  if (destination.kind === 'field' && destination.value === 'itself')
    return [told(destination.field, ports), told(destination.field, macs)];
  return [notKnown, notKnown];
}
