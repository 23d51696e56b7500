/**
 * The kernel model of a host as Weft wants it (or has made it): the host state put into what else is on the host. Its routes, rules, neighbours and
 * settings are those that the kernel will have, whoever makes them.
 */
import type { HostFacts, HostState, Link } from '../../hoststate/model.ts';
import type { KernelModel, ModelInterface, ModelRoute, Station } from '../kernel-model.ts';
import { DEFAULT_METRIC_6, impliedRoutes } from './implied-routes.ts';
import { stationsOf } from './stations.ts';
import { surroundingsOfFacts, type Surroundings } from './surroundings.ts';

export interface ModelOptions {
  /** What else is on the host; default: what the facts tell. */
  readonly around?: Surroundings;
  /** Who has these addresses, by MAC, where no neighbour entry says so: guests of bridged networks, of whom ARP tells. */
  readonly bridgedGuests?: ReadonlyMap<string, readonly string[]>;
}

export function modelOf(
  state: HostState,
  facts: HostFacts,
  { around = surroundingsOfFacts(facts), bridgedGuests }: ModelOptions = {},
): KernelModel {
  const carriers = new Map(state.enslaved.map((entry) => [entry.interface, entry.bridge]));
  const carrier = (link: string): string => carriers.get(link) ?? link;
  const interfaces = interfacesOf(state, around, carriers);
  const sysctls = sysctlsOf(state, around, interfaces);
  const routes: ModelRoute[] = [
    ...interfaces.flatMap((one) => impliedRoutes(one, sysctls[`net/ipv6/conf/${one.name}/forwarding`] === '1')),
    ...around.routes.map((route) => (route.link === undefined ? route : { ...route, link: carrier(route.link) })),
    ...ownRoutes(state),
  ];
  return {
    host: state.host,
    interfaces,
    routes: withoutRepeats(routes),
    rules: around.rules,
    stations: [...ownStations(state, bridgedGuests ?? new Map()), ...around.stations],
    tables: [...state.tables, ...around.tables],
    sysctls,
    missing: around.missing,
  };
}

const loopback: ModelInterface = {
  name: 'lo',
  kind: 'loopback',
  mac: '00:00:00:00:00:00',
  up: true,
  addresses: ['127.0.0.1/8', '::1/128'],
};

/** Sorted by name. */
function interfacesOf(state: HostState, around: Surroundings, carriers: ReadonlyMap<string, string>): ModelInterface[] {
  const all = new Map<string, ModelInterface>([[loopback.name, loopback]]);
  const addresses = new Map<string, string[]>();
  const add = (link: string, more: readonly string[]): void => void addresses.set(link, [...(addresses.get(link) ?? []), ...more]);
  for (const { link, address } of state.addresses) {
    const list = addresses.get(link);
    if (list) list.push(address);
    else addresses.set(link, [address]);
  }
  for (const one of around.interfaces) {
    const bridge = carriers.get(one.name);
    const managed = addresses.get(one.name);
    // What Weft gives an uplink that it manages stands there beside what is there already, and it is brought up.
    if (bridge === undefined)
      all.set(one.name, managed === undefined ? one : { ...one, up: true, addresses: [...new Set([...one.addresses, ...managed])] });
    else {
      add(bridge, one.addresses);
      all.set(one.name, { ...one, addresses: [], portOf: { bridge, isolated: false, hairpin: false } });
    }
  }
  const calls = (word: 'iptables' | 'ip6tables'): boolean => {
    const key = `net/bridge/bridge-nf-call-${word}`;
    return (state.sysctls.find((setting) => setting.key === key)?.value ?? around.sysctls[key]) === '1';
  };
  for (const link of state.links) {
    const known = all.get(link.name);
    const own = ownInterface(link, addresses.get(link.name) ?? [], { v4: calls('iptables'), v6: calls('ip6tables') });
    // A VLAN of Weft's: what is on it the facts tell.
    const bridge = carriers.get(link.name);
    const made: ModelInterface = bridge === undefined ? own : { ...own, portOf: { bridge, isolated: false, hairpin: false } };
    all.set(link.name, link.kind === 'vlan' ? (known ?? made) : own);
  }
  return [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function ownInterface(link: Link, addresses: readonly string[], calls: { readonly v4: boolean; readonly v6: boolean }): ModelInterface {
  const { name } = link;
  switch (link.kind) {
    case 'bridge': {
      const always = link.nfCall === true;
      return { name, kind: 'bridge', mac: link.mac, up: true, addresses, nfCall: { v4: always || calls.v4, v6: always || calls.v6 } };
    }
    case 'vlan':
      return { name, kind: 'other', up: true, addresses };
    case 'tap':
    case 'veth': {
      const { bridge } = link;
      const portOf = bridge === undefined ? {} : { portOf: { bridge, isolated: link.shared !== true, hairpin: false } };
      return { name, kind: 'other', up: true, addresses, ...portOf };
    }
  }
}

function ownRoutes({ routes }: HostState): ModelRoute[] {
  return routes.map((route): ModelRoute => {
    const { prefix } = route;
    const family = prefix.includes(':') ? 6 : 4;
    const metric = route.metric ?? (family === 6 ? DEFAULT_METRIC_6 : 0);
    const common = { family, table: 'main', prefix, metric } as const;
    if ('unreachable' in route) return { ...common, type: 'unreachable' };
    return { ...common, type: 'unicast', link: route.link, ...(route.via === undefined ? {} : { via: route.via }) };
  });
}

/** The kernel refuses a second route of the same table, prefix and metric, but for IPv6 by other links. */
function withoutRepeats(routes: readonly ModelRoute[]): ModelRoute[] {
  const seen = new Set<string>();
  return routes.filter(({ family, table, prefix, type, link, via, metric }) => {
    const key = `${family} ${table} ${prefix} ${type} ${link ?? ''} ${via ?? ''} ${metric}`;
    return !seen.has(key) && seen.add(key);
  });
}

function ownStations({ links, neighbors, fdb }: HostState, bridgedGuests: ReadonlyMap<string, readonly string[]>): Station[] {
  const bridges = new Set(links.filter(({ kind }) => kind === 'bridge').map(({ name }) => name));
  const masters = new Map(
    links.flatMap((link) => ('bridge' in link && link.bridge !== undefined ? [[link.name, link.bridge] as const] : [])),
  );
  return stationsOf({ neighbors, fdb, bridges, masters, bridgedGuests });
}

/** What Weft sets counts over what is there. A change of `all` changes every interface (inet_forward_change, addrconf_fixup_forwarding). */
function sysctlsOf(state: HostState, around: Surroundings, interfaces: readonly ModelInterface[]): Readonly<Record<string, string>> {
  const values: Record<string, string> = { ...around.sysctls };
  for (const { key, value } of state.sysctls) {
    const every = key === 'net/ipv4/ip_forward' ? 'net/ipv4/conf/all/forwarding' : key;
    const family = /^net\/(ipv[46])\/conf\/all\/forwarding$/.exec(every)?.[1];
    if (family !== undefined && values[every] !== value)
      for (const { name } of interfaces) values[`net/${family}/conf/${name}/forwarding`] = value;
    values[key] = value;
    values[every] = value;
  }
  for (const { name } of interfaces) {
    const filter = values['net/ipv4/conf/default/rp_filter'];
    // What a new interface begins with.
    if (filter !== undefined) values[`net/ipv4/conf/${name}/rp_filter`] ??= filter;
    for (const family of ['ipv4', 'ipv6'])
      values[`net/${family}/conf/${name}/forwarding`] ??= values[`net/${family}/conf/all/forwarding`] ?? '0';
  }
  return values;
}
