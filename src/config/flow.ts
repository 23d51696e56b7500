/**
 * The flow expression `FROM -> TO [PORTS]` as data (design.md section 2, "Flows"). Parsed in flow-parser.ts for the
 * file and the command line alike; parties are still names here, `fabric/` resolves them.
 */

/** `offset` (and `length`) say where the party stands in the text it was parsed from. */
export type PartyExpr =
  /** A guest, network, host or group; `nic` is set for `guest.network`. */
  | { readonly kind: 'name'; readonly name: string; readonly nic?: string; readonly offset: number; readonly length?: number }
  | { readonly kind: 'label'; readonly key: string; readonly value: string; readonly offset: number; readonly length?: number }
  /** A literal address or CIDR, canonical text, always with a length. */
  | { readonly kind: 'prefix'; readonly prefix: string; readonly offset: number; readonly length?: number }
  /** A domain name, lower case, without a dot at its end; `*.example.org`: every name below. One of two labels may also be a `name` with a `nic`. */
  | { readonly kind: 'domain'; readonly domain: string; readonly offset: number; readonly length?: number }
  | { readonly kind: 'host' | 'any' | 'internet'; readonly offset: number; readonly length?: number };

/** Inclusive port range; a single port has `from === to`. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

export type PortSpec =
  | { readonly protocol: 'tcp' | 'udp' | 'sctp'; readonly ranges: readonly PortRange[] }
  /** ICMP in IPv4, ICMPv6 in IPv6. */
  | { readonly protocol: 'icmp' };

/** `any` (every IP protocol) is its own value, so that no consumer forgets it. */
export type Ports = 'any' | readonly PortSpec[];

export interface FlowExpr {
  readonly from: readonly PartyExpr[];
  readonly to: readonly PartyExpr[];
  readonly ports: Ports;
  /** Canonical text: single spaces, ranges sorted and merged, `any` left out. */
  readonly text: string;
}
