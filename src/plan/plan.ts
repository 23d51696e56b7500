/**
 * Two host states in, ordered steps out. The order is what keeps "never open in between" (design.md 5.3): whatever leaves goes
 * down before its rules leave, whatever comes goes up after its rules are in, and forwarding is on only while rules stand.
 */
import { WEFT_LINK_GROUP } from '../hoststate/model.ts';
import type { Enslaved, FdbEntry, GuestSide, HostState, Service, Sysctl } from '../hoststate/model.ts';
import { difference, sameJson, type KeyedDifference } from './keyed.ts';
import {
  addressLine,
  adjustBridge,
  adjustVlan,
  createBridge,
  createPort,
  createVlan,
  deleteLinks,
  enslavePort,
  fdbLine,
  linkDown,
  linkUp,
  neighborLine,
  proxyLine,
  routeLine,
} from './link-lines.ts';
import { bridges, isPort, isVlan, movedGuests, only, portsOf, splitPorts, type LinkWork } from './link-work.ts';
import { nftDifference } from './nft-difference.ts';
import { routeKey, routeLink, withoutDowned } from './routes.ts';
import type { Change, Plan, Step } from './steps.ts';

/** A host on which Weft has nothing. */
export const emptyState = (fabric: string, host: string): HostState => ({
  fabric,
  host,
  modules: [],
  links: [],
  enslaved: [],
  addresses: [],
  routes: [],
  neighbors: [],
  proxies: [],
  fdb: [],
  sysctls: [],
  tables: [],
  guests: [],
  services: [],
});

/**
 * The plan that turns `before` (what is there) into `after` (what is wanted). Equal states give no changes and no steps.
 * Undo is the same function with the old state as `after`.
 */
export function planChanges(before: HostState, after: HostState): Plan {
  const links = difference(before.links, after.links, (link) => link.name);
  const guests = difference(before.guests, after.guests, (guest) => guest.guest);
  const ports = splitPorts(links, before, after, guests);
  const services = difference(before.services, after.services, (service) => service.name);
  const enslaved = difference(before.enslaved, after.enslaved, (entry) => entry.interface);
  const sysctls = difference(before.sysctls, after.sysctls, (entry) => entry.key);

  const missing = after.modules.filter((module) => !before.modules.includes(module));

  const steps: Step[] = [];
  if (missing.length > 0) steps.push({ kind: 'modules', title: `load the kernel module ${missing.join(', ')}`, modules: missing });
  const gone = new Set([...ports.remove, ...ports.recreate].map((link) => link.name));
  for (const link of [...ports.bridgesRemoved, ...ports.vlansRemoved]) gone.add(link.name);
  const fresh = new Set([...ports.create, ...ports.recreate, ...ports.bridgesCreated, ...ports.vlansCreated].map((link) => link.name));
  const remade = new Set(ports.vlansCreated.map((link) => link.name).filter((name) => gone.has(name)));
  // What stands on a VLAN that is made anew leaves it before and joins it after.
  const again = after.enslaved.filter((entry) => remade.has(entry.interface) && before.enslaved.some((old) => sameJson(old, entry)));

  const nft = nftDifference(before.tables, after.tables, new Set([...ports.recreate.map((link) => link.name), ...remade]));
  stopServices(services, steps);
  removeLinks(ports, [...enslaved.deleted, ...enslaved.changed.map((change) => change.before), ...again], steps);
  restoreSysctls(sysctls, before, after, steps);
  makeNamespaces(guests, steps);
  createLinks(ports, after, steps);
  const stands = withoutDowned(before, new Set(ports.adjust.map((link) => link.name)));
  const parked = parkMoving(stands, after, new Set([...gone, ...fresh]), steps);
  if (nft.text !== '') steps.push({ kind: 'nft', title: `firewall: ${nft.summary}`, text: nft.text });
  setSysctls(sysctls, fresh, after, steps);
  const joining = [...enslaved.created, ...enslaved.changed.map((change) => change.after), ...again];
  bindLinks(parked, after, gone, fresh, ports, joining, steps);
  configureGuests(guests, fresh, after, steps);
  startServices(services, before, nft.toFill, steps);
  removeNamespaces(guests, steps);

  return {
    changes: [
      ...missing.map((name): Change => ({ action: 'create', kind: 'module', name })),
      ...changesOf('bridge', bridges(links), (link) => link.name),
      ...changesOf('port', portsOf(links), (link) => link.name),
      ...changesOf('vlan', only(links, isVlan), (link) => link.name),
      ...changesOf('uplink', enslaved, (entry) => `${entry.interface} of ${entry.bridge}`),
      ...changesOf('address', difference(before.addresses, after.addresses, addressKey), addressKey),
      ...changesOf('route', difference(before.routes, after.routes, routeKey), (r) =>
        'unreachable' in r ? `unreachable ${r.prefix}` : r.prefix,
      ),
      ...changesOf('neighbor', difference(before.neighbors, after.neighbors, neighborKey), neighborKey),
      ...changesOf('proxy', difference(before.proxies, after.proxies, neighborKey), neighborKey),
      ...changesOf('fdb', difference(before.fdb, after.fdb, fdbKey), fdbKey),
      ...nft.changes,
      ...changesOf('sysctl', sysctls, (entry) => entry.key),
      ...changesOf('guest', guests, (guest) => guest.guest),
      ...changesOf('service', services, (service) => service.name),
    ],
    steps,
    check: nft.check,
    narrowing: nft.narrowing,
    makes: { links: [...fresh], namespaces: madeNamespaces(guests) },
  };
}

