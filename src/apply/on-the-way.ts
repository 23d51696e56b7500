/** The states a host passes through while a plan is carried out, as far as packets see them: after the steps of src/plan/plan.ts, in their order. */
import type { HostState } from '../hoststate/model.ts';
import { sameJson } from '../plan/keyed.ts';
import { routeLink } from '../plan/routes.ts';

export interface Waypoint {
  /** `once the new rules are in` */
  readonly when: string;
  readonly state: HostState;
}

/** Without `before` itself; the last one is `after`. States in which nothing is new are left out. */
export function statesOnTheWay(before: HostState, after: HostState): readonly Waypoint[] {
  const stays = new Set(after.links.map(({ name }) => name));
  const leaves = new Set(before.links.map(({ name }) => name).filter((name) => !stays.has(name)));
  const settings = new Set(after.sysctls.map(({ key }) => key));
  const left: HostState = {
    ...before,
    links: before.links.filter(({ name }) => stays.has(name)),
    enslaved: before.enslaved.filter((old) => after.enslaved.some((entry) => sameJson(old, entry))),
    addresses: before.addresses.filter(({ link }) => !leaves.has(link)),
    neighbors: before.neighbors.filter(({ link }) => !leaves.has(link)),
    fdb: before.fdb.filter(({ port }) => !leaves.has(port)),
    routes: before.routes.filter((route) => !leaves.has(routeLink(route))),
    sysctls: before.sysctls.filter(({ key }) => settings.has(key)),
  };
  const ruled: HostState = { ...left, links: after.links, tables: after.tables };
  const set: HostState = { ...ruled, sysctls: after.sysctls };
  const joined: HostState = { ...set, enslaved: after.enslaved };
  const all: readonly Waypoint[] = [
    { when: 'once what leaves is gone', state: left },
    { when: 'once the new rules are in', state: ruled },
    { when: 'once the kernel settings are set', state: set },
    { when: 'once its interface has joined the bridge', state: joined },
    { when: 'once everything is done', state: after },
  ];
  return all.filter(({ state }, i) => !sameJson(state, all[i - 1]?.state ?? before));
}
