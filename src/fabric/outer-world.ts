/**
 * The world outside a host of which only the file is known: its uplink with addresses that collide with nothing the file names, its routers, and an address that stands
 * for the internet. The twin is built in it, and `check` proves in it.
 */
import type { PartyExpr } from '../config/flow.ts';
import { freeAddress } from '../net/free-address.ts';
import { parsePrefix, prefixesOverlap, type Prefix } from '../net/ip.ts';
import { prefixesOf } from './addressing.ts';
import type { Fabric } from './model.ts';
import { outerLans, type OuterLan } from './outer-lans.ts';

export interface OuterWorld {
  readonly uplink: {
    /** As declared, or of the bridged network that names it; `eth0` where neither says. */
    readonly name: string;
    /** With the length of their subnet. */
    readonly addresses: readonly string[];
    /** Next hops of the default routes. */
    readonly gateways: readonly string[];
  };
  /** What bridged networks are on. */
  readonly lans: readonly OuterLan[];
  /** Of them, the one that the uplink itself is on. */
  readonly main: OuterLan | undefined;
  /** One address a family that stands for the internet; outside every subnet of the file and of the uplink. */
  readonly outside: readonly string[];
  /** Of the uplink's addresses, those that are made up: the file does not say them. Without lengths. */
  readonly assumed: readonly string[];
}

/** Ranges for documentation and benchmarks (RFC 5737, 2544, 3849, 9637): nobody's own. */
const ranges4 = ['203.0.113.0/24', '198.51.100.0/24', '192.0.2.0/24', '198.18.0.0/24', '198.19.0.0/24'];
const ranges6 = ['2001:db8:cb00::/64', '2001:db8:c633::/64', '3fff:c000::/64', '3fff:c633::/64', '3fff:cb00::/64'];

export function assumedOuterWorld(fabric: Fabric, host: string): OuterWorld {
  const declared = fabric.hosts.find((one) => one.name === host);
  const networks = fabric.networks.filter((network) => network.host === host);
  const lans = outerLans(fabric, host, declared?.addresses ?? []);
  // Where the uplink itself is bridged, its outer network is that one.
  const main = lans.find((lan) => lan.interface === (declared?.uplink ?? 'eth0'));
  const subnets = fabric.networks.flatMap(prefixesOf);
  const gateways = networks.flatMap(({ v4, v6 }) => [v4?.gateway, v6?.gateway]);
  const published = fabric.publish.filter((one) => one.host === host).flatMap(({ address }) => address ?? []);
  const wanted = [
    ...new Set([
      ...(declared?.addresses ?? []),
      ...networks.flatMap((network) => network.snat ?? []),
      ...published.filter((address) => !gateways.includes(address)),
    ]),
  ];
  const named = [...fabric.allow, ...fabric.block]
    .flatMap((rule) => [...rule.from, ...rule.to])
    .concat(fabric.publish.flatMap(({ from }) => from ?? []));
  const literals = [...named, ...expectedParties(fabric)].flatMap((party) => (party.kind === 'prefix' ? party.prefix : []));
  const taken = [...subnets, ...wanted, ...literals].flatMap((text) => parsePrefix(text) ?? []);

  const sides = [
    { ranges: ranges4, own: wanted.filter((address) => !address.includes(':')), length: 24, whole: 32 },
    { ranges: ranges6, own: wanted.filter((address) => address.includes(':')), length: 64, whole: 128 },
  ].map(({ ranges, own, length, whole }) => {
    const [uplink, outside] = freeRanges(ranges, taken);
    if (own.length === 0)
      return {
        addresses: [`${freeAddress(uplink, [freeAddress(uplink, [])])}/${length}`],
        gateway: freeAddress(uplink, []),
        outside: freeAddress(outside, []),
      };
    return { ...declaredUplink(own, subnets, length, whole, uplink), outside: freeAddress(outside, []) };
  });
  const onLan = (address: string): boolean => lans.some((lan) => lan.host.some((own) => own.startsWith(`${bare(address)}/`)));
  const own = sides.flatMap((side) => side.addresses).filter((address) => !onLan(address));
  const addresses = main === undefined ? own : [...main.host, ...(wanted.length > 0 ? own : [])];
  return {
    uplink: {
      name: declared?.uplink ?? main?.interface ?? 'eth0',
      addresses,
      gateways: main === undefined ? sides.map((side) => side.gateway) : main.routers,
    },
    lans,
    main,
    outside: sides.map((side) => side.outside),
    assumed: addresses.map(bare).filter((address) => !wanted.includes(address)),
  };
}

const bare = (address: string): string => address.split('/')[0] ?? '';

/** As they are written: a literal address is the same in every context. */
function expectedParties({ expect }: Fabric): PartyExpr[] {
  const flows = expect.flatMap((entry) => (entry.kind === 'exposed' ? entry.flows : entry.kind === 'isolated' ? [] : [entry.flow]));
  return flows.flatMap(({ from, to }) => [...from, ...to]);
}

/** Two ranges that meet none of `taken`; in a file that uses them all, the last ones. */
function freeRanges(ranges: readonly string[], taken: readonly Prefix[]): [string, string] {
  const free = ranges.filter((range) => {
    const prefix = parsePrefix(range);
    return prefix !== undefined && !taken.some((other) => prefixesOverlap(prefix, other));
  });
  const [first = '', second = ''] = [...free, ...ranges.slice(-2)];
  return [first, second];
}

/** The file's own public addresses: a shared subnet where they have one and it is nobody else's, else each alone behind an on-link gateway. */
function declaredUplink(
  own: readonly string[],
  subnets: readonly string[],
  length: number,
  whole: number,
  fallback: string,
): { addresses: string[]; gateway: string } {
  const shared = parsePrefix(`${own[0] ?? ''}/${length}`);
  const clear = shared !== undefined && !subnets.some((text) => overlaps(shared, text));
  const inside = (address: string): boolean => shared !== undefined && overlaps(shared, address);
  return {
    addresses: own.map((address) => `${address}/${clear && inside(address) ? length : whole}`),
    gateway: clear ? freeAddress(`${own[0] ?? ''}/${length}`, own) : freeAddress(fallback, []),
  };
}

function overlaps(prefix: Prefix, text: string): boolean {
  const other = parsePrefix(text);
  return other !== undefined && prefixesOverlap(prefix, other);
}
