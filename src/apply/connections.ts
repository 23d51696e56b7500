/**
 * Taken back means taken back: after a change of policy the connection table is read once, every entry that touches a guest is judged by the
 * new policy, and exactly those it does not allow are deleted. Others are left alone.
 */
import { judge } from '../compile/judge.ts';
import { usedDomains } from '../compile/domain-sets.ts';
import type { HostPolicy } from '../compile/policy-model.ts';
import { translationOf } from '../compile/translation.ts';
import { deleteConnections, listConnections, type Connection } from '../kernel/conntrack.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { readOpened } from '../kernel/opened.ts';
import { namedPolicies, type NamedPolicies } from './opened.ts';
import { policyOf } from './record.ts';
import type { AppliedRecord } from './store.ts';

/**
 * Deletes the entries that `after` does not allow; undefined: Weft leaves, and every connection of `before`'s guests with it.
 * Returns how many.
 */
export async function cutConnections(kernel: Kernel, after: AppliedRecord | undefined, before: AppliedRecord | undefined): Promise<number> {
  if (after === undefined && before === undefined) return 0;
  const entries = await listConnections(kernel);
  if (entries.length === 0) return 0;
  const local = await localAddresses(kernel);
  const macs = entries.some(({ orig, reply }) => isLinkLocal(orig.src) || isLinkLocal(reply.src))
    ? await linkLocalMacs(kernel)
    : new Map<string, string>();
  const policy = after && policyOf(after);
  const old = before && policyOf(before);
  const { now, earlier } = namedPolicies(policy, old, policy && usedDomains(policy).length > 0 ? await readOpened(kernel) : []);
  const doomed = entries.filter((entry) => isTakenBack(entry, local, now, old, macs, earlier));
  if (doomed.length > 0) await deleteConnections(kernel, doomed);
  return doomed.length;
}

/** Pure: whether a connection has to go. Judged by its original source and its destination after NAT, as the rules are. */
export function isTakenBack(
  entry: Connection,
  local: ReadonlySet<string>,
  policy: HostPolicy | undefined,
  before: HostPolicy | undefined,
  macs: ReadonlyMap<string, string> = new Map(),
  earlier?: NamedPolicies['earlier'],
): boolean {
  if (policy && isPastTranslation(entry, local, policy)) return true;
  const verdict = policy && judgeConnection(entry, local, policy, macs);
  const byName = (): boolean =>
    earlier !== undefined &&
    judgeConnection(entry, local, earlier.before, macs) === 'drop' &&
    judgeConnection(entry, local, earlier.after, macs) === 'accept';
  if (verdict === 'drop' && !byName()) return true;
  // What one guest opened is nothing for the next one with its address.
  if (verdict === 'accept' || verdict === 'drop')
    return [entry.orig.src, entry.reply.src].some((address) => changedHands(address, policy, before));
  // Not the new policy's business: but if an address was a guest's until now, its connections were allowed by the old one only.
  return before !== undefined && judgeConnection(entry, local, before, macs) !== 'not-ours';
}

/**
 * Only the first packet of a connection is translated. Of UDP an exchange from before, which nobody need have answered, would go on to where nothing is, for as long as its
 * opener sends. (Of TCP it is a session of the host itself, which stays.)
 */
function isPastTranslation({ orig, reply, protocol }: Connection, local: ReadonlySet<string>, policy: HostPolicy): boolean {
  if (protocol !== 'udp' || orig.dport === undefined) return false;
  const path = local.has(orig.src) ? 'output' : 'forward';
  const meant = translationOf(policy, { src: orig.src, dst: orig.dst, dport: orig.dport, protocol, path, local: local.has(orig.dst) });
  return meant !== undefined && (reply.src !== meant.target || reply.sport !== meant.targetPort + orig.dport - meant.first);
}

function changedHands(address: string, policy: HostPolicy | undefined, before: HostPolicy | undefined): boolean {
  const [old, now] = [before?.endpoints.get(address), policy?.endpoints.get(address)];
  return old !== undefined && now !== undefined && old.guest !== now.guest;
}

function judgeConnection(
  entry: Connection,
  local: ReadonlySet<string>,
  policy: HostPolicy,
  macs: ReadonlyMap<string, string>,
): 'accept' | 'drop' | 'not-ours' {
  const { orig, reply } = entry;
  const path = local.has(reply.src) || isGroup(reply.src) ? 'input' : local.has(orig.src) ? 'output' : 'forward';
  const dport = reply.sport ?? orig.dport;
  const guestMac = macs.get(path === 'output' ? reply.src : orig.src);
  return judge(policy, {
    src: orig.src,
    dst: reply.src,
    protocol: entry.protocolNumber,
    // Also where only the port is another one, as with questions to the gateway's port 53.
    dnat: orig.dst !== reply.src || orig.dport !== dport,
    original: { dst: orig.dst, ...(orig.dport === undefined ? {} : { dport: orig.dport }) },
    path,
    ...(guestMac === undefined ? {} : { guestMac }),
    ...(dport === undefined ? {} : { dport }),
    ...(orig.sport === undefined ? {} : { sport: orig.sport }),
  }).verdict;
}

/** Multicast and the broadcast to all: such a packet goes to the host or to nobody. */
const isGroup = (address: string): boolean => /^(ff|22[4-9]\.|23\d\.|255\.255\.255\.255$)/.test(address);

const isLinkLocal = (address: string): boolean => address.startsWith('fe80:');

/** Whose a link-local address is, which need not be made of the MAC (RFC 7217): the host's neighbours know. */
async function linkLocalMacs(kernel: Kernel): Promise<ReadonlyMap<string, string>> {
  const neighbors: unknown = JSON.parse(await kernel.run('ip', ['-j', '-6', 'neigh', 'show']));
  const found = new Map<string, string>();
  for (const { dst, lladdr } of Array.isArray(neighbors) ? (neighbors as readonly { dst?: string; lladdr?: string }[]) : []) {
    if (dst !== undefined && lladdr !== undefined && isLinkLocal(dst)) found.set(dst, lladdr);
  }
  return found;
}

/** The addresses that mean this host, its networks' broadcast addresses included. */
async function localAddresses(kernel: Kernel): Promise<ReadonlySet<string>> {
  const links: unknown = JSON.parse(await kernel.run('ip', ['-j', 'addr', 'show']));
  const found = new Set<string>();
  for (const link of Array.isArray(links) ? (links as readonly { addr_info?: readonly { local?: string; broadcast?: string }[] }[]) : []) {
    for (const { local, broadcast } of link.addr_info ?? [])
      for (const address of [local, broadcast]) if (address !== undefined) found.add(address);
  }
  return found;
}
