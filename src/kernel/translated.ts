/**
 * Connections that are seen outside as an address of this host outlive the move of that address to another link. What `masquerade` has translated is bound to the link it left
 * by: the kernel forgets it when the address leaves that link, and when a packet leaves by another one (nf_nat_masquerade.c, nf_nat_oif_changed). An entry that is given to the kernel
 * from outside is not bound to a link. So each is taken out and put back at once, with the same addresses, ports, state and window scales.
 */
import {
  addressBytes,
  be16,
  be32,
  deleteConnection,
  entryAttributes,
  getConnection,
  newConnection,
  tupleOf,
  zoneAttribute,
} from './conntrack-attributes.ts';
import { listConnections, type Connection, type ConnectionSide } from './conntrack.ts';
import type { Kernel } from './kernel.ts';
import { askNetfilter, attribute, nested, readAttributes, type NetfilterRequest } from './netlink.ts';

export interface Move {
  /** Those that leave their link. */
  readonly addresses: ReadonlySet<string>;
  /** The link that they leave, and the one they go to. */
  readonly links: readonly [string, string];
}

/**
 * Moves the addresses by `move`. Meanwhile no connection begins by either link: one that does would be bound to the old one, and an answer that comes between the two
 * halves of an exchange would look like a stranger's, and the host would refuse it (RST). Who begins one tries again.
 */
export async function keepTranslated(
  kernel: Kernel,
  { addresses, links }: Move,
  move: () => Promise<void>,
  verbose?: (line: string) => void,
): Promise<void> {
  if (addresses.size === 0 || (await kernel.readSysctl('net/netfilter/nf_conntrack_count')) === undefined) return move();
  const hold = holdText(links);
  verbose?.(`nft -f - <<'EOF'${hold}EOF`);
  await kernel.run('nft', ['-f', '-'], { input: hold });
  try {
    const translated = (await listConnections(kernel)).filter(({ orig, reply }) => addresses.has(reply.dst) && orig.src !== reply.dst);
    for (const { protocol, orig } of translated) verbose?.(`# unbound from ${links[0]}: ${protocol} ${orig.src} -> ${orig.dst}`);
    await unbind(kernel, translated);
    await move();
  } finally {
    verbose?.(`nft delete table ${TABLE}`);
    await endHold(kernel);
  }
}

/** Also of a Weft that was killed. */
export async function endHold(kernel: Kernel): Promise<void> {
  await kernel.run('nft', ['-f', '-'], { input: `add table ${TABLE}\ndelete table ${TABLE}\n` });
}

const TABLE = 'inet weft_handover';
/** If Weft is killed meanwhile, connections can begin again after this. */
const HOLD_SECONDS = 20;

const holdText = (links: readonly string[]): string => `
add table ${TABLE}
delete table ${TABLE}
table ${TABLE} {
  set links { type ifname; flags timeout; elements = { ${links.map((name) => `"${name}" timeout ${HOLD_SECONDS}s`).join(', ')} } }
  chain arriving { type filter hook prerouting priority -150; policy accept; iifname @links ct state new drop
  }
  chain leaving { type filter hook forward priority -150; policy accept; oifname @links ct state new drop
  }
}
`;

/** Entries that have ended meanwhile, or that the kernel does not take back, are left as they are. */
async function unbind(kernel: Kernel, entries: readonly Connection[]): Promise<void> {
  const details = await askNetfilter(
    kernel,
    entries.map((entry) => ({ type: getConnection, family: entry.family, acknowledge: false, attributes: entryAttributes(entry) })),
  );
  await askNetfilter(
    kernel,
    entries.flatMap((entry, index): NetfilterRequest[] => {
      const detail = details[index];
      if (detail?.type !== newConnection) return [];
      const again = unboundEntry(entry, detail.attributes);
      return [
        { type: deleteConnection, family: entry.family, acknowledge: true, attributes: entryAttributes(entry) },
        { type: newConnection, family: entry.family, acknowledge: true, creates: true, attributes: again },
      ];
    }),
  );
}

/** IPS_SEEN_REPLY, IPS_ASSURED, IPS_CONFIRMED */
const KEPT_STATUS = 0x2 | 0x4 | 0x8;

