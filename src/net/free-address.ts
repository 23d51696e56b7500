/** Picks addresses out of a subnet, for hosts that are only played or assumed. */
import { formatIp, parsePrefix } from './ip.ts';

/** First address of the subnet that is not in `taken` and, for IPv4, not the network's own. */
export function freeAddress(subnet: string, taken: readonly string[]): string {
  const prefix = parsePrefix(subnet);
  if (!prefix) throw new Error(`${subnet} is not a subnet.`);
  const words = [...prefix.words];
  const last = words.length - 1;
  for (let offset = 1; offset < 65536; offset++) {
    const candidate = formatIp({ family: prefix.family, words: words.with(last, (words[last] ?? 0) + offset) });
    if (!taken.includes(candidate)) return candidate;
  }
  throw new Error(`${subnet} has no free address.`);
}
