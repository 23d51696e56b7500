/** A connection in the kernel's own words: linux/netfilter/nfnetlink_conntrack.h. */
import { parseIp } from '../net/ip.ts';
import type { Connection, ConnectionSide } from './conntrack.ts';
import { attribute, nested } from './netlink.ts';

/** NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW, _GET, _DELETE */
export const [newConnection, getConnection, deleteConnection] = [0x0100, 0x0101, 0x0102] as const;

/** What tells one entry from all others: CTA_TUPLE_ORIG, CTA_ID and CTA_ZONE. */
export function entryAttributes(entry: Connection): Buffer {
  return Buffer.concat([attribute(1 | nested, tupleOf(entry, entry.orig)), attribute(12, be32(entry.id)), zoneAttribute(entry)]);
}

/** CTA_ZONE, where it is not the one of everybody. */
export const zoneAttribute = ({ zone }: Connection): Buffer => (zone === undefined ? Buffer.alloc(0) : attribute(18, be16(zone)));

/** The content of CTA_TUPLE_ORIG or CTA_TUPLE_REPLY. */
export function tupleOf({ family, protocolNumber }: Connection, side: ConnectionSide): Buffer {
  const [source, destination] = family === 4 ? [1, 2] : [3, 4];
  const ip = Buffer.concat([attribute(source ?? 1, addressBytes(side.src)), attribute(destination ?? 2, addressBytes(side.dst))]);
  const protocol = [attribute(1, Buffer.from([protocolNumber]))];
  const sport = side.sport ?? side.keys?.src;
  const dport = side.dport ?? side.keys?.dst;
  if (sport !== undefined && dport !== undefined) protocol.push(attribute(2, be16(sport)), attribute(3, be16(dport)));
  if (side.icmp) {
    // CTA_PROTO_ICMP_ID, _TYPE, _CODE; the three for ICMPv6 follow them.
    const base = family === 4 ? 4 : 7;
    protocol.push(
      attribute(base, be16(side.icmp.id)),
      attribute(base + 1, Buffer.from([side.icmp.type])),
      attribute(base + 2, Buffer.from([side.icmp.code])),
    );
  }
  return Buffer.concat([attribute(1 | nested, ip), attribute(2 | nested, Buffer.concat(protocol))]);
}

export const addressBytes = (text: string): Buffer => Buffer.concat((parseIp(text)?.words ?? []).map(be32));

export function be16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16BE(value);
  return buffer;
}

export function be32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value);
  return buffer;
}
