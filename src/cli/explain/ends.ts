/** From the two sides of a flow to single packets, as their senders would send them: what `explain` walks through the host. */
import type { PortSpec, Ports } from '../../config/flow.ts';
import { gatewaysOf, NEXT_HOP_6 } from '../../fabric/addressing.ts';
import { assumedOuterWorld } from '../../fabric/outer-world.ts';
import type { Fabric, Party, Publish } from '../../fabric/model.ts';
import { addOffset, familyBits, formatIp, parsePrefix, prefixBounds } from '../../net/ip.ts';
import type { KernelModel, Origin } from '../../prove/kernel-model.ts';
import type { SentPacket } from '../../prove/packet-model.ts';
import { enters, hostAddress } from '../../prove/concrete/whereabouts.ts';

type Family = 4 | 6;

/** Who is asked about, and where: one of those that a party means. */
export interface End {
  /** `web`, `host`, `198.51.100.7`. */
  readonly name: string;
  readonly kind: 'guest' | 'host' | 'address';
  /** Undefined: where the host's routes say that it is. */
  readonly port?: string;
  /** By family; of the host those that the other side knows it by. Undefined for the host: whichever it has. */
  readonly addresses: Readonly<Partial<Record<Family, string>>>;
  readonly mac?: string;
}

export interface Question {
  readonly family: Family;
  readonly from: End;
  readonly to: End;
  readonly packet: SentPacket;
  /** The destination is a publication's, which leads to the guest. */
  readonly publish?: Publish;
}

export interface Scene {
  readonly fabric: Fabric;
  readonly host: string;
  readonly model: KernelModel;
}

/** All ends a party means on this host. */
export function endsOf(party: Party, { fabric, host }: Scene): readonly End[] {
  switch (party.kind) {
    case 'guests':
      return party.endpoints.flatMap((ref): End[] => {
        const guest = fabric.guests.find(({ name }) => name === ref.guest);
        const nic = guest?.nics[ref.nic];
        const network = fabric.networks.find(({ name }) => name === nic?.network);
        if (!nic || !network) return [];
        const addresses = { ...(nic.v4 === undefined ? {} : { 4: nic.v4 }), ...(nic.v6 === undefined ? {} : { 6: nic.v6 }) };
        const here = network.host === host;
        return [{ name: ref.guest, kind: here ? 'guest' : 'address', addresses, ...(here ? { port: nic.port, mac: nic.mac } : {}) }];
      });
    case 'host':
      return [{ name: 'host', kind: 'host', addresses: {} }];
    case 'named-host': {
      if (party.host === host) return [{ name: party.host, kind: 'host', addresses: {} }];
      const declared = fabric.hosts.find(({ name }) => name === party.host)?.addresses ?? [];
      return [{ name: party.host, kind: 'address', addresses: byFamily(declared) }];
    }
    case 'prefix': {
      const prefix = parsePrefix(party.prefix);
      if (!prefix) return [];
      const { first } = prefixBounds(prefix);
      const one = formatIp(prefix.length < familyBits(prefix.family) ? (addOffset(first, 1) ?? first) : first);
      return [{ name: one, kind: 'address', addresses: { [prefix.family]: one } }];
    }
    case 'domain':
    case 'any':
    case 'internet':
      return [{ name: party.text, kind: 'address', addresses: byFamily(assumedOuterWorld(fabric, host).outside) }];
  }
}

const byFamily = (addresses: readonly string[]): End['addresses'] => {
  const v4 = addresses.find((address) => !address.includes(':'));
  const v6 = addresses.find((address) => address.includes(':'));
  return { ...(v4 === undefined ? {} : { 4: v4 }), ...(v6 === undefined ? {} : { 6: v6 }) };
};

export interface Wanted {
  readonly protocol: number;
  readonly dport?: number;
}

const numbers = { tcp: 6, udp: 17, sctp: 132 } as const;

