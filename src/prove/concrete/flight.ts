/** A packet on its way through the host: what it carries, and what the kernel keeps beside it. Values; every change is a new one. */
import type { SentPacket } from '../packet-model.ts';

export interface Flight {
  readonly family: 4 | 6;
  /** Undefined, here and below: not known, so that what asks for it may hold or not. */
  readonly source: string | undefined;
  readonly destination: string;
  readonly protocol: number;
  readonly sport: number | undefined;
  readonly dport: number | undefined;
  /** MACs of the frame it came in; {@link NOBODY} is one that nothing names; undefined: it came in none (the host's own). */
  readonly ether: { readonly source: string; readonly destination: string } | undefined;
  readonly mark: number | undefined;
  /** `before`: connection tracking has not seen it yet. `invalid`: it has, and found no connection it could open or belong to. */
  readonly tracking: 'before' | 'tracked' | 'untracked' | 'invalid';
  readonly direction: 'original' | 'reply';
  /** Of the host's own: changed since its way out was looked up, so that it is looked up again. */
  readonly astray: boolean;
  /** Of a reply that tracking has not seen yet: the one it will be found to belong to. */
  readonly connection: Connection | undefined;
}

export const NOBODY = '(nobody)';

export interface Connection {
  readonly state: 'new' | 'established' | 'related';
  /** Undefined: not known. */
  readonly status: readonly string[] | undefined;
  readonly mark: number | undefined;
  /** The first packet as it was when it was first seen. */
  readonly original: Ends;
  /** The answer that is expected: what translations so far have made of the first packet, the other way round. */
  readonly reply: Ends;
  /** Destination and source have been decided on, be it to leave them; no NAT chain is asked again. */
  readonly decided: { readonly destination: boolean; readonly source: boolean };
}

export interface Ends {
  readonly source: string | undefined;
  readonly destination: string;
  readonly sport: number | undefined;
  readonly dport: number | undefined;
}

/** Protocols whose headers begin with two ports. */
export const withPorts: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);

export function flightOf(packet: SentPacket, ether: Flight['ether']): Flight {
  return {
    family: packet.source.includes(':') ? 6 : 4,
    source: packet.source,
    destination: packet.destination,
    protocol: packet.protocol,
    sport: withPorts.has(packet.protocol) ? packet.sport : undefined,
    dport: withPorts.has(packet.protocol) ? packet.dport : undefined,
    ether,
    mark: 0,
    tracking: 'before',
    direction: 'original',
    astray: false,
    connection: undefined,
  };
}

/** The answer to a packet as it arrived: ends swapped, no mark, and whatever tracking knows of the connection. */
export function replyTo(flight: Flight, ether: Flight['ether']): Flight | undefined {
  if (flight.source === undefined) return undefined;
  const { connection } = flight;
  // Ends that were rewritten behind the back of tracking make an answer that it does not know.
  const known =
    flight.tracking === 'tracked' && connection?.reply.source === flight.destination && connection.reply.destination === flight.source;
  return {
    ...flight,
    source: flight.destination,
    destination: flight.source,
    sport: flight.dport,
    dport: flight.sport,
    ether,
    mark: 0,
    tracking: 'before',
    astray: false,
    direction: 'reply',
    connection: known
      ? { ...connection, state: 'established', status: connection.status && [...connection.status, 'seen-reply', 'confirmed'] }
      : undefined,
  };
}

/** What connection tracking makes of it, in prerouting and output: NF_IP_PRI_CONNTRACK. */
export function tracked(flight: Flight): Flight {
  if (flight.tracking !== 'before') return flight;
  if (flight.connection) return { ...flight, tracking: 'tracked' };
  // The answer of a connection that was not tracked: neither a SYN-ACK nor an echo reply opens one (nf_conntrack_proto_tcp.c, _icmp.c).
  if (flight.direction === 'reply' && [1, 6, 58].includes(flight.protocol)) return { ...flight, tracking: 'invalid' };
  const { source, destination, sport, dport } = flight;
  const original = { source, destination, sport, dport };
  return {
    ...flight,
    tracking: 'tracked',
    direction: 'original',
    connection: {
      state: 'new',
      status: [],
      mark: 0,
      original,
      reply: swapped(original),
      decided: { destination: false, source: false },
    },
  };
}

function swapped({ source, destination, sport, dport }: Ends): Ends {
  return { source: destination, destination: source ?? '', sport: dport, dport: sport };
}

/** New ends chosen by a rule of a NAT chain, for the first packet of a connection; the reply will be expected accordingly. */
export function translate(flight: Flight, part: 'source' | 'destination', address: string | undefined, port: number | undefined): Flight {
  const { connection } = flight;
  if (!connection) return flight;
  const [oldAddress, oldPort] = part === 'source' ? [flight.source, flight.sport] : [flight.destination, flight.dport];
  const next: Flight =
    part === 'source'
      ? { ...flight, source: address, sport: port }
      : { ...flight, destination: address ?? flight.destination, dport: port };
  const changed = oldAddress !== address || oldPort !== port;
  const word = part === 'source' ? 'snat' : 'dnat';
  return {
    ...next,
    connection: {
      ...connection,
      status: changed ? connection.status && [...connection.status, word] : connection.status,
      reply: swapped(next),
      decided: { ...connection.decided, [part]: true },
    },
  };
}

/** A NAT hook is behind it without a translation, which holds for the whole connection. */
export function undecided(flight: Flight, part: 'source' | 'destination'): boolean {
  return flight.tracking === 'tracked' && flight.connection?.state === 'new' && !flight.connection.decided[part];
}

export function decide(flight: Flight, part: 'source' | 'destination'): Flight {
  const { connection } = flight;
  return connection && undecided(flight, part)
    ? { ...flight, connection: { ...connection, decided: { ...connection.decided, [part]: true } } }
    : flight;
}

/** A reply gets back the ends that its sender knows: in prerouting and output the destination, in postrouting and input the source. */
export function untranslate(flight: Flight, part: 'source' | 'destination'): Flight {
  const { connection } = flight;
  if (flight.tracking !== 'tracked' || flight.direction !== 'reply' || !connection?.status) return flight;
  const { original, status } = connection;
  if (part === 'destination' && status.includes('snat') && original.source !== undefined)
    return { ...flight, destination: original.source, dport: original.sport };
  if (part === 'source' && status.includes('dnat')) return { ...flight, source: original.destination, sport: original.dport };
  return flight;
}
