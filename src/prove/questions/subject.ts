/** One host and one family, analysed: what all questions are asked of. */
import type { Fabric } from '../../fabric/model.ts';
import type { Family } from '../../net/ip.ts';
import type { KernelModel } from '../kernel-model.ts';
import { analyseAll } from '../symbolic/analyse.ts';
import { reduceModel } from '../symbolic/machines.ts';
import { kindsOf } from './kinds.ts';
import type { Constants, Reachability } from '../symbolic/flow-space.ts';
import { constantsOf } from './constants.ts';
import { meaningOf, type Meaning } from './meaning.ts';
import { Sides } from './sides.ts';
import { worldOf, type World } from './world.ts';

export interface Subject {
  readonly family: Family;
  /** With two machines of each kind; those that are left out have no station there. */
  readonly world: World;
  /** With all of them. */
  readonly whole: World;
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

/** In one space, so that what is true of one can be held against the other. Of models with different machines all have to be looked at. */
export function subjectsOf(
  cases: readonly Case[],
  family: Family,
  machines: 'two of a kind' | 'all machines' = 'two of a kind',
): readonly Subject[] {
  const all = cases.map(({ fabric, host, model }) => worldOf(fabric, host, model));
  const worlds = machines === 'all machines' ? all : all.map(fewOf);
  const constants = worlds.map(constantsOf).reduce(joined);
  return analyseAll(
    worlds.map(({ model }) => model),
    family,
    constants,
  ).flatMap((reach, i): Subject[] => {
    const world = worlds[i];
    const whole = all[i];
    if (world === undefined || whole === undefined) return [];
    const sides = new Sides(world, reach.space);
    return [{ family, world, whole, constants, reach, sides, meaning: meaningOf(sides) }];
  });
}

/** What holds for two machines of a kind holds for all of it (symbolic/machines.ts). */
function fewOf(whole: World): World {
  const known = reductions.get(whole.model);
  const model = known ?? reduceModel(whole.model, kindsOf(whole)).model;
  reductions.set(whole.model, model);
  return model === whole.model ? whole : worldOf(whole.fabric, whole.host, model);
}

/** Kinds of guests for the file: a proof looks at two of each, at least. */
export function kindsIn({ fabric, host, model }: Case): number {
  const whole = worldOf(fabric, host, model);
  const said = new Map<string, string>();
  for (const [i, group] of kindsOf(whole).entries()) for (const address of group) said.set(address, `${said.get(address) ?? ''} ${i}`);
  return new Set(said.values()).size;
}

/** Both families have the same. */
const reductions = new WeakMap<KernelModel, KernelModel>();

const joined = (a: Constants, b: Constants): Constants => ({
  prefixes: [...new Set([...a.prefixes, ...b.prefixes])],
  ports: [...a.ports, ...b.ports],
  protocols: [...new Set([...a.protocols, ...b.protocols])],
  macs: [...new Set([...a.macs, ...b.macs])],
});
