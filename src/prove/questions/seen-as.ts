/** Who may be seen outside under an address of the host's. */
import type { FlowSet } from '../symbolic/flow-space.ts';
import { familyOf } from './endpoints.ts';
import type { Subject } from './subject.ts';
import { bare } from './world.ts';

/**
 * Flows that may leave by the interface with this source: those that have it anyway, and those of addresses that are not seen outside; of a network with `snat:` only under that
 * address, where the interface has it.
 */
export function mayBeSeenAs({ reach, sides, world }: Subject, seenAs: string, link: string): FlowSet {
  const { space } = reach;
  const there = world.model.interfaces.find(({ name }) => name === link)?.addresses.map(bare) ?? [];
  const hidden = space.source(world.keptIn);
  const guests = sides.endpoints.filter(({ network: { snat } }) => {
    const chosen = snat !== undefined && familyOf(snat) === space.family && there.includes(snat);
    return !chosen || snat === seenAs;
  });
  return space.or(space.source([seenAs]), space.and(hidden, space.or(sides.from(guests), sides.host)));
}
