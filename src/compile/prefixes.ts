/** Lists of prefixes as nftables' interval sets take them: sorted, and none within another. */
import type { HostFacts } from '../hoststate/model.ts';
import {
  compareIp,
  familyBits,
  formatPrefix,
  parseIp,
  parsePrefix,
  prefixOf,
  prefixWithin,
  type Family,
  type Ip,
  type Prefix,
} from '../net/ip.ts';

/** Canonical texts, v4 before v6, numeric, without what another one covers. Bare addresses are prefixes of full length. */
export function normalPrefixes(texts: Iterable<string>): string[] {
  const prefixes: Prefix[] = [];
  for (const text of new Set(texts)) {
    const prefix = parsePrefix(text);
    if (prefix) prefixes.push(prefix);
  }
  prefixes.sort((a, b) => compareIp(first(a), first(b)) || a.length - b.length);
  const kept: Prefix[] = [];
  for (const prefix of prefixes) {
    const last = kept.at(-1);
    if (!last || !prefixWithin(prefix, last)) kept.push(prefix);
  }
  return kept.map(formatPrefix);
}

const first = (prefix: Prefix): Ip => ({ family: prefix.family, words: prefix.words });

/** The subnets in which the uplink reaches others without a router. */
export function onLinkAtUplink({ uplink }: HostFacts): Prefix[] {
  return (uplink?.addresses ?? []).flatMap((text) => {
    const slash = text.indexOf('/');
    const ip = parseIp(text.slice(0, slash));
    const length = Number(text.slice(slash + 1));
    return ip && length < familyBits(ip.family) ? [prefixOf(ip, length)] : [];
  });
}

export const familyOf = (text: string): Family => (text.includes(':') ? 6 : 4);

const ULA = parsePrefix('fc00::/7');

/** Global IPv6 prefixes are routed, not translated; everything else of a Weft network is private. */
export function isPrivate(subnet: string): boolean {
  if (familyOf(subnet) === 4) return true;
  const prefix = parsePrefix(subnet);
  return prefix !== undefined && ULA !== undefined && prefixWithin(prefix, ULA);
}
