/**
 * The host state: the complete kernel state of one host that is Weft's, desired or observed, as plain readonly data; the one
 * intermediate representation between compiler, planner, prover and kernel. Only what Weft owns is here: its links (known by
 * their alias), what hangs on them, its nftables tables, the sysctls it sets, its services. Serialises to JSON as it is.
 */
import type { Listener } from './listeners.ts';
import type { NftTable } from './nft.ts';

/** Route protocol number of everything Weft adds itself (`ip route … proto 87`). */
export const WEFT_PROTOCOL = 87;
/** Link group of Weft's ports, so that many leave with one `ip link del group`. */
export const WEFT_LINK_GROUP = 22359;
/** Aliases of Weft's links begin with this: `weft:<fabric>:<bridge|port|vlan>:<name>`. */
export const WEFT_ALIAS_PREFIX = 'weft:';

export interface HostState {
  readonly fabric: string;
  readonly host: string;
  /** Parts of the kernel that have to be loaded. They are never unloaded: observed are those of the wanted ones that are there. */
  readonly modules: readonly KernelModule[];
  /** Sorted by name. */
  readonly links: readonly Link[];
  /** Interfaces of the host that are ports of Weft's bridges, VLANs that Weft has made of them included; the host's own addresses and routes are on the bridge then. Sorted by interface. */
  readonly enslaved: readonly Enslaved[];
  /** Addresses on Weft's bridges, and on its ports that are on none, sorted; then those Weft has given the uplink (`manage: true`), in file order. */
  readonly addresses: readonly Address[];
  /** Routes of protocol {@link WEFT_PROTOCOL} in the host's namespace. Sorted. */
  readonly routes: readonly Route[];
  /** Permanent neighbour entries of guests on Weft's links. Sorted. */
  readonly neighbors: readonly Neighbor[];
  /** Addresses of guests for which the host answers on an interface that is not Weft's. Sorted. */
  readonly proxies: readonly NeighborProxy[];
  /** Static forwarding entries of guests' MACs on their ports. Sorted. */
  readonly fdb: readonly FdbEntry[];
  /** In the order in which they have to be set. */
  readonly sysctls: readonly Sysctl[];
  /** `inet weft` and `netdev weft` (as far as there is anything in them). */
  readonly tables: readonly NftTable[];
  /** The inside of guests that Weft configures: kind namespace, and attached containers. Sorted by guest. */
  readonly guests: readonly GuestSide[];
  /** Long-running programs. Sorted by name. */
  readonly services: readonly Service[];
}

/** By modprobe's name. */
export type KernelModule = 'br_netfilter';

export type Link = BridgeLink | PortLink | VlanLink;

/** A physical interface on a bridge of Weft (kind bridged). */
export interface Enslaved {
  readonly interface: string;
  readonly bridge: string;
}

export interface BridgeLink {
  readonly kind: 'bridge';
  readonly name: string;
  readonly alias: string;
  readonly mac: string;
  readonly mtu: number;
  /** Frames that it forwards pass the inet hooks too, with connection tracking (br_netfilter): its guests share a layer 2 with the outer network. */
  readonly nfCall?: true;
  /** Only ever observed: interfaces that somebody else has put on it. Absent when there are none. */
  readonly strangers?: readonly string[];
  /** Only ever observed: what is not as Weft sets it up (`down`, `stp`, `multicast snooping`). Absent when all is right. */
  readonly deviations?: readonly string[];
}

/** A VLAN of an interface of the host, made because a bridged network names it and it was not there (`em0.10`). */
export interface VlanLink {
  readonly kind: 'vlan';
  readonly name: string;
  readonly alias: string;
  /** The interface, not Weft's, whose frames with the tag it carries, and which it vanishes with. */
  readonly parent: string;
  readonly id: number;
  readonly mtu: number;
  /** Only ever observed, as for the others. */
  readonly deviations?: readonly string[];
}

