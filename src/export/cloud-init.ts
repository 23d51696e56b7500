/**
 * cloud-init: the network configuration of version 2, and the two other files of a NoCloud seed
 * (docs.cloud-init.io, "Networking config Version 2" and "NoCloud").
 */
import { stringify } from 'yaml';
import type { ExportedFile } from './file.ts';
import type { GuestNetwork, GuestNic, Resolver } from './guest-network.ts';
import { isDefaultRoute, isPointToPoint, isV6 } from './guest-network.ts';

/** One file, `network-config`. */
export function cloudInit(network: GuestNetwork): readonly ExportedFile[] {
  return [{ name: 'network-config', content: networkConfig(network) }];
}

/**
 * The files of a NoCloud seed. The instance id depends on fabric and guest only: another one would make cloud-init set the guest up again
 * from the start, SSH host keys included.
 */
export function seedFiles(network: GuestNetwork, userData: string): readonly ExportedFile[] {
  const name = network.guest.toLowerCase();
  return [
    { name: 'meta-data', content: yaml({ 'instance-id': `${network.fabric}-${name}`, 'local-hostname': name }) },
    { name: 'user-data', content: userData },
    ...cloudInit(network),
  ];
}

/** User data that asks for nothing. */
export const emptyUserData = '#cloud-config\n';

function networkConfig({ nics, resolver }: GuestNetwork): string {
  return yaml({ version: 2, ethernets: Object.fromEntries(nics.map((nic) => [nic.name, ethernet(nic, resolver)])) });
}

/**
 * Default routes are said as `gateway4` and `gateway6`, although newer pages recommend `routes`: cloud-init 22.4 (Debian 12) makes `::/64` of a route to
 * `::/0`, and writes routes for ifupdown as calls of route(8), which is seldom installed and cannot have a link-local next hop.
 */
function ethernet(nic: GuestNic, resolver: Resolver): object {
  const gateway = (v6: boolean): string | undefined => nic.routes.find((route) => isDefaultRoute(route) && isV6(route.prefix) === v6)?.via;
  // Out of the guest's own prefix, the next hop has to be said to be on-link, and `gateway4` cannot.
  const pointToPoint = isPointToPoint(nic);
  const [gateway4, gateway6] = [pointToPoint ? undefined : gateway(false), gateway(true)];
  const routes = nic.routes.filter((route) => route.via !== undefined && (!isDefaultRoute(route) || (pointToPoint && !isV6(route.prefix))));
  return {
    match: { macaddress: nic.mac },
    'set-name': nic.name,
    mtu: nic.mtu,
    dhcp4: false,
    dhcp6: false,
    'accept-ra': false,
    addresses: nic.addresses,
    ...(gateway4 === undefined ? {} : { gateway4 }),
    ...(gateway6 === undefined ? {} : { gateway6 }),
    ...(routes.length === 0 ? {} : { routes: routes.map(({ prefix, via }) => ({ to: prefix, via, 'on-link': true })) }),
    ...(nic.default ? { nameservers: { search: resolver.domains, addresses: resolver.servers } } : {}),
  };
}

/** All values quoted: cloud-init reads YAML 1.1, in which a MAC such as 52:54:00:12:34:56 is a number. */
function yaml(document: object): string {
  return stringify(document, { defaultStringType: 'QUOTE_SINGLE', defaultKeyType: 'PLAIN', lineWidth: 0 });
}
