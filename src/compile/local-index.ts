/** Finds the guest addresses of a host that a prefix covers without walking over all of them. */
import { compareIp, parseIp, parsePrefix, prefixBounds, type Family, type Ip } from '../net/ip.ts';
import type { Endpoint, Peer } from './policy-model.ts';

interface Located<T> {
  readonly ip: Ip;
  readonly endpoint: T;
}

export class LocalIndex<T extends Endpoint> {
  private readonly byAddress: ReadonlyMap<string, T>;
  private located: Readonly<Record<Family, readonly Located<T>[]>> | undefined;

  constructor(byAddress: ReadonlyMap<string, T>) {
    this.byAddress = byAddress;
  }

  /** The endpoints at these addresses; addresses that are nobody's here are left out. */
  at(addresses: ReadonlySet<string>): T[] {
    const found: T[] = [];
    for (const address of addresses) {
      const endpoint = this.byAddress.get(address);
      if (endpoint) found.push(endpoint);
    }
    return found;
  }

  /** The endpoints that a peer covers: all for `any`, none for `internet`, domain names and other hosts' addresses. */
  within(peer: Peer, family: Family): T[] {
    this.located ??= locate([...this.byAddress.values()]);
    const located = this.located[family];
    if (peer.kind === 'any') return located.map((entry) => entry.endpoint);
    if (peer.kind !== 'prefix') return [];
    const prefix = parsePrefix(peer.prefix);
    if (!prefix || prefix.family !== family) return [];
    const { first, last } = prefixBounds(prefix);
    const found: T[] = [];
    for (let i = lowerBound(located, first); i < located.length; i++) {
      const entry = located[i];
      if (!entry || compareIp(entry.ip, last) > 0) break;
      found.push(entry.endpoint);
    }
    return found;
  }
}

/** In numeric order; made when the first prefix is asked for. */
function locate<T extends Endpoint>(endpoints: readonly T[]): Readonly<Record<Family, readonly Located<T>[]>> {
  const all: Record<Family, Located<T>[]> = { 4: [], 6: [] };
  for (const endpoint of endpoints) {
    const ip = parseIp(endpoint.address);
    if (ip) all[endpoint.family].push({ ip, endpoint });
  }
  for (const located of Object.values(all)) located.sort((a, b) => compareIp(a.ip, b.ip));
  return all;
}

/** Index of the first entry that is not before `ip`. */
function lowerBound(located: readonly Located<unknown>[], ip: Ip): number {
  let low = 0;
  let high = located.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = located[middle];
    if (entry && compareIp(entry.ip, ip) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
