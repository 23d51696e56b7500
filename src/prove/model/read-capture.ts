/**
 * A captured document (`weft capture`, or put together by hand with plain tools) as a kernel model. Every part may be missing, and is then named; nothing in
 * it is trusted to have a form.
 */
import { isRecord, text } from '../../hoststate/nft-json.ts';
import { readRuleset } from '../../hoststate/nft-read.ts';
import type { NftTable } from '../../hoststate/nft.ts';
import { needsListing, withListing } from '../../hoststate/nft-xt.ts';
import { readAddresses, readRoutes } from '../../hoststate/observe-addresses.ts';
import { readLinks } from '../../hoststate/observe-links.ts';
import type { KernelModel } from '../kernel-model.ts';
import { modelOfSeen } from './model-of-seen.ts';
import { kernelRules, readRules } from './read-rules.ts';
import type { SeenForwarding, SeenHost, SeenNeighbor } from './seen-host.ts';

/** Parts that decide something; of those left out of the document the model says so. */
const parts = ['nftables', 'links', 'addresses', 'routes4', 'routes6', 'rules4', 'rules6', 'neighbors', 'fdb', 'sysctls'] as const;

/** Undefined when it is no document of that kind at all: no object, or one without any of the parts. */
export function modelOfCapture(document: unknown, bridgedGuests?: ReadonlyMap<string, readonly string[]>): KernelModel | undefined {
  const seen = readCapture(document);
  return seen && modelOfSeen(seen, bridgedGuests);
}

export function readCapture(document: unknown): SeenHost | undefined {
  if (!isRecord(document) || !parts.some((part) => part in document)) return undefined;
  const there = (part: (typeof parts)[number]): boolean => document[part] !== undefined;
  const netfilter = text(document['listing']);
  const missing: string[] = parts.filter((part) => !there(part));
  const sysctls = readSysctls(document['sysctls']);
  const tables = readTables(document['nftables'], netfilter);
  if (tables.some(lacksDevices)) missing.push('listing');
  return {
    host: text(document['host']) || 'host',
    links: readLinks(document['links']),
    addresses: readAddresses(document['addresses']),
    routes: [...readRoutes(document['routes4']), ...readRoutes(document['routes6'])],
    rules: ([4, 6] as const).flatMap((family) =>
      there(`rules${family}`) ? readRules(document[`rules${family}`], family) : kernelRules.filter((rule) => rule.family === family),
    ),
    neighbors: readSeenNeighbors(document['neighbors']),
    fdb: readForwarding(document['fdb']),
    tables,
    sysctls,
    missing,
  };
}

/** `ip -j neigh`: those with a MAC. */
export function readSeenNeighbors(json: unknown): SeenNeighbor[] {
  return (Array.isArray(json) ? json : []).filter(isRecord).flatMap((entry): SeenNeighbor[] => {
    const state: unknown[] = Array.isArray(entry['state']) ? entry['state'] : [];
    const mac = text(entry['lladdr']);
    if (mac === '' || state.includes('FAILED')) return [];
    return [{ link: text(entry['dev']), address: text(entry['dst']), mac, permanent: state.includes('PERMANENT') }];
  });
}

/** `bridge -j fdb show`: what is behind a bridge's port. A port's own MAC is the host's, not a station's. */
export function readForwarding(json: unknown): SeenForwarding[] {
  return (Array.isArray(json) ? json : [])
    .filter(isRecord)
    .filter((entry) => typeof entry['master'] === 'string' && entry['ifname'] !== entry['master'])
    .map((entry) => ({ port: text(entry['ifname']), mac: text(entry['mac']), ...(entry['state'] === 'permanent' ? { local: true } : {}) }));
}

function readSysctls(json: unknown): Readonly<Record<string, string>> {
  if (!isRecord(json)) return {};
  return Object.fromEntries(Object.entries(json).flatMap(([key, value]) => (typeof value === 'string' ? [[key, value.trim()]] : [])));
}

function readTables(json: unknown, listing: string): NftTable[] {
  const listings = listingsByTable(listing);
  return readRuleset(json, { netdevChains: listing }).map((table) => {
    const own = listings.get(`${table.family} ${table.name}`);
    return own !== undefined && needsListing(table) ? withListing(table, own) : table;
  });
}

/** nft 1.0.6 has no devices in its JSON: of such a chain it is not known where it stands. */
const lacksDevices = ({ chains }: NftTable): boolean =>
  chains.some(({ base }) => (base?.hook === 'ingress' || base?.hook === 'egress') && base.devices === undefined);

/** The text of each table in `nft list ruleset`, by `FAMILY NAME`. */
function listingsByTable(listing: string): ReadonlyMap<string, string> {
  const tables = new Map<string, string>();
  for (const part of listing.split(/^(?=table )/m)) {
    const [, family, name] = /^table (\S+) (\S+) \{/.exec(part) ?? [];
    if (family !== undefined && name !== undefined) tables.set(`${family} ${name}`, part);
  }
  return tables;
}
