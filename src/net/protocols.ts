/** IP protocols by number and by the names that nft has for them: those of the host's /etc/protocols, which agree on these (IANA). */

/** The one name of each that nft lists, where hosts agree on it; others are listed as numbers, or by a name of the host's own. */
export const protocolNames: Readonly<Record<number, string>> = {
  1: 'icmp',
  2: 'igmp',
  6: 'tcp',
  17: 'udp',
  33: 'dccp',
  41: 'ipv6',
  47: 'gre',
  50: 'esp',
  51: 'ah',
  58: 'ipv6-icmp',
  89: 'ospf',
  103: 'pim',
  112: 'vrrp',
  115: 'l2tp',
  132: 'sctp',
  136: 'udplite',
};

/** Other names for the same, and names that only some hosts have. */
const others: Readonly<Record<string, number>> = {
  ip: 0,
  ipencap: 4,
  egp: 8,
  igp: 9,
  'ipv6-route': 43,
  'ipv6-frag': 44,
  rsvp: 46,
  icmpv6: 58,
  'ipv6-nonxt': 59,
  'ipv6-opts': 60,
  eigrp: 88,
  ospfigp: 89,
  ipip: 94,
  etherip: 97,
  encap: 98,
  ipcomp: 108,
  comp: 108,
  isis: 124,
};

const numbers: ReadonlyMap<string, number> = new Map([
  ...Object.entries(others),
  ...Object.entries(protocolNames).map(([number, name]) => [name, Number(number)] as const),
]);

export const TCP = 6;
export const UDP = 17;
export const SCTP = 132;
/** Those with ports at the same place: what `th sport` and `th dport` mean. */
export const withPorts: readonly number[] = [TCP, UDP, 33, SCTP, 136];

/** `tcp`, or the number as text. */
export const protocolName = (number: number): string => protocolNames[number] ?? String(number);

/** Of a number, a number as text, or a name; undefined for a name that is not known. */
export function protocolNumber(name: string | number): number | undefined {
  if (typeof name === 'number') return name;
  return /^\d+$/.test(name) ? Number(name) : numbers.get(name);
}
