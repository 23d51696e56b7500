/**
 * IP addresses and prefixes of both families as values, with the few operations Weft needs. An address is
 * carried through Weft as its canonical text (RFC 5952 for IPv6, dotted quad without leading zeros for IPv4), so that
 * equality is `===`; this module is where texts become numbers and back. Tested against cidr-tools as the oracle.
 */

export type Family = 4 | 6;

/** Numeric address: IPv4 in `words[0]`; IPv6 in four 32-bit words, most significant first. All words unsigned. */
export interface Ip {
  readonly family: Family;
  readonly words: readonly number[];
}

export interface Prefix {
  readonly family: Family;
  /** The network address: host bits zero. */
  readonly words: readonly number[];
  readonly length: number;
}

export const familyBits = (family: Family): 32 | 128 => (family === 4 ? 32 : 128);

function parseV4(text: string): Ip | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text);
  if (!match) return undefined;
  let value = 0;
  for (let i = 1; i <= 4; i++) {
    const part = match[i] ?? '';
    if (part.length > 1 && part.startsWith('0')) return undefined;
    const octet = Number(part);
    if (octet > 255) return undefined;
    value = value * 256 + octet;
  }
  return { family: 4, words: [value] };
}

function parseV6(text: string): Ip | undefined {
  if (!/^[0-9a-fA-F:.]+$/.test(text)) return undefined;
  let source = text;
  const dotted = /(?:^|:)(\d+\.\d+\.\d+\.\d+)$/.exec(source);
  if (dotted?.[1] !== undefined) {
    const v4 = parseV4(dotted[1]);
    if (!v4) return undefined;
    const value = v4.words[0] ?? 0;
    const tail = `${Math.floor(value / 65536).toString(16)}:${(value % 65536).toString(16)}`;
    source = source.slice(0, source.length - dotted[1].length) + tail;
  } else if (source.includes('.')) return undefined;
  const halves = source.split('::');
  if (halves.length > 2) return undefined;
  const read = (part: string | undefined): number[] | undefined => {
    if (part === undefined || part === '') return [];
    const groups: number[] = [];
    for (const group of part.split(':')) {
      if (!/^[0-9a-fA-F]{1,4}$/.test(group)) return undefined;
      groups.push(Number.parseInt(group, 16));
    }
    return groups;
  };
  const head = read(halves[0]);
  const tail = read(halves[1]);
  if (!head || !tail) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  const groups = [...head, ...new Array<number>(missing).fill(0), ...tail];
  const words: number[] = [];
  for (let i = 0; i < 8; i += 2) words.push(((groups[i] ?? 0) * 65536 + (groups[i + 1] ?? 0)) >>> 0);
  return { family: 6, words };
}

/** `10.0.0.1` or `fd00::1`; undefined when it is neither (prefix lengths and zones are not accepted). */
export function parseIp(text: string): Ip | undefined {
  return text.includes(':') ? parseV6(text) : parseV4(text);
}

/** `10.0.0.0/24` or `fd00::/64`. A bare address is a prefix of full length. Host bits may be set: see {@link hasHostBits}. */
export function parsePrefix(text: string): Prefix | undefined {
  const slash = text.indexOf('/');
  const ip = parseIp(slash < 0 ? text : text.slice(0, slash));
  if (!ip) return undefined;
  const bits = familyBits(ip.family);
  let length: number = bits;
  if (slash >= 0) {
    const lengthText = text.slice(slash + 1);
    if (!/^(0|[1-9]\d{0,2})$/.test(lengthText)) return undefined;
    length = Number(lengthText);
    if (length > bits) return undefined;
  }
  return prefixOf(ip, length);
}

/** True when `text` parses as a prefix whose address part is not its network address, e.g. 10.0.0.1/24. */
export function hasHostBits(text: string): boolean {
  const slash = text.indexOf('/');
  const ip = parseIp(slash < 0 ? text : text.slice(0, slash));
  const prefix = parsePrefix(text);
  return ip !== undefined && prefix !== undefined && compareIp(ip, { family: prefix.family, words: prefix.words }) !== 0;
}

