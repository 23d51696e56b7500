/** A concrete packet on its way through a host, as the interpreter of foreign tables sees it. */

export interface TestPacket {
  readonly iifname: string;
  readonly oifname: string;
  /** Canonical addresses of one family. */
  readonly saddr: string;
  readonly daddr: string;
  /** `tcp`, `udp`, `sctp`, `icmp`, `ipv6-icmp`, …, or a number as text. */
  readonly protocol: string;
  /** Undefined: any; what asks for it is then not known. */
  readonly sport?: number;
  readonly dport?: number;
  /** Default `new`: the first packet of a connection. */
  readonly state?: 'new' | 'established' | 'related';
  /** Default false: the connection was not translated by a DNAT. */
  readonly dnat?: boolean;
  /** Default false. The destination is an address of the host, as that of a packet which is yet to be translated. */
  readonly toHost?: boolean;
}

/** What is asked about whether a rule matches. */
export type Tri = 'yes' | 'no' | 'maybe';

export const not = (value: Tri): Tri => (value === 'yes' ? 'no' : value === 'no' ? 'yes' : 'maybe');

/** Of several conditions that all have to hold. */
export function every(values: readonly Tri[]): Tri {
  return values.includes('no') ? 'no' : values.includes('maybe') ? 'maybe' : 'yes';
}

/** Of several conditions of which one is enough. */
export function some(values: readonly Tri[]): Tri {
  return values.includes('yes') ? 'yes' : values.includes('maybe') ? 'maybe' : 'no';
}
