/**
 * A provider that does not route a guest's address asks for it on the wire (ARP, neighbour solicitation), as it does for all of a /64 that is on-link at
 * the uplink. The host answers there, for what guests have and nothing else.
 */
import type { HostFacts, NeighborProxy, Sysctl } from '../hoststate/model.ts';
import { parseIp, prefixContains } from '../net/ip.ts';
import { sortedBy, type LocalNic } from './local-nics.ts';
import { familyOf, onLinkAtUplink } from './prefixes.ts';
import type { RoutedPort } from './routed-ports.ts';

/** Public addresses of guests behind these ports that the uplink's neighbours take for their own neighbours. */
export function proxies(nics: readonly LocalNic[], ports: readonly RoutedPort[], facts: HostFacts): NeighborProxy[] {
  const { uplink } = facts;
  if (!uplink) return [];
  const onLink = onLinkAtUplink(facts);
  const standing = new Set(ports.map((port) => port.link));
  const addresses = nics
    .filter(({ network, link }) => network.kind === 'routed' && standing.has(link))
    .flatMap(({ nic }) => [nic.v4, nic.v6])
    .filter((address) => address !== undefined);
  const asked = addresses.filter((address) => {
    const ip = parseIp(address);
    return ip !== undefined && onLink.some((prefix) => prefixContains(prefix, ip));
  });
  return sortedBy(
    asked.map((address) => ({ link: uplink.name, address })),
    (proxy) => `${proxy.link} ${proxy.address}`,
  );
}

/**
 * What the kernel needs to answer, and to answer at once (arp_process, ndisc_recv_ns): IPv4 forwarding, which is on anyway; in IPv6 the interface has to be a
 * router's, which still takes router advertisements if it did.
 */
export function proxySettings(wanted: readonly NeighborProxy[], { acceptRa }: HostFacts): Sysctl[] {
  const links = (family: 4 | 6): string[] => [
    ...new Set(wanted.flatMap(({ link, address }) => (familyOf(address) === family ? [link] : []))),
  ];
  return [
    ...links(4).map((link): Sysctl => ({ key: `net/ipv4/neigh/${link}/proxy_delay`, value: '0' })),
    ...links(6).flatMap((link): Sysctl[] => [
      ...(acceptRa.includes(link) ? [{ key: `net/ipv6/conf/${link}/accept_ra`, value: '2' }] : []),
      { key: `net/ipv6/conf/${link}/forwarding`, value: '1' },
      { key: `net/ipv6/conf/${link}/proxy_ndp`, value: '1' },
      { key: `net/ipv6/neigh/${link}/proxy_delay`, value: '0' },
    ]),
  ];
}