const addressKey = (a: { link: string; address: string }): string => `${a.address} dev ${a.link}`;
const neighborKey = (n: { address: string; link: string }): string => `${n.address} dev ${n.link}`;
const fdbKey = (f: FdbEntry): string => `${f.mac} dev ${f.port}`;

function changesOf<T>(kind: string, parts: KeyedDifference<T>, name: (value: T) => string): Change[] {
  return [
    ...parts.created.map((after): Change => ({ action: 'create', kind, name: name(after), after })),
    ...parts.changed.map(({ before, after }): Change => ({ action: 'update', kind, name: name(after), before, after })),
    ...parts.deleted.map((before): Change => ({ action: 'delete', kind, name: name(before), before })),
  ];
}

function stopServices(services: KeyedDifference<Service>, steps: Step[]): void {
  if (services.deleted.length > 0) {
    steps.push({ kind: 'service-stop', title: `stop ${services.deleted.map((s) => s.name).join(', ')}`, services: services.deleted });
  }
}

function startServices(services: KeyedDifference<Service>, before: HostState, toFill: boolean, steps: Step[]): void {
  if (services.created.length > 0) {
    steps.push({ kind: 'service-start', title: `start ${services.created.map((s) => s.name).join(', ')}`, services: services.created });
  }
  const isRelay = ({ kind }: Service): boolean => kind === 'relay';
  const gone = new Set(services.deleted.map((service) => service.name));
  // The relay is told of new sets also where its names are the same; and before the resolvers, which ask it at once.
  const unchanged = services.changed.some(({ after }) => isRelay(after)) ? [] : before.services.filter(isRelay);
  const refilled = toFill ? unchanged.filter(({ name }) => !gone.has(name)).map((service) => ({ before: service, after: service })) : [];
  for (const reloaded of [
    [...refilled, ...services.changed.filter(({ after }) => isRelay(after))],
    services.changed.filter(({ after }) => !isRelay(after)),
  ]) {
    if (reloaded.length === 0) continue;
    steps.push({ kind: 'service-reload', title: `reload ${reloaded.map((s) => s.after.name).join(', ')}`, services: reloaded });
  }
}

function removeLinks(work: LinkWork, leaving: readonly Enslaved[], steps: Step[]): void {
  const ports = [...work.remove, ...work.recreate].map((link) => link.name);
  const bridgesGone = [...work.bridgesRemoved, ...work.vlansRemoved].map((link) => link.name);
  const take = (all: readonly string[], down: readonly string[]): void => {
    const lines = [...down, ...deleteLinks(all)];
    if (lines.length > 0) steps.push({ kind: 'ip', title: `take down ${count(all.length + down.length, 'link')}`, lines });
  };
  const down = work.adjust.map((port) => linkDown(port.name));
  if (leaving.length === 0) {
    take([...ports, ...bridgesGone], down);
    return;
  }
  // Guests' ports first: what the host hands back must not be reached by them in between; bridges and VLANs last, with nothing of the host's on them.
  take(ports, down);
  for (const handover of leaving) {
    const title = `move the host's addresses and routes from ${handover.bridge} back to ${handover.interface}`;
    steps.push({ kind: 'release', title, handover, ownSettings: [] });
  }
  take(bridgesGone, []);
}

