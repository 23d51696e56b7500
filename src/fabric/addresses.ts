/**
 * Who has which address. Three passes over all guests, so that nobody is given what another has a better right to:
 * declared addresses first, then those the lock keeps, then new ones: IPv4 the lowest free of `range` (of a routed network, of its list in order),
 * IPv6 by hash of guest and network.
 */
import { hash } from 'node:crypto';
import { addOffset, compareIp, formatIp, formatPrefix, parseIp, prefixBounds, prefixContains } from '../net/ip.ts';
import type { Family, Ip, Prefix } from '../net/ip.ts';
import type { NetworkDraft, NicDraft, RoutedPlan, V4Plan, V6Plan } from './drafts.ts';
import type { Guests } from './guests.ts';
import type { LockedFacts } from './locked.ts';
import { value } from './problems.ts';
import type { Place, Problems } from './problems.ts';
import { routedReservation } from './routed.ts';
import { edgeOf } from './subnets.ts';

interface Holder {
  readonly nic: NicDraft;
  /** Undefined when nobody declared it. */
  readonly at: Place | undefined;
}

/** By canonical address. Subnets are apart, so one map serves all networks. */
type Taken = Map<string, Holder>;

/** Which addresses of a family a network may give, and which of them it may not. */
interface Pool {
  readonly prefixes: readonly Prefix[];
  /** `the subnet of `x` is now 10.0.0.0/24`: for an address that is none of its. */
  readonly now: string;
  /** `the gateway address of the network `x``; undefined for what a guest may have. */
  reserved(ip: Ip, address: string): string | undefined;
}

/**
 * Sets `v4`, `v6` and `bootstrap` of every NIC in a sound network. Reports `address-outside`, `address-reserved`, `address-taken`, `lock-conflict`,
 * `lock-reallocated` (a warning) and `range-exhausted` (once a network).
 */
export function chooseAddresses(guests: Guests, locked: LockedFacts, problems: Problems): void {
  const nics = [...guests.values()].flatMap((guest) => guest.nics);
  const taken: Taken = new Map();
  for (const nic of nics) takeDeclared(nic, taken, problems);
  const open = new Map<NetworkDraft, { v4: NicDraft[]; v6: NicDraft[] }>();
  for (const nic of nics) {
    if (!nic.network?.sound) continue;
    for (const family of [4, 6] as const) {
      const pool = poolOf(nic.network, family);
      if (!pool || declares(nic, family) || takeLocked(nic, family, pool, taken, locked, problems)) continue;
      const lists = open.get(nic.network) ?? { v4: [], v6: [] };
      open.set(nic.network, lists);
      lists[family === 4 ? 'v4' : 'v6'].push(nic);
    }
  }
  for (const [network, lists] of open) {
    if (network.routed) allocateRouted(network, network.routed, lists, taken, problems);
    if (network.v4) allocateV4(network, network.v4, lists.v4, taken, problems);
    if (network.v6) for (const nic of lists.v6) allocateV6(network, network.v6.prefix, network.v6.gateway, nic, taken);
  }
  chooseBootstrap(nics, locked, problems);
}

function poolOf(network: NetworkDraft, family: Family): Pool | undefined {
  const { name, routed } = network;
  if (routed) {
    const prefixes = routed.prefixes.filter((prefix) => prefix.family === family);
    if (prefixes.length === 0) return undefined;
    const now = `it is not among the addresses of \`${name}\` now`;
    return { prefixes, now, reserved: (_, address) => routedReservation(routed, address) };
  }
  const plan = family === 4 ? network.v4 : network.v6;
  if (!plan) return undefined;
  const reserved: Pool['reserved'] = (ip, address) => {
    const reason = reservation(plan, ip, address);
    return reason && `the ${reason} address of the network \`${name}\``;
  };
  return { prefixes: [plan.prefix], now: `the subnet of \`${name}\` is now ${plan.subnet}`, reserved };
}

/** Whether the file decides the address, rightly or wrongly: then nothing is allocated. */
function declares(nic: NicDraft, family: Family): boolean {
  return nic.entry.address?.some((address) => parseIp(address)?.family === family) ?? false;
}

function takeDeclared(nic: NicDraft, taken: Taken, problems: Problems): void {
  if (!nic.entry.address) return;
  for (const [i, address] of nic.entry.address.entries()) {
    const ip = parseIp(address);
    if (!ip) continue;
    const at = value(...nic.path, 'address', i);
    const first = taken.get(address);
    if (nic.network && !checkPlace(nic.network, ip, address, at, problems)) continue;
    if (first) {
      problems.error(
        'address-taken',
        at,
        `the address ${address} belongs to the guest \`${first.nic.guest.name}\` already; take another one, or leave it out to get a free one.`,
        {
          message: `\`${first.nic.guest.name}\` has it here`,
          at: first.at ?? value(...first.nic.path),
        },
      );
      continue;
    }
    taken.set(address, { nic, at });
    if (ip.family === 4) nic.v4 = address;
    else nic.v6 = address;
  }
}

