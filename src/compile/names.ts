/**
 * Which names the fabric's guests have, and the zones they lie in: the one source for the hosts file that all dnsmasq instances
 * of a host share. Names are lower case (RFC 4343: DNS compares without case anyway).
 */
import { gatewaysOf } from '../fabric/addressing.ts';
import type { Fabric, Nic } from '../fabric/model.ts';
import { formatIp, parseIp, parsePrefix } from '../net/ip.ts';

/** An address with its names; the first one is the full name, which the reverse lookup (PTR) gives. */
export interface NamedAddress {
  readonly address: string;
  readonly names: readonly string[];
}

/**
 * Names of every guest of the fabric (of all hosts, `inside` guests too), sorted by name:
 *
 *     10.0.105.20 db.internal.weft.internal db.internal db.weft.internal db
 *
 * `guest.network` and `guest.network.<domain>` give the guest's addresses in that network, `guest` and `guest.<domain>` those of
 * its default NIC. Where a domain of one label is also a network's name, `guest.network` wins.
 * Gateways are `gateway.<network>` and `gateway.<network>.<domain>`, unless a guest there has that name.
 */
export function namedAddresses(fabric: Fabric): readonly NamedAddress[] {
  const domain = fabric.domain.toLowerCase();
  const inNetwork = new Set(fabric.guests.flatMap((guest) => guest.nics.map(nameInNetwork)));
  const result: NamedAddress[] = [];
  const add = (names: readonly string[], ...addresses: readonly (string | undefined)[]): void => {
    for (const address of addresses) if (address !== undefined) result.push({ address, names });
  };
  for (const { name, nics } of sorted(fabric.guests))
    for (const nic of nics) {
      const short = nameInNetwork(nic);
      const full = `${short}.${domain}`;
      const inDomain = `${name}.${domain}`;
      const own = inNetwork.has(inDomain) ? [name] : [inDomain, name];
      add(nic.default ? [full, short, ...own] : [full, short], nic.v4, nic.v6);
    }
  const networks = new Map(fabric.networks.map((network) => [network.name.toLowerCase(), network]));
  for (const { name } of sorted(fabric.networks)) {
    const short = `gateway.${name}`;
    const network = networks.get(name);
    if (network && !inNetwork.has(short)) add([`${short}.${domain}`, short], ...gatewaysOf(network));
  }
  return result;
}

/** Names as the text of a hosts file (hosts(5)). */
export function hostsText(named: readonly NamedAddress[]): string {
  return named.map(({ address, names }) => `${address} ${names.join(' ')}\n`).join('');
}

/**
 * The `guest.network` names, sorted. They look like names of the outer world, so a question for a record they do not have
 * (AAAA of a guest with IPv4 only) would be sent to the host's resolver, whose "no such name" makes some clients give up.
 */
export function outerLookingNames(named: readonly NamedAddress[], domain: string): readonly string[] {
  const inDomain = `.${domain.toLowerCase()}`;
  const outer = new Set<string>();
  for (const { names } of named) for (const name of names) if (name.includes('.') && !name.endsWith(inDomain)) outer.add(name);
  return [...outer].sort();
}

/**
 * Zones of the reverse lookups of a prefix, cut at the octets (IPv4) or nibbles (IPv6) as delegation is (RFC 1035 3.5, RFC 3596 2.5):
 * `10.0.105.0/24` → `105.0.10.in-addr.arpa`; `172.16.80.0/20` → 16 zones. [] when `prefix` is not a prefix.
 */
export function reverseZones(prefix: string): readonly string[] {
  const parsed = parsePrefix(prefix);
  if (!parsed) return [];
  const unit = parsed.family === 4 ? 8 : 4;
  const digits = Math.ceil(parsed.length / unit);
  const count = 2 ** (digits * unit - parsed.length);
  const first = labels(formatIp(parsed));
  const zones: string[] = [];
  for (let i = 0; i < count; i++) {
    const fixed = first.slice(0, digits);
    const last = fixed.pop();
    if (last !== undefined) fixed.push(parsed.family === 4 ? String(Number(last) + i) : (Number.parseInt(last, 16) + i).toString(16));
    zones.push([...fixed.toReversed(), parsed.family === 4 ? 'in-addr.arpa' : 'ip6.arpa'].join('.'));
  }
  return zones;
}

/** `10.0.105.1` → ['10','0','105','1']; IPv6: its 32 nibbles. */
function labels(address: string): string[] {
  const ip = parseIp(address);
  if (!ip) return [];
  if (ip.family === 4) return address.split('.');
  return ip.words.flatMap((word) => word.toString(16).padStart(8, '0').split(''));
}

function nameInNetwork(nic: Nic): string {
  return `${nic.guest.toLowerCase()}.${nic.network.toLowerCase()}`;
}

/** By name, with the names in lower case. */
function sorted<T extends { readonly name: string }>(named: readonly T[]): readonly T[] {
  return named.map((one) => ({ ...one, name: one.name.toLowerCase() })).sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}
