/**
 * What the words of the file mean on one host: who its guests are and behind which ports, which addresses are the host's own, where the outside is. Worked out
 * from the fabric and the kernel model, never from what the compiler makes of the file.
 */
import { prefixesOf } from '../../fabric/addressing.ts';
import type { Fabric, Network } from '../../fabric/model.ts';
import { formatPrefix, parseIp, parsePrefix, prefixesOverlap, prefixOf, prefixWithin, type Prefix } from '../../net/ip.ts';
import type { KernelModel, Origin } from '../kernel-model.ts';
import { endpointsOf, type Endpoint } from './endpoints.ts';

export interface World {
  readonly fabric: Fabric;
  readonly host: string;
  readonly model: KernelModel;
  readonly endpoints: readonly Endpoint[];
  /** This host's networks. */
  readonly networks: readonly Network[];
  /** By which the outside comes in: interfaces that are up and are neither a guest's port nor a bridge nor loopback. */
  readonly outer: readonly Origin[];
  /** Subnets by outer interface: the sources that the host itself would answer that way. */
  readonly behind: ReadonlyMap<string, Routed>;
  /** The host's own, loopback and link-local ones left out. */
  readonly hostAddresses: readonly string[];
  /** At which guests meet the host; link-local ones left out. */
  readonly gateways: readonly Gateway[];
  /** Every prefix of the fabric's networks, those of other hosts included; the hosts' addresses; loopback, link-local, multicast. */
  readonly notInternet: readonly string[];
  /** Where guests of this host are, and nobody outside is: all but the prefixes of bridged networks, and of routed ones as far as their neighbours are there too. */
  readonly inside: readonly string[];
  /** What the host's own addresses towards its guests are in: nobody else is there. */
  readonly unpeopled: readonly string[];
  /** Private ones of them: not reached from outside but by destination NAT, and never seen there. */
  readonly keptIn: readonly string[];
  /** Subnets of other hosts' networks. */
  readonly elsewhere: readonly string[];
  /** Nobody's address to send from or to: multicast, broadcast, unspecified and the like. */
  readonly never: readonly string[];
}

export interface Gateway {
  readonly network: Network;
  readonly address: string;
  /** Port 53 of this address is answered there. */
  readonly answers: string;
  /** The host is known by it outside too. */
  readonly public: boolean;
}

/** Prefixes in the order of their length: a longer one takes from a shorter one. */
export interface Routed {
  readonly steps: readonly { readonly prefix: string; readonly there: boolean }[];
}

