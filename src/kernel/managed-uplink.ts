/**
 * An uplink that Weft sets up itself (`manage: true`) as the facts have it: with its addresses and gateways, whether they are there yet or not. What
 * somebody else has put there already stays theirs. Pure.
 */
import { WEFT_PROTOCOL, type HostFacts } from '../hoststate/model.ts';
import type { SeenRoute } from '../hoststate/observe-addresses.ts';
import { familyBits, parseIp } from '../net/ip.ts';

export interface ManagedUplink {
  /** Without a length, in file order. */
  readonly addresses: readonly string[];
  /** At most one a family. */
  readonly gateways: readonly string[];
}

type Uplink = NonNullable<HostFacts['uplink']>;

/** `uplink` is without what is Weft's, `routes` are all. */
export function withManaged(uplink: Uplink, { addresses, gateways }: ManagedUplink, routes: readonly SeenRoute[]): Uplink {
  const there = new Map(uplink.addresses.map((text) => [text.replace(/\/\d+$/, ''), text]));
  const named = new Set(addresses);
  const all = routes.filter(({ prefix, type, table }) => prefix.endsWith('/0') && type === 'unicast' && table === 'main');
  const isOwn = ({ protocol }: SeenRoute): boolean => protocol === String(WEFT_PROTOCOL);
  const defaults = all.filter((route) => !isOwn(route));
  const standing = new Set(all.filter(isOwn).map(({ prefix }) => prefix));
  const missing = gateways.filter((gateway) => !defaults.some(({ via, link }) => via === gateway && link === uplink.name));
  const rivals = missing.flatMap((gateway) =>
    defaults.filter(({ prefix, metric = 0 }) => metric === 0 && !standing.has(prefix) && prefix.includes(':') === gateway.includes(':')),
  );
  return {
    ...uplink,
    addresses: [
      ...addresses.map((address) => there.get(address) ?? alone(address)),
      ...uplink.addresses.filter((text) => !named.has(text.replace(/\/\d+$/, ''))),
    ],
    gateways: [...new Set([...gateways, ...uplink.gateways])],
    v6: uplink.v6 || gateways.some((gateway) => gateway.includes(':')),
    managed: {
      addresses: addresses.filter((address) => !there.has(address)).map(alone),
      gateways: missing,
      rivals: rivals.map(({ prefix, via, link }) => ({
        prefix,
        ...(via === undefined ? {} : { via }),
        ...(link === undefined ? {} : { link }),
      })),
    },
  };
}

/** With the routes that the kernel makes of the uplink's addresses. */
export function withHostRoutes(routes: HostFacts['routes'], link: string, { addresses }: ManagedUplink): HostFacts['routes'] {
  const wanted = addresses.map((address) => ({ prefix: alone(address), link }));
  const fresh = wanted.filter(({ prefix }) => !routes.some((route) => route.prefix === prefix && route.link === link));
  return [...routes, ...fresh].sort(byPrefix);
}

export const byPrefix = (a: HostFacts['routes'][number], b: HostFacts['routes'][number]): number =>
  `${a.prefix} ${a.link}` < `${b.prefix} ${b.link}` ? -1 : 1;

/** `203.0.113.10/32` */
const alone = (address: string): string => `${address}/${familyBits(parseIp(address)?.family ?? 4)}`;
