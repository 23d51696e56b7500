/**
 * From the validated file and the lock to the fabric: every name resolved, every default applied, every address and MAC
 * decided. Pure; all problems are reported, each once, before it gives up.
 */
import type { ConfigFile } from '../config/model.ts';
import type { Report } from '../diagnostic/diagnostic.ts';
import { chooseAddresses } from './addresses.ts';
import type { GuestDraft, HostDraft, NetworkDraft, NicDraft } from './drafts.ts';
import { decideEgress } from './egress.ts';
import { checkExpectations } from './expectations.ts';
import { resolveGroups } from './groups.ts';
import { draftGuests } from './guests.ts';
import { checkInterfaceNames } from './interfaces.ts';
import { lockedFacts } from './locked.ts';
import { chooseMacs } from './macs.ts';
import type { Fabric, Guest, Host, Lock, LockedNic, Network, Nic } from './model.ts';
import { collectNames, fabricDomain, fabricName } from './names.ts';
import { draftHosts, draftNetworks } from './networks.ts';
import { linkSubnets, refuseUnsupported } from './not-yet.ts';
import { checkOverlaps } from './overlaps.ts';
import { partyResolver } from './parties.ts';
import { collectProblems } from './problems.ts';
import { resolvePublish } from './publish.ts';
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
    networks: [...networks.values()].flatMap((draft) => finishNetwork(draft, bridgeMacs.get(draft)) ?? []),
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

const finishHost = ({ name, uplink, addresses }: HostDraft): Host => ({ name, addresses, ...(uplink === undefined ? {} : { uplink }) });

function finishNetwork(draft: NetworkDraft, mac: string | undefined): Network | undefined {
  const { name, entry, host, bridge, v4, v6 } = draft;
  if (entry.kind === 'routed' || !host || mac === undefined) return undefined;
  return {
    name,
    kind: entry.kind,
    host: host.name,
    bridge,
    ...(entry.kind === 'bridged' && { interface: entry.interface }),
    mac,
    ...(v4 && { v4: { subnet: v4.subnet, gateway: v4.gateway, range: { from: numberText(v4.first), to: numberText(v4.last) } } }),
    ...(v6 && { v6: { subnet: v6.subnet, gateway: v6.gateway } }),
    ...(entry.kind !== 'bridged' && entry.snat !== undefined && { snat: entry.snat }),
    egress: entry.kind === 'isolated' || entry.egress?.kind === 'deny' ? 'deny' : 'allow',
    fromHost: entry.fromHost ?? 'allow',
    dns: entry.dns ?? [],
    ...(entry.mtu !== undefined && { mtu: entry.mtu }),
    filter: entry.filter ?? 'on',
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
  const { guest, index, network, entry, outer, mac, v4, v6, egress } = draft;
  return {
    guest: guest.name,
    network: network?.name ?? entry.network,
    index,
    name: `eth${(outer ?? draft).index}`,
    port: (outer ?? draft).port,
    mac,
    ...(v4 !== undefined && { v4 }),
    ...(v6 !== undefined && { v6 }),
    default: draft.isDefault,
    egress,
    dns: entry.dns ?? [],
  };
}

/** Keys in lower case, so that a name written otherwise is the same guest. */
function lockOf(networks: readonly Network[], guests: readonly Guest[]): Lock {
  const lockNic = (guest: Guest, { network, mac, v4, v6 }: Nic): LockedNic => ({
    network: network.toLowerCase(),
    mac,
    ...(guest.inside !== undefined && { inside: guest.inside.toLowerCase() }),
    ...(v4 !== undefined && { v4 }),
    ...(v6 !== undefined && { v6 }),
  });
  return {
    version: 1,
    networks: Object.fromEntries(networks.map(({ name, mac }) => [name.toLowerCase(), { mac }])),
    guests: Object.fromEntries(guests.map((guest) => [guest.name.toLowerCase(), { nics: guest.nics.map((nic) => lockNic(guest, nic)) }])),
  };
}

const numberText = (number: number): string => [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
