/** The outer networks that bridged networks are on, where nobody has looked: their subnets with a host, a router and neighbours in them that are no guest. */
import { freeAddress } from '../net/free-address.ts';
import { formatIp, parsePrefix, prefixWithin } from '../net/ip.ts';
import type { Fabric, Network } from './model.ts';

export interface OuterLan {
  readonly network: string;
  readonly interface: string;
  /** The host's own there, with prefix length, one a family. */
  readonly host: readonly string[];
  /** Of the router and of the neighbours. */
  readonly routers: readonly string[];
  readonly neighbours: readonly string[];
}

/** `declared`: the host's addresses in the file. */
export function outerLans(fabric: Fabric, host: string, declared: readonly string[]): readonly OuterLan[] {
  return fabric.networks.flatMap((network) =>
    network.host === host && network.interface !== undefined ? [lanOf(fabric, network, network.interface, declared)] : [],
  );
}

function lanOf(fabric: Fabric, network: Network, name: string, declared: readonly string[]): OuterLan {
  const guests = fabric.guests.flatMap(({ nics }) => nics.flatMap((nic) => [nic.v4, nic.v6].flatMap((address) => address ?? [])));
  const sides = [network.v4, network.v6].flatMap((side) => {
    const prefix = side && parsePrefix(side.subnet);
    if (side === undefined || prefix === undefined) return [];
    const named = literals(fabric).flatMap((text) => {
      const literal = parsePrefix(text);
      return literal && literal.family === prefix.family && prefixWithin(literal, prefix) && literal.length > prefix.length
        ? [firstHost(text)]
        : [];
    });
    const taken = [...guests, side.gateway, ...named];
    const own = declared.find((address) => {
      const ip = parsePrefix(`${address}/${prefix.family === 4 ? 32 : 128}`);
      return ip !== undefined && ip.family === prefix.family && prefixWithin(ip, prefix);
    });
    const host = own ?? freeAddress(side.subnet, taken);
    const neighbours = named.filter((address) => address !== host && address !== side.gateway && !guests.includes(address));
    return [
      {
        host: `${host}/${prefix.length}`,
        router: side.gateway,
        neighbours: [freeAddress(side.subnet, [...taken, host]), ...new Set(neighbours)],
      },
    ];
  });
  return {
    network: network.name,
    interface: name,
    host: sides.map((side) => side.host),
    routers: sides.map((side) => side.router),
    neighbours: sides.flatMap((side) => side.neighbours),
  };
}

/** Addresses and prefixes that rules name. */
function literals(fabric: Fabric): string[] {
  const parties = [...fabric.allow, ...fabric.block].flatMap((rule) => [...rule.from, ...rule.to]);
  return parties.flatMap((party) => (party.kind === 'prefix' ? [party.prefix] : []));
}

/** The address that stands for a prefix: its only one, or the first of its hosts. */
export function firstHost(text: string): string {
  const prefix = parsePrefix(text);
  if (!prefix) return text;
  const last = prefix.words.length - 1;
  const host = prefix.length >= (prefix.family === 4 ? 31 : 127) ? 0 : 1;
  return formatIp({ family: prefix.family, words: prefix.words.with(last, (prefix.words[last] ?? 0) + host) });
}
