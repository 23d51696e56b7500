/**
 * What of Weft is on this host, as a host state: the kernel's part from the kernel, the rest (insides of guests, services) from what the
 * records say was made and what of it still stands.
 */
import { existsSync } from 'node:fs';
import {
  WEFT_LINK_GROUP,
  type Address,
  type Enslaved,
  type GuestSide,
  type HostState,
  type Link,
  type PortLink,
  type Service,
  type Sysctl,
} from '../hoststate/model.ts';
import { isOwnLink, strangersOn, type SeenLink } from '../hoststate/observe-links.ts';
import { observeInsides } from '../kernel/insides.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { observe, type Observation, type ObserveOptions } from '../kernel/observe.ts';
import { observeServices } from '../kernel/services.ts';
import { foreignAddresses } from '../plan/attainable.ts';
import { sameJson } from '../plan/keyed.ts';
import { asWritten } from './readback.ts';
import type { AppliedRecord, Originals } from './store.ts';
import type { ApplyContext } from './context.ts';

export interface Claims {
  readonly links: readonly string[];
  readonly namespaces: readonly string[];
}

const noClaims: Claims = { links: [], namespaces: [] };

/** Reads the kernel, with the settings that `wanted`, the records and the originals name. */
export async function observeHost(
  kernel: Kernel,
  wanted: HostState,
  originals: Originals,
  records: readonly AppliedRecord[] = [],
  known?: ObserveOptions['known'],
): Promise<Observation> {
  const keys = new Set(wanted.sysctls.map((entry) => entry.key));
  const changed = Object.keys(originals).filter((key) => !keys.has(key));
  // Those of links that stay have to be reset; those of others leave with them.
  const stays = new Set(wanted.links.map((link) => link.name));
  const settings = new Map(records.flatMap((record) => record.state.sysctls).map((entry) => [entry.key, entry]));
  const orphans = [...settings.values()].filter(({ key, link }) => link !== undefined && stays.has(link) && !keys.has(key));
  const sysctls = [...wanted.sysctls, ...orphans, ...changed.map((key): Sysctl => ({ key, value: '' }))];
  const { modules } = wanted;
  return observe(kernel, { modules, sysctls, ...(known === undefined ? {} : { known }) });
}

/** {@link observeHost} and {@link ownPart} in one. `records`: oldest first. */
export async function ownState(
  context: ApplyContext,
  wanted: HostState,
  records: readonly AppliedRecord[],
  claims: Claims = noClaims,
): Promise<HostState> {
  const originals = (await context.store.read('originals')) ?? {};
  return ownPart(context, await observeHost(context.kernel, wanted, originals, records), wanted, records, claims);
}

/**
 * The host state as it is. `records` (oldest first) tell what was made where the kernel cannot; `claims` name links and namespaces that an
 * interrupted apply has made without a tag yet.
 */
export function ownPart(
  context: ApplyContext,
  seen: Observation,
  wanted: HostState,
  records: readonly AppliedRecord[],
  claims: Claims = noClaims,
): HostState {
  const states = [...records.map((record) => record.state), wanted];
  const guests = presentGuests(states, records, claims);
  const strangers = strangersOn(seen.links, states);
  return {
    fabric: records.at(-1)?.state.fabric ?? wanted.fabric,
    host: records.at(-1)?.state.host ?? wanted.host,
    modules: seen.own.modules,
    links: presentLinks(seen.links, seen.own.links, states, claims).map((link) => withStrangers(link, strangers)),
    enslaved: seen.own.enslaved.filter((entry) => !strangers.some((stranger) => sameJson(stranger, entry))),
    addresses: [...seen.own.addresses.filter((address) => !isKernelLinkLocal(address.address)), ...givenToOthers(seen, states)],
    routes: seen.own.routes,
    neighbors: seen.own.neighbors,
    proxies: seen.own.proxies,
    fdb: seen.own.fdb,
    sysctls: withoutReset(seen.own.sysctls, wanted),
    tables: asWritten(seen.own.tables, records),
    guests,
    services: presentServices(context, wanted),
  };
}

/**
 * The same with the insides of guests as they are, and not as they were set up: a process or two for each guest. A port whose far end is not there under its
 * name any more is then not what was made.
 */
export async function lookInside({ kernel, netnsConfig }: ApplyContext, observed: HostState): Promise<HostState> {
  const guests = await observeInsides(kernel, observed.guests, netnsConfig);
  const looked = new Set(guests.map((side) => side.guest));
  const there = new Set(guests.flatMap((side) => side.interfaces.map((face) => `${side.guest} ${face.name}`)));
  const links = observed.links.map((link): Link => {
    if (link.kind !== 'veth' || link.peer === undefined || !looked.has(link.peer.guest)) return link;
    if (there.has(`${link.peer.guest} ${link.peer.interface}`)) return link;
    const { peer: _, ...rest } = link;
    return rest;
  });
  return { ...observed, guests, links };
}

/** A setting of a link that is not wanted any more, and is reset, is nobody's. */
function withoutReset(settings: readonly Sysctl[], wanted: HostState): readonly Sysctl[] {
  const keys = new Set(wanted.sysctls.map((entry) => entry.key));
  return settings.filter(({ key, value, link }) => link === undefined || value !== '0' || keys.has(key));
}