function checkPlace(network: NetworkDraft, ip: Ip, address: string, at: Place, problems: Problems): boolean {
  const prefixes = network.within.filter((prefix) => prefix.family === ip.family);
  if (!prefixes.some((prefix) => prefixContains(prefix, ip))) {
    // A network whose subnets are wrong has been reported; where its addresses should lie is then unknown.
    if (!network.sound && network.entry.kind !== 'routed') return false;
    if (!network.sound && network.within.length === 0) return false;
    const where = prefixes.map(formatPrefix).join(', ');
    const message = network.routed
      ? `the address ${address} is not among the addresses of the network \`${network.name}\` (${network.within.map(formatPrefix).join(', ')}); take one of them, or leave it out to get one.`
      : prefixes.length === 0
        ? `the address ${address} is IPv${ip.family}, but the network \`${network.name}\` has no IPv${ip.family} subnet; add one there, or leave the address out.`
        : `the address ${address} is outside the subnet ${where} of the network \`${network.name}\`; take one inside, or leave it out to get one.`;
    problems.error('address-outside', at, message);
    return false;
  }
  const reason = poolOf(network, ip.family)?.reserved(ip, address);
  if (reason !== undefined)
    problems.error('address-reserved', at, `${address} is ${reason}; take another one, or leave it out to get a free one.`);
  return reason === undefined;
}

function reservation(plan: V4Plan | V6Plan, ip: Ip, address: string): 'gateway' | 'network' | 'broadcast' | undefined {
  return address === plan.gateway ? 'gateway' : edgeOf(plan.prefix, ip);
}

function takeLocked(nic: NicDraft, family: Family, pool: Pool, taken: Taken, locked: LockedFacts, problems: Problems): boolean {
  const address = locked.address(nic, family);
  const ip = address === undefined ? undefined : parseIp(address);
  if (address === undefined || !ip) return false;
  const guest = nic.guest.name;
  const moved = (why: string): false => {
    problems.warning(
      'lock-reallocated',
      value(...nic.path),
      `weft.lock keeps ${address} for the guest \`${guest}\`, but ${why}; it gets another address.`,
    );
    return false;
  };
  if (!pool.prefixes.some((prefix) => prefixContains(prefix, ip))) return moved(pool.now);
  const reason = pool.reserved(ip, address);
  if (reason !== undefined) return moved(`that is now ${reason}`);
  const holder = taken.get(address);
  if (holder?.at) {
    problems.error(
      'lock-conflict',
      holder.at,
      `the guest \`${holder.nic.guest.name}\` declares ${address}, which weft.lock keeps for \`${guest}\`; take another one, or give \`${guest}\` an \`address\` of its own.`,
      { message: `\`${guest}\` is here`, at: value(...nic.path) },
    );
    return true;
  }
  if (holder) return moved(`it keeps it for \`${holder.nic.guest.name}\` too`);
  taken.set(address, { nic, at: undefined });
  if (family === 4) nic.v4 = address;
  else nic.v6 = address;
  return true;
}

function allocateV4(network: NetworkDraft, plan: V4Plan, nics: readonly NicDraft[], taken: Taken, problems: Problems): void {
  let next = plan.first;
  let given = 0;
  for (const nic of nics) {
    let address = formatIp({ family: 4, words: [next] });
    while (next <= plan.last && (address === plan.gateway || taken.has(address))) {
      next++;
      address = formatIp({ family: 4, words: [next] });
    }
    if (next > plan.last) break;
    nic.v4 = address;
    taken.set(address, { nic, at: undefined });
    next++;
    given++;
  }
  if (given === nics.length) return;
  const range = `${formatIp({ family: 4, words: [plan.first] })}-${formatIp({ family: 4, words: [plan.last] })}`;
  const hasRange = network.entry.kind !== 'routed' && network.entry.range !== undefined;
  const wanted = nics.length === 1 ? '1 more IPv4 address' : `${nics.length} more IPv4 addresses`;
  problems.error(
    'range-exhausted',
    value('networks', network.name, hasRange ? 'range' : 'subnet'),
    `the network \`${network.name}\` needs ${wanted}, and ${range} has ${given === 0 ? 'none' : `only ${given}`} left; widen the ${hasRange ? 'range' : 'subnet'}, or move guests to another network.`,
  );
}

