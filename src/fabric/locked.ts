/**
 * What weft.lock knows, as questions about NICs of the file. A NIC is the same one as long as guest and network have the
 * same names; so a guest that changes its network, or a NIC that moves up in the list, takes nothing of another.
 */
import type { NicDraft } from './drafts.ts';
import type { Lock, LockedNic } from './model.ts';

export interface LockedFacts {
  address(nic: NicDraft, family: 4 | 6): string | undefined;
  bootstrap(nic: NicDraft): string | undefined;
  /** Not for an `inside` guest, nor what the lock has from a time when it was one: that is the outer guest's MAC. */
  mac(nic: NicDraft): string | undefined;
  bridge(lowerNetwork: string): string | undefined;
}

export function lockedFacts(lock: Lock | undefined): LockedFacts {
  const of = (nic: NicDraft): LockedNic | undefined => {
    const name = nic.guest.name.toLowerCase();
    if (!lock || !Object.hasOwn(lock.guests, name)) return undefined;
    const network = nic.entry.network.toLowerCase();
    return lock.guests[name]?.nics.find((locked) => locked.network === network);
  };
  return {
    address: (nic, family) => (family === 4 ? of(nic)?.v4 : of(nic)?.v6),
    bootstrap: (nic) => of(nic)?.bootstrap,
    mac: (nic) => {
      const locked = of(nic);
      return locked?.inside === undefined ? locked?.mac : undefined;
    },
    bridge: (network) => (lock?.networks && Object.hasOwn(lock.networks, network) ? lock.networks[network]?.mac : undefined),
  };
}
