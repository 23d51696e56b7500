/**
 * What of a host state can be had at a moment. The one place that knows what of it stands on interfaces that are not Weft's: at boot these are not there
 * yet, or not set up, or not even called by their final names; and a card may have been taken out.
 */
import type { Address, HostState, Sysctl } from '../hoststate/model.ts';
import { routeLink } from './routes.ts';

/** Everything that needs Weft's own links only: what can stand before the network is up. */
export function earlyPart(state: HostState): HostState {
  return partOn(state, () => false);
}

/** Without what stands on interfaces that are not here. `links`: the names of all that are. */
export function presentPart(state: HostState, links: ReadonlySet<string>): HostState {
  return partOn(state, (name) => links.has(name));
}

/** Interfaces that are not Weft's and that the state needs, sorted; for a VLAN that Weft makes, what it is made of. */
export function foreignLinks(state: HostState): string[] {
  const own = ownLinks(state);
  const made = madeVlans(state);
  const hanging = [...state.addresses.map(({ link }) => link), ...state.routes.map(routeLink), ...state.proxies.map(({ link }) => link)];
  return [
    ...new Set([
      ...state.sysctls.flatMap((entry) => foreignLinkOf(entry) ?? []),
      ...state.enslaved.map((entry) => made.get(entry.interface) ?? entry.interface),
      ...hanging.filter((name) => name !== '' && !own.has(name)),
    ]),
  ].sort();
}

/** Addresses that Weft has given interfaces of others: the uplink, with `manage: true`. */
export function foreignAddresses(state: HostState): readonly Address[] {
  const own = ownLinks(state);
  return state.addresses.filter(({ link }) => !own.has(link));
}

/** Without making the VLANs that somebody else has made by now: they are used as they are. `foreign`: names of links that are not Weft's. */
export function withOthersVlans(state: HostState, foreign: ReadonlySet<string>): HostState {
  return { ...state, links: state.links.filter((link) => link.kind !== 'vlan' || !foreign.has(link.name)) };
}

/** Of what stands on interfaces of others, that for which `has` says yes. */
function partOn(state: HostState, has: (name: string) => boolean): HostState {
  const own = ownLinks(state);
  const made = madeVlans(state);
  const stands = (name: string): boolean => own.has(name) || has(name);
  return {
    ...state,
    links: state.links.filter((link) => link.kind !== 'vlan' || has(link.parent)),
    enslaved: state.enslaved.filter((entry) => has(made.get(entry.interface) ?? entry.interface)),
    addresses: state.addresses.filter(({ link }) => stands(link)),
    routes: state.routes.filter((route) => 'unreachable' in route || stands(route.link)),
    proxies: state.proxies.filter(({ link }) => stands(link)),
    sysctls: state.sysctls.filter((entry) => {
      const link = foreignLinkOf(entry);
      return link === undefined || has(link);
    }),
  };
}

const ownLinks = (state: HostState): ReadonlySet<string> => new Set(state.links.map((link) => link.name));

/** VLANs that Weft makes, with their parents. */
const madeVlans = (state: HostState): ReadonlyMap<string, string> =>
  new Map(state.links.flatMap((link) => (link.kind === 'vlan' ? [[link.name, link.parent] as const] : [])));

/** The interface of a setting that does not leave with a link of Weft's: `net/ipv6/conf/eth0/force_forwarding`. */
function foreignLinkOf({ key, link }: Sysctl): string | undefined {
  if (link !== undefined) return undefined;
  const name = /^net\/ipv[46]\/(?:conf|neigh)\/([^/]+)\//.exec(key)?.[1];
  return name === 'all' || name === 'default' ? undefined : name;
}