export interface PortLink {
  readonly kind: 'tap' | 'veth';
  readonly name: string;
  readonly alias: string;
  /**
   * Name of the bridge: the port is isolated there (unless shared), does not learn, and is not flooded with unknown unicast. Undefined for a port of a routed network, which
   * is a link of its own, with addresses, neighbours and routes like a bridge.
   */
  readonly bridge?: string;
  /** Not isolated: it shares its layer 2 with the other ports of the bridge (kind bridged). */
  readonly shared?: true;
  readonly mtu: number;
  /** TAP: user name that may open it. */
  readonly owner?: string;
  /** veth: key into {@link HostState.guests} and the interface's name there. */
  readonly peer?: { readonly guest: string; readonly interface: string };
  /** Only ever observed: what is not as Weft sets it up (`down`, `learning`, `flooded`). Absent when all is right. */
  readonly deviations?: readonly string[];
}

export interface Address {
  readonly link: string;
  /** `10.0.105.254/24`, `fe80::1/64`. */
  readonly address: string;
}

export type Route =
  | { readonly prefix: string; readonly link: string; readonly via?: string; readonly onlink?: true; readonly metric?: number }
  /** Answered with "unreachable"; the metric is behind that of routes that lead somewhere. */
  | { readonly prefix: string; readonly unreachable: true; readonly metric: number };

export interface Neighbor {
  readonly link: string;
  readonly address: string;
  readonly mac: string;
}

/** `ip neigh add proxy 203.0.113.7 dev eth0 proto 87`: ARP or neighbour solicitations for it are answered there. */
export interface NeighborProxy {
  readonly link: string;
  readonly address: string;
}

export interface FdbEntry {
  readonly port: string;
  readonly mac: string;
  /**
   * The bridge gives frames of guests for this MAC to the host itself, while the host's own go out by the port. Where br_netfilter translates a guest's packet to another guest
   * of the bridge, it bridges it there by itself, past isolation and the host; so it comes back to where it is routed and filtered.
   */
  readonly local?: true;
}

export interface Sysctl {
  /** Path under /proc/sys with slashes: `net/ipv4/conf/br-internal/proxy_arp_pvlan`. */
  readonly key: string;
  readonly value: string;
  /** The link it belongs to and vanishes with; undefined: a setting of the host itself, whose old value is kept and restored. */
  readonly link?: string;
}

export interface GuestSide {
  readonly guest: string;
  /** `made`: Weft makes /run/netns/<namespace>; `attached`: somebody else's namespace, by path. */
  readonly netns: { readonly kind: 'made'; readonly namespace: string } | { readonly kind: 'attached'; readonly path: string };
  readonly interfaces: readonly GuestInterface[];
  /** Content of /etc/netns/<namespace>/resolv.conf; only for `made`. */
  readonly resolvConf?: string;
  /** Set inside the guest's namespace, keys as in {@link Sysctl}. */
  readonly sysctls: readonly Sysctl[];
}

export interface GuestInterface {
  readonly name: string;
  readonly port: string;
  readonly mac: string;
  readonly mtu: number;
  /** `10.0.105.20/24`, `fd00:105::20/128`. */
  readonly addresses: readonly string[];
  readonly routes: readonly { readonly prefix: string; readonly via?: string }[];
}

export type Service = DnsmasqService | RecorderService | RelayService;

/** One dnsmasq per network, answering on that network's bridge only. */
export interface DnsmasqService {
  readonly kind: 'dnsmasq';
  /** `dnsmasq-<network>`; also its directory under `<run-dir>/services/`. */
  readonly name: string;
  readonly network: string;
  /** A change here needs a restart. Path placeholders: `@DIR@` is the service's own directory, `@NAMES@` the shared names directory. */
  readonly config: string;
  /** Files read again without a restart: path relative to the service's directory to content (`dhcp/hosts`). */
  readonly files: Readonly<Record<string, string>>;
  /** Shared by all instances: content of `<run-dir>/names/hosts`. The same text in every service of a host. */
  readonly names: string;
  /** Routing domain for systemd-resolved, where it runs: domains (`~weft.internal`, reverse zones) and the server's address on this bridge. */
  readonly resolved?: { readonly link: string; readonly servers: readonly string[]; readonly domains: readonly string[] };
}

/** Keeps what `log` rules send to an nflog group in a ring of capture files, for `weft logs`. Only when something is logged. */
export interface RecorderService {
  readonly kind: 'recorder';
  readonly name: 'recorder';
  readonly group: number;
}

/**
 * Passes on the guests' questions for the domain names that rules have as destinations, and puts the addresses of every answer into the name's sets before the
 * answer is given. Only when a rule names a domain.
 */