/** Host-wide settings that are no longer wanted go back before any rule leaves; those on a link vanish with it. */
function restoreSysctls(sysctls: KeyedDifference<Sysctl>, before: HostState, after: HostState, steps: Step[]): void {
  const keys = sysctls.deleted.filter((entry) => entry.link === undefined).map((entry) => entry.key);
  // Reverse of the order of setting: forwarding was set last of all, so it leaves first.
  if (keys.length > 0)
    steps.push({ kind: 'restore-sysctls', title: `restore ${count(keys.length, 'kernel setting')}`, keys: keys.toReversed() });
  const stays = new Set(after.links.map((link) => link.name));
  const orphans = sysctls.deleted.filter(
    (entry) => entry.link !== undefined && stays.has(entry.link) && before.links.some((l) => l.name === entry.link),
  );
  const entries = orphans.map((entry) => ({ ...entry, value: '0' }));
  if (entries.length > 0) steps.push({ kind: 'sysctls', title: `reset ${count(entries.length, 'link setting')}`, entries });
}

const namespaceOf = ({ netns }: GuestSide): readonly string[] => (netns.kind === 'made' ? [netns.namespace] : []);
const madeNamespaces = (guests: KeyedDifference<GuestSide>): string[] =>
  [...guests.created, ...movedGuests(guests).map((change) => change.after)].flatMap(namespaceOf);

function makeNamespaces(guests: KeyedDifference<GuestSide>, steps: Step[]): void {
  const names = madeNamespaces(guests);
  if (names.length > 0) steps.push({ kind: 'netns-add', title: `make ${count(names.length, 'namespace')}`, names });
}

function removeNamespaces(guests: KeyedDifference<GuestSide>, steps: Step[]): void {
  const names = [...guests.deleted, ...movedGuests(guests).map((change) => change.before)].flatMap(namespaceOf);
  if (names.length > 0) steps.push({ kind: 'netns-delete', title: `remove ${count(names.length, 'namespace')}`, names });
}

function createLinks(work: LinkWork, after: HostState, steps: Step[]): void {
  const guests = new Map(after.guests.map((guest) => [guest.guest, guest]));
  const created = [...work.create, ...work.recreate];
  const lines = [
    ...work.vlansCreated.flatMap(createVlan),
    ...work.vlansChanged.map(adjustVlan),
    ...work.bridgesCreated.flatMap(createBridge),
    ...work.bridgesChanged.flatMap((change) => adjustBridge(change.before, change.after)),
    ...created.flatMap((port) => createPort(port, port.peer && guests.get(port.peer.guest))),
  ];
  if (lines.length > 0) {
    const what = [
      work.bridgesCreated.length > 0 ? count(work.bridgesCreated.length, 'bridge') : '',
      created.length > 0 ? count(created.length, 'port') : '',
      work.vlansCreated.length > 0 ? count(work.vlansCreated.length, 'VLAN') : '',
    ].filter((text) => text !== '');
    steps.push({ kind: 'ip', title: `make ${what.length > 0 ? what.join(' and ') : 'link changes'}`, lines });
  }
}

/** A locally administered unicast MAC that no NIC has: what is sent there reaches nobody, for unknown unicast is not flooded to ports. */
const NOBODY = '02:00:00:00:00:00';

/**
 * An address or a MAC that changes hands leads nowhere from before the rules change until its new owner has it: what the old policy lets through to
 * the old owner must not reach the new one, nor the other way round. Returns `before` as it then is.
 */
