/**
 * A host's network as the prover sees it: everything that decides what becomes of a packet, whoever set it. Made of a desired host state and its
 * facts, of an observation, or of a captured document from any machine; both engines (symbolic and concrete) read it and nothing else.
 */
import type { NftTable } from '../hoststate/nft.ts';

export interface KernelModel {
  readonly host: string;
  /** Loopback too, sorted by name. */
  readonly interfaces: readonly ModelInterface[];
  /** Of all tables and both families, `local` included. */
  readonly routes: readonly ModelRoute[];
  /** Sorted by family and preference; the kernel's three (0 local, 32766 main, 32767 default) stand here too. */
  readonly rules: readonly ModelRule[];
  /** Machines of which it is known behind which interface they are. */
  readonly stations: readonly Station[];
  /** All tables of all families, whoever owns them. */
  readonly tables: readonly NftTable[];
  /** Value of a kernel setting, key with slashes as in `net/ipv4/ip_forward`; absent: not known, the kernel's default is taken. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** Parts that could not be read (`routes4`, `nftables`, …): what depends on them is unknown. */
  readonly missing: readonly string[];
}

export interface ModelInterface {
  readonly name: string;
  readonly kind: 'loopback' | 'bridge' | 'wireguard' | 'other';
  readonly mac?: string;
  readonly up: boolean;
  /** With the length of their subnet: `10.0.105.254/24`, `fe80::1/64`. The first of a family is the primary one. */
  readonly addresses: readonly string[];
  /** It is a port of that bridge. */
  readonly portOf?: { readonly bridge: string; readonly isolated: boolean; readonly hairpin: boolean };
  /** kind bridge: what it forwards passes the inet hooks too (its own switches or the host's `bridge-nf-call-*`). */
  readonly nfCall?: { readonly v4: boolean; readonly v6: boolean };
}

export type RouteType = 'unicast' | 'local' | 'broadcast' | 'multicast' | 'anycast' | 'unreachable' | 'prohibit' | 'blackhole' | 'throw';

export interface ModelRoute {
  readonly family: 4 | 6;
  /** `main`, `local`, `default` or a number as text. */
  readonly table: string;
  /** Canonical, always with its length; `0.0.0.0/0` for a default route. */
  readonly prefix: string;
  readonly type: RouteType;
  /** Undefined for those that lead nowhere. */
  readonly link?: string;
  readonly via?: string;
  /** Lower wins among equal prefixes; IPv6 without one: 1024. */
  readonly metric: number;
  /** Preferred source of the host's own packets. */
  readonly source?: string;
}

export interface ModelRule {
  readonly family: 4 | 6;
  readonly preference: number;
  readonly not?: true;
  readonly from?: string;
  readonly to?: string;
  readonly iif?: string;
  readonly oif?: string;
  readonly mark?: { readonly value: number; readonly mask: number };
  /** Words of a selector that is not modelled (`uidrange`, `tos`, …): whether it matches is unknown. */
  readonly unknown?: string;
  readonly action:
    | { readonly table: string; readonly suppressPrefixLength?: number }
    | { readonly answer: 'unreachable' | 'prohibit' | 'blackhole' }
    | { readonly goto: number }
    | { readonly nop: true };
}

/** A machine behind an interface: frames for `mac` leave by `port`, and these addresses are known to be its. */
export interface Station {
  /** A bridge's port, or an interface by itself. */
  readonly port: string;
  readonly mac: string;
  /** Canonical, both families. */
  readonly addresses: readonly string[];
  /** The bridge gives frames for this MAC to the host itself, which routes them (a permanent, local forwarding entry); the host's own still leave by the port. */
  readonly throughHost?: true;
}

/** Where a packet comes from: a program of the host, or a frame that arrives at an interface (a bridge's port rather than the bridge). */
export type Origin = { readonly kind: 'host' } | { readonly kind: 'interface'; readonly name: string };

/**
 * Where it ends, when nothing drops it. `outside`: out of an interface behind which no station has that address; of a bridge, its outer port (the only one without
 * stations that is not isolated), else the bridge.
 */
export type Destination =
  | { readonly kind: 'host' }
  | { readonly kind: 'station'; readonly port: string }
  | { readonly kind: 'outside'; readonly interface: string };