/** Of ports and ranges the first; of `any` protocol an ordinary one. */
export function wantedOf(ports: Ports, family: Family): readonly Wanted[] {
  if (ports === 'any') return [{ protocol: 6, dport: 443 }];
  return ports.map((spec: PortSpec): Wanted => {
    if (spec.protocol === 'icmp') return { protocol: family === 4 ? 1 : 58 };
    return { protocol: numbers[spec.protocol], dport: spec.ranges[0]?.from ?? 1 };
  });
}

/** Of a client, of no meaning. */
const SPORT = 40_000;

/** The packet of a flow, as its sender sends it; undefined when the ends have no common address of the family. */
export function questionOf(scene: Scene, from: End, to: End, family: Family, wanted: Wanted): Question | undefined {
  const { model } = scene;
  const publish = from.kind === 'guest' && from.name === to.name ? undefined : publishedFor(scene, from, to, family, wanted);
  const asked = publish?.first ?? wanted.dport;
  const known = publish ? (publish.at ?? uplinkAddress(scene, family)) : to.addresses[family];
  const destination = known ?? (to.kind === 'host' ? facing(scene, from, family) : undefined);
  if (destination === undefined) return undefined;
  const source =
    from.addresses[family] ?? (from.kind === 'host' ? (hostAddress(model, destination) ?? facing(scene, to, family)) : undefined);
  if (source === undefined) return undefined;
  const origin: Origin | undefined =
    from.kind === 'host' ? { kind: 'host' } : from.port === undefined ? enters(model, source) : { kind: 'interface', name: from.port };
  if (!origin) return undefined;
  return {
    family,
    from,
    to,
    ...(publish ? { publish: publish.publish } : {}),
    packet: {
      origin,
      ...(from.mac === undefined ? {} : { mac: from.mac }),
      source,
      destination,
      protocol: wanted.protocol,
      ...(asked === undefined ? {} : { sport: SPORT, dport: asked }),
    },
  };
}

/** The host as a guest knows it: the gateway of its network; as anybody else does: the address where the host meets them. */
function facing({ fabric, host, model }: Scene, other: End, family: Family): string | undefined {
  const guest = fabric.guests.find(({ name }) => name === other.name);
  const nic = guest?.nics.find(({ port }) => port === other.port);
  const network = fabric.networks.find(({ name }) => name === nic?.network);
  const gateway =
    network && network.host === host
      ? gatewaysOf(network).find((one) => one.includes(':') === (family === 6) && one !== NEXT_HOP_6)
      : undefined;
  const towards = other.addresses[family] ?? (family === 4 ? '198.51.100.7' : '2001:db8:c633::7');
  return (network?.kind === 'bridged' ? undefined : gateway) ?? hostAddress(model, towards);
}

function uplinkAddress(scene: Scene, family: Family): string | undefined {
  return hostAddress(scene.model, byFamily(assumedOuterWorld(scene.fabric, scene.host).outside)[family] ?? '');
}

/** Guests of nat networks are reached from outside where they are published, and nowhere else. */
function publishedFor(
  { fabric, host }: Scene,
  from: End,
  to: End,
  family: Family,
  { protocol, dport }: Wanted,
): { readonly publish: Publish; readonly first: number; readonly at: string | undefined } | undefined {
  if (from.kind !== 'address' || to.kind !== 'guest' || dport === undefined) return undefined;
  for (const publish of fabric.publish) {
    const nic = fabric.guests.find(({ name }) => name === publish.to.guest)?.nics[publish.to.nic];
    if (publish.host !== host || publish.to.guest !== to.name || nic?.port !== to.port) continue;
    if (publish.address !== undefined && publish.address.includes(':') !== (family === 6)) continue;
    const range = publish.ports.find(
      (one) => numbers[one.protocol] === protocol && dport >= one.target && dport - one.target <= one.last - one.first,
    );
    if (range) return { publish, first: range.first + dport - range.target, at: publish.address };
  }
  return undefined;
}
