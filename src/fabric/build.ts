/**
 * From the validated file and the lock to the fabric: every name resolved, every default applied, every address and MAC
 * decided. Pure; all problems are reported, each once, before it gives up.
 */
import type { ConfigFile, NetworkEntry } from '../config/model.ts';
import type { Report } from '../diagnostic/diagnostic.ts';
import { chooseAddresses } from './addresses.ts';
import { formatPrefix, type Family } from '../net/ip.ts';
import type { GuestDraft, HostDraft, NetworkDraft, NicDraft, RoutedPlan } from './drafts.ts';
import { decideEgress } from './egress.ts';
import { checkExpectations } from './expectations.ts';
import { resolveGroups } from './groups.ts';
import { draftGuests } from './guests.ts';
import { checkInterfaceNames } from './interfaces.ts';
import { lockedFacts } from './locked.ts';
import { chooseMacs } from './macs.ts';
import type { Fabric, Guest, Host, Lock, LockedNic, Network, Nic, RoutedNetwork, SubnetNetwork } from './model.ts';
import { collectNames, fabricDomain, fabricName } from './names.ts';
import { draftHosts, draftNetworks } from './networks.ts';
import { linkSubnets, refuseUnsupported } from './not-yet.ts';
import { checkOverlaps } from './overlaps.ts';
import { partyResolver } from './parties.ts';
import { collectProblems } from './problems.ts';
import { resolvePublish } from './publish.ts';
import { serviceAddress4, serviceAddress6 } from './routed.ts';
import { resolveRules } from './rules.ts';
import { spanGiver } from './spans.ts';

/**
 * `lock` is what weft.lock says, undefined without one; the lock as it has to be afterwards is `fabric.lock`.
 * Undefined when an error was reported; warnings do not stop it.
 */
export function buildFabric(config: ConfigFile, lock: Lock | undefined, report: Report): Fabric | undefined {
  const { model } = config;
  const problems = collectProblems(config, report);
  const name = fabricName(config);
  const names = collectNames(model, problems);
  const hosts = draftHosts(model, problems);
  const networks = draftNetworks(model, hosts, problems);
  checkOverlaps([...networks.values()], linkSubnets(model, problems), [...hosts.values()], problems);
  const guests = draftGuests(model, hosts, networks, problems);
  checkInterfaceNames([...networks.values()], [...guests.values()], problems);
  const locked = lockedFacts(lock);
  chooseAddresses(guests, locked, problems);
  const bridgeMacs = chooseMacs(name, guests, networks.values(), locked, problems);
  const groups = resolveGroups(model, names, guests, problems);
  decideEgress(model, groups, guests, problems);
  const resolveParty = partyResolver({
    hosts: [...hosts.values()],
    networks: [...networks.values()],
    guests: scopeGuests(guests.values()),
    groups,
  });
  const rules = resolveRules({ config, guests, resolveParty, severalHosts: hosts.size > 1, problems });
  const publish = resolvePublish({ config, hosts, networks, guests, resolveParty, problems });
  checkExpectations(model, hosts, networks, guests, resolveParty, problems);
  refuseUnsupported(model, hosts, guests, problems);
  if (problems.failed()) return undefined;

  const withSpan = spanGiver(config, 'key');
  const finished = {
    networks: finishNetworks([...networks.values()], name, bridgeMacs),
    guests: [...guests.values()].map((draft) => withSpan(finishGuest(draft, name), ['guests', draft.name])),
  };
  return {
    name,
    domain: fabricDomain(model),
    hosts: [...hosts.values()].map(finishHost),
    ...finished,
    ...rules,
    publish,
    expect: model.expect,
    lock: lockOf(finished.networks, finished.guests),
    groups,
  };
}

function scopeGuests(guests: Iterable<GuestDraft>): Parameters<typeof partyResolver>[0]['guests'] {
  return [...guests].map(({ name, labels, nics }) => ({
    name,
    labels,
    nics: nics.map((nic) => ({ index: nic.index, network: nic.network?.name ?? nic.entry.network })),
  }));
}

const finishHost = ({ name, uplink, addresses, macs, managed }: HostDraft): Host => ({
  name,
  addresses,
  ...(uplink === undefined ? {} : { uplink }),
  ...(macs === undefined ? {} : { macs }),
  ...(managed === undefined ? {} : { managed }),
});

