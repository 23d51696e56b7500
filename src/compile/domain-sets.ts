/**
 * The nftables sets of domain names: one for each name and family that a guest of this host may reach, filled by the relay from the answers of Weft's own
 * resolver. Named by the domain alone, so that what is in them stays over every change of rules that leaves the name.
 */
import { hash } from 'node:crypto';
import type { RelayDomain } from '../hoststate/model.ts';
import type { Family } from '../net/ip.ts';
import { sortedBy } from './local-nics.ts';
import type { HostPolicy } from './policy-model.ts';

/** `n_5c1b0d6a2f4`: sets are few, and forty bits keep names apart. */
export const domainSet = (domain: string, family: Family): string => `n_${hash('sha1', domain, 'hex').slice(0, 10)}${family}`;

/** The domains that guests of this host may reach, with their sets. Sorted. */
export function domainsOf(policy: HostPolicy): readonly RelayDomain[] {
  const found = new Map<string, { pattern: string; set4?: string; set6?: string }>();
  for (const { family, allow } of policy.endpoints.values()) {
    for (const { peer } of allow.to) {
      if (peer.kind !== 'domain') continue;
      const known = found.get(peer.domain) ?? { pattern: peer.domain };
      found.set(peer.domain, known);
      known[family === 4 ? 'set4' : 'set6'] = domainSet(peer.domain, family);
    }
  }
  return sortedBy([...found.values()], ({ pattern }) => pattern);
}

/** Names of guests with a domain among their destinations, and which. */
export function domainsByGuest(policy: HostPolicy): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  for (const { guest, allow } of policy.endpoints.values()) {
    for (const { peer } of allow.to) {
      if (peer.kind !== 'domain') continue;
      const own = found.get(guest) ?? new Set();
      found.set(guest, own.add(peer.domain));
    }
  }
  return found;
}