/** 48 bits of the hash (or as many as the prefix has), then the next free one; false when none is. */
function allocateV6(network: NetworkDraft, prefix: Prefix, gateway: string | undefined, nic: NicDraft, taken: Taken): boolean {
  const digest = hash('sha256', `${nic.guest.name.toLowerCase()}\0${network.name.toLowerCase()}`);
  const room = 2 ** Math.min(48, 128 - prefix.length);
  const start = Number.parseInt(digest.slice(0, 12), 16) % room;
  let offset = start;
  do {
    const ip = addOffset(prefix, offset);
    const address = ip && formatIp(ip);
    // Offset 0 of a subnet is the subnet-router anycast address.
    const reserved = address === gateway || (prefix.length < 128 && offset === 0);
    if (address !== undefined && !reserved && !taken.has(address) && network.routed?.hostAddresses.includes(address) !== true) {
      nic.v6 = address;
      taken.set(address, { nic, at: undefined });
      return true;
    }
    offset = (offset + 1) % room;
  } while (offset !== start);
  return false;
}

/** From the listed prefixes in order: a single address is given before the block that comes after it. */
function allocateRouted(
  network: NetworkDraft,
  plan: RoutedPlan,
  open: { readonly v4: readonly NicDraft[]; readonly v6: readonly NicDraft[] },
  taken: Taken,
  problems: Problems,
): void {
  const of = (family: Family): readonly Prefix[] => plan.prefixes.filter((prefix) => prefix.family === family);
  const free = freeAddresses(of(4), (address) => taken.has(address) || plan.hostAddresses.includes(address));
  const without = { 4: 0, 6: 0 };
  for (const nic of open.v4) {
    const { value: address } = free.next();
    if (address === undefined) without[4]++;
    else {
      nic.v4 = address;
      taken.set(address, { nic, at: undefined });
    }
  }
  for (const nic of open.v6) if (!of(6).some((prefix) => allocateV6(network, prefix, undefined, nic, taken))) without[6]++;
  for (const family of [4, 6] as const) {
    const missing = without[family];
    if (missing === 0) continue;
    problems.error(
      'range-exhausted',
      value('networks', network.name, 'addresses'),
      `the network \`${network.name}\` needs ${missing} more IPv${family} address${missing === 1 ? '' : 'es'} than it lists; add to \`addresses\`, or move guests to another network.`,
    );
  }
}

/** IPv4 addresses in the order of the prefixes, lowest first, network and broadcast address of a block included. */
function* freeAddresses(prefixes: readonly Prefix[], isTaken: (address: string) => boolean): Generator<string, undefined> {
  for (const prefix of prefixes) {
    const { first, last } = prefixBounds(prefix);
    for (let ip: Ip | undefined = first; ip && compareIp(ip, last) <= 0; ip = addOffset(ip, 1)) {
      const address = formatIp(ip);
      if (!isTaken(address)) yield address;
    }
  }
  return undefined;
}

/** One for each NIC of its own in a routed network with `bootstrap:`: that of the lock, else the lowest free one. */
function chooseBootstrap(nics: readonly NicDraft[], locked: LockedFacts, problems: Problems): void {
  const wanted = Map.groupBy(
    nics.filter((nic) => nic.network?.sound === true && nic.network.routed?.bootstrap && nic.guest.entry.inside === undefined),
    (nic) => nic.network,
  );
  for (const [network, own] of wanted) {
    const plan = network?.routed?.bootstrap;
    if (!network || !plan) continue;
    const taken = new Set<string>([plan.gateway]);
    for (const nic of own) {
      const address = locked.bootstrap(nic);
      const ip = address === undefined ? undefined : parseIp(address);
      if (address === undefined || !ip || !prefixContains(plan.prefix, ip) || edgeOf(plan.prefix, ip) || taken.has(address)) continue;
      nic.bootstrap = address;
      taken.add(address);
    }
    const open = own.filter((nic) => nic.bootstrap === undefined);
    let next = plan.first;
    for (const nic of open) {
      while (taken.has(v4Text(next))) next++;
      if (next > plan.last) break;
      nic.bootstrap = v4Text(next++);
    }
    const missing = open.filter((nic) => nic.bootstrap === undefined).length;
    if (missing > 0)
      problems.error(
        'range-exhausted',
        value('networks', network.name, 'bootstrap'),
        `the network \`${network.name}\` has ${own.length} guests, and \`bootstrap\` ${plan.subnet} only room for ${own.length - missing}; widen it.`,
      );
  }
}

const v4Text = (number: number): string => formatIp({ family: 4, words: [number] });