function finishNetworks(drafts: readonly NetworkDraft[], fabric: string, bridgeMacs: ReadonlyMap<NetworkDraft, string>): Network[] {
  const services = new Set<string>();
  return drafts.flatMap((draft): Network | readonly never[] => {
    const { name, entry, host } = draft;
    if (!host) return [];
    const common = {
      name,
      host: host.name,
      egress: entry.kind === 'isolated' || entry.egress?.kind === 'deny' ? ('deny' as const) : ('allow' as const),
      fromHost: entry.fromHost ?? ('allow' as const),
      dns: entry.dns ?? [],
      ...(entry.mtu !== undefined && { mtu: entry.mtu }),
      filter: entry.filter ?? ('on' as const),
    };
    if (draft.routed) return { ...common, kind: 'routed', ...finishRouted(draft.routed, fabric, name, services) };
    const mac = bridgeMacs.get(draft);
    return entry.kind !== 'routed' && mac !== undefined ? { ...common, ...finishSubnets(draft, entry, mac) } : [];
  });
}

function finishSubnets(
  { bridge, v4, v6 }: NetworkDraft,
  entry: Exclude<NetworkEntry, { readonly kind: 'routed' }>,
  mac: string,
): Pick<SubnetNetwork, 'kind' | 'bridge' | 'interface' | 'mac' | 'v4' | 'v6' | 'snat'> {
  return {
    kind: entry.kind,
    bridge,
    ...(entry.kind === 'bridged' && { interface: entry.interface }),
    mac,
    ...(v4 && { v4: { subnet: v4.subnet, gateway: v4.gateway, range: { from: numberText(v4.first), to: numberText(v4.last) } } }),
    ...(v6 && { v6: { subnet: v6.subnet, gateway: v6.gateway } }),
    ...(entry.kind !== 'bridged' && entry.snat !== undefined && { snat: entry.snat }),
  };
}

function finishRouted(
  { prefixes, gateway4, bootstrap }: RoutedPlan,
  fabric: string,
  name: string,
  services: Set<string>,
): Pick<RoutedNetwork, 'prefixes' | 'gateway4' | 'service4' | 'service6' | 'bootstrap'> {
  const has = (family: Family): boolean => prefixes.some((prefix) => prefix.family === family);
  return {
    prefixes: prefixes.map(formatPrefix),
    gateway4,
    ...(has(4) && { service4: bootstrap?.gateway ?? serviceAddress4(name, services) }),
    ...(has(6) && { service6: serviceAddress6(fabric, name) }),
    ...(bootstrap && { bootstrap: { subnet: bootstrap.subnet, gateway: bootstrap.gateway } }),
  };
}

function finishGuest(draft: GuestDraft, fabric: string): Omit<Guest, 'span'> {
  const { name, entry, host, outer, labels } = draft;
  const kind = entry.kind ?? outer?.entry.kind ?? 'vm';
  return {
    name,
    kind,
    ...(host && { host: host.name }),
    ...(outer && { inside: outer.name }),
    ...(kind === 'namespace' && !outer && { namespace: `${fabric}-${name.toLowerCase()}` }),
    ...(entry.user !== undefined && { user: entry.user }),
    labels,
    logDropped: entry.log === 'dropped',
    nics: draft.nics.map(finishNic),
  };
}

function finishNic(draft: NicDraft): Nic {
  const { guest, index, network, entry, outer, mac, v4, v6, bootstrap, egress } = draft;
  return {
    guest: guest.name,
    network: network?.name ?? entry.network,
    index,
    name: `eth${(outer ?? draft).index}`,
    port: (outer ?? draft).port,
    mac,
    ...(v4 !== undefined && { v4 }),
    ...(v6 !== undefined && { v6 }),
    ...(bootstrap !== undefined && { bootstrap }),
    default: draft.isDefault,
    egress,
    dns: entry.dns ?? [],
  };
}

/** Keys in lower case, so that a name written otherwise is the same guest. */
function lockOf(networks: readonly Network[], guests: readonly Guest[]): Lock {
  const lockNic = (guest: Guest, { network, mac, v4, v6, bootstrap }: Nic): LockedNic => ({
    network: network.toLowerCase(),
    mac,
    ...(guest.inside !== undefined && { inside: guest.inside.toLowerCase() }),
    ...(v4 !== undefined && { v4 }),
    ...(v6 !== undefined && { v6 }),
    ...(bootstrap !== undefined && { bootstrap }),
  });
  return {
    version: 1,
    networks: Object.fromEntries(
      networks.flatMap((network) => (network.mac === undefined ? [] : [[network.name.toLowerCase(), { mac: network.mac }]])),
    ),
    guests: Object.fromEntries(guests.map((guest) => [guest.name.toLowerCase(), { nics: guest.nics.map((nic) => lockNic(guest, nic)) }])),
  };
}

const numberText = (number: number): string => [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
