/**
 * What of a host state can be had at a moment. The one place that knows what of it stands on interfaces that are not Weft's: at boot these are not there
 * yet, or not set up, or not even called by their final names; and a card may have been taken out.
 */
import type { HostState, Sysctl } from '../hoststate/model.ts';

/** Everything that needs Weft's own links only: what can stand before the network is up. */
export function earlyPart(state: HostState): HostState {
  return {
    ...state,
    links: state.links.filter((link) => link.kind !== 'vlan'),
    enslaved: [],
    proxies: [],
    sysctls: state.sysctls.filter((entry) => foreignLinkOf(entry) === undefined),
  };
}

/** Without what stands on interfaces that are not here. `links`: the names of all that are. */
export function presentPart(state: HostState, links: ReadonlySet<string>): HostState {
  const made = madeVlans(state);
  return {
    ...state,
    links: state.links.filter((link) => link.kind !== 'vlan' || links.has(link.parent)),
    enslaved: state.enslaved.filter((entry) => links.has(made.get(entry.interface) ?? entry.interface)),
    proxies: state.proxies.filter(({ link }) => links.has(link)),
    sysctls: state.sysctls.filter((entry) => isPresent(entry, links)),
  };
}

/** Interfaces that are not Weft's and that the state needs, sorted; for a VLAN that Weft makes, what it is made of. */
export function foreignLinks(state: HostState): string[] {
  const made = madeVlans(state);
  const enslaved = state.enslaved.map((entry) => made.get(entry.interface) ?? entry.interface);
  const answering = state.proxies.map(({ link }) => link);
  return [...new Set([...state.sysctls.flatMap((entry) => foreignLinkOf(entry) ?? []), ...enslaved, ...answering])].sort();
}

/** Without making the VLANs that somebody else has made by now: they are used as they are. `foreign`: names of links that are not Weft's. */
export function withOthersVlans(state: HostState, foreign: ReadonlySet<string>): HostState {
  return { ...state, links: state.links.filter((link) => link.kind !== 'vlan' || !foreign.has(link.name)) };
}

/** VLANs that Weft makes, with their parents. */
const madeVlans = (state: HostState): ReadonlyMap<string, string> =>
  new Map(state.links.flatMap((link) => (link.kind === 'vlan' ? [[link.name, link.parent] as const] : [])));

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
