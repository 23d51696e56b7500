/**
 * One of the courses that things may take. Where it is not known whether a rule matches, there are two from there on; they become one again as
 * soon as nothing tells them apart, so that a rule that is not understood and decides nothing leaves no doubt.
 */
import type { DecidedBy, OtherPlace, RulePlace } from '../packet-model.ts';
import type { Flight } from './flight.ts';

export interface World {
  readonly flight: Flight;
  /** Latest first. */
  readonly trail: Trail | undefined;
  /** What this course depends on that is not known. */
  readonly doubts: readonly DecidedBy[];
}

/** A rule, and where in its chain it stands, from 0; the policy stands behind the last one. */
export interface Spot extends RulePlace {
  readonly index: number;
}

export interface Step {
  /** `forward`, `inet weft forward`, `routing`, `rp_filter`, `bridge br-lan`. */
  readonly where: string;
  /** The rule's text, `policy`, or what was asked instead of a rule. */
  readonly rule: string;
  readonly place?: Spot;
  /** `accept`, `drop`, `jump x`, `to br-lan`, `destination 10.0.0.2:80`. */
  readonly effect: string;
  /** The packet afterwards, if this changed it. */
  readonly packet?: Flight;
}

interface Trail {
  readonly step: Step;
  readonly before: Trail | undefined;
}

export function stepping(world: World, step: Step): World {
  const changed = step.packet === undefined ? {} : { flight: step.packet };
  return { ...world, ...changed, trail: { step, before: world.trail } };
}

export function stepsOf({ trail }: Pick<World, 'trail'>): Step[] {
  const steps: Step[] = [];
  for (let at = trail; at; at = at.before) steps.push(at.step);
  return steps.toReversed();
}

export const doubting = (world: World, ...because: readonly DecidedBy[]): World => ({
  ...world,
  doubts: unique([...world.doubts, ...because]),
});

/** Worlds in which the packet is the same are one, which depends on all that they depended on. */
export function merged(worlds: readonly World[]): readonly World[] {
  if (worlds.length < 2) return worlds;
  const byFlight = new Map<string, World>();
  for (const world of worlds) {
    const key = JSON.stringify(world.flight);
    const known = byFlight.get(key);
    byFlight.set(key, known ? doubting(known, ...world.doubts) : world);
  }
  return [...byFlight.values()];
}

export function placeKey(place: DecidedBy | Spot): string {
  if ('what' in place) return place.what;
  const index = 'index' in place ? place.index : '';
  return [place.family, place.table, place.chain, index, place.rule].join('\u0000');
}

export const unique = <T extends DecidedBy>(places: readonly T[]): T[] => [
  ...new Map(places.map((place) => [placeKey(place), place])).values(),
];

export const isRule = (place: DecidedBy): place is RulePlace => !('what' in place);

export type { OtherPlace };