function parkMoving(before: HostState, after: HostState, held: ReadonlySet<string>, steps: Step[]): HostState {
  const moved = difference(before.neighbors, after.neighbors, neighborKey).changed.filter((change) => !held.has(change.before.link));
  const links = Map.groupBy(after.routes, (route) => route.prefix);
  const rerouted = before.routes.filter((route) => {
    const link = routeLink(route);
    const now =
      links
        .get(route.prefix)
        ?.map(routeLink)
        .filter((name) => name !== '') ?? [];
    return link !== '' && !held.has(link) && now.length > 0 && !now.includes(link);
  });
  const lines = [
    ...moved.map((change) => neighborLine('replace', { ...change.before, mac: NOBODY })),
    ...rerouted.map((route) => routeLine('del', route)),
  ];
  if (lines.length > 0)
    steps.push({ kind: 'ip', title: `hold what goes to ${count(lines.length, 'neighbour')} until the rules are in`, lines });
  const away = new Set(rerouted);
  const stands = rerouted.length === 0 ? before : { ...before, routes: before.routes.filter((route) => !away.has(route)) };
  const owner = new Map(after.fdb.map((entry) => [entry.mac, entry.port]));
  const parked = before.fdb.filter(({ port, mac }) => !held.has(port) && owner.has(mac) && owner.get(mac) !== port);
  if (parked.length === 0) return stands;
  steps.push({
    kind: 'bridge',
    title: `release ${count(parked.length, 'MAC')} from the old port`,
    lines: parked.map((entry) => fdbLine('del', entry)),
  });
  const gone = new Set(parked.map(fdbKey));
  return { ...stands, fdb: stands.fdb.filter((entry) => !gone.has(fdbKey(entry))) };
}

function setSysctls(sysctls: KeyedDifference<Sysctl>, fresh: ReadonlySet<string>, after: HostState, steps: Step[]): void {
  const wanted = new Set([...sysctls.created, ...sysctls.changed.map((change) => change.after)].map((entry) => entry.key));
  // Settings of a link that is made anew are gone with the old one, whatever the observation said of them.
  const entries = after.sysctls.filter((entry) => wanted.has(entry.key) || (entry.link !== undefined && fresh.has(entry.link)));
  if (entries.length > 0) {
    steps.push({
      kind: 'sysctls',
      title: `set ${count(entries.length, 'kernel setting')}`,
      entries,
    });
  }
}

