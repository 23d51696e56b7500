/**
 * Hosts and networks of the file with their names resolved: which host a network lives on, its subnets, its bridge.
 */
import type { FileModel, NetworkEntry } from '../config/model.ts';
import { parseIp } from '../net/ip.ts';
import type { HostDraft, NetworkDraft } from './drafts.ts';
import { bridgeName } from './interfaces.ts';
import { DEFAULT_HOST } from './names.ts';
import { didYouMean } from './did-you-mean.ts';
import { key, value } from './problems.ts';
import type { Problems } from './problems.ts';
import { checkManagedInterface, managedUplink } from './managed.ts';
import { planRouted } from './routed.ts';
import { planSubnets } from './subnets.ts';

/** Lower-case name to draft, in file order. */
export type Hosts = ReadonlyMap<string, HostDraft>;
export type Networks = ReadonlyMap<string, NetworkDraft>;

/** The declared hosts; without any, one that is called `host`. Reports an address that two hosts claim. */
export function draftHosts(model: FileModel, problems: Problems): Hosts {
  const hosts = new Map<string, HostDraft>();
  const owners = new Map<string, string>();
  for (const [name, entry] of Object.entries(model.hosts ?? {})) {
    if (hosts.has(name.toLowerCase())) continue;
    for (const [i, address] of (entry.address ?? []).entries()) {
      const owner = owners.get(address);
      if (owner === undefined) owners.set(address, name);
      else {
        const whose = owner === name ? `is listed twice for the host \`${name}\`` : `belongs to the host \`${owner}\` already`;
        problems.error('address-taken', value('hosts', name, 'address', i), `the address ${address} ${whose}; leave it out here.`);
      }
    }
    hosts.set(name.toLowerCase(), {
      name,
      addresses: entry.address ?? [],
      ...(entry.uplink === undefined ? {} : { uplink: entry.uplink }),
      ...(entry.macs === undefined ? {} : { macs: entry.macs.map((mac) => mac.toLowerCase()) }),
      ...(entry.manage === true ? { managed: managedUplink(name, entry, problems) } : {}),
    });
  }
  if (hosts.size === 0) hosts.set(DEFAULT_HOST, { name: DEFAULT_HOST, addresses: [] });
  return hosts;
}

export function draftNetworks(model: FileModel, hosts: Hosts, problems: Problems): Networks {
  const networks = new Map<string, NetworkDraft>();
  for (const [name, entry] of Object.entries(model.networks)) {
    if (networks.has(name.toLowerCase())) continue;
    networks.set(name.toLowerCase(), draftNetwork(name, entry, hosts, problems));
  }
  checkInterfaces([...networks.values()], problems);
  return networks;
}

/** An interface is a port of one bridge. */
function checkInterfaces(networks: readonly NetworkDraft[], problems: Problems): void {
  const takers = new Map<string, NetworkDraft>();
  for (const network of networks) {
    const { entry, name, host } = network;
    if (entry.kind !== 'bridged' || host === undefined) continue;
    checkManagedInterface(name, entry.interface, host, problems);
    const place = `${host.name} ${entry.interface}`;
    const first = takers.get(place);
    if (first === undefined) takers.set(place, network);
    else
      problems.error(
        'interface-taken',
        value('networks', name, 'interface'),
        `the interface ${entry.interface} joins the bridge of the network \`${first.name}\` already; put the guests of both into one network, or take another interface (a VLAN of it, such as ${entry.interface}.10, is one of its own).`,
        { message: `\`${first.name}\` is here`, at: value('networks', first.name, 'interface') },
      );
  }
}

function draftNetwork(name: string, entry: NetworkEntry, hosts: Hosts, problems: Problems): NetworkDraft {
  const host = hostOf(name, entry.host, hosts, problems);
  const bridge = bridgeName(name);
  if (entry.kind === 'routed') {
    const { plan, sound } = planRouted(name, entry, host, problems);
    return { name, entry, host, bridge: '', v4: undefined, v6: undefined, routed: plan, within: plan.prefixes, sound };
  }
  const plan = planSubnets(name, entry, ['networks', name], problems);
  const count = entry.subnet?.length ?? 0;
  if (count === 0) {
    problems.error(
      'subnet-missing',
      key('networks', name),
      `the network \`${name}\` has no subnet; give it one, such as \`subnet: 10.0.105.0/24\`.`,
    );
  }
  if (entry.kind === 'nat' && entry.snat !== undefined) checkSnat(name, entry.snat, plan, host, problems);
  if (plan.v6 && entry.mtu !== undefined && entry.mtu < 1280) {
    problems.error(
      'bad-value',
      value('networks', name, 'mtu'),
      `an MTU of ${entry.mtu} is too small for IPv6, which needs 1280; raise it, or take the IPv6 subnet out.`,
    );
  }
  const within = [plan.v4, plan.v6].flatMap((p) => p?.prefix ?? []);
  return { name, entry, host, bridge, v4: plan.v4, v6: plan.v6, within, sound: plan.sound && count > 0 };
}

function hostOf(network: string, wanted: string | undefined, hosts: Hosts, problems: Problems): HostDraft | undefined {
  const names = [...hosts.values()].map((h) => h.name);
  if (wanted === undefined) {
    const [only] = hosts.values();
    if (hosts.size === 1) return only;
    problems.error(
      'host-required',
      key('networks', network),
      `the network \`${network}\` does not say on which host it is; add \`host:\` with one of ${names.join(', ')}.`,
    );
    return undefined;
  }
  const host = hosts.get(wanted.toLowerCase());
  if (!host) {
    problems.error('unknown-host', value('networks', network, 'host'), `there is no host \`${wanted}\`${didYouMean(wanted, names)}`);
  }
  return host;
}

/** Without declared addresses, the uplink's are known on the host only; the compiler then checks. */
function checkSnat(name: string, snat: string, plan: { v4: unknown; v6: unknown }, host: HostDraft | undefined, problems: Problems): void {
  const at = value('networks', name, 'snat');
  const family = parseIp(snat)?.family;
  if ((family === 4 && !plan.v4) || (family === 6 && !plan.v6)) {
    problems.error(
      'family-mismatch',
      at,
      `\`snat\` is IPv${family}, but the network \`${name}\` has no IPv${family} subnet; leave \`snat\` out, or add one.`,
    );
  }
  if (host && host.addresses.length > 0 && !host.addresses.includes(snat)) {
    problems.error(
      'snat-not-on-uplink',
      at,
      `\`snat\` ${snat} is not an address of the host \`${host.name}\`; take one of ${host.addresses.join(', ')}, or add it there.`,
      { message: `the host's addresses are here`, at: value('hosts', host.name, 'address') },
    );
  }
}
