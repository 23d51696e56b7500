/**
 * No two networks share addresses, also across hosts: guests of all of them have to tell each other apart, and a link
 * between the hosts must be able to route them. Nor does a network hold an address of a host.
 */
import { compareIp, familyBits, formatPrefix, parseIp, parsePrefix, prefixContains, prefixesOverlap } from '../net/ip.ts';
import type { Prefix } from '../net/ip.ts';
import type { HostDraft, NetworkDraft, RoutedPlan } from './drafts.ts';
import { value } from './problems.ts';
import type { Place, Problems } from './problems.ts';

interface Claim {
  readonly owner: string;
  readonly prefix: Prefix;
  readonly at: Place;
  /** The host's own addresses may lie in it: it is the outer network, or a block that is routed to the host. */
  readonly shared?: boolean;
}

export interface NamedPrefix {
  readonly name: string;
  readonly prefix: Prefix;
  readonly at: Place;
}

/** Reports `subnet-overlap` once for each subnet that overlaps an earlier one or holds an address of a host. */
export function checkOverlaps(
  networks: readonly NetworkDraft[],
  links: readonly NamedPrefix[],
  hosts: readonly HostDraft[],
  problems: Problems,
): void {
  const claims: Claim[] = [];
  for (const network of networks) {
    if (network.routed) claims.push(...routedClaims(network, network.routed));
    if (network.entry.kind === 'routed') continue;
    const texts = network.entry.subnet ?? [];
    for (const plan of [network.v4, network.v6]) {
      if (!plan) continue;
      const i = Math.max(0, texts.indexOf(plan.subnet));
      claims.push({
        owner: `the network \`${network.name}\``,
        prefix: plan.prefix,
        at: value('networks', network.name, 'subnet', i),
        shared: network.entry.kind === 'bridged',
      });
    }
  }
  for (const link of links) claims.push({ owner: `the link \`${link.name}\``, prefix: link.prefix, at: link.at });
  reportOverlaps(claims, problems);
  for (const host of hosts) {
    for (const [i, text] of host.addresses.entries()) {
      const ip = parseIp(text);
      const claim = ip && claims.find((c) => c.shared !== true && prefixContains(c.prefix, ip));
      if (!claim) continue;
      problems.error(
        'subnet-overlap',
        claim.at,
        `${claim.owner} takes ${formatPrefix(claim.prefix)}, which holds ${text}, an address of the host \`${host.name}\`; choose another subnet.`,
        { message: `the host's address is here`, at: value('hosts', host.name, 'address', i) },
      );
    }
  }
}

function routedClaims({ name, entry }: NetworkDraft, { prefixes, bootstrap }: RoutedPlan): Claim[] {
  const owner = `the network \`${name}\``;
  const texts =
    entry.kind === 'routed' ? entry.addresses.map((text) => parsePrefix(text)).map((prefix) => prefix && formatPrefix(prefix)) : [];
  return [
    ...prefixes.map((prefix): Claim => {
      const at = value('networks', name, 'addresses', Math.max(0, texts.indexOf(formatPrefix(prefix))));
      return { owner, prefix, at, shared: prefix.length < familyBits(prefix.family) };
    }),
    ...(bootstrap ? [{ owner, prefix: bootstrap.prefix, at: value('networks', name, 'bootstrap') }] : []),
  ];
}

/** Sorted by address, a prefix can only overlap the widest one before it that has not ended yet: prefixes nest or are apart. */
function reportOverlaps(claims: readonly Claim[], problems: Problems): void {
  const order = new Map(claims.map((claim, i) => [claim, i]));
  const sorted = claims.toSorted((a, b) => compareIp(a.prefix, b.prefix) || a.prefix.length - b.prefix.length);
  let open: Claim | undefined;
  for (const claim of sorted) {
    if (!open || !prefixesOverlap(open.prefix, claim.prefix)) {
      open = claim;
      continue;
    }
    // The one further down the file is told to move.
    const [first, second] = (order.get(open) ?? 0) < (order.get(claim) ?? 0) ? [open, claim] : [claim, open];
    problems.error(
      'subnet-overlap',
      second.at,
      `the subnet ${formatPrefix(second.prefix)} of ${second.owner} overlaps ${formatPrefix(first.prefix)} of ${first.owner}; choose one that shares no address with it.`,
      { message: `${first.owner} is here`, at: first.at },
    );
  }
}