/** Addresses, neighbours, forwarding entries; then bridges up, ports on their bridges and up. */
function bindLinks(
  before: HostState,
  after: HostState,
  gone: ReadonlySet<string>,
  fresh: ReadonlySet<string>,
  work: LinkWork,
  joining: readonly Enslaved[],
  steps: Step[],
): void {
  const lost = (name: string): boolean => gone.has(name) || fresh.has(name);
  const kept = <T>(values: readonly T[], link: (value: T) => string): T[] => values.filter((value) => !lost(link(value)));
  const addresses = difference(
    kept(before.addresses, (a) => a.link),
    after.addresses,
    addressKey,
  );
  // A new MAC makes the kernel forget a bridge's neighbours, and so does the loss of its last IPv4 address (fib_disable_ip).
  const renewed = new Set(work.bridgesChanged.filter((c) => c.before.mac !== c.after.mac).map((c) => c.after.name));
  const readdressed = new Set(addresses.deleted.map((a) => a.link));
  const neighbors = difference(
    kept(before.neighbors, (n) => n.link).filter((n) => !renewed.has(n.link)),
    after.neighbors,
    neighborKey,
  );
  const standing = [...neighbors.created, ...neighbors.changed.map((c) => c.after)];
  const there = new Set(standing);
  const again = after.neighbors.filter((n) => readdressed.has(n.link) && !there.has(n));
  const routes = difference(kept(before.routes, routeLink), after.routes, routeKey);
  const proxies = difference(before.proxies, after.proxies, neighborKey);
  const newRoutes = [...routes.created, ...routes.changed.map((c) => c.after)];
  const ports = [...work.create, ...work.recreate, ...work.adjust];
  const comingUp = new Set(ports.map((port) => port.name));
  // Static entries stay when a port goes down and leave when it leaves its bridge.
  const bridgeOf = new Map(before.links.flatMap((link) => (isPort(link) ? [[link.name, link.bridge]] : [])));
  const rebound = new Set(work.adjust.filter((port) => bridgeOf.get(port.name) !== port.bridge).map((port) => port.name));
  const fdb = difference(
    before.fdb.filter((entry) => !lost(entry.port) && !rebound.has(entry.port)),
    after.fdb,
    fdbKey,
  );
  const bridgesUp = [...work.bridgesCreated, ...work.bridgesChanged.map((change) => change.after)].map((link) => linkUp(link.name));
  // The bridges that the host itself is to go on by: up, then the interface; guests' ports come after it.
  const early = bridgesUp.filter((line) => joining.some(({ bridge }) => line === linkUp(bridge)));
  if (early.length > 0)
    steps.push({ kind: 'ip', title: `bring up ${count(early.length, 'bridge')} for the host's own interface`, lines: early });
  for (const handover of joining) {
    const title = `move the host's addresses and routes from ${handover.interface} to ${handover.bridge}`;
    const ownSettings = after.sysctls.filter((entry) => entry.link === handover.bridge).map((entry) => entry.key);
    steps.push({ kind: 'enslave', title, handover, ownSettings });
  }
  // The uplink, where Weft sets it up itself: nobody else may have brought it up.
  const own = new Set(after.links.map((link) => link.name));
  const outer = [...addresses.created.map((a) => a.link), ...newRoutes.map(routeLink)].filter((name) => name !== '' && !own.has(name));
  const lines = [
    ...proxies.deleted.map((proxy) => proxyLine('del', proxy)),
    ...routes.deleted.map((r) => routeLine('del', r)),
    ...neighbors.deleted.map((n) => neighborLine('del', n)),
    ...[...new Set(outer)].map(linkUp),
    ...addresses.created.map((a) => addressLine('replace', a)),
    ...addresses.deleted.map((a) => addressLine('del', a)),
    // An address of the same subnet was secondary until now, and has left with its primary (unless promote_secondaries).
    ...addresses.created.filter((a) => readdressed.has(a.link)).map((a) => addressLine('replace', a)),
    ...bridgesUp.filter((line) => !early.includes(line)),
    ...newRoutes.filter((route) => 'unreachable' in route).map((r) => routeLine('replace', r)),
    ...[...standing, ...again].filter((n) => !comingUp.has(n.link)).map((n) => neighborLine('replace', n)),
    ...work.adjust.map((port) => `link set dev ${port.name} mtu ${port.mtu} group ${WEFT_LINK_GROUP} alias ${port.alias}`),
    ...ports.flatMap(enslavePort),
  ];
  if (lines.length > 0) steps.push({ kind: 'ip', title: 'set addresses and put ports on their bridges', lines });
  const fdbLines = [
    ...fdb.deleted.map((f) => fdbLine('del', f)),
    ...[...fdb.created, ...fdb.changed.map((c) => c.after)].map((f) => fdbLine('replace', f)),
  ];
  if (fdbLines.length > 0)
    steps.push({
      kind: 'bridge',
      title: `pin ${count(fdbLines.length, 'MAC')} to ${fdbLines.length === 1 ? 'its port' : 'their ports'}`,
      lines: fdbLines,
    });
  // A route needs its link up, and a link that goes down forgets its neighbours.
  const upLines = [
    ...ports.map((port) => linkUp(port.name)),
    ...[...standing, ...again].filter((n) => comingUp.has(n.link)).map((n) => neighborLine('replace', n)),
    ...newRoutes.filter((route) => !('unreachable' in route)).map((r) => routeLine('replace', r)),
    ...after.routes.filter((r) => readdressed.has(routeLink(r)) && !newRoutes.includes(r)).map((r) => routeLine('replace', r)),
    ...proxies.created.map((proxy) => proxyLine('replace', proxy)),
  ];
  if (upLines.length > 0)
    steps.push({ kind: 'ip', title: ports.length > 0 ? `bring up ${count(ports.length, 'port')}` : 'set routes', lines: upLines });
}

function configureGuests(guests: KeyedDifference<GuestSide>, fresh: ReadonlySet<string>, after: HostState, steps: Step[]): void {
  const named = new Set([...guests.created, ...guests.changed.map((change) => change.after)].map((guest) => guest.guest));
  const moved = new Set(movedGuests(guests).map((change) => change.after.guest));
  // What was set in another namespace is not here.
  const old = new Map(guests.changed.flatMap(({ before, after: now }) => (moved.has(now.guest) ? [] : [[now.guest, before]])));
  // A port made anew has a new, empty far end, though the guest's own description did not change.
  const todo = after.guests
    .filter((guest) => named.has(guest.guest) || guest.interfaces.some((face) => fresh.has(face.port)))
    .map((guest) => {
      const before = old.get(guest.guest);
      return before === undefined ? { after: guest } : { before, after: guest };
    });
  if (todo.length > 0) steps.push({ kind: 'guests', title: `set up the inside of ${count(todo.length, 'guest')}`, guests: todo });
}

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;
