/**
 * The nftables sets of domain names: one for each name, family and list of servers whose answers count, filled by the relay from those answers. Named by these alone, so
 * that what is in a set stays over every change of rules that leaves the name.
 */
import { hash } from 'node:crypto';
import type { RelayDomain } from '../hoststate/model.ts';
import { sortedBy } from './local-nics.ts';
import type { HostPolicy } from './policy-model.ts';

/** `n_5c1b0d6a2f`, without the family's digit: names are few, and forty bits keep them apart. */
export const domainSet = (domain: string, resolver: string): string => `n_${hash('sha1', `${domain} ${resolver}`, 'hex').slice(0, 10)}`;

/** A domain that guests of this host may reach, by the answers of one resolver. */
export interface UsedDomain extends RelayDomain {
  readonly set: string;
  /** As in `resolverOf`. */
  readonly resolver: string | undefined;
  readonly guests: ReadonlySet<string>;
}

/** Sorted by name. */
export function usedDomains(policy: HostPolicy): readonly UsedDomain[] {
  const found = new Map<string, UsedDomain & { set4?: string; set6?: string; guests: Set<string> }>();
  for (const { family, guest, resolver, allow } of policy.endpoints.values()) {
    for (const { peer } of allow.to) {
      if (peer.kind !== 'domain') continue;
      const known = found.get(peer.set) ?? { pattern: peer.domain, set: peer.set, resolver, guests: new Set<string>() };
      found.set(peer.set, known);
      known.guests.add(guest);
      known[family === 4 ? 'set4' : 'set6'] = `${peer.set}${family}`;
    }
  }
  return sortedBy([...found.values()], ({ pattern, set }) => `${pattern} ${set}`);
}
