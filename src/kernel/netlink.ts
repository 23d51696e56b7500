/**
 * Two questions to the kernel that no program asks well enough: the ruleset's generation, which nft does not print, and the deletion
 * of thousands of single connections, for which conntrack(8) reads the whole table once each (220 ms at 120,000 entries). Node has no
 * netlink sockets without native code, so a few lines of Perl (perl-base, an essential package of Debian) carry messages that are
 * made and read here. Formats: netlink(7), linux/netfilter/nfnetlink.h.
 */
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Kernel } from './kernel.ts';

export interface NetfilterRequest {
  /** Subsystem << 8 | message, as in linux/netfilter/nfnetlink_*.h. */
  readonly type: number;
  readonly family: 0 | 4 | 6;
  /** Asks for an answer that says only whether it worked. */
  readonly acknowledge: boolean;
  /** Makes something that must not be there yet (NLM_F_CREATE, NLM_F_EXCL). */
  readonly creates?: true;
  /** Encoded by {@link attribute}. */
  readonly attributes: Buffer;
}

export interface NetfilterReply {
  /** 2 is an acknowledgement: then `error` is set. */
  readonly type: number;
  /** 0, or a negative errno. */
  readonly error: number;
  /** Content of the top-level attributes by number. */
  readonly attributes: ReadonlyMap<number, Buffer>;
}

/** Sends each request in turn and returns one reply for each. Throws WeftError without Perl or without permission. */
export async function askNetfilter(kernel: Kernel, requests: readonly NetfilterRequest[]): Promise<NetfilterReply[]> {
  if (requests.length === 0) return [];
  const input = requests.map((request) => `${encode(request).toString('hex')}\n`).join('');
  const out = await kernel.run('perl', ['-e', courier], { input });
  const replies = out.split('\n').filter((line) => line !== '');
  if (replies.length !== requests.length) throw unexpected(`${replies.length} answers to ${requests.length} questions`);
  return replies.map((line) => decode(Buffer.from(line, 'hex')));
}

/** One netlink attribute, padded. `type` with {@link nested} for an attribute of attributes. */
export function attribute(type: number, content: Buffer): Buffer {
  const buffer = Buffer.alloc(aligned(4 + content.length));
  buffer.writeUInt16LE(4 + content.length, 0);
  buffer.writeUInt16LE(type, 2);
  content.copy(buffer, 4);
  return buffer;
}

/** The content of each attribute in a row of them, by number. */
export function readAttributes(row: Buffer): ReadonlyMap<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= row.length;) {
    const length = Math.max(4, row.readUInt16LE(at));
    attributes.set(row.readUInt16LE(at + 2) & 0x3fff, row.subarray(at + 4, at + length));
    at += aligned(length);
  }
  return attributes;
}

/** NLA_F_NESTED */
export const nested = 0x8000;

// AF_NETLINK 16, SOCK_RAW 3, NETLINK_NETFILTER 12.
const courier = `
socket(my $s, 16, 3, 12) or die "netlink: $!"; $| = 0;
while (my $line = <STDIN>) { chomp $line; syswrite($s, pack("H*", $line)) or die "netlink: $!"; sysread($s, my $m, 65536) or die "netlink: $!"; print unpack("H*", $m), "\\n" }
`;

/** struct nlmsghdr and struct nfgenmsg. Machine byte order; every machine with Node 24 for Linux that Weft knows is little-endian. */
function encode({ type, family, acknowledge, creates, attributes }: NetfilterRequest): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt32LE(20 + attributes.length, 0);
  header.writeUInt16LE(type, 4);
  // NLM_F_REQUEST, NLM_F_ACK; NLM_F_EXCL and NLM_F_CREATE.
  header.writeUInt16LE(1 + (acknowledge ? 4 : 0) + (creates === true ? 0x600 : 0), 6);
  header.writeUInt32LE(1, 8);
  header.writeUInt8(family === 4 ? 2 : family === 6 ? 10 : 0, 16);
  return Buffer.concat([header, attributes]);
}

function decode(message: Buffer): NetfilterReply {
  if (message.length < 20) throw unexpected('a short answer');
  const type = message.readUInt16LE(4);
  if (type === 2) return { type, error: message.readInt32LE(16), attributes: new Map() };
  const end = Math.min(message.readUInt32LE(0), message.length);
  return { type, error: 0, attributes: readAttributes(message.subarray(20, end)) };
}

function aligned(length: number): number {
  return (length + 3) & ~3;
}

function unexpected(what: string): WeftError {
  return new WeftError(2, [{ code: 'program-failed', severity: 'error', message: `The kernel's netfilter answered with ${what}.` }]);
}
