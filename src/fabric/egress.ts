/**
 * May a NIC open connections to the internet by default: what its guest says, else its groups (one that denies wins), else its network.
 * Never from an isolated network.
 */
import type { FileModel, GuestEntry } from '../config/model.ts';
import type { GuestDraft, NicDraft } from './drafts.ts';
import type { Guests } from './guests.ts';
import type { Egress, Fabric } from './model.ts';
import { value } from './problems.ts';
import type { Place, Problems } from './problems.ts';

/** Sets `egress` of every NIC. Reports `isolated-internet` where it is allowed to a guest that has no way out. */
export function decideEgress(model: FileModel, groups: Fabric['groups'], guests: Guests, problems: Problems): void {
  const byGroup = new Map<NicDraft, Egress>();
  for (const { name, guests: members, endpoints } of groups) {
    const egress = plain(model.groups[name]?.egress);
    if (egress === undefined) continue;
    const drafts = members.flatMap((member) => guests.get(member.toLowerCase()) ?? []);
    for (const guest of drafts) {
      const its = endpoints?.filter((endpoint) => endpoint.guest === guest.name).map((endpoint) => endpoint.nic);
      for (const nic of guest.nics) if (!its || its.includes(nic.index)) byGroup.set(nic, byGroup.get(nic) === 'deny' ? 'deny' : egress);
      if (egress === 'allow') checkWayOut(guest, value('groups', name, 'egress'), problems);
    }
  }
  for (const guest of guests.values()) {
    const own = plain(guest.entry.egress);
    if (own === 'allow') checkWayOut(guest, value('guests', guest.name, 'egress'), problems);
    for (const nic of guest.nics) {
      const network = nic.network?.entry;
      nic.egress = network?.kind === 'isolated' ? 'deny' : (own ?? byGroup.get(nic) ?? plain(network?.egress) ?? 'allow');
    }
  }
}

function checkWayOut(guest: GuestDraft, at: Place, problems: Problems): void {
  if (guest.nics.length === 0 || !guest.nics.every((nic) => nic.network?.entry.kind === 'isolated')) return;
  problems.error(
    'isolated-internet',
    at,
    `the guest \`${guest.name}\` is in isolated networks only, from which nothing reaches the internet; leave \`egress\` out, or give it a NIC in a nat network.`,
  );
}

/** `via` is refused elsewhere (not-yet.ts). */
const plain = (egress: GuestEntry['egress']): Egress | undefined =>
  egress === undefined || egress.kind === 'via' ? undefined : egress.kind;