function maskWord(length: number, index: number): number {
  const bits = Math.max(0, Math.min(32, length - index * 32));
  return bits === 0 ? 0 : (0xffffffff << (32 - bits)) >>> 0;
}

/** The prefix of `length` bits that holds `ip`. */
export function prefixOf(ip: Ip, length: number): Prefix {
  return { family: ip.family, words: ip.words.map((w, i) => (w & maskWord(length, i)) >>> 0), length };
}

/** Canonical text: 010.0.0.1 never appears; IPv6 per RFC 5952. */
export function formatIp(ip: Ip): string {
  if (ip.family === 4) {
    const value = ip.words[0] ?? 0;
    return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
  }
  const groups: number[] = [];
  for (const word of ip.words) groups.push(word >>> 16, word & 0xffff);
  let bestStart = -1;
  let bestLength = 1;
  for (let i = 0; i < 8;) {
    if (groups[i] !== 0) {
      i++;
      continue;
    }
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > bestLength) {
      bestStart = i;
      bestLength = end - i;
    }
    i = end;
  }
  const hex = groups.map((g) => g.toString(16));
  if (bestStart < 0) return hex.join(':');
  return `${hex.slice(0, bestStart).join(':')}::${hex.slice(bestStart + bestLength).join(':')}`;
}

export function formatPrefix(prefix: Prefix): string {
  return `${formatIp(prefix)}/${prefix.length}`;
}

/** The address text in canonical form, or undefined when it is not an address. */
export function canonicalIp(text: string): string | undefined {
  const ip = parseIp(text);
  return ip && formatIp(ip);
}

/** Order: IPv4 before IPv6, then numeric. */
export function compareIp(a: Ip, b: Ip): number {
  if (a.family !== b.family) return a.family - b.family;
  for (let i = 0; i < a.words.length; i++) {
    const difference = (a.words[i] ?? 0) - (b.words[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export function prefixContains(prefix: Prefix, ip: Ip): boolean {
  if (prefix.family !== ip.family) return false;
  return prefix.words.every((w, i) => ((ip.words[i] ?? 0) & maskWord(prefix.length, i)) >>> 0 === w);
}

export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  if (a.family !== b.family) return false;
  const wider = a.length <= b.length ? a : b;
  const other = wider === a ? b : a;
  return prefixContains(wider, other);
}

/** True when every address of `inner` is in `outer`. */
export function prefixWithin(inner: Prefix, outer: Prefix): boolean {
  return outer.length <= inner.length && prefixContains(outer, inner);
}

const WORD = 2 ** 32;

/** `ip + offset`; undefined past the end of the family. `offset` is a safe integer, may be negative. */
export function addOffset(ip: Ip, offset: number): Ip | undefined {
  const words = [...ip.words];
  let carry = offset;
  for (let i = words.length - 1; i >= 0 && carry !== 0; i--) {
    // Split before adding: a word more than a safe integer is none. `carry - low` is a multiple of 2^32 and so exact.
    const low = ((carry % WORD) + WORD) % WORD;
    const sum = (words[i] ?? 0) + low;
    words[i] = sum % WORD;
    carry = (carry - low) / WORD + (sum >= WORD ? 1 : 0);
  }
  return carry === 0 ? { family: ip.family, words } : undefined;
}

/** First and last address of a prefix. */
export function prefixBounds(prefix: Prefix): { first: Ip; last: Ip } {
  return {
    first: { family: prefix.family, words: prefix.words },
    last: { family: prefix.family, words: prefix.words.map((w, i) => (w | ~maskWord(prefix.length, i)) >>> 0) },
  };
}

/** The link-local address a NIC with this MAC makes by EUI-64 (RFC 4291 appendix A), canonical text. */
export function linkLocalOfMac(mac: string): string {
  const octets = mac.split(':').map((o) => Number.parseInt(o, 16));
  const at = (i: number): number => octets[i] ?? 0;
  const high = (((at(0) ^ 2) << 24) | (at(1) << 16) | (at(2) << 8) | 0xff) >>> 0;
  const low = ((0xfe << 24) | (at(3) << 16) | (at(4) << 8) | at(5)) >>> 0;
  return formatIp({ family: 6, words: [0xfe800000, 0, high, low] });
}
