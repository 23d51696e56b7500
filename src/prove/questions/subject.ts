/** One host and one family, analysed: what all questions are asked of. */
import type { Fabric } from '../../fabric/model.ts';
import type { Family } from '../../net/ip.ts';
import type { KernelModel } from '../kernel-model.ts';
import { analyseAll } from '../symbolic/analyse.ts';
import type { Constants, Reachability } from '../symbolic/flow-space.ts';
import { constantsOf } from './constants.ts';
import { meaningOf, type Meaning } from './meaning.ts';
import { Sides } from './sides.ts';
import { worldOf, type World } from './world.ts';

export interface Subject {
  readonly family: Family;
  readonly world: World;
  readonly constants: Constants;
  readonly reach: Reachability;
  readonly sides: Sides;
  readonly meaning: Meaning;
}

/** A host with the file that is about it. */
export interface Case {
  readonly fabric: Fabric;
  readonly host: string;
  readonly model: KernelModel;
}

/** In one space, so that what is true of one can be held against the other. */
export function subjectsOf(cases: readonly Case[], family: Family): readonly Subject[] {
  const worlds = cases.map(({ fabric, host, model }) => worldOf(fabric, host, model));
  const constants = worlds.map(constantsOf).reduce(joined);
  return analyseAll(
    cases.map(({ model }) => model),
    family,
    constants,
  ).flatMap((reach, i): Subject[] => {
    const world = worlds[i];
    if (world === undefined) return [];
    const sides = new Sides(world, reach.space);
    return [{ family, world, constants, reach, sides, meaning: meaningOf(sides) }];
  });
}

const joined = (a: Constants, b: Constants): Constants => ({
  prefixes: [...new Set([...a.prefixes, ...b.prefixes])],
  ports: [...a.ports, ...b.ports],
  protocols: [...new Set([...a.protocols, ...b.protocols])],
  macs: [...new Set([...a.macs, ...b.macs])],
});
