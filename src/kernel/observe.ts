/**
 * Observes a host: its own part in the shape of a host state, and of everything else as much as plans need. All programs run
 * side by side; each output is read by a pure function of hoststate/. Changes nothing.
 */
import type { Address, Enslaved, FdbEntry, KernelModule, Link, Neighbor, NeighborProxy, Route, Sysctl } from '../hoststate/model.ts';
import type { NftTable } from '../hoststate/nft.ts';
import { readRuleset } from '../hoststate/nft-read.ts';
import { needsListing, withListing } from '../hoststate/nft-xt.ts';
import { ownRoutes, readAddresses, readFdb, readNeighbors, readProxies, readRoutes } from '../hoststate/observe-addresses.ts';
import type { SeenAddress, SeenRoute } from '../hoststate/observe-addresses.ts';
import { enslavedLinks, isOwnLink, isOwnVlan, outerLinks, ownLinks, readLinks } from '../hoststate/observe-links.ts';
import type { SeenLink } from '../hoststate/observe-links.ts';
import { readGeneration } from './generation.ts';
import { runJson } from './json.ts';
import type { Kernel } from './kernel.ts';
import { moduleSign } from './modules.ts';
import { readSysctls } from './sysctls.ts';

/** Weft's part of a host, as `HostState` has it; guests' insides and services are not the kernel's to tell. */
export interface OwnState {
  /** Those asked for that are there. */
  readonly modules: readonly KernelModule[];
  readonly links: readonly Link[];
  readonly enslaved: readonly Enslaved[];
  readonly addresses: readonly Address[];
  readonly routes: readonly Route[];
  readonly neighbors: readonly Neighbor[];
  readonly proxies: readonly NeighborProxy[];
  readonly fdb: readonly FdbEntry[];
  /** Those asked for that exist, with the values they have now, in the order asked. */
  readonly sysctls: readonly Sysctl[];
  readonly tables: readonly NftTable[];
}

export interface Observation {
  readonly own: OwnState;
  /** All tables that are not Weft's. */
  readonly foreign: readonly NftTable[];
  readonly links: readonly SeenLink[];
  readonly addresses: readonly SeenAddress[];
  readonly routes: readonly SeenRoute[];
  /** See {@link readGeneration}; read before the ruleset, so a change in between is seen again the next time. */
  readonly generation: string | undefined;
}

export interface ObserveOptions {
  readonly sysctls?: readonly Sysctl[];
  readonly modules?: readonly KernelModule[];
  /** The ruleset as it was read at a generation: while that is current, it is not read again. */
  readonly known?: { readonly generation: string; readonly tables: readonly NftTable[]; readonly foreign: readonly NftTable[] };
}

/** Reads everything. Throws WeftError when a program is missing or fails. */
export async function observe(kernel: Kernel, options: ObserveOptions = {}): Promise<Observation> {
  const { sysctls: wanted = [], modules = [] } = options;
  const [links, addresses, routes, neighbors, proxies, fdb, ruleset, values] = await Promise.all([
    runJson(kernel, 'ip', ['-j', '-d', 'link', 'show']).then(readLinks),
    runJson(kernel, 'ip', ['-j', 'addr', 'show']).then(readAddresses),
    runJson(kernel, 'ip', ['-j', 'route', 'show', 'table', 'all']).then(readRoutes),
    runJson(kernel, 'ip', ['-j', 'neigh', 'show', 'nud', 'permanent']),
    runJson(kernel, 'ip', ['-j', 'neigh', 'show', 'proxy']).then(readProxies),
    runJson(kernel, 'bridge', ['-j', 'fdb', 'show']),
    observeRuleset(kernel, options.known),
    readSysctls(kernel, [...wanted.map(({ key }) => key), ...modules.map((module) => moduleSign[module])]),
  ]);
  const own = new Set(links.filter(isOwnLink).map(({ name }) => name));
  const isOwn = (name: string): boolean => own.has(name);
  const macs = new Map(links.filter((link) => isOwnLink(link) && !isOwnVlan(link)).map(({ name, mac }) => [name, mac]));
  const enslaved = enslavedLinks(links);
  const outer = outerLinks(links);
  return {
    own: {
      modules: modules.filter((module) => values.has(moduleSign[module])),
      links: ownLinks(links),
      enslaved,
      addresses: addresses
        .filter(({ link }) => isOwn(link) && !outer.has(link))
        .map(({ link, address }) => ({ link, address }))
        .sort((a, b) => (`${a.link} ${a.address}` < `${b.link} ${b.address}` ? -1 : 1)),
      routes: ownRoutes(routes),
      neighbors: readNeighbors(neighbors, (name) => isOwn(name) && !outer.has(name)),
      proxies,
      fdb: readFdb(fdb, (name) => macs.get(name)),
      sysctls: wanted.flatMap((entry) => {
        const value = values.get(entry.key);
        return value === undefined ? [] : [{ ...entry, value: value.trim().replaceAll(/\s+/g, ' ') }];
      }),
      tables: ruleset.tables,
    },
    foreign: ruleset.foreign,
    links,
    addresses,
    routes,
    generation: ruleset.generation,
  };
}

/** True for Weft's tables (design.md 5.1). */
export function isOwnTable({ family, name }: Pick<NftTable, 'family' | 'name'>): boolean {
  return name === 'weft' && (family === 'inet' || family === 'bridge' || family === 'netdev');
}

export interface ObservedRuleset {
  readonly tables: readonly NftTable[];
  readonly foreign: readonly NftTable[];
  readonly generation: string | undefined;
}

/** The ruleset alone; `known` is returned as it is while its generation is current. */
export async function observeRuleset(kernel: Kernel, known?: ObserveOptions['known']): Promise<ObservedRuleset> {
  const generation = await readGeneration(kernel);
  if (known && known.generation === generation) return known;
  const [json, netdevChains] = await Promise.all([
    runJson(kernel, 'nft', ['-j', 'list', 'ruleset']),
    // nft 1.0.6 has no devices in its JSON.
    kernel.run('nft', ['list', 'chains', 'netdev']),
  ]);
  const all = readRuleset(json, { netdevChains, lastingOnly: isOwnTable });
  const foreign = all.filter((table) => !isOwnTable(table)).map(async (table) => (needsListing(table) ? translated(kernel, table) : table));
  return { tables: all.filter(isOwnTable), foreign: await Promise.all(foreign), generation };
}

/** A table that iptables has made, with what only nft's text tells of it. It may have gone meanwhile: then as it was. */
async function translated(kernel: Kernel, table: NftTable): Promise<NftTable> {
  const result = await kernel.tryRun('nft', ['list', 'table', table.family, table.name]);
  return result.status === 0 ? withListing(table, result.stdout) : table;
}

/** Tables of legacy iptables in use (`filter`, `nat`, …): their rules are invisible to nft, and their drops count. */
export async function legacyTables(kernel: Kernel): Promise<string[]> {
  const names = await Promise.all(
    ['/proc/net/ip_tables_names', '/proc/net/ip6_tables_names'].map(async (path) => {
      // /proc/net belongs to the reader's namespace: a program inside has to read it. Without the modules there is no such file.
      const result = await kernel.tryRun('cat', [path]);
      return result.status === 0 ? result.stdout.split('\n') : [];
    }),
  );
  return [...new Set(names.flat().filter((name) => name !== ''))].sort();
}
