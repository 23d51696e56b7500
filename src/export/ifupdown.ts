/** ifupdown: /etc/network/interfaces, see interfaces(5) of Debian. */
import type { ExportedFile } from './file.ts';
import type { GuestNetwork, GuestNic, Resolver } from './guest-network.ts';
import { isDefaultRoute, isV6 } from './guest-network.ts';

/** One file, `interfaces`. */
export function ifupdown({ guest, nics, resolver }: GuestNetwork): readonly ExportedFile[] {
  const lines = [
    `# ${guest}: /etc/network/interfaces`,
    ...resolverComment(resolver),
    '',
    'auto lo',
    'iface lo inet loopback',
    ...nics.flatMap((nic) => ['', ...interfaceLines(nic, resolver)]),
  ];
  return [{ name: 'interfaces', content: lines.map((line) => `${line}\n`).join('') }];
}

/** `dns-…` are read by resolvconf(8), which not every system has. resolv.conf(5): at most three name servers are asked. */
function resolverComment({ domains, servers }: Resolver): string[] {
  if (servers.length === 0) return [];
  return [
    '# On a system without resolvconf, /etc/resolv.conf has to say:',
    `#   search ${domains.join(' ')}`,
    ...servers.slice(0, 3).map((server) => `#   nameserver ${server}`),
  ];
}

/** One stanza for each family. `rename` is left to the reader: with it, `ifdown -a` of ifupdown 0.8.41 (Debian 12) fails, and other ifupdowns do not know it. */
function interfaceLines(nic: GuestNic, resolver: Resolver): string[] {
  const { name, mac, network } = nic;
  const v4 = nic.addresses.filter((address) => !isV6(address));
  const v6 = nic.addresses.filter(isV6);
  // Where the first stanza is of IPv6, it carries what belongs to the interface.
  const common = [`mtu ${nic.mtu}`, ...(nic.default ? dns(resolver) : [])];
  const stanzas = [
    ...v4.map((address) => ({ family: 'inet', options: [`address ${address}`, ...routes(nic, false)] })),
    // Nothing is taken from router advertisements: with `accept_ra` a second NIC would get a default route, too.
    ...v6.map((address) => ({ family: 'inet6', options: [`address ${address}`, 'accept_ra 0', 'autoconf 0', ...routes(nic, true)] })),
  ];
  return [
    `# in ${network}: the interface with MAC ${mac}. Where it has another name, write that one, or remove the # from the next line.`,
    `#rename mac/${mac}=${name}`,
    `auto ${name}`,
    ...stanzas.flatMap(({ family, options }, index) => [
      `iface ${name} ${family} static`,
      ...[...options, ...(index === 0 ? common : [])].map((option) => `    ${option}`),
    ]),
  ];
}

function dns({ domains, servers }: Resolver): string[] {
  return [`dns-nameservers ${servers.join(' ')}`, `dns-search ${domains.join(' ')}`];
}

function routes(nic: GuestNic, v6: boolean): string[] {
  return nic.routes
    .filter(({ prefix }) => isV6(prefix) === v6)
    .map((route) => {
      // interfaces(5): the address of the other end, which is then on-link.
      if (route.via === undefined) return `pointopoint ${route.prefix.replace(/\/32$/, '')}`;
      return isDefaultRoute(route) ? `gateway ${route.via}` : `up ip route replace ${route.prefix} via ${route.via} dev ${nic.name}`;
    });
}
