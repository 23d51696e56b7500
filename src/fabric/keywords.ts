/**
 * Words that cannot name a guest or network: tokens of nft's grammar, which nft refuses as the name of a chain or set, and
 * words `ip link` takes for something else where a device name may stand ("A bridge may not be called `br`").
 */

/** True when `nft` or `ip` reads this lower-case word as part of its own language. */
export const keywordOf = (word: string): 'nft' | 'ip' | undefined => (NFT.has(word) ? 'nft' : IP.has(word) ? 'ip' : undefined);

/** Tokens valid in every state of nft's scanner, versions 1.0.6 to 1.1.6 (February 2026), those that could be names here. */
const NFT = new Set(
  `accept add ah all and arp auto-merge bridge cgroup chain comment comp constant continue counter cpu create ct day dccp define
  delete describe destroy device devices dnat drop dst dup dynamic ecn element elements eq esp ether exists expires export exthdr
  fib flags flow flowtable flush frag fwd gc-interval ge geneve get goto gre gretap gt handle hbh hook hour ibriport ibrname icmp
  icmpv6 igmp iif iifgroup iifname iiftype import include index inet insert interval ip ip6 ipsec jhash jump last le limit list
  log lshift lt map mark masquerade meta meter mh missing monitor ne netdev nftrace not notrack numgen obriport obrname offload
  oif oifgroup oifname oiftype or osf out pkttype policy position priority queue quota random redefine redirect reject rename
  replace reset return rshift rt rt0 rt2 rtclassid rule ruleset sctp secmark set size skgid skuid snat socket srh symhash synproxy
  table tcp th time timeout tproxy tunnel type typeof udp udplite undefine update vlan vmap vni vxlan xor xt zone`.split(/\s+/),
);

/** Commands and options of `ip link` (ip-link(8), iproute2 6.1) and the abbreviations of them known to bite. */
const IP = new Set(
  `address addrgenmode afstats alias allmulticast altname append arp br broadcast brd carrier change del delete dev down dynamic
  group help index link lst mac macaddr master mtu multicast name netns nomaster numrxqueues numtxqueues parentdev peer promisc
  property protodown qlen show trailers tx txqlen txqueuelen type up vf vrf xdp xdpdrv xdpgeneric xdpoffload xstats`.split(/\s+/),
);
