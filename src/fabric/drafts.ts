/**
 * The fabric while it is being decided: entries of the file with their names resolved, to which the stages add addresses
 * and MACs. What is wrong stays `undefined`, so that one mistake is reported once and later stages pass over it.
 */
import type { GuestEntry, NetworkEntry, NicEntry, Path } from '../config/model.ts';
import type { Prefix } from '../net/ip.ts';
import type { Egress } from './model.ts';

export interface HostDraft {
  readonly name: string;
  readonly uplink?: string;
  readonly addresses: readonly string[];
  readonly macs?: readonly string[];
  readonly managed?: { readonly gateways: readonly string[] };
}

export interface V4Plan {
  readonly prefix: Prefix;
  readonly subnet: string;
  readonly gateway: string;
  /** First and last address that may be allocated, as unsigned 32-bit numbers; the gateway may lie between. */
  readonly first: number;
  readonly last: number;
}

export interface V6Plan {
  readonly prefix: Prefix;
  readonly subnet: string;
  readonly gateway: string;
}

/** What a routed network's `addresses` and `bootstrap` mean. */
export interface RoutedPlan {
  /** In file order. */
  readonly prefixes: readonly Prefix[];
  /** The host's own addresses, as far as they are declared. */
  readonly hostAddresses: readonly string[];
  readonly gateway4: string;
  readonly bootstrap: V4Plan | undefined;
}

export interface NetworkDraft {
  readonly name: string;
  readonly entry: NetworkEntry;
  /** Undefined: unknown or missing, reported. */
  readonly host: HostDraft | undefined;
  /** Empty for a routed network, which has none. */
  readonly bridge: string;
  /** Undefined without a subnet of that family, or when it is wrong. */
  readonly v4: V4Plan | undefined;
  readonly v6: V6Plan | undefined;
  /** Of a routed network. */
  readonly routed?: RoutedPlan;
  /** Prefixes a guest's address may come from. */
  readonly within: readonly Prefix[];
  /** True when its prefixes are right: only then its guests get addresses. */
  readonly sound: boolean;
}

export interface NicDraft {
  readonly guest: GuestDraft;
  readonly index: number;
  readonly entry: NicEntry;
  readonly path: Path;
  /** Undefined: unknown, reported. */
  readonly network: NetworkDraft | undefined;
  /** The NIC of the outer guest that an `inside` guest lies behind. */
  outer: NicDraft | undefined;
  readonly port: string;
  isDefault: boolean;
  egress: Egress;
  v4: string | undefined;
  v6: string | undefined;
  bootstrap: string | undefined;
  mac: string;
}

export interface GuestDraft {
  readonly name: string;
  readonly entry: GuestEntry;
  readonly labels: Readonly<Record<string, string>>;
  readonly nics: NicDraft[];
  host: HostDraft | undefined;
  /** The outer guest of an `inside` guest. */
  outer: GuestDraft | undefined;
}
