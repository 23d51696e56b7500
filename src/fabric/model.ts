/**
 * The fabric: everything the file describes, with every name resolved, every default applied and every address and MAC decided
 * (from the file, else weft.lock, else allocated). Pure data; nothing here knows of nftables or of a running kernel.
 * Arrays are in file order unless said otherwise. Addresses are canonical texts (src/net/ip.ts).
 */
import type { Span } from '../diagnostic/diagnostic.ts';
import type { ExpectEntry } from '../config/model.ts';
import type { Ports } from '../config/flow.ts';

export interface Fabric {
  readonly name: string;
  readonly domain: string;
  readonly hosts: readonly Host[];
  readonly networks: readonly Network[];
  readonly guests: readonly Guest[];
  readonly allow: readonly Rule[];
  readonly block: readonly Rule[];
  readonly publish: readonly Publish[];
  readonly expect: readonly ExpectEntry[];
  /** The lock as it has to be for this fabric; written by apply and by guest add|remove only. */
  readonly lock: Lock;
  /** Groups for display and for resolving flows of the command line: name (as written) to members' guest names. */
  readonly groups: readonly {
    readonly name: string;
    readonly guests: readonly string[];
    /** Their NICs, where the group has a network as a member: only those in that network. Undefined: all NICs of `guests`. */
    readonly endpoints?: readonly EndpointRef[];
  }[];
}

export interface Host {
  readonly name: string;
  /** Undefined: the interface of the default route, found on the host itself. */
  readonly uplink?: string;
  /** Declared public addresses; empty: read from the uplink. */
  readonly addresses: readonly string[];
  /** No frame with another source MAC leaves the uplink; undefined: not limited. */
  readonly macs?: readonly string[];
  /** Weft sets the uplink up itself (`manage: true`): `addresses`, and default routes by these, at most one per family. `uplink` is given then. */
  readonly managed?: { readonly gateways: readonly string[] };
}

export type Egress = 'allow' | 'deny';

interface NetworkCommon {
  readonly name: string;
  readonly host: string;
  readonly egress: Egress;
  readonly fromHost: 'allow' | 'deny';
  /** Upstream/override name servers of the file; empty: the host's own resolver. */
  readonly dns: readonly string[];
  /** Undefined: min(1500, the uplink's MTU). */
  readonly mtu?: number;
  /** `off`: no policy on these ports, anti-spoofing stays. */
  readonly filter: 'on' | 'off';
}

/** Guests share a subnet and a bridge, at which the host is their gateway. */
export interface SubnetNetwork extends NetworkCommon {
  readonly kind: 'nat' | 'isolated' | 'bridged';
  /** Name of the bridge: `br-` and the network's name in lower case, at most 15 characters. */
  readonly bridge: string;
  /** bridged: the physical interface that joins the bridge, which takes over its MAC and the host's addresses on it. */
  readonly interface?: string;
  /** The bridge's MAC, derived from fabric and network; not that of a bridged network's. */
  readonly mac: string;
  readonly v4?: { readonly subnet: string; readonly gateway: string; readonly range: { readonly from: string; readonly to: string } };
  /** `gateway` is the address on the bridge inside the subnet (DNS, DHCPv6); guests' next hop is always fe80::1. */
  readonly v6?: { readonly subnet: string; readonly gateway: string };
  readonly snat?: string;
}

/** Single addresses and blocks that are routed to the host; no bridge: each guest's port is a link of its own between guest and host. */
export interface RoutedNetwork extends NetworkCommon {
  readonly kind: 'routed';
  /** Prefixes in file order; a single address is one of full length. Every address of an IPv4 one is a guest's to have. */
  readonly prefixes: readonly string[];
  /** The guests' IPv4 next hop, on-link: the first IPv4 address declared for the host, else 169.254.1.1. In IPv6 it is fe80::1. */
  readonly gateway4: string;
  /** On every port, known to nobody else: where DHCP and DNS answer. In IPv4 with `bootstrap:` its gateway. Of the families of `prefixes`. */
  readonly service4?: string;
  readonly service6?: string;
  readonly bootstrap?: { readonly subnet: string; readonly gateway: string };
  readonly bridge?: never;
  readonly interface?: never;
  readonly mac?: never;
  readonly v4?: never;
  readonly v6?: never;
  readonly snat?: never;
}

export type Network = SubnetNetwork | RoutedNetwork;

