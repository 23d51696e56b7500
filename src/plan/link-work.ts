/** Which links come, go, are made anew or only changed, by kind. */
import type { BridgeLink, GuestSide, HostState, Link, PortLink, VlanLink } from '../hoststate/model.ts';
import { sameJson, type KeyedDifference } from './keyed.ts';

export const only = <T extends Link>(parts: KeyedDifference<Link>, is: (link: Link) => link is T): KeyedDifference<T> => ({
  created: parts.created.filter(is),
  deleted: parts.deleted.filter(is),
  changed: parts.changed.flatMap(({ before, after }) => (is(before) && is(after) ? [{ before, after }] : [])),
});
export const isPort = (link: Link): link is PortLink => link.kind === 'tap' || link.kind === 'veth';
const isBridge = (link: Link): link is BridgeLink => link.kind === 'bridge';
export const isVlan = (link: Link): link is VlanLink => link.kind === 'vlan';
export const bridges = (parts: KeyedDifference<Link>): KeyedDifference<BridgeLink> => only(parts, isBridge);
export const portsOf = (parts: KeyedDifference<Link>): KeyedDifference<PortLink> => only(parts, isPort);

export interface LinkWork {
  readonly bridgesCreated: readonly BridgeLink[];
  readonly bridgesChanged: readonly { readonly before: BridgeLink; readonly after: BridgeLink }[];
  readonly bridgesRemoved: readonly Link[];
  readonly vlansCreated: readonly VlanLink[];
  readonly vlansChanged: readonly VlanLink[];
  readonly vlansRemoved: readonly Link[];
  readonly create: readonly PortLink[];
  readonly remove: readonly Link[];
  /** Kind, owner or inside changed: the old one goes, a new one comes. */
  readonly recreate: readonly PortLink[];
  /** Bridge, MTU or flags changed: taken down, changed, brought up, so that a running VM keeps its TAP. */
  readonly adjust: readonly PortLink[];
}

/** What has to be done to get from the links before to those after. */
export function splitPorts(
  links: KeyedDifference<Link>,
  before: HostState,
  after: HostState,
  guests: KeyedDifference<GuestSide>,
): LinkWork {
  // The far end of these stands in a namespace that is gone or is another one now.
  const moved = new Set([...guests.created.map((guest) => guest.guest), ...movedGuests(guests).map((change) => change.after.guest)]);
  const there = new Set(before.links.map((link) => link.name));
  const recreate: PortLink[] = after.links
    .filter(isPort)
    .filter((port) => port.peer !== undefined && moved.has(port.peer.guest) && there.has(port.name));
  const again = new Set(recreate.map((port) => port.name));
  const adjust: PortLink[] = [];
  const bridgesChanged: { before: BridgeLink; after: BridgeLink }[] = [];
  const alsoRemoved: Link[] = [];
  const vlansChanged: VlanLink[] = [];
  const vlansRemade: { readonly before: Link; readonly after: VlanLink }[] = [];
  for (const { before: old, after: now } of links.changed) {
    if (again.has(now.name)) continue;
    if (isBridge(now)) {
      if (isBridge(old)) bridgesChanged.push({ before: old, after: now });
      else alsoRemoved.push(old);
    } else if (isVlan(now)) {
      if (isVlan(old) && old.parent === now.parent && old.id === now.id) vlansChanged.push(now);
      else vlansRemade.push({ before: old, after: now });
    } else if (isPort(old) && old.kind === now.kind && old.owner === now.owner && sameJson(old.peer, now.peer)) adjust.push(now);
    else recreate.push(now);
  }
  return {
    bridgesCreated: [
      ...links.created.filter(isBridge),
      ...links.changed.flatMap((c) => (isBridge(c.after) && !isBridge(c.before) ? [c.after] : [])),
    ],
    bridgesChanged,
    bridgesRemoved: links.deleted.filter(isBridge),
    vlansCreated: [...links.created.filter(isVlan), ...vlansRemade.map(({ after: made }) => made)],
    vlansChanged,
    vlansRemoved: [...links.deleted.filter(isVlan), ...vlansRemade.map(({ before: old }) => old)],
    create: links.created.filter(isPort),
    remove: [...links.deleted.filter(isPort), ...alsoRemoved],
    recreate,
    adjust,
  };
}

/** Guests that go on in another namespace: the fabric has another name, or a namespace has become a container. */
export const movedGuests = (guests: KeyedDifference<GuestSide>): { readonly before: GuestSide; readonly after: GuestSide }[] =>
  guests.changed.filter(({ before, after }) => !sameJson(before.netns, after.netns));
