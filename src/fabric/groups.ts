/**
 * Groups made lists of NICs: members are guests (all their NICs), networks (their guests' NICs in them) and other groups;
 * or everybody with a label. Duplicates count once; order is that of the members.
 */
import type { FileModel } from '../config/model.ts';
import type { GuestDraft } from './drafts.ts';
import type { Guests } from './guests.ts';
import type { EndpointRef, Fabric } from './model.ts';
import { DEFAULT_HOST } from './names.ts';
import type { Names } from './names.ts';
import { didYouMean } from './did-you-mean.ts';
import { key, value } from './problems.ts';
import type { Place, Problems } from './problems.ts';

type Group = Fabric['groups'][number];

export function resolveGroups(model: FileModel, names: Names, guests: Guests, problems: Problems): readonly Group[] {
  const entries = new Map(Object.entries(model.groups).map(([name, entry]) => [name.toLowerCase(), { name, entry }]));
  const done = new Map<string, Members>();
  const open: string[] = [];

  const resolve = (lower: string): Members => {
    const known = done.get(lower);
    if (known) return known;
    const group = entries.get(lower);
    const members: Members = { nics: new Map(), wholeGuests: true, sound: true };
    if (!group) return members;
    open.push(lower);
    if ('label' in group.entry) {
      const { label } = group.entry;
      for (const guest of guests.values())
        if (Object.hasOwn(guest.labels, label.key) && guest.labels[label.key] === label.value) addGuest(members, guest);
    } else
      for (const [i, member] of group.entry.members.entries())
        addMember(members, group.name, member, value('groups', group.name, ...(group.entry.long ? ['members'] : []), i));
    open.pop();
    done.set(lower, members);
    return members;
  };

  const addMember = (members: Members, group: string, member: string, at: Place): void => {
    const lower = member.toLowerCase();
    const named = names.get(lower);
    if (!named || named.kind === 'host') {
      members.sound = false;
      const candidates = [...names.values()].filter((n) => n.kind !== 'host').map((n) => n.name);
      const host = named !== undefined || lower === DEFAULT_HOST;
      const message = host
        ? `\`${member}\` is a host; a group is of guests, networks and other groups.`
        : `\`${member}\` in the group \`${group}\` is not a guest, network or group${didYouMean(member, candidates)}`;
      problems.error('unknown-guest', at, message);
    } else if (named.kind === 'guest') {
      const guest = guests.get(lower);
      if (guest) addGuest(members, guest);
    } else if (named.kind === 'network') {
      members.wholeGuests = false;
      for (const guest of guests.values())
        for (const nic of guest.nics) if (nic.entry.network.toLowerCase() === lower) addNic(members, guest, nic.index);
    } else if (open.includes(lower)) {
      members.sound = false;
      const circle = [...open.slice(open.indexOf(lower)), lower].map((name) => `\`${entries.get(name)?.name ?? name}\``).join(' contains ');
      problems.error('cyclic-group', at, `the group contains itself: ${circle}; take one of them out.`);
    } else {
      const inner = resolve(lower);
      if (!inner.wholeGuests) members.wholeGuests = false;
      for (const [name, { guest, nics }] of inner.nics) {
        if (nics.size === 0) members.nics.set(name, members.nics.get(name) ?? { guest, nics: new Set() });
        for (const nic of nics) addNic(members, guest, nic);
      }
    }
  };

  const groups: Group[] = [];
  for (const [lower, { name }] of entries) {
    const members = resolve(lower);
    if (members.nics.size === 0 && members.sound)
      problems.warning(
        'empty-party',
        key('groups', name),
        `the group \`${name}\` has no guests, so rules about it have no effect; take it out, or put guests into it.`,
      );
    const list = [...members.nics.values()];
    const endpoints: EndpointRef[] = list.flatMap(({ guest, nics }) =>
      [...nics].toSorted((a, b) => a - b).map((nic) => ({ guest: guest.name, nic })),
    );
    groups.push({ name, guests: list.map(({ guest }) => guest.name), ...(members.wholeGuests ? {} : { endpoints }) });
  }
  return groups;
}

interface Members {
  /** By lower-case guest name; a guest without NICs has an empty set. */
  readonly nics: Map<string, { guest: GuestDraft; nics: Set<number> }>;
  /** False once a network is a member: then not all NICs of the guests belong. */
  wholeGuests: boolean;
  /** False when a member was reported. */
  sound: boolean;
}

function addGuest(members: Members, guest: GuestDraft): void {
  const lower = guest.name.toLowerCase();
  if (guest.nics.length === 0) members.nics.set(lower, { guest, nics: new Set() });
  for (const nic of guest.nics) addNic(members, guest, nic.index);
}

function addNic(members: Members, guest: GuestDraft, nic: number): void {
  const lower = guest.name.toLowerCase();
  const known = members.nics.get(lower);
  if (known) known.nics.add(nic);
  else members.nics.set(lower, { guest, nics: new Set([nic]) });
}
