/**
 * Who has which address. Three passes over all guests, so that nobody is given what another has a better right to:
 * declared addresses first, then those the lock keeps, then new ones: IPv4 the lowest free of `range`, IPv6 by hash of guest and network.
 */
import { hash } from 'node:crypto';
import { addOffset, formatIp, formatPrefix, parseIp, prefixContains } from '../net/ip.ts';
import type { Family, Ip } from '../net/ip.ts';
import type { NetworkDraft, NicDraft, V4Plan, V6Plan } from './drafts.ts';
import type { Guests } from './guests.ts';
import type { LockedFacts } from './locked.ts';
import { value } from './problems.ts';
import type { Place, Problems } from './problems.ts';
import { edgeOf } from './subnets.ts';

interface Holder {
  readonly nic: NicDraft;
  /** Undefined when nobody declared it. */
  readonly at: Place | undefined;
}

/** By canonical address. Subnets are apart, so one map serves all networks. */
type Taken = Map<string, Holder>;

/**
 * Sets `v4` and `v6` of every NIC in a sound network. Reports `address-outside`, `address-reserved`, `address-taken`, `lock-conflict`,
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
      const plan = family === 4 ? nic.network.v4 : nic.network.v6;
      if (!plan || declares(nic, family) || takeLocked(nic, family, plan, taken, locked, problems)) continue;
      const lists = open.get(nic.network) ?? { v4: [], v6: [] };
      open.set(nic.network, lists);
      lists[family === 4 ? 'v4' : 'v6'].push(nic);
    }
  }
  for (const [network, lists] of open) {
    if (network.v4) allocateV4(network, network.v4, lists.v4, taken, problems);
    if (network.v6) for (const nic of lists.v6) allocateV6(network, network.v6, nic, taken);
  }
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
    const message =
      prefixes.length === 0
        ? `the address ${address} is IPv${ip.family}, but the network \`${network.name}\` has no IPv${ip.family} subnet; add one there, or leave the address out.`
        : `the address ${address} is outside the subnet ${where} of the network \`${network.name}\`; take one inside, or leave it out to get one.`;
    problems.error('address-outside', at, message);
    return false;
  }
  const plan = ip.family === 4 ? network.v4 : network.v6;
  const reason = plan && reservation(plan, ip, address);
  if (reason)
    problems.error(
      'address-reserved',
      at,
      `${address} is the ${reason} address of the network \`${network.name}\`; take another one, or leave it out to get a free one.`,
    );
  return !reason;
}

function reservation(plan: V4Plan | V6Plan, ip: Ip, address: string): 'gateway' | 'network' | 'broadcast' | undefined {
  return address === plan.gateway ? 'gateway' : edgeOf(plan.prefix, ip);
}

function takeLocked(nic: NicDraft, family: Family, plan: V4Plan | V6Plan, taken: Taken, locked: LockedFacts, problems: Problems): boolean {
  const address = locked.address(nic, family);
  const ip = address === undefined ? undefined : parseIp(address);
  if (address === undefined || !ip) return false;
  const guest = nic.guest.name;
  const network = nic.network?.name ?? '';
  const moved = (why: string): false => {
    problems.warning(
      'lock-reallocated',
      value(...nic.path),
      `weft.lock keeps ${address} for the guest \`${guest}\`, but ${why}; it gets another address.`,
    );
    return false;
  };
  if (!prefixContains(plan.prefix, ip)) return moved(`the subnet of \`${network}\` is now ${plan.subnet}`);
  const reason = reservation(plan, ip, address);
  if (reason) return moved(`that is now the ${reason} address of \`${network}\``);
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

/** 48 bits of the hash (or as many as the subnet has), then the next free one. */
function allocateV6(network: NetworkDraft, plan: V6Plan, nic: NicDraft, taken: Taken): void {
  const digest = hash('sha256', `${nic.guest.name.toLowerCase()}\0${network.name.toLowerCase()}`);
  const room = 2 ** Math.min(48, 128 - plan.prefix.length);
  let offset = Number.parseInt(digest.slice(0, 12), 16) % room;
  for (;;) {
    const ip = addOffset(plan.prefix, offset);
    const address = ip && formatIp(ip);
    // Offset 0 is the subnet-router anycast address.
    if (address !== undefined && offset !== 0 && address !== plan.gateway && !taken.has(address)) {
      nic.v6 = address;
      taken.set(address, { nic, at: undefined });
      return;
    }
    offset = (offset + 1) % room;
  }
}
