/** One host and one family, analysed: what all questions are asked of. */
import type { Fabric } from '../../fabric/model.ts';
import type { Family } from '../../net/ip.ts';
import type { KernelModel } from '../kernel-model.ts';
import { analyse } from '../symbolic/analyse.ts';
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

export function subjectOf(fabric: Fabric, host: string, model: KernelModel, family: Family, also: readonly Constants[] = []): Subject {
  const world = worldOf(fabric, host, model);
  const constants = constantsOf(world, also);
  const reach = analyse(model, family, constants);
  const sides = new Sides(world, reach.space);
  return { family, world, constants, reach, sides, meaning: meaningOf(sides) };
}
