/**
 * Reads the recorder's capture files: what `log` rules sent to the nflog group, each packet with the rule's prefix. Own small parser for
 * the pcap file format (draft-ietf-opsawg-pcap) with link type NFLOG (239, https://www.tcpdump.org/linktypes/LINKTYPE_NFLOG.html).
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { formatIp } from '../net/ip.ts';

export interface LogRecord {
  /** Milliseconds since 1970, with fractions. */
  readonly time: number;
  readonly verdict: 'accepted' | 'dropped';
  /** Undefined: no rule, the default. */
  readonly ruleId?: string;
  readonly family: 4 | 6;
  readonly src: string;
  readonly dst: string;
  /** `tcp`, `udp`, `icmp`, …, or the number. */
  readonly protocol: string;
  readonly sport?: number;
  readonly dport?: number;
  /** Index of the interface in the recorded network namespace. */
  readonly inIf?: number;
  readonly outIf?: number;
}

/** All packets in the files of a directory and of `before/` in it, oldest first. [] when there is none. */
export function readRecordings(directory: string): readonly LogRecord[] {
  const files = [join(directory, 'before'), directory].flatMap((path) => filesIn(path));
  return files.flatMap((path) => parseRecording(readFileSync(path))).sort((a, b) => a.time - b.time);
}

/** The packets of one capture file that carry a prefix of Weft's; what is not understood, or cut short at the end, is left out. */
export function parseRecording(bytes: Uint8Array): readonly LogRecord[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength < 24) return [];
  const magic = view.getUint32(0, true);
  const little = magic === 0xa1b2c3d4 || magic === 0xa1b23c4d;
  const fraction = { 0xa1b2c3d4: 1e3, 0xa1b23c4d: 1e6 }[view.getUint32(0, little)];
  if (fraction === undefined || (view.getUint32(20, little) & 0xffff) !== linkTypeNflog) return [];
  const records: LogRecord[] = [];
  for (let at = 24; at + 16 <= view.byteLength;) {
    const length = view.getUint32(at + 8, little);
    const end = at + 16 + length;
    if (end > view.byteLength) break;
    const time = view.getUint32(at, little) * 1e3 + view.getUint32(at + 4, little) / fraction;
    const record = parsePacket(new DataView(view.buffer, view.byteOffset + at + 16, length), little, time);
    if (record) records.push(record);
    at = end;
  }
  return records;
}

const linkTypeNflog = 239;
/** Kinds of nflog fields (linux/netfilter/nfnetlink_log.h, enum nfulnl_attr_type). */
const field = { inIf: 4, outIf: 5, payload: 9, prefix: 10 } as const;

/** Fields in the recording machine's byte order; their numbers in the network's. */
function parsePacket(view: DataView, little: boolean, time: number): LogRecord | undefined {
  const fields = new Map<number, DataView>();
  for (let at = 4; at + 4 <= view.byteLength;) {
    const length = view.getUint16(at, little);
    if (length < 4) break;
    const size = Math.min(length - 4, view.byteLength - at - 4);
    fields.set(view.getUint16(at + 2, little) & 0x7fff, new DataView(view.buffer, view.byteOffset + at + 4, size));
    at += (length + 3) & ~3;
  }
  const prefix = fields.get(field.prefix);
  const payload = fields.get(field.payload);
  const meaning = prefix && parsePrefixText(text(prefix));
  const packet = payload && parseIpPacket(payload);
  if (!meaning || !packet) return undefined;
  return { time, ...meaning, ...packet, ...index('inIf', fields.get(field.inIf)), ...index('outIf', fields.get(field.outIf)) };
}

/** `weft a 1f2e3d4c` or `weft d -`. */
function parsePrefixText(prefix: string): Pick<LogRecord, 'verdict' | 'ruleId'> | undefined {
  const match = /^weft ([ad]) (\S+)/.exec(prefix);
  if (!match) return undefined;
  const verdict = match[1] === 'a' ? 'accepted' : 'dropped';
  return match[2] === undefined || match[2] === '-' ? { verdict } : { verdict, ruleId: match[2] };
}

type Headers = Pick<LogRecord, 'family' | 'src' | 'dst' | 'protocol' | 'sport' | 'dport'>;

function parseIpPacket(view: DataView): Headers | undefined {
  if (view.byteLength < 20) return undefined;
  const version = view.getUint8(0) >> 4;
  if (version === 4) {
    const protocol = view.getUint8(9);
    // Only the first fragment has the ports.
    const first = (view.getUint16(6) & 0x1fff) === 0;
    const ports = first ? portsAt(view, (view.getUint8(0) & 15) * 4, protocol) : {};
    return { family: 4, src: addressAt(view, 12, 4), dst: addressAt(view, 16, 4), protocol: protocolName(protocol), ...ports };
  }
  if (version !== 6 || view.byteLength < 40) return undefined;
  const { protocol, at } = skipExtensions(view);
  const ports = at === undefined ? {} : portsAt(view, at, protocol);
  return { family: 6, src: addressAt(view, 8, 6), dst: addressAt(view, 24, 6), protocol: protocolName(protocol), ...ports };
}

/** To the first header that is none of hop-by-hop, routing, fragment and destination options (RFC 8200 4). */
function skipExtensions(view: DataView): { readonly protocol: number; readonly at?: number } {
  let protocol = view.getUint8(6);
  let at = 40;
  while ([0, 43, 44, 60].includes(protocol)) {
    if (at + 8 > view.byteLength) return { protocol };
    const isFragment = protocol === 44;
    protocol = view.getUint8(at);
    if (isFragment && view.getUint16(at + 2) >> 3 !== 0) return { protocol };
    at += isFragment ? 8 : (view.getUint8(at + 1) + 1) * 8;
  }
  return { protocol, at };
}

function portsAt(view: DataView, at: number, protocol: number): Pick<LogRecord, 'sport' | 'dport'> {
  if (![6, 17, 132].includes(protocol) || at + 4 > view.byteLength) return {};
  return { sport: view.getUint16(at), dport: view.getUint16(at + 2) };
}

function addressAt(view: DataView, at: number, family: 4 | 6): string {
  const words = (family === 4 ? [0] : [0, 4, 8, 12]).map((offset) => view.getUint32(at + offset));
  return formatIp({ family, words });
}

function protocolName(protocol: number): string {
  return { 1: 'icmp', 2: 'igmp', 6: 'tcp', 17: 'udp', 47: 'gre', 50: 'esp', 58: 'icmp', 132: 'sctp' }[protocol] ?? String(protocol);
}

function index<K extends 'inIf' | 'outIf'>(key: K, value: DataView | undefined): Partial<Record<K, number>> {
  const result: Partial<Record<'inIf' | 'outIf', number>> = {};
  if (value && value.byteLength >= 4) result[key] = value.getUint32(0);
  return result;
}

function text(view: DataView): string {
  return new TextDecoder().decode(new Uint8Array(view.buffer, view.byteOffset, view.byteLength)).replace(/\0.*$/s, '');
}

function filesIn(directory: string): readonly string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(directory, entry.name));
  } catch {
    return [];
  }
}
