/** Routes in plans: what tells them apart, and when the kernel takes them away by itself. */
import type { HostState, Route } from '../hoststate/model.ts';

export const routeKey = (r: Route): string =>
  'unreachable' in r ? `${r.prefix} unreachable` : `${r.prefix} dev ${r.link} ${r.metric ?? ''}`;
export const routeLink = (r: Route): string => ('unreachable' in r ? '' : r.link);

/** A link that was taken down has lost its routes, neighbours and IPv6 addresses. */
export function withoutDowned(state: HostState, downed: ReadonlySet<string>): HostState {
  return {
    ...state,
    addresses: state.addresses.filter(({ link, address }) => !downed.has(link) || !address.includes(':')),
    routes: state.routes.filter((route) => !downed.has(routeLink(route))),
    neighbors: state.neighbors.filter(({ link }) => !downed.has(link)),
  };
}