export interface Guest {
  readonly name: string;
  readonly kind: 'vm' | 'container' | 'namespace';
  /** Undefined for a guest without NICs in a fabric of several hosts. */
  readonly host?: string;
  /** Set for `inside`: the outer guest's name. Such a guest has no port of its own; its one NIC says behind which it lies. */
  readonly inside?: string;
  /** Name under /run/netns, for kind namespace: `<fabric>-<guest>` in lower case. */
  readonly namespace?: string;
  readonly user?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly logDropped: boolean;
  readonly nics: readonly Nic[];
  /** Place of the guest's key in the file. */
  readonly span: Span;
}

export interface Nic {
  readonly guest: string;
  readonly network: string;
  /** Place among the guest's NICs: 0 is eth0. */
  readonly index: number;
  /** Name inside the guest: `eth0`, `eth1`, … */
  readonly name: string;
  /** The host's end: `w-` and the guest's name in lower case; `w-<guest>_<index>` from the second NIC on; at most 15 characters.
   *  For a guest `inside` another: the outer guest's port in that network. */
  readonly port: string;
  /** For an `inside` guest: the outer NIC's MAC. */
  readonly mac: string;
  readonly v4?: string;
  readonly v6?: string;
  /** The private IPv4 address that DHCP gives it first, in a routed network with `bootstrap:`. */
  readonly bootstrap?: string;
  /** Carries the default route and DNS. Exactly one NIC of a guest. */
  readonly default: boolean;
  readonly egress: Egress;
  /** The guest's own `dns:`; empty: the network's gateway answers. */
  readonly dns: readonly string[];
}

/** One resolved side of a rule. `endpoints` are NICs (also of `inside` guests) as `guest index` keys into {@link Fabric.guests}. */
export type Party =
  | { readonly kind: 'guests'; readonly text: string; readonly endpoints: readonly EndpointRef[] }
  | { readonly kind: 'prefix'; readonly text: string; readonly prefix: string }
  /** All addresses of the host the other side lives on. */
  | { readonly kind: 'host'; readonly text: string }
  | { readonly kind: 'named-host'; readonly text: string; readonly host: string }
  /** A destination only. `domain` in lower case, `*.example.org`: every name below example.org. Its addresses are what Weft's resolver answers. */
  | { readonly kind: 'domain'; readonly text: string; readonly domain: string }
  | { readonly kind: 'any'; readonly text: string }
  | { readonly kind: 'internet'; readonly text: string };

export interface EndpointRef {
  readonly guest: string;
  readonly nic: number;
}

export interface Rule {
  /** Stable name of the rule: does not depend on its place in the file. 8 hex digits of a hash of action and canonical text (plus log). */
  readonly id: string;
  readonly action: 'allow' | 'block';
  readonly from: readonly Party[];
  readonly to: readonly Party[];
  readonly ports: Ports;
  readonly log: boolean;
  readonly why?: string;
  /** Canonical flow text. */
  readonly text: string;
  readonly span: Span;
}

/** Ports of a host that lead to a guest: destination NAT. */
export interface Publish {
  /** As {@link Rule.id}. */
  readonly id: string;
  readonly host: string;
  /** One address of the host; undefined: all of them. */
  readonly address?: string;
  readonly ports: readonly PublishedRange[];
  readonly to: EndpointRef;
  /** Who may use it; undefined: everybody but the guests of isolated networks. */
  readonly from?: readonly Party[];
  /** Canonical text: `vps tcp/2222 -> web tcp/22`. */
  readonly text: string;
  /** The flow after NAT that it lets through: `any -> web tcp/22`. */
  readonly flow: string;
  readonly span: Span;
}

/** The ports `first` to `last` of the host, which are those from `target` on at the guest. */
export interface PublishedRange {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly first: number;
  readonly last: number;
  readonly target: number;
}

/** weft.lock: computed facts. Keys are names in lower case, sorted when written. */
export interface Lock {
  readonly version: 1;
  /** Of bridges, so that a renamed fabric does not change them under the guests. */
  readonly networks?: Readonly<Record<string, { readonly mac: string }>>;
  readonly guests: Readonly<Record<string, { readonly nics: readonly LockedNic[] }>>;
}

export interface LockedNic {
  readonly network: string;
  readonly mac: string;
  /** The outer guest, whose MAC `mac` then is. */
  readonly inside?: string;
  readonly v4?: string;
  readonly v6?: string;
  readonly bootstrap?: string;
}