export interface RelayService {
  readonly kind: 'relay';
  readonly name: 'relay';
  readonly config: RelayConfig;
}

export interface RelayConfig {
  /** Where networks ask, one for each list of name servers that networks have. */
  readonly listeners: readonly RelayListener[];
  /** An address stays open for so many seconds longer than the answer that named it is valid. */
  readonly graceSeconds: number;
  /** Answers that call themselves valid for longer count as valid for so many seconds; dnsmasq keeps none longer either. */
  readonly longestSeconds: number;
}

export interface RelayDomain {
  /** `updates.example.org`, or `*.example.org` for every name below example.org. Lower case. */
  readonly pattern: string;
  /** Names of sets in `inet weft`, as far as a guest with such addresses may use them. */
  readonly set4?: string;
  readonly set6?: string;
}

export interface RelayListener {
  /** In 127.0.0.0/8, on UDP and TCP. */
  readonly address: string;
  readonly port: number;
  readonly upstream: RelayUpstream;
  /** What answers from there open. */
  readonly domains: readonly RelayDomain[];
}

/** `follow`: the name servers of a resolv.conf, as it is at each question, but none of `except` (Weft's own gateways). */
export type RelayUpstream =
  | { readonly kind: 'servers'; readonly servers: readonly string[] }
  | { readonly kind: 'follow'; readonly file: string; readonly except: readonly string[] };

/** What the compiler has to know of the host it compiles for. Must not depend on what Weft itself has set there. */
export interface HostFacts {
  readonly uplink?: {
    readonly name: string;
    readonly mtu: number;
    readonly mac: string;
    /** Next hops of its default routes. */
    readonly gateways: readonly string[];
    /** `203.0.113.10/24`, global scope, both families. */
    readonly addresses: readonly string[];
    /** There is an IPv6 default route. */
    readonly v6: boolean;
    /** `manage: true`; its addresses and gateways are among those above, whether they are there yet or not. */
    readonly managed?: {
      /** `203.0.113.10/32`: those that nobody else has put there. In file order. */
      readonly addresses: readonly string[];
      /** Next hops of the default routes that nobody else has set. */
      readonly gateways: readonly string[];
      /** Default routes of others that the wanted ones, which are not there yet, would take the place of. */
      readonly rivals: readonly { readonly prefix: string; readonly via?: string; readonly link?: string }[];
    };
  };
  /** The interfaces that bridged networks name, as far as they are there; what is on their bridges counts as theirs. In the order asked for. */
  readonly interfaces: readonly HostInterface[];
  /** Forwarding was already on before Weft (`net.ipv4.conf.all.forwarding`, `net.ipv6.conf.all.forwarding`). */
  readonly forwarding: { readonly v4: boolean; readonly v6: boolean };
  /** Interfaces, not Weft's, that accept router advertisements now (accept_ra 1 and not forwarding), and would stop when v6 forwarding comes on. */
  readonly acceptRa: readonly string[];
  /** Networks and addresses the host already has, not Weft's: for the collision check at plan time. */
  readonly routes: readonly {
    readonly prefix: string;
    readonly link: string;
    /** An address of the host itself there. */
    readonly local?: true;
  }[];
  /** Sockets of this host's programs on ports that the file publishes; absent when it publishes none. */
  readonly listening?: readonly Listener[];
  readonly features: KernelFeatures;
}

/** An interface of the host that is not Weft's, or a VLAN of one that Weft makes. */
export interface HostInterface {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** `203.0.113.10/24`, global scope, both families. */
  readonly addresses: readonly string[];
  /** It is not there, or Weft has made it: a VLAN of that interface, whose MAC, MTU and fitness it has. */
  readonly vlan?: { readonly parent: string; readonly id: number };
  /** What keeps it from being a port of a bridge, if anything. `no-vlans`: it would have to be made, and this kernel has no VLANs (8021q). */
  readonly unfit?: 'wireless' | 'bridge' | 'loopback' | 'no-ethernet' | 'down' | 'no-vlans' | { readonly master: string };
}

export interface KernelFeatures {
  /** br_netfilter is there (/proc/sys/net/bridge) or can be loaded: what a bridge forwards can be made to pass the inet hooks. */
  readonly bridgeNetfilter: boolean;
  /** net.ipv6.conf.*.force_forwarding exists (Linux 6.17). */
  readonly forceForwarding: boolean;
}
