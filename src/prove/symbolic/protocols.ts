/** IP protocols by the names that nft uses for them (/etc/protocols, IANA). */
const numbers: Readonly<Record<string, number>> = {
  ip: 0,
  icmp: 1,
  igmp: 2,
  ipencap: 4,
  tcp: 6,
  egp: 8,
  igp: 9,
  udp: 17,
  dccp: 33,
  ipv6: 41,
  'ipv6-route': 43,
  'ipv6-frag': 44,
  rsvp: 46,
  gre: 47,
  esp: 50,
  ah: 51,
  'ipv6-icmp': 58,
  icmpv6: 58,
  'ipv6-nonxt': 59,
  'ipv6-opts': 60,
  eigrp: 88,
  ospf: 89,
  ospfigp: 89,
  ipip: 94,
  etherip: 97,
  encap: 98,
  pim: 103,
  ipcomp: 108,
  comp: 108,
  vrrp: 112,
  l2tp: 115,
  isis: 124,
  sctp: 132,
  udplite: 136,
};

export const TCP = 6;
export const UDP = 17;
export const SCTP = 132;
/** Those with ports at the same place: what `th sport` and `th dport` mean. */
export const withPorts: readonly number[] = [TCP, UDP, 33, SCTP, 136];

/** Undefined for a name that is not known. */
export function protocolNumber(name: string | number): number | undefined {
  if (typeof name === 'number') return name;
  return /^\d+$/.test(name) ? Number(name) : numbers[name];
}
