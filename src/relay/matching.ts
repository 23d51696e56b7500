/** Which of the file's domains a name is. */
import type { RelayDomain } from '../hoststate/model.ts';

/**
 * The domains that `name` is exactly, or is below of: `*.example.org` is a.example.org and b.a.example.org, and not example.org itself. `updates.example.org` is
 * nothing but itself. Case does not matter (RFC 4343).
 */
export type Matcher = (name: string) => readonly RelayDomain[];

/** Looks up as many names as the question has labels, however many domains there are. */
export function matcherOf(domains: readonly RelayDomain[]): Matcher {
  const known = new Map(domains.map((domain) => [domain.pattern.toLowerCase(), domain]));
  return (name) => {
    const labels = name.toLowerCase().split('.');
    const candidates = [labels.join('.'), ...labels.slice(1).map((_, index) => `*.${labels.slice(index + 1).join('.')}`)];
    // Someone may ask for the star itself.
    return [...new Set(candidates)].flatMap((candidate) => known.get(candidate) ?? []);
  };
}
