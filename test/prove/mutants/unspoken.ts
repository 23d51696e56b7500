/** What no proof is about, by the words of a rule, the name of a set or a setting: ARP and neighbour discovery, DHCP, states and flags of connections that are open already, redirects. */
import type { Mutant } from './mutate.ts';

const sorts: readonly (readonly [string, RegExp])[] = [
  ['ARP', /\barp\b|arp_|proxy_arp|\bknown4\b/],
  ['neighbour discovery', /\bnd-|mld|@th,64|\b(port|all)_nd\b|accept_ra|proxy_ndp/],
  ['DHCP', /\b(sport|dport) (67|68|546|547)\b|chaddr|guard_dhcp/],
  ['open connections', /tcp flags|ct state|related|maxseg/],
  ['redirects', /redirect/],
  ['logs', /\blog\b/],
];

/** Undefined: it is about packets of which the proofs do speak. */
export function unspokenOf({ what }: Mutant): string | undefined {
  return sorts.find(([, words]) => words.test(what))?.[0];
}
