/** A host as it is: everything that was seen there, whoever set it, as a kernel model. */
import { familyBits } from '../../net/ip.ts';
import type { SeenRoute } from '../../hoststate/observe-addresses.ts';
import type { SeenLink } from '../../hoststate/observe-links.ts';
import type { KernelModel, ModelInterface, ModelRoute, RouteType, Station } from '../kernel-model.ts';
import { DEFAULT_METRIC_6 } from './implied-routes.ts';
import type { SeenHost } from './seen-host.ts';
import { stationsOf } from './stations.ts';

/** `bridgedGuests`: who has these addresses, by MAC, where no neighbour entry says so. */
export function modelOfSeen(seen: SeenHost, bridgedGuests: ReadonlyMap<string, readonly string[]> = new Map()): KernelModel {
  return {
    host: seen.host,
    interfaces: seenInterfaces(seen),
    routes: seenRoutes(seen.routes),
    rules: seen.rules,
    stations: seenStations(seen, bridgedGuests),
    tables: seen.tables,
    sysctls: seen.sysctls,
    missing: seen.missing,
  };
}

/** Sorted by name. */
export function seenInterfaces({ links, addresses, sysctls, missing }: SeenHost): ModelInterface[] {
  const byLink = Map.groupBy(addresses, ({ link }) => link);
  const bridges = new Set(links.filter(({ kind }) => kind === 'bridge').map(({ name }) => name));
  // Without br_netfilter there are no such settings, and a bridge's own switches do nothing.
  const callable = 'net/bridge/bridge-nf-call-iptables' in sysctls || missing.includes('sysctls');
  const calls = (link: SeenLink, word: 'iptables' | 'ip6tables'): boolean =>
    callable && (link.details[`nf_call_${word}`] === 1 || sysctls[`net/bridge/bridge-nf-call-${word}`] === '1');
  return links
    .map((link): ModelInterface => {
      const { name, mac, up, master } = link;
      const kind = kindOf(link);
      return {
        name,
        kind,
        ...(mac === '' ? {} : { mac }),
        up,
        addresses: (byLink.get(name) ?? []).map(({ address }) => address),
        ...(master !== undefined && bridges.has(master)
          ? { portOf: { bridge: master, isolated: link.port['isolated'] === true, hairpin: link.port['hairpin'] === true } }
          : {}),
        ...(kind === 'bridge' ? { nfCall: { v4: calls(link, 'iptables'), v6: calls(link, 'ip6tables') } } : {}),
      };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

function kindOf({ type, kind }: SeenLink): ModelInterface['kind'] {
  if (type === 'loopback') return 'loopback';
  return kind === 'bridge' || kind === 'wireguard' ? kind : 'other';
}

const nowhere: ReadonlySet<RouteType> = new Set(['unreachable', 'prohibit', 'blackhole', 'throw']);
const routeTypes: readonly RouteType[] = ['unicast', 'local', 'broadcast', 'multicast', 'anycast', ...nowhere];

/** Types that are none of the kernel's are left out. */
export function seenRoutes(routes: readonly SeenRoute[]): ModelRoute[] {
  return routes.flatMap(({ prefix, type: word, link, via, metric, table, source }): ModelRoute[] => {
    const type = routeTypes.find((known) => known === word);
    if (type === undefined) return [];
    const family = prefix.includes(':') ? 6 : 4;
    return [
      {
        family,
        table,
        prefix: prefix.includes('/') ? prefix : `${prefix}/${familyBits(family)}`,
        type,
        ...(link === undefined || nowhere.has(type) ? {} : { link }),
        ...(via === undefined ? {} : { via }),
        metric: metric ?? (family === 6 ? DEFAULT_METRIC_6 : 0),
        ...(source === undefined ? {} : { source }),
      },
    ];
  });
}

/**
 * Behind a bridge, whoever was heard of lately and whose port the bridge knows; behind another interface only who was entered for good. Routers and
 * neighbours of the outer network are not kept track of: what is not known to be somebody's is outside.
 */
export function seenStations(
  { links, neighbors, fdb }: Pick<SeenHost, 'links' | 'neighbors' | 'fdb'>,
  bridgedGuests: ReadonlyMap<string, readonly string[]>,
): Station[] {
  const masters = new Map(links.flatMap(({ name, master }) => (master === undefined ? [] : [[name, master] as const])));
  const bridges = new Set(links.filter(({ kind }) => kind === 'bridge').map(({ name }) => name));
  const known = neighbors.filter(({ link, permanent }) => permanent || bridges.has(link));
  return stationsOf({ neighbors: known, fdb, bridges, masters, bridgedGuests });
}
