/**
 * What the file may say already and Weft cannot do yet. Names in it are checked, then each use gets one `not-supported-yet` error at
 * its place: a file is applied as written or not at all.
 */
import type { Egress, FileModel, Path } from '../config/model.ts';
import { parsePrefix } from '../net/ip.ts';
import { didYouMean } from './did-you-mean.ts';
import type { Guests } from './guests.ts';
import type { Hosts } from './networks.ts';
import type { NamedPrefix } from './overlaps.ts';
import { key, value } from './problems.ts';
import type { Place, Problems } from './problems.ts';
import { checkSubnet } from './subnets.ts';

export function refuseUnsupported(model: FileModel, hosts: Hosts, guests: Guests, problems: Problems): void {
  const refuse = (at: Place, what: string, remedy: string): void =>
    problems.error('not-supported-yet', at, `${what} not supported yet; ${remedy}.`);
  const needHost = (name: string, at: Place): void => {
    if (hosts.has(name.toLowerCase())) return;
    const names = [...hosts.values()].map((host) => host.name);
    problems.error('unknown-host', at, `there is no host \`${name}\`${didYouMean(name, names)}`);
  };
  const needGuest = (name: string, at: Place): void => {
    if (guests.has(name.toLowerCase())) return;
    const names = [...guests.values()].map((guest) => guest.name);
    problems.error('unknown-guest', at, `there is no guest \`${name}\`${didYouMean(name, names)}`);
  };
  const egress = (entry: Egress | undefined, path: Path): void => {
    if (entry?.kind !== 'via') return;
    needHost(entry.host, value(...path));
    refuse(value(...path), '`egress: via` another host is', 'write `allow` or `deny`');
  };

  for (const [name, host] of Object.entries(model.hosts ?? {})) {
    if (host.behind) refuse(key('hosts', name, 'behind'), '`behind` is', 'leave it out');
  }
  for (const [name, network] of Object.entries(model.networks)) {
    egress(network.egress, ['networks', name, 'egress']);
  }
  for (const [name, guest] of Object.entries(model.guests)) egress(guest.egress, ['guests', name, 'egress']);
  for (const [name, group] of Object.entries(model.groups)) egress(group.egress, ['groups', name, 'egress']);
  for (const [name, link] of Object.entries(model.links)) {
    for (const [i, host] of link.hosts.entries()) needHost(host, value('links', name, 'hosts', i));
    refuse(key('links', name), '`links` between hosts are', 'take the link out, each host is then configured on its own');
  }
  if (model.ingress) {
    needHost(model.ingress.at, value('ingress', 'at'));
    for (const route of model.ingress.routes) needGuest(route.to, { path: route.path });
    refuse(key('ingress'), '`ingress` is', 'take it out');
  }
  if (hosts.size > 1 && Object.keys(model.links).length === 0) {
    const message =
      'the link between several hosts is not supported yet: each host is configured on its own, and no guest reaches one of another host.';
    problems.warning('not-supported-yet', key('hosts'), message);
  }
}

/** The subnets of links, for the overlap check. */
export function linkSubnets(model: FileModel, problems: Problems): readonly NamedPrefix[] {
  const links: NamedPrefix[] = [];
  for (const [name, link] of Object.entries(model.links)) {
    if (link.subnet === undefined || !parsePrefix(link.subnet)) continue;
    const at = value('links', name, 'subnet');
    const prefix = checkSubnet(link.subnet, (code, message) => problems.error(code, at, message));
    if (prefix) links.push({ name, prefix, at });
  }
  return links;
}