/** Of the addresses on an interface that is not Weft's, those are that a record or the wish speaks of: nothing in the kernel tells by whom they were put there. */
function givenToOthers(seen: Observation, states: readonly HostState[]): Address[] {
  const key = ({ link, address }: Address): string => `${link} ${address}`;
  const given = new Set(states.flatMap(foreignAddresses).map(key));
  return seen.addresses.filter((entry) => given.has(key(entry))).map(({ link, address }) => ({ link, address }));
}

/** Bridges have `addrgenmode none`; should a kernel make a link-local address nevertheless, it is not Weft's to remove. */
const isKernelLinkLocal = (address: string): boolean => address.startsWith('fe80:') && !address.startsWith('fe80::1/');

function presentLinks(all: readonly SeenLink[], own: readonly Link[], states: readonly HostState[], claims: Claims): Link[] {
  const known = new Map<string, Link>();
  for (const state of states) for (const link of state.links) known.set(link.name, link);
  const claimed = new Set(claims.links);
  const untagged = all
    .filter((link) => claimed.has(link.name) && !isOwnLink(link) && !isOthersVlan(link))
    .map((link) => untaggedLink(link, known.get(link.name)));
  return [...own.map((link) => withPeer(link, known.get(link.name))), ...untagged];
}

function withStrangers(link: Link, strangers: readonly Enslaved[]): Link {
  const on = strangers.filter((entry) => entry.bridge === link.name).map((entry) => entry.interface);
  return link.kind === 'bridge' && on.length > 0 ? { ...link, strangers: on } : link;
}

/** Others make VLANs of such names too (`em0.10`), perhaps at the same moment; Weft's are in its group from the first. */
const isOthersVlan = (link: SeenLink): boolean => link.kind === 'vlan' && link.group !== String(WEFT_LINK_GROUP);

/** What stands in a veth's far end cannot be seen from here; the record knows what was put there. */
function withPeer(link: Link, known: Link | undefined): Link {
  if (link.kind !== 'veth' || known?.kind !== 'veth' || known.peer === undefined) return link;
  return { ...link, peer: known.peer };
}

/** A link made by an interrupted apply, before it got its alias: never equal to a wanted one. */
function untaggedLink(link: SeenLink, known: Link | undefined): Link {
  const { name, mtu, mac } = link;
  if (known?.kind === 'bridge' || link.kind === 'bridge') return { kind: 'bridge', name, alias: '', mac, mtu };
  if (known?.kind === 'vlan' || link.kind === 'vlan') return { kind: 'vlan', name, alias: '', parent: link.lower ?? '', id: 0, mtu };
  const kind: PortLink['kind'] = link.kind === 'veth' ? 'veth' : 'tap';
  return { kind, name, alias: '', ...(link.master === undefined ? {} : { bridge: link.master }), mtu };
}

function presentGuests(states: readonly HostState[], records: readonly AppliedRecord[], claims: Claims): GuestSide[] {
  const claimed = new Set([...claims.namespaces, ...claims.links]);
  const recorded = new Set(records.flatMap((record) => record.state.guests.map((side) => side.guest)));
  const known = new Map<string, GuestSide>();
  for (const state of states)
    for (const side of state.guests)
      if (recorded.has(side.guest) || isClaimed(side, claimed)) known.set(side.guest, latest(known, side, state, records));
  return [...known.values()]
    .filter((side) => existsSync(side.netns.kind === 'made' ? `/run/netns/${side.netns.namespace}` : side.netns.path))
    .map((side) => (isClaimed(side, claimed) ? unknownInside(side) : side));
}

/** An interrupted change has made its namespace or its port: whether it came to set them up as well, nobody knows. */
const isClaimed = (side: GuestSide, claimed: ReadonlySet<string>): boolean =>
  (side.netns.kind === 'made' && claimed.has(side.netns.namespace)) || side.interfaces.some(({ port }) => claimed.has(port));

/** Its resolver counts as not written, so that it is set up again whole. */
const unknownInside = (side: GuestSide): GuestSide => ({ ...side, resolvConf: '' });

/**
 * The newest record's word on a guest counts. When records differ an apply was interrupted, and nobody knows how far the inside is.
 */
function latest(known: ReadonlyMap<string, GuestSide>, side: GuestSide, state: HostState, records: readonly AppliedRecord[]): GuestSide {
  const earlier = known.get(side.guest);
  if (!records.some((record) => record.state === state)) return earlier ?? side;
  if (earlier === undefined || sameJson(earlier, side)) return side;
  return unknownInside(side);
}

function presentServices(context: ApplyContext, wanted: HostState): Service[] {
  const names = new Set(wanted.services.map((service) => service.name));
  return observeServices(context.directories, context.kernel).flatMap(({ name, alive, service }): Service[] => {
    if (service !== undefined && (alive || !names.has(name))) return [service];
    // Dead, or not certain what it was told: started again when wanted, else stopped and cleared away by its name.
    return names.has(name) ? [] : [{ kind: 'dnsmasq', name, network: '', config: '', files: {}, names: '' }];
  });
}
