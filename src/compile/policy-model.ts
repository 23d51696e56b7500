/**
 * The policy of one host as plain data: for every guest address, what may be said to it and what it may say. `nft-policy.ts` prints this into
 * nftables, `judge.ts` interprets it: two readers of the same data, compared with real packets in test/policy.
 */
import type { Ports } from '../config/flow.ts';
import type { Family } from '../net/ip.ts';

/** The other side of an entry. Texts are canonical and all of the entry's family. */
export type Peer =
  | { readonly kind: 'addresses'; readonly addresses: ReadonlySet<string> }
  | { readonly kind: 'prefix'; readonly prefix: string }
  | { readonly kind: 'any' }
  /** What the name's set holds (`set` with the family's digit behind it), as far as it is `internet`: a name opens nothing of the fabric's own. In `to` only. */
  | { readonly kind: 'domain'; readonly domain: string; readonly set: string }
  /** Every address that is in none of {@link HostPolicy.notInternet}. */
  | { readonly kind: 'internet' };

/** One thing a rule says of one guest address. The same object stands at every address that shares it. */
export interface Entry {
  readonly peer: Peer;
  readonly ports: Ports;
  readonly log: boolean;
  /** Id of the rule in the file; `egress` for the default of that name. */
  readonly ruleId: string;
}

/**
 * `from`: forwarded to the guest, the peer is the source. `to`: forwarded from the guest, the peer is the destination.
 * `toHost`: from the guest to the host itself, the peer is the host's address. `fromHost`: from the host, the peer is its own address.
 */
export type Direction = 'from' | 'to' | 'toHost' | 'fromHost';
/** Block is asked first. */
export type Layer = 'block' | 'allow';

/** One address of one NIC of a guest on this host. */
export interface Endpoint {
  readonly address: string;
  readonly family: Family;
  readonly guest: string;
  readonly network: PolicyNetwork;
  /** The machine it belongs to: the guest, or the outer one of an `inside` guest. */
  readonly machine: string;
  /** Of the port it is behind. */
  readonly mac: string;
  /** EUI-64, of an IPv6 address at a port of its own. Behind another guest's port (`inside`) the link-local address is that guest's. */
  readonly linkLocal?: string;
  readonly logDropped: boolean;
  /** Whose answers count for domain names: what its default NIC's network asks (`resolverOf`). Undefined: nobody's. */
  readonly resolver: string | undefined;
  /** In the order of the rules. */
  readonly block: Readonly<Record<Direction, readonly Entry[]>>;
  readonly allow: Readonly<Record<Direction, readonly Entry[]>>;
}

export interface PolicyNetwork {
  readonly name: string;
  /** Interfaces of Weft behind which its guests are: the bridge, or the ports of a network without one. */
  readonly interfaces: readonly string[];
  readonly isolated: boolean;
  /** False: `filter: off`. */
  readonly filtered: boolean;
  readonly fromHost: boolean;
  /**
   * Prefixes of its guests' addresses: from elsewhere they are forged. Of a prefix that is on-link at the uplink, where neighbours have addresses of it too, only
   * those that guests have.
   */
  readonly subnets: readonly string[];
  /**
   * Those whose addresses must not be seen outside: all but the global IPv6 ones of a nat network and the public ones of a routed one. From outside they are reached by destination NAT only, since
   * the replies could not leave.
   */
  readonly keptIn: readonly string[];
  /** The host's addresses on those interfaces, fe80::1 included. */
  readonly gateways: readonly string[];
  /** Of them, those at which the host is known outside too: they are not closed to the outer network, and no service of Weft listens there. */
  readonly hostGateways: readonly string[];
  /** Gateways whose port 53 is answered at another address, on the same interfaces. */
  readonly dnsAt: readonly { readonly asked: string; readonly answers: string }[];
  readonly snat?: string;
  /**
   * kind bridged: the guests share the outer network's layer 2, so the host meets them by an interface that is not theirs alone. They are known by their addresses; the
   * neighbours on the wire are outside, hence no `interfaces`, `subnets` or `gateways`.
   */
  readonly shared?: SharedLink;
}

export interface SharedLink {
  readonly bridge: string;
  /** The physical interface on it. */
  readonly port: string;
  /** The host's own addresses there, at which its guests may ask for names. */
  readonly resolvers: readonly string[];
}

/** One range of ports of this host that leads to a guest, in one family. */
export interface Publication {
  /** Id of the entry in the file. */
  readonly id: string;
  readonly family: Family;
  /** Undefined: every address of the host, but not loopback and link-local ones, nor the gateways' of Weft's networks. */
  readonly at?: string;
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly first: number;
  readonly last: number;
  /** The guest's address, and the port that `first` becomes. */
  readonly target: string;
  readonly targetPort: number;
  /** Who may use it; undefined: all but the guests of isolated networks. `host`: the host itself too, whichever address it takes. */
  readonly from?: { readonly peers: readonly Peer[]; readonly host: boolean };
}

export interface HostPolicy {
  readonly host: string;
  readonly uplink?: string;
  readonly networks: readonly PolicyNetwork[];
  /** Subnets of networks on other hosts: nothing from there is let in, nor is it internet. */
  readonly elsewhere: readonly string[];
  /** No prefix within another. */
  readonly notInternet: readonly string[];
  /** By address, in the file's order. */
  readonly endpoints: ReadonlyMap<string, Endpoint>;
  /** By the guest's address, in the file's order. */
  readonly published: ReadonlyMap<string, readonly Publication[]>;
  /** EUI-64 link-local address to the v6 endpoint of the same NIC. */
  readonly linkLocals: ReadonlyMap<string, Endpoint>;
  /** By a domain's `set`: what it holds now, or `all` addresses. Absent: nothing, as long as nobody has looked. */
  readonly opened?: ReadonlyMap<string, ReadonlySet<string> | 'all'>;
  /** Something on this host goes to the log. */
  readonly logs: boolean;
  /** Families whose forwarding Weft switched on: what is neither from nor to an interface of Weft is then dropped. */
  readonly guardsForwarding: { readonly v4: boolean; readonly v6: boolean };
}
