/** Who is behind which interface: addresses by MAC, and the bridge's port by MAC. */
import { canonicalIp } from '../../net/ip.ts';
import type { Station } from '../kernel-model.ts';

export interface Whereabouts {
  readonly neighbors: readonly { readonly link: string; readonly address: string; readonly mac: string }[];
  /** `local`: the host itself takes these frames. */
  readonly fdb: readonly { readonly port: string; readonly mac: string; readonly local?: true }[];
  readonly bridges: ReadonlySet<string>;
  /** The bridge of a port. */
  readonly masters: ReadonlyMap<string, string>;
  /** Addresses by MAC of those who are known to be on a bridge, wherever their port is. */
  readonly bridgedGuests: ReadonlyMap<string, readonly string[]>;
}

/** One station for each MAC behind each port, sorted. Who is behind a bridge, and no port of it is known to be his, is no station: his frames go nowhere. */
export function stationsOf({ neighbors, fdb, bridges, masters, bridgedGuests }: Whereabouts): Station[] {
  const ports = new Map(fdb.map(({ port, mac }) => [`${masters.get(port) ?? ''} ${mac}`, port]));
  const local = new Set(fdb.filter((entry) => entry.local).map(({ port, mac }) => `${port} ${mac}`));
  const found = new Map<string, { port: string; mac: string; addresses: Set<string> }>();
  const add = (port: string, mac: string, address: string): void => {
    const canonical = canonicalIp(address);
    if (canonical === undefined) return;
    const key = `${port} ${mac}`;
    const station = found.get(key) ?? { port, mac, addresses: new Set() };
    found.set(key, station);
    station.addresses.add(canonical);
  };
  for (const { link, address, mac } of neighbors) {
    const port = bridges.has(link) ? ports.get(`${link} ${mac}`) : link;
    if (port !== undefined) add(port, mac, address);
  }
  for (const { port, mac } of fdb) if (masters.has(port)) for (const address of bridgedGuests.get(mac) ?? []) add(port, mac, address);
  return [...found.entries()]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, { port, mac, addresses }]): Station => ({
      port,
      mac,
      addresses: [...addresses],
      ...(local.has(key) ? { throughHost: true } : {}),
    }));
}
