/**
 * The connection table: read once as a whole, and single entries deleted exactly. Deletion is by the kernel's own message for each
 * entry (IPCTNL_MSG_CT_DELETE, linux/netfilter/nfnetlink_conntrack.h), addresses, ports and id; `conntrack -D` would read the table once an
 * entry. The id keeps apart a newer connection with the same addresses and ports, unless the kernel has put it at the same place in memory.
 */
import { WeftError } from '../diagnostic/diagnostic.ts';
import { deleteConnection, entryAttributes } from './conntrack-attributes.ts';
import type { Kernel } from './kernel.ts';
import { askNetfilter } from './netlink.ts';

/** One direction of a connection. */
export interface ConnectionSide {
  readonly src: string;
  readonly dst: string;
  /** TCP, UDP, SCTP, DCCP, UDP-Lite. */
  readonly sport?: number;
  readonly dport?: number;
  /** ICMP and ICMPv6. */
  readonly icmp?: { readonly type: number; readonly code: number; readonly id: number };
  /** GRE. */
  readonly keys?: { readonly src: number; readonly dst: number };
}

export interface Connection {
  readonly family: 4 | 6;
  /** `tcp`, `udp`, `icmp`, `icmpv6`, `sctp`, …; the number as text where conntrack(8) has no name. */
  readonly protocol: string;
  readonly protocolNumber: number;
  /** As the opener sent it. */
  readonly orig: ConnectionSide;
  /** As the answer comes: `reply.src` is the destination after NAT. */
  readonly reply: ConnectionSide;
  /** TCP, SCTP, DCCP: `ESTABLISHED`, … */
  readonly state?: string;
  readonly zone?: number;
  readonly id: number;
}

/** Both families. Lines that are not understood are left out. */
export async function listConnections(kernel: Kernel): Promise<Connection[]> {
  const lists = await Promise.all((['ipv4', 'ipv6'] as const).map((family) => kernel.run('conntrack', ['-L', '-f', family, '-o', 'id'])));
  return lists.flatMap((list) => list.split('\n').flatMap((line) => parseConnection(line) ?? []));
}

/** A line of `conntrack -L -o id`. */
export function parseConnection(line: string): Connection | undefined {
  const words = line.trim().split(/\s+/);
  const [name, number] = words;
  const sides: { [key: string]: string }[] = [];
  const rest: { [key: string]: string } = {};
  let state: string | undefined;
  for (const word of words.slice(2)) {
    const equals = word.indexOf('=');
    if (equals < 0) {
      // The timeout, the state, and remarks such as [UNREPLIED].
      if (sides.length === 0 && /^[A-Z][A-Z0-9_]*$/.test(word)) state = word;
      continue;
    }
    const key = word.slice(0, equals);
    if (key === 'src') sides.push({});
    const side = sides.at(-1);
    // Behind the tuples come the entry's own values, its id among them; an ICMP tuple has an id of its own before.
    const inTuple = side && !(key in side) && tupleKeys.has(key) && Object.keys(rest).length === 0;
    (inTuple ? side : rest)[key] = word.slice(equals + 1);
  }
  const orig = sides[0] && readSide(sides[0]);
  const reply = sides[1] && readSide(sides[1]);
  const id = Number(rest['id'] ?? Number.NaN);
  if (name === undefined || !/^\d+$/.test(number ?? '') || !orig || !reply || !Number.isInteger(id)) return undefined;
  return {
    family: orig.src.includes(':') ? 6 : 4,
    protocol: name === 'unknown' ? String(number) : name,
    protocolNumber: Number(number),
    orig,
    reply,
    ...(state === undefined ? {} : { state }),
    ...(rest['zone'] === undefined ? {} : { zone: Number(rest['zone']) }),
    id,
  };
}

const tupleKeys: ReadonlySet<string> = new Set(['src', 'dst', 'sport', 'dport', 'type', 'code', 'id', 'srckey', 'dstkey']);

function readSide(side: Readonly<Record<string, string>>): ConnectionSide | undefined {
  const { src, dst, sport, dport, type, code, id, srckey, dstkey } = side;
  if (src === undefined || dst === undefined) return undefined;
  return {
    src,
    dst,
    ...(sport === undefined ? {} : { sport: Number(sport) }),
    ...(dport === undefined ? {} : { dport: Number(dport) }),
    ...(type === undefined ? {} : { icmp: { type: Number(type), code: Number(code), id: Number(id) } }),
    ...(srckey === undefined ? {} : { keys: { src: Number(srckey), dst: Number(dstkey) } }),
  };
}

/** Deletes exactly these entries. One that has ended by itself meanwhile is no error. Returns how many were still there. */
export async function deleteConnections(kernel: Kernel, entries: readonly Connection[]): Promise<number> {
  const replies = await askNetfilter(
    kernel,
    entries.map((entry) => ({ type: deleteConnection, family: entry.family, acknowledge: true, attributes: entryAttributes(entry) })),
  );
  const refused = replies.find(({ error }) => error !== 0 && error !== noEntry);
  if (refused) {
    const message = `The kernel refused to delete a connection (error ${-refused.error}).`;
    throw new WeftError(2, [{ code: 'program-failed', severity: 'error', message }]);
  }
  return replies.filter(({ error }) => error === 0).length;
}

/** -ENOENT */
const noEntry = -2;