/** `detail`: the entry's attributes as the kernel told them. */
function unboundEntry(entry: Connection, detail: ReadonlyMap<number, Buffer>): Buffer {
  const { orig, reply } = entry;
  const copied = (type: number): Buffer[] => {
    const content = detail.get(type);
    return content === undefined ? [] : [attribute(type, content)];
  };
  const answers = inverse(orig);
  const status = detail.get(3)?.readUInt32BE(0) ?? 0;
  const protocol = detail.get(4);
  return Buffer.concat([
    attribute(1 | nested, tupleOf(entry, orig)),
    // CTA_TUPLE_REPLY as if nothing were translated: the kernel translates it by CTA_NAT_DST and CTA_NAT_SRC.
    attribute(2 | nested, tupleOf(entry, answers)),
    ...(sameEnd(reply.src, reply.sport, answers.src, answers.sport) ? [] : [attribute(13 | nested, translation(reply.src, reply.sport))]),
    attribute(6 | nested, translation(reply.dst, reply.dport ?? reply.icmp?.id)),
    attribute(3, be32(status & KEPT_STATUS)),
    ...(protocol === undefined ? [] : [attribute(4 | nested, liberal(protocol))]),
    // CTA_TIMEOUT, CTA_MARK
    ...copied(7),
    ...copied(8),
    zoneAttribute(entry),
  ]);
}

const sameEnd = (address: string, port: number | undefined, other: string, otherPort: number | undefined): boolean =>
  address === other && port === otherPort;

/** What answers to it look like where nothing is translated. */
function inverse({ src, dst, sport, dport, icmp, keys }: ConnectionSide): ConnectionSide {
  return {
    src: dst,
    dst: src,
    ...(dport === undefined ? {} : { sport: dport }),
    ...(sport === undefined ? {} : { dport: sport }),
    ...(icmp === undefined ? {} : { icmp: { ...icmp, type: answerTypes.get(icmp.type) ?? icmp.type } }),
    ...(keys === undefined ? {} : { keys: { src: keys.dst, dst: keys.src } }),
  };
}

/** ICMP and ICMPv6 types that ask, and those that answer (nf_conntrack_proto_icmp.c, nf_conntrack_proto_icmpv6.c). */
const answerTypes: ReadonlyMap<number, number> = new Map(
  [
    [8, 0],
    [13, 14],
    [15, 16],
    [17, 18],
    [128, 129],
    [139, 140],
  ].flatMap(([asks, answers]): [number, number][] =>
    asks === undefined || answers === undefined
      ? []
      : [
          [asks, answers],
          [answers, asks],
        ],
  ),
);

/** CTA_NAT_V4_MINIP and _MAXIP or the two of IPv6, and CTA_NAT_PROTO with the one port (of ICMP: the id). */
function translation(address: string, port: number | undefined): Buffer {
  const bytes = addressBytes(address);
  const [from, to] = bytes.length === 4 ? [1, 2] : [4, 5];
  const ports = port === undefined ? [] : [attribute(3 | nested, Buffer.concat([attribute(1, be16(port)), attribute(2, be16(port))]))];
  return Buffer.concat([attribute(from ?? 1, bytes), attribute(to ?? 2, bytes), ...ports]);
}

/**
 * CTA_PROTOINFO. Of TCP the kernel tells state and window scales, but not how far either side has come: it learns that from the next packets, and lets them pass until then
 * (IP_CT_TCP_FLAG_BE_LIBERAL), as it does with connections that it meets in the middle.
 */
function liberal(protocol: Buffer): Buffer {
  const tcp = readAttributes(protocol).get(1);
  if (tcp === undefined) return protocol;
  const parts = [...readAttributes(tcp)].map(([type, content]) =>
    // CTA_PROTOINFO_TCP_FLAGS_ORIGINAL and _REPLY: flags, and which of them are meant.
    type === 4 || type === 5 ? attribute(type, Buffer.from([(content[0] ?? 0) | 0x08, 0xff])) : attribute(type, content),
  );
  return attribute(1 | nested, Buffer.concat(parts));
}
