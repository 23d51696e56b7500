/** A host that stands, with an agent at every end of every cable: packets are sent from where the prover says, answered where they arrive, and seen wherever they get. */
import type { HostState } from '../../../src/hoststate/model.ts';
import type { LineProcess } from '../../../src/kernel/line-process.ts';
import type { Destination, KernelModel, Origin } from '../../../src/prove/kernel-model.ts';
import type { SentPacket } from '../../../src/prove/packet-model.ts';
import type { HostBed } from '../../bed/host.ts';
import { ethernet } from '../../policy/frames.ts';
import { startAgent } from './agent.ts';
import { datagram, readDatagram, sameFlow, swapped, type Datagram } from './datagram.ts';

/** An end where packets are seen: the port behind which it is, an outer interface, or the host itself. */
export type End = string;
export const HOST: End = 'host';

export interface Sighting {
  readonly at: End;
  readonly as: Datagram;
}

export interface Journey {
  /** Where it arrived, and as what. */
  readonly seen: readonly Sighting[];
  /** The answer came back. */
  readonly answered: boolean;
}

export interface Wire {
  /** One packet; resolves when `enough` says so of what was seen, or after so many milliseconds. */
  send(packet: SentPacket, model: KernelModel, enough: (journey: Journey) => boolean, patience: number): Promise<Journey>;
  close(): Promise<void>;
}

export const endOf = (place: Origin | Destination): End => {
  if (place.kind === 'host') return HOST;
  if (place.kind === 'station') return place.port;
  return place.kind === 'outside' ? place.interface : place.name;
};

/** Nobody but the agents speaks: machines outside and guests say nothing by themselves, the host no refusals. Neighbours are found all the same. */
const silent = `table inet silence {
  chain input { type filter hook input priority -400; policy accept;
    icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } accept
    drop
  }
}
`;
export const silentHost = `table inet silence {
  chain output { type filter hook output priority -400; policy accept;
    tcp flags & rst == rst drop
    icmp type destination-unreachable drop
    icmpv6 type destination-unreachable drop
  }
  set entered { typeof ether saddr . ip saddr . ip daddr; flags dynamic; size 1000;
  }
  set entered6 { typeof ether saddr . ip6 saddr . ip6 daddr; flags dynamic; size 1000;
  }
  chain seen { type filter hook prerouting priority -450; policy accept;
    update @entered { ether saddr . ip saddr . ip daddr }
    update @entered6 { ether saddr . ip6 saddr . ip6 daddr }
  }
}
`;

export async function openWire(bed: HostBed, state: HostState): Promise<Wire> {
  const listeners = new Set<(at: End, as: ReturnType<typeof readDatagram>) => void>();
  const hear = (at: End) => (hex: string) => {
    const seen = readDatagram(hex);
    for (const listener of listeners) listener(at, seen);
  };
  const agents = new Map<End, LineProcess>();
  const host = bed.host.kernel;
  await host.run('nft', ['-f', '-'], { input: silentHost });
  agents.set(HOST, await startAgent(host, undefined, hear(HOST)));
  for (const { guest, interfaces } of state.guests) {
    const { kernel } = bed.guest(guest);
    await kernel.run('nft', ['-f', '-'], { input: silent });
    for (const { name, port } of interfaces) agents.set(port, await startAgent(kernel, name, hear(port)));
  }
  await bed.outer.kernel.run('nft', ['-f', '-'], { input: silent });
  agents.set('eth0', await startAgent(bed.outer.kernel, 'u-0', hear('eth0')));
  const links = JSON.parse(await host.run('ip', ['-j', 'link', 'show'])) as readonly {
    readonly ifname: string;
    readonly address: string;
  }[];
  const macs = new Map(links.map(({ ifname, address }) => [ifname, address]));
  const outerMac = (await bed.outer.kernel.run('cat', ['/sys/class/net/u-0/address']).catch(() => '')).trim();
  let tokens = 0x1000;

  const put = (at: End, packet: Datagram, ether: { readonly from: string; readonly to: string }, token: number, answer: boolean): void => {
    const bytes = datagram(packet, token, answer);
    const type = packet.source.includes(':') ? 0x86dd : 0x0800;
    agents.get(at)?.send(at === HOST ? `${packet.destination} ${bytes}` : ethernet(ether.to, ether.from, type, bytes));
  };
  /** Of the machine at an end, and of whoever it sends to. */
  const etherOf = (at: End, model: KernelModel, packet: Datagram, mac?: string): { from: string; to: string } => {
    const port = model.interfaces.find(({ name }) => name === at);
    const stations = model.stations.filter((one) => one.port === at);
    const own = stations.find(({ addresses }) => addresses.includes(packet.source)) ?? stations[0];
    const bridge = port?.portOf?.bridge;
    const across = model.stations.find((one) => {
      const other = model.interfaces.find(({ name }) => name === one.port)?.portOf;
      const apart = other?.isolated === true && port?.portOf?.isolated === true;
      return bridge !== undefined && one.port !== at && other?.bridge === bridge && !apart && one.addresses.includes(packet.destination);
    });
    return { from: mac ?? own?.mac ?? (outerMac || '02:00:00:00:99:99'), to: across?.mac ?? macs.get(bridge ?? at) ?? 'ff:ff:ff:ff:ff:ff' };
  };

  return {
    send: async (packet, model, enough, patience) => {
      const token = tokens++;
      const from = endOf(packet.origin);
      const seen: Sighting[] = [];
      let answered = false;
      const { promise, resolve } = Promise.withResolvers<void>();
      const back = swapped(packet);
      const listener = (at: End, as: ReturnType<typeof readDatagram>): void => {
        if (as === undefined) return;
        const { token: theirs, ...tuple } = as;
        const home = at === HOST ? { ...tuple, destination: back.destination } : tuple;
        if (at === from && sameFlow(home, back)) answered = true;
        else if (theirs === token) {
          // What a host's own programs get has its destination from what was to arrive.
          seen.push({ at, as: tuple });
          const { origin: _, mac: __, ...asked } = packet;
          const answer = swapped(at === HOST && tuple.destination === '::' ? { ...tuple, destination: asked.destination } : tuple);
          // Echoes are the kernel's own at the host.
          if (at !== HOST || (tuple.protocol !== 1 && tuple.protocol !== 58)) put(at, answer, etherOf(at, model, answer), token, true);
        }
        if (enough({ seen, answered })) resolve();
      };
      listeners.add(listener);
      put(from, packet, etherOf(from, model, packet, packet.mac), token, false);
      await Promise.race([promise, new Promise<void>((late) => setTimeout(late, patience))]);
      listeners.delete(listener);
      return { seen, answered };
    },
    close: async () => {
      await Promise.all([...agents.values()].map((agent) => agent.stop()));
    },
  };
}
