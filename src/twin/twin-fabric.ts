/**
 * The fabric as its twin: the same names, addresses and rules, with a network namespace in place of every guest's inside, and an uplink
 * whose addresses collide with nothing in the file.
 */
import { prefixesOf } from '../fabric/addressing.ts';
import type { Fabric, Guest, Host } from '../fabric/model.ts';
import { parsePrefix, prefixesOverlap } from '../net/ip.ts';
import type { Prefix } from '../net/ip.ts';
import type { BedHost } from './bed.ts';
import { lansOf } from './lans.ts';
import type { TwinLan } from './lans.ts';
import { freeAddress } from './bed.ts';

export interface TwinPlan {
  readonly fabric: Fabric;
  readonly host: string;
  readonly bedHost: BedHost;
  /** Addresses of the outer world that stand for "the internet", one a family; outside every subnet of the file and of the uplink. */
  readonly outside: readonly string[];
  /** What bridged networks are on. */
  readonly lans: readonly TwinLan[];
}

/** Ranges for documentation and benchmarks (RFC 5737, 2544, 3849, 9637): nobody's own. */
const ranges4 = ['203.0.113.0/24', '198.51.100.0/24', '192.0.2.0/24', '198.18.0.0/24', '198.19.0.0/24'];
const ranges6 = ['2001:db8:cb00::/64', '2001:db8:c633::/64', '3fff:c000::/64', '3fff:c633::/64', '3fff:cb00::/64'];

export function planTwin(fabric: Fabric, host: string): TwinPlan {
  const declared = fabric.hosts.find((one) => one.name === host);
  const networks = fabric.networks.filter((network) => network.host === host);
  const lans = lansOf(fabric, host, declared?.addresses ?? []);
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
  const taken = [...subnets, ...wanted, ...named.flatMap((party) => (party.kind === 'prefix' ? party.prefix : []))].flatMap(
    (text) => parsePrefix(text) ?? [],
  );

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
  const onLan = (address: string): boolean => lans.some((lan) => lan.host.some((own) => own.startsWith(`${address.split('/')[0] ?? ''}/`)));
  const uplinkAddresses = sides.flatMap((side) => side.addresses).filter((address) => !onLan(address));
  return {
    fabric: {
      ...fabric,
      hosts: fabric.hosts.map(withUplink),
      guests: fabric.guests.map((guest) => asNamespace(fabric, guest)),
    },
    host,
    bedHost: {
      name: 'host',
      ...(declared?.uplink === undefined ? {} : { uplink: declared.uplink }),
      ...(declared?.macs?.[0] === undefined ? {} : { mac: declared.macs[0] }),
      addresses: main === undefined ? uplinkAddresses : [...main.host, ...(wanted.length > 0 ? uplinkAddresses : [])],
      gateways: main === undefined ? sides.map((side) => side.gateway) : main.routers,
      ...(main === undefined ? {} : { neighbours: main.neighbours }),
      lans: lans
        .filter((lan) => lan !== main)
        .map((lan) => ({ interface: lan.interface, addresses: lan.host, outer: [...lan.routers, ...lan.neighbours] })),
      routes: networks.filter(({ kind }) => kind !== 'bridged').flatMap(prefixesOf),
    },
    outside: sides.map((side) => side.outside),
    lans,
  };
}

/** The twin's uplink stands, with the host's addresses, before anything is applied to it. */
function withUplink(host: Host): Host {
  const { managed: _, ...rest } = host;
  return rest;
}

/** The namespace Weft would make for a guest of kind namespace; `inside` guests live in their outer guest's. */
function asNamespace(fabric: Fabric, guest: Guest): Guest {
  const { user: _, ...rest } = guest;
  const kind = 'namespace' as const;
  return guest.inside === undefined ? { ...rest, kind, namespace: `${fabric.name}-${guest.name.toLowerCase()}` } : { ...rest, kind };
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
