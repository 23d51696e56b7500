/** Packets and what becomes of them, in the words that both engines and all answers share. */
import type { Destination, Origin } from './kernel-model.ts';

/** The first packet of a flow as its sender sends it: an echo request, a SYN, any datagram. */
export interface SentPacket {
  readonly origin: Origin;
  /** Source MAC of the frame; undefined: that of whoever is rightfully there, or nobody's in particular outside. */
  readonly mac?: string;
  /** Canonical addresses of one family. */
  readonly source: string;
  readonly destination: string;
  /** Number of the IP protocol: 1, 6, 17, 58, 132, … */
  readonly protocol: number;
  /** TCP, UDP, SCTP, DCCP, UDP-Lite only. */
  readonly sport?: number;
  readonly dport?: number;
}

/** A rule in its chain; `rule` is its text, or `policy`. */
export interface RulePlace {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly rule: string;
}

/** Something else than a rule of nftables that decides: routing, rp_filter, isolation, no neighbour, … In plain words. */
export interface OtherPlace {
  readonly what: string;
}

export type DecidedBy = RulePlace | OtherPlace;

/** `answered`: the reply came back too. */
export type Fate =
  | { readonly kind: 'answered' | 'delivered'; readonly at: Destination; readonly arrives: SentPacket }
  | { readonly kind: 'dropped'; readonly by: DecidedBy }
  /** It depends on what the prover does not know. */
  | { readonly kind: 'unknown'; readonly because: readonly DecidedBy[] };
