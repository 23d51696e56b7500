/**
 * What is on a host besides Weft: of the facts, as far as these tell it, or of what was seen there. The desired state is put into it.
 */
import { isOwnLink, isOwnVlan } from '../../hoststate/observe-links.ts';
import { WEFT_PROTOCOL, type HostFacts } from '../../hoststate/model.ts';
import type { NftTable } from '../../hoststate/nft.ts';
import { formatPrefix, parseIp, parsePrefix } from '../../net/ip.ts';
import type { ModelInterface, ModelRoute, ModelRule, Station } from '../kernel-model.ts';
import { DEFAULT_METRIC_6 } from './implied-routes.ts';
import { seenInterfaces, seenRoutes, seenStations } from './model-of-seen.ts';
import { kernelRules } from './read-rules.ts';
import type { SeenHost } from './seen-host.ts';

/** Interfaces by their own names, with what is theirs when none of Weft's bridges carries them. */
export interface Surroundings {
  readonly interfaces: readonly ModelInterface[];
  /** Without those that the kernel makes of addresses. */
  readonly routes: readonly ModelRoute[];
  readonly rules: readonly ModelRule[];
  readonly stations: readonly Station[];
  /** None of Weft's. */
  readonly tables: readonly NftTable[];
  readonly sysctls: Readonly<Record<string, string>>;
  readonly missing: readonly string[];
}

/** The facts tell of the uplink, of bridged networks' interfaces and of routes; nothing of other programs' rules. */
export function surroundingsOfFacts(facts: HostFacts): Surroundings {
  const { uplink, forwarding } = facts;
  const described = [...(uplink ? [uplink] : []), ...facts.interfaces.filter(({ name }) => name !== uplink?.name)];
  const interfaces = new Map<string, ModelInterface>(
    described.map(({ name, mac, addresses }) => [name, { name, kind: 'other', mac, up: true, addresses }]),
  );
  const implied = new Set(described.flatMap(({ name, addresses }) => addresses.map((address) => `${name} ${address.split('/')[0] ?? ''}`)));
  const connected = new Set(described.flatMap(({ name, addresses }) => addresses.map((address) => `${name} ${subnetOf(address)}`)));
  const routes: ModelRoute[] = [];
  for (const { prefix, link, local } of facts.routes) {
    const address = prefix.slice(0, prefix.indexOf('/'));
    const known = interfaces.get(link) ?? { name: link, kind: 'other', up: true, addresses: [] };
    interfaces.set(link, known);
    if (local === true) {
      // An address of the host on an interface of which no more is known.
      if (!implied.has(`${link} ${address}`)) interfaces.set(link, { ...known, addresses: [...known.addresses, prefix] });
    } else if (!connected.has(`${link} ${prefix}`)) routes.push(main(prefix, link));
  }
  if (uplink) routes.push(...defaultRoutes(uplink));
  return {
    interfaces: [...interfaces.values()],
    routes,
    rules: kernelRules,
    stations: [],
    tables: [],
    sysctls: {
      'net/ipv4/ip_forward': forwarding.v4 ? '1' : '0',
      'net/ipv4/conf/all/forwarding': forwarding.v4 ? '1' : '0',
      'net/ipv6/conf/all/forwarding': forwarding.v6 ? '1' : '0',
    },
    missing: [],
  };
}

function subnetOf(address: string): string {
  const prefix = parsePrefix(address);
  return prefix ? formatPrefix(prefix) : address;
}

function main(prefix: string, link: string, via?: string): ModelRoute {
  const family = prefix.includes(':') ? 6 : 4;
  const metric = family === 6 ? DEFAULT_METRIC_6 : 0;
  return { family, table: 'main', prefix, type: 'unicast', link, ...(via === undefined ? {} : { via }), metric };
}

/** Without a router of its family the default route is on-link, as on a point-to-point uplink. */
function defaultRoutes({ name, gateways, addresses, v6 }: NonNullable<HostFacts['uplink']>): ModelRoute[] {
  const via = (family: 4 | 6): string | undefined => gateways.find((gateway) => parseIp(gateway)?.family === family);
  const has4 = via(4) !== undefined || addresses.some((address) => !address.includes(':'));
  return [...(has4 ? [main('0.0.0.0/0', name, via(4))] : []), ...(v6 ? [main('::/0', name, via(6))] : [])];
}

/** All of it that is not Weft's, be it there now or not: what is on a bridge for an interface counts as that interface's. */
export function surroundingsSeen(seen: SeenHost, isOwnTable: (table: NftTable) => boolean): Surroundings {
  const own = new Set(seen.links.filter((link) => isOwnLink(link) && !isOwnVlan(link)).map(({ name }) => name));
  const carried = new Map(
    seen.links.flatMap(({ name, master }) => (master !== undefined && own.has(master) && !own.has(name) ? [[master, name] as const] : [])),
  );
  const named = (link: string): string => carried.get(link) ?? link;
  const all = seenInterfaces(seen);
  const byName = new Map(all.map((one) => [one.name, one]));
  const interfaces = all
    .filter(({ name }) => !own.has(name))
    .map((one): ModelInterface => {
      const { portOf, ...rest } = one;
      if (portOf === undefined || !own.has(portOf.bridge)) return one;
      return { ...rest, addresses: [...one.addresses, ...(byName.get(portOf.bridge)?.addresses ?? [])] };
    });
  const foreign = seen.routes.filter(
    ({ protocol, link, table, type, prefix }) =>
      protocol !== String(WEFT_PROTOCOL) &&
      (link === undefined || !own.has(link) || carried.has(link)) &&
      !(protocol === 'kernel' && (table === 'main' || table === 'local') && !prefix.endsWith('/0') && impliedTypes.has(type)),
  );
  return {
    interfaces,
    routes: seenRoutes(foreign.map((route) => (route.link === undefined ? route : { ...route, link: named(route.link) }))),
    rules: seen.rules,
    stations: seenStations(seen, new Map()).filter(({ port }) => !own.has(port)),
    tables: seen.tables.filter((table) => !isOwnTable(table)),
    sysctls: seen.sysctls,
    missing: seen.missing,
  };
}

/** Of routes that the kernel makes of addresses: they are made again of the addresses. */
const impliedTypes: ReadonlySet<string> = new Set(['unicast', 'local', 'broadcast', 'multicast', 'anycast']);
