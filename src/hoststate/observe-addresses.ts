/** Reads `ip -j addr`, `ip -j route show table all`, `ip -j neigh show nud permanent` and `bridge -j fdb show` into typed values. */
import { familyBits, parseIp } from '../net/ip.ts';
import { WEFT_PROTOCOL } from './model.ts';
import type { Address, FdbEntry, Neighbor, NeighborProxy, Route } from './model.ts';
import { isRecord, text } from './nft-json.ts';

export interface SeenAddress extends Address {
  /** `global`, `link`, `host`, … */
  readonly scope: string;
  /** From DHCP or a router advertisement: it may go by itself. */
  readonly dynamic: boolean;
  /** An IPv6 privacy address (RFC 8981). */
  readonly temporary: boolean;
}

export interface SeenRoute {
  /** `10.0.0.0/8`, `0.0.0.0/0` for a default route; host routes with their full length. */
  readonly prefix: string;
  /** Undefined for `unreachable`, `blackhole` and multipath routes. */
  readonly link?: string;
  readonly via?: string;
  /** The next hop counts as a neighbour, whatever its address. */
  readonly onlink?: true;
  readonly metric?: number;
  /** Preferred source of the host's own packets, where it says one. */
  readonly source?: string;
  /** `kernel`, `dhcp`, `static`, or a number as text. */
  readonly protocol: string;
  /** `main`, `local`, or a number as text. */
  readonly table: string;
  /** `unicast`, `local`, `broadcast`, `unreachable`, … */
  readonly type: string;
}

/** All addresses of all links, in the kernel's order. */
export function readAddresses(json: unknown): SeenAddress[] {
  return records(json).flatMap((link) =>
    records(link['addr_info']).flatMap((entry): SeenAddress[] => {
      const { local, prefixlen } = entry;
      if (typeof local !== 'string' || typeof prefixlen !== 'number') return [];
      return [
        {
          link: text(link['ifname']),
          address: `${local}/${prefixlen}`,
          scope: text(entry['scope']),
          dynamic: entry['dynamic'] === true,
          temporary: entry['temporary'] === true,
        },
      ];
    }),
  );
}

/** All routes of all tables, both families. A multipath route is one entry a next hop. */
export function readRoutes(json: unknown): SeenRoute[] {
  return records(json).flatMap((route): SeenRoute[] => {
    const via = gateway(route);
    const prefix = routePrefix(text(route['dst']), via ?? text(route['prefsrc']), route);
    if (prefix === undefined) return [];
    const common = {
      prefix,
      protocol: text(route['protocol']) || 'boot',
      table: text(route['table']) || 'main',
      type: text(route['type']) || 'unicast',
    };
    // 1024 is what IPv6 takes for "no metric given" (IP6_RT_PRIO_USER).
    const metric =
      typeof route['metric'] === 'number' && !(prefix.includes(':') && route['metric'] === 1024) ? { metric: route['metric'] } : {};
    const hops = records(route['nexthops']);
    if (hops.length === 0) hops.push(route);
    const source = named('source', route['prefsrc']);
    return hops.map((hop) => ({
      ...common,
      ...metric,
      ...named('link', hop['dev']),
      ...named('via', gateway(hop)),
      ...(Array.isArray(hop['flags']) && hop['flags'].includes('onlink') ? { onlink: true as const } : {}),
      ...source,
    }));
  });
}

/** Weft's own routes: those of its protocol number. */
export function ownRoutes(routes: readonly SeenRoute[]): Route[] {
  return routes
    .filter((route) => route.protocol === String(WEFT_PROTOCOL))
    .map(({ prefix, type, link, via, onlink, metric }): Route =>
      type === 'unreachable'
        ? { prefix, unreachable: true, metric: metric ?? 0 }
        : {
            prefix,
            link: link ?? '',
            ...(via === undefined ? {} : { via }),
            ...(onlink === undefined ? {} : { onlink }),
            ...(metric === undefined || metric === 0 ? {} : { metric }),
          },
    )
    .sort(byText((route) => `${route.prefix} ${'link' in route ? route.link : ''}`));
}

/** Permanent neighbour entries of the links that `isOwn` accepts, sorted. */
export function readNeighbors(json: unknown, isOwn: (link: string) => boolean): Neighbor[] {
  return records(json)
    .filter((entry) => isOwn(text(entry['dev'])) && Array.isArray(entry['state']) && entry['state'].includes('PERMANENT'))
    .map((entry) => ({ link: text(entry['dev']), address: text(entry['dst']), mac: text(entry['lladdr']) }))
    .sort(byText(({ link, address }) => `${link} ${address}`));
}

/** Weft's own proxy entries in `ip -j neigh show proxy`: those of its protocol number. */
export function readProxies(json: unknown): NeighborProxy[] {
  return records(json)
    .filter((entry) => 'proxy' in entry && entry['protocol'] === String(WEFT_PROTOCOL))
    .map((entry) => ({ link: text(entry['dev']), address: text(entry['dst']) }))
    .sort(byText(({ link, address }) => `${link} ${address}`));
}

/** Entries that pin a guest's MAC to a port, sorted. `macOf` is an own link's MAC, which the kernel itself has pinned; of other links it is undefined. */
export function readFdb(json: unknown, macOf: (link: string) => string | undefined): FdbEntry[] {
  return records(json)
    .filter((entry) => {
      const own = macOf(text(entry['ifname']));
      const isPinned = entry['state'] === 'static' || (entry['state'] === 'permanent' && entry['mac'] !== own);
      return isPinned && own !== undefined && typeof entry['master'] === 'string';
    })
    .map((entry) => ({
      port: text(entry['ifname']),
      mac: text(entry['mac']),
      ...(entry['state'] === 'permanent' ? { local: true as const } : {}),
    }))
    .sort(byText(({ port, mac }) => `${port} ${mac}`));
}

function records(json: unknown): Readonly<Record<string, unknown>>[] {
  return (Array.isArray(json) ? json : []).filter(isRecord);
}

function gateway(route: Readonly<Record<string, unknown>>): string | undefined {
  // An IPv4 route by way of an IPv6 next hop has `via` instead.
  if (typeof route['gateway'] === 'string') return route['gateway'];
  return isRecord(route['via']) && typeof route['via']['host'] === 'string' ? route['via']['host'] : undefined;
}

function routePrefix(dst: string, hint: string, route: Readonly<Record<string, unknown>>): string | undefined {
  if (dst === 'default') {
    // Only IPv6 routes have a router preference.
    return hint.includes(':') || 'pref' in route ? '::/0' : '0.0.0.0/0';
  }
  if (dst.includes('/')) return dst;
  const ip = parseIp(dst);
  return ip && `${dst}/${familyBits(ip.family)}`;
}

function named<K extends string>(key: K, value: unknown): { readonly [P in K]?: string } {
  // A computed key of a generic type is widened by the compiler; the value is what the return type says.
  return typeof value === 'string' ? ({ [key]: value } as { readonly [P in K]?: string }) : {};
}

function byText<T>(key: (value: T) => string): (a: T, b: T) => number {
  return (a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0);
}
