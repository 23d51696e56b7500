/** Rules that do nothing: no packet matches them, or others have said it all already. Sets of flows alone tell; no analysis of the state is asked. */
import type { Rule } from '../../fabric/model.ts';
import type { FlowSet } from '../symbolic/flow-space.ts';
import { dhcpFlows } from './ports.ts';
import type { Subject } from './subject.ts';

export interface Lint {
  readonly rule: Rule;
  readonly kind: 'never' | 'blocked' | 'covered' | 'default';
  /** Who has said it already; of many the first ones. */
  readonly by: readonly Rule[];
}

/** Of all families together: a rule that does something in one of them is left alone. */
export function lintsOf(subjects: readonly Subject[]): readonly Lint[] {
  const [first] = subjects;
  if (first === undefined) return [];
  const { fabric } = first.world;
  const judged = subjects.map(judgeOf);
  return [...fabric.allow, ...fabric.block].flatMap((rule): Lint[] => {
    // What names open is not known here; logging is a purpose of its own.
    if (rule.log || [...rule.from, ...rule.to].some((party) => isUnseen(party))) return [];
    const found = judged.map((judge) => judge(rule));
    const said = found.filter((one) => one !== 'nothing asked');
    const kinds = new Set(said.map((one) => (typeof one === 'string' ? one : one.kind)));
    if (said.length === 0 || kinds.size !== 1 || kinds.has('works')) return [];
    const lints = said.flatMap((one) => (typeof one === 'string' ? [] : [one]));
    const [lint] = lints;
    return lint === undefined ? [] : [{ ...lint, by: [...new Set(lints.flatMap(({ by }) => by))].slice(0, 3) }];
  });
}

/** Parties of whom nothing can be told: names, and groups without anybody, which have a warning of their own. */
const isUnseen = (party: Rule['from'][number]): boolean =>
  party.kind === 'domain' || (party.kind === 'guests' && party.endpoints.length === 0) || party.kind === 'named-host';

type Judged = Lint | 'works' | 'nothing asked';

function judgeOf({ sides, meaning, world }: Subject): (rule: Rule) => Judged {
  const { space } = sides;
  const { allow, block } = world.fabric;
  // What comes before each rule, and what comes behind it. They are not joined: taken off a small set one after the other they cost little.
  const around = (rules: readonly Rule[]): ReadonlyMap<Rule, readonly [before: FlowSet, behind: FlowSet]> => {
    const before: FlowSet[] = [];
    let sum = space.none;
    for (const rule of rules) {
      before.push(sum);
      sum = space.or(sum, meaning.ruleSet(rule));
    }
    const others = new Map<Rule, readonly [FlowSet, FlowSet]>();
    sum = space.none;
    for (const [i, rule] of [...rules.entries()].toReversed()) {
      others.set(rule, [before[i] ?? space.none, sum]);
      sum = space.or(sum, meaning.ruleSet(rule));
    }
    return others;
  };
  const others = { allow: around(allow), block: around(block) };
  const defaults = space.or(meaning.egress, meaning.fromHost);
  const itself = space.or(sides.toItself(), dhcpFlows(space));
  return (rule) => {
    const whole = meaning.ruleSet(rule);
    const flows = space.minus(whole, itself);
    if (whole === space.none) return 'nothing asked';
    const lint = (kind: Lint['kind'], by: readonly Rule[] = []): Lint => ({ rule, kind, by });
    if (flows === space.none) return lint('never');
    const rest = (others[rule.action].get(rule) ?? []).reduce((left, other) => space.minus(left, other), flows);
    const meeting = (rules: readonly Rule[]): Rule[] =>
      rules.filter((other) => other !== rule && space.and(meaning.ruleSet(other), flows) !== space.none);
    // Of two that say the same the later one is spoken of.
    const list = rule.action === 'allow' ? allow : block;
    const earlier = list.slice(0, list.indexOf(rule));
    if (rule.action === 'allow') {
      if (space.minus(flows, meaning.blocked) === space.none) return lint('blocked', meeting(block));
      if (space.and(flows, meaning.domain) === space.none) return lint('never');
      if (space.minus(flows, defaults) === space.none) return lint('default');
    }
    if (rest === space.none) {
      const same =
        earlier.length > 0 &&
        space.minus(
          flows,
          space.or(
            ...meeting(list)
              .filter((other) => earlier.includes(other) || meaning.ruleSet(other) !== whole)
              .map((other) => meaning.ruleSet(other)),
          ),
        ) === space.none;
      if (same) return lint('covered', meeting(list));
    }
    return 'works';
  };
}