/** RFC 1122, 3927, 5771, 4291. */
export const SPECIAL: readonly string[] = ['127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '::1/128', 'fe80::/10', 'ff00::/8'];
const NOBODY: readonly string[] = ['0.0.0.0/8', '255.255.255.255/32', '::/128', '::ffff:0:0/96'];

export function worldOf(fabric: Fabric, host: string, model: KernelModel): World {
  const networks = fabric.networks.filter((network) => network.host === host);
  const endpoints = endpointsOf(fabric, host, model);
  const hostAddresses = model.interfaces
    .flatMap(({ addresses }) => addresses.map(bare))
    .filter((address) => !/^(fe80:|127\.|::1$)/.test(address));
  const own = [...new Set(hostAddresses)];
  const ports = new Set(endpoints.map(({ nic }) => nic.port));
  const outer = model.interfaces.filter(({ name, kind, up }) => up && kind !== 'loopback' && kind !== 'bridge' && !ports.has(name));
  const outerNames = outerLinks(model, ports);
  const onLink = model.interfaces.filter(({ name }) => outerNames.has(name)).flatMap(({ addresses }) => addresses.flatMap(subnetOf));
  return {
    fabric,
    host,
    model,
    endpoints,
    networks,
    outer: outer.map(({ name }) => ({ kind: 'interface', name })),
    behind: new Map(outer.map(({ name, portOf }) => [name, routedBy(portOf?.bridge ?? name, model)])),
    hostAddresses: own,
    // Of a routed network without a port none stands.
    gateways: networks.flatMap((network) => gatewaysOf(network, own)).filter(({ address }) => own.includes(address)),
    notInternet: [...SPECIAL, ...fabric.networks.flatMap(prefixesOf), ...fabric.hosts.flatMap(({ addresses }) => addresses), ...own],
    inside: insideOf(networks, endpoints, onLink),
    unpeopled: model.interfaces
      .filter(({ name, kind }) => kind !== 'loopback' && !outerNames.has(name))
      .flatMap(({ addresses }) => addresses.flatMap(subnetOf).map(formatPrefix)),
    keptIn: networks.flatMap(keptInOf),
    elsewhere: fabric.networks
      .filter((network) => network.host !== host && network.kind !== 'bridged')
      .flatMap((network) => (network.kind === 'routed' ? (network.bootstrap ? [network.bootstrap.subnet] : []) : prefixesOf(network))),
    never: [...NOBODY, ...SPECIAL.filter((prefix) => prefix !== '169.254.0.0/16'), ...unanswered(model)],
  };
}

export const bare = (address: string): string => address.slice(0, address.indexOf('/'));

function subnetOf(address: string): Prefix[] {
  const prefix = parsePrefix(address);
  return prefix === undefined ? [] : [prefix];
}

/** Neither guests' ports, nor bridges all of whose ports are, nor loopback. */
function outerLinks({ interfaces }: KernelModel, ports: ReadonlySet<string>): ReadonlySet<string> {
  const joined = new Set(interfaces.flatMap(({ name, portOf }) => (portOf && !ports.has(name) ? [portOf.bridge] : [])));
  return new Set(
    interfaces
      .filter(({ name, kind }) => kind !== 'loopback' && !ports.has(name) && (kind !== 'bridge' || joined.has(name)))
      .map(({ name }) => name),
  );
}

/** Of the main table, by longest prefix; what more rules than the kernel's say is not asked (see {@link hasOwnRules}). */
function routedBy(link: string, { routes }: KernelModel): Routed {
  const main = routes.filter(({ table, type }) => table === 'main' && type !== 'throw');
  const best = new Map<string, KernelModel['routes'][number]>();
  for (const route of main) {
    const known = best.get(route.prefix);
    if (known === undefined || route.metric < known.metric) best.set(route.prefix, route);
  }
  const lengthOf = (prefix: string): number => Number(prefix.slice(prefix.indexOf('/') + 1));
  const byLength = [...best.values()].toSorted((a, b) => lengthOf(a.prefix) - lengthOf(b.prefix));
  const first = byLength.findIndex((route) => route.link === link);
  return {
    steps:
      first < 0
        ? []
        : byLength.slice(first).map((route) => ({ prefix: route.prefix, there: route.link === link && route.type === 'unicast' })),
  };
}

/** Routing depends on more than the destination: what is reached by it cannot be told from the routes alone. */
export const hasOwnRules = ({ rules, missing }: KernelModel): boolean =>
  missing.some((part) => part.startsWith('r')) ||
  rules.some(
    ({ preference, action }) => preference !== 0 && !('table' in action && (action.table === 'main' || action.table === 'default')),
  );

function gatewaysOf(network: Network, own: readonly string[]): Gateway[] {
  if (network.kind === 'routed') {
    const { gateway4, service4, service6 } = network;
    return [
      ...(service4 === undefined
        ? []
        : [
            { network, address: gateway4, answers: service4, public: true },
            { network, address: service4, answers: service4, public: false },
          ]),
      ...(service6 === undefined ? [] : [{ network, address: service6, answers: service6, public: false }]),
    ];
  }
  const sides = [network.v4, network.v6].filter((side) => side !== undefined);
  if (network.kind === 'bridged') {
    // The host's own address there, as far as it is in the subnet: it answers, but is no gateway.
    const subnets = sides.flatMap(({ subnet }) => parsePrefix(subnet) ?? []);
    return own
      .filter((address) => subnets.some((subnet) => prefixWithin(whole(address) ?? subnet, subnet) && whole(address) !== undefined))
      .map((address) => ({ network, address, answers: address, public: true }));
  }
  return sides.map(({ gateway }) => ({ network, address: gateway, answers: gateway, public: false }));
}

function whole(address: string): Prefix | undefined {
  const ip = parseIp(address);
  return ip && prefixOf(ip, ip.family === 4 ? 32 : 128);
}

const ULA = parsePrefix('fc00::/7');

/** All but the global IPv6 prefixes of nat networks and the public ones of routed networks. */
function keptInOf(network: Network): string[] {
  if (network.kind === 'bridged') return [];
  if (network.kind === 'routed') return network.bootstrap ? [network.bootstrap.subnet] : [];
  return prefixesOf(network).filter((text) => {
    const prefix = parsePrefix(text);
    return network.kind === 'isolated' || prefix?.family === 4 || (prefix !== undefined && ULA !== undefined && prefixWithin(prefix, ULA));
  });
}

function insideOf(networks: readonly Network[], endpoints: readonly Endpoint[], onLink: readonly Prefix[]): string[] {
  const shared = networks.flatMap((network) => (network.kind === 'bridged' ? [] : prefixesOf(network)));
  return shared.flatMap((text) => {
    const prefix = parsePrefix(text);
    if (!prefix) return [];
    if (!onLink.some((other) => prefixesOverlap(other, prefix))) return [text];
    // Neighbours of the uplink have addresses of it too.
    return endpoints
      .filter(({ standing, address }) => standing && prefixWithin(whole(address) ?? prefix, prefix))
      .map(({ address }) => address);
  });
}

/** Addresses of no machine, to which nothing answers: broadcast and anycast. */
const unanswered = ({ routes }: KernelModel): string[] => [
  ...new Set(routes.filter(({ type }) => type === 'broadcast' || type === 'anycast').map(({ prefix }) => prefix)),
];
