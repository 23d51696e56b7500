/** Addresses, MACs and prefixes as numbers, and back. */
import { formatIp, parseIp, parsePrefix, prefixBounds } from '../../net/ip.ts';
import type { Family, Ip } from '../../net/ip.ts';

export function ipNumber(ip: Ip): bigint {
  return ip.words.reduce((sum, word) => (sum << 32n) | BigInt(word), 0n);
}

export function ipText(family: Family, value: bigint): string {
  const words = family === 4 ? [Number(value)] : [96n, 64n, 32n, 0n].map((shift) => Number((value >> shift) & 0xffffffffn));
  return formatIp({ family, words });
}

/** First and last address of `10.0.0.0/24` or of a single address; undefined for the other family and for what is none. */
export function boundsOf(family: Family, text: string): readonly [bigint, bigint] | undefined {
  const prefix = parsePrefix(text);
  if (prefix?.family !== family) return undefined;
  const { first, last } = prefixBounds(prefix);
  return [ipNumber(first), ipNumber(last)];
}

/** The address in front of the slash; undefined for the other family. */
export function addressNumber(family: Family, text: string): bigint | undefined {
  const slash = text.indexOf('/');
  const ip = parseIp(slash < 0 ? text : text.slice(0, slash));
  return ip?.family === family ? ipNumber(ip) : undefined;
}
