/**
 * What of a host state can be had at a moment. The one place that knows what of it stands on interfaces that are not Weft's: at boot these are not there
 * yet, or not set up, or not even called by their final names; and a card may have been taken out.
 */
import type { HostState, Sysctl } from '../hoststate/model.ts';

/** Everything that needs Weft's own links only: what can stand before the network is up. */
export function earlyPart(state: HostState): HostState {
  return { ...state, enslaved: [], sysctls: state.sysctls.filter((entry) => foreignLinkOf(entry) === undefined) };
}

/** Without what stands on interfaces that are not here. `links`: the names of all that are. */
export function presentPart(state: HostState, links: ReadonlySet<string>): HostState {
  return {
    ...state,
    enslaved: state.enslaved.filter((entry) => links.has(entry.interface)),
    sysctls: state.sysctls.filter((entry) => isPresent(entry, links)),
  };
}

/** Interfaces that are not Weft's and that the state needs, sorted. */
export function foreignLinks(state: HostState): string[] {
  return [...new Set([...state.sysctls.flatMap((entry) => foreignLinkOf(entry) ?? []), ...state.enslaved.map((e) => e.interface)])].sort();
}

const isPresent = (entry: Sysctl, links: ReadonlySet<string>): boolean => {
  const link = foreignLinkOf(entry);
  return link === undefined || links.has(link);
};

/** The interface of a setting that does not leave with a link of Weft's: `net/ipv6/conf/eth0/force_forwarding`. */
function foreignLinkOf({ key, link }: Sysctl): string | undefined {
  if (link !== undefined) return undefined;
  const name = /^net\/ipv[46]\/(?:conf|neigh)\/([^/]+)\//.exec(key)?.[1];
  return name === 'all' || name === 'default' ? undefined : name;
}
