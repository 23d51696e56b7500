/** Who is behind which interface, by intervals of addresses: where a packet for an address ends, and with which MAC an honest sender sends. */
import type { KernelModel, ModelInterface } from '../kernel-model.ts';
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
  /** By bridge, or by the interface itself. */
  private readonly behind = new Map<string, { ports: (string | undefined)[]; macs: (string | undefined)[] }>();
  /** By port, the MAC of who is there. */
  private readonly macAt = new Map<string, string>();
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
    for (const { port, mac, addresses } of model.stations) {
      const known = this.interfaces.get(port);
      if (known?.up !== true) continue;
      const at = known.portOf?.bridge ?? port;
      const behind = this.behind.get(at) ?? { ports: [], macs: [] };
      this.behind.set(at, behind);
      this.stationPorts.add(port);
      if (!this.macAt.has(port)) this.macAt.set(port, mac);
      for (const text of addresses) {
        const number = addressNumber(universe.family, text);
        if (number === undefined) continue;
        const index = universe.addresses.at(number);
        behind.ports[index] = port;
        behind.macs[index] = mac;
        owned.add(index);
      }
    }
    this.owned = owned;
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

  /** Ports of the bridge behind which nobody in particular is known: the outer network. */
  outerPorts(bridge: string): readonly string[] {
    return (this.members.get(bridge) ?? []).filter((port) => !this.stationPorts.has(port));
  }

  isolated(port: string): boolean {
    return this.interfaces.get(port)?.portOf?.isolated === true;
  }

  /** By origin's number: the MAC that an honest sender there has. */
  honestMacs(origins: readonly string[]): readonly string[] {
    return origins.map((name) => this.macAt.get(name) ?? OTHER_MAC);
  }
}
