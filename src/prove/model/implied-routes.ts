/**
 * The routes that the kernel makes by itself of an interface's addresses (fib_add_ifaddr, addrconf_prefix_route, addrconf_join_anycast), so that a host
 * that does not stand yet has them as well.
 */
import { familyBits, formatIp, parseIp, prefixBounds, prefixOf, formatPrefix, type Ip, type Prefix } from '../../net/ip.ts';
import type { ModelInterface, ModelRoute } from '../kernel-model.ts';

/** Metric of IPv6 routes that the kernel makes (IP6_RT_PRIO_ADDRCONF), and of those without one (IP6_RT_PRIO_USER). */
const KERNEL_METRIC_6 = 256;
export const DEFAULT_METRIC_6 = 1024;

/** Of one interface. `forwards6`: it is a router's in IPv6, so that the subnet-router anycast addresses are its own too (RFC 4291, 2.6.1). */
export function impliedRoutes({ name, kind, addresses, up }: ModelInterface, forwards6: boolean): ModelRoute[] {
  if (!up) return [];
  const routes: ModelRoute[] = [];
  const seen = new Set<string>();
  /** Of subnets (`10.0.0.0/24`), by their first address: what leaves from a later one of the same subnet has that one's source. */
  const primary = new Map<string, string>();
  let has6 = false;
  for (const text of addresses) {
    const slash = text.indexOf('/');
    const ip = parseIp(text.slice(0, slash));
    const length = Number(text.slice(slash + 1));
    if (!ip) continue;
    has6 ||= ip.family === 6;
    const subnet = prefixOf(ip, length);
    const key = formatPrefix(subnet);
    const first = primary.get(key) ?? formatIp(ip);
    primary.set(key, first);
    const own = ip.family === 4 ? routes4(name, kind, ip, subnet, first) : routes6(name, kind, ip, subnet, forwards6);
    for (const route of own) {
      const words = `${route.type} ${route.prefix}`;
      // The second address of a subnet adds no second route to it.
      if (!seen.has(words)) routes.push(route);
      seen.add(words);
    }
  }
  if (has6 && kind !== 'loopback')
    routes.push({ family: 6, table: 'local', prefix: 'ff00::/8', type: 'multicast', link: name, metric: KERNEL_METRIC_6 });
  return routes;
}

function routes4(link: string, kind: ModelInterface['kind'], ip: Ip, subnet: Prefix, source: string): ModelRoute[] {
  const { length } = subnet;
  const common = { family: 4, link, metric: 0, source } as const;
  const routes: ModelRoute[] = [{ ...common, table: 'local', prefix: `${formatIp(ip)}/32`, type: 'local' }];
  if (length === 32) return routes;
  routes.push(
    kind === 'loopback'
      ? { ...common, table: 'local', prefix: formatPrefix(subnet), type: 'local' }
      : { ...common, table: 'main', prefix: formatPrefix(subnet), type: 'unicast' },
  );
  if (length < 31) routes.push({ ...common, table: 'local', prefix: `${formatIp(prefixBounds(subnet).last)}/32`, type: 'broadcast' });
  return routes;
}

function routes6(link: string, kind: ModelInterface['kind'], ip: Ip, subnet: Prefix, forwards: boolean): ModelRoute[] {
  const routes: ModelRoute[] = [{ family: 6, table: 'local', prefix: `${formatIp(ip)}/128`, type: 'local', link, metric: 0 }];
  if (kind === 'loopback' && formatIp(ip) === '::1') return routes;
  routes.push({ family: 6, table: 'main', prefix: formatPrefix(subnet), type: 'unicast', link, metric: KERNEL_METRIC_6 });
  if (forwards && kind !== 'loopback' && subnet.length < familyBits(6) - 1)
    routes.push({ family: 6, table: 'local', prefix: `${formatIp(subnet)}/128`, type: 'anycast', link, metric: 0 });
  return routes;
}
