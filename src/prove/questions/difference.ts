/** What one state of a host lets through and another does not: flows in words of the file where a rule or a default says just that, else as parties and ports. */
import type { Fabric } from '../../fabric/model.ts';
import type { FlowSet } from '../symbolic/flow-space.ts';
import { TooManyNodes } from '../symbolic/bdd.ts';
import { doorsOf, doorTexts, type Doors } from './doors.ts';
import { flowsBetween, partiesOf, type Kind } from './parties.ts';
import { subjectsOf, type Case, type Subject } from './subject.ts';

export interface FlowDifference {
  readonly opened: readonly string[];
  readonly closed: readonly string[];
}

/** More guests than this are not told apart one by one. */
const MOST_GUESTS = 40;

/** Answered for certain; what Weft itself offers its guests is left out, and so are ports that are published anew or no more. Undefined when it is too much to work out. */
export function differenceOf(before: Case, after: Case): FlowDifference | undefined {
  if ([before, after].some(({ fabric }) => fabric.guests.length > MOST_GUESTS)) return undefined;
  try {
    const pairs = ([4, 6] as const).flatMap((family): Pair[] => {
      const [old, now] = subjectsOf([before, after], family, 'all machines');
      return old === undefined || now === undefined ? [] : [{ old, now }];
    });
    const opened = flowTexts(pairs.map(({ old, now }) => gained(now, old)));
    const closed = flowTexts(pairs.map(({ old, now }) => gained(old, now)));
    // Said of guests whose addresses have changed: they reach each other as before.
    const both = new Set(opened.filter((text) => closed.includes(text)));
    return { opened: opened.filter((text) => !both.has(text)), closed: closed.filter((text) => !both.has(text)) };
  } catch (error) {
    if (error instanceof TooManyNodes) return undefined;
    throw error;
  }
}

interface Pair {
  readonly old: Subject;
  readonly now: Subject;
}

/** Flows that `subject` answers and another did not. */
interface Gain {
  readonly subject: Subject;
  readonly flows: FlowSet;
  readonly said: readonly Told[];
}

/** A rule or default, and the flows it stands for. */
interface Said {
  readonly text: string;
  readonly flows: FlowSet;
}

interface Told extends Said {
  /** The other state let something through by it: only addresses have changed. */
  readonly already: boolean;
  /** All of it is gained. */
  readonly exact: boolean;
}

function gained(subject: Subject, other: Subject): Gain {
  const { reach, meaning, sides } = subject;
  const { space } = reach;
  const spoken = (set: FlowSet): FlowSet =>
    space.minus(space.and(set, meaning.domain, sides.honest), space.or(meaning.housekeeping, other.meaning.housekeeping, sides.toItself()));
  // Ports that are published now, or no more, are told as such.
  const known = new Set(other.world.fabric.publish.map(({ text }) => text));
  const published = space.or(...subject.world.fabric.publish.filter(({ text }) => !known.has(text)).map((one) => meaning.publishSet(one)));
  const flows = spoken(space.minus(reach.answered.must, space.or(other.reach.answered.must, published)));
  const here = sayings(subject);
  const answeredThere = space.and(other.reach.answered.must, other.meaning.domain);
  const already = new Set(sayings(other).flatMap(({ text, flows: set }) => (space.and(set, answeredThere) === space.none ? [] : [text])));
  // What a block of the other's forbade.
  const freed = other.world.fabric.block.map(({ text }, i) => ({ text, flows: blockSet(other, i) }));
  const answered = spoken(reach.answered.must);
  const said = [...here, ...freed]
    .map(({ text, flows: set }): Told => {
      const all = space.and(set, answered);
      return { text, flows: all, already: already.has(text), exact: space.minus(all, flows) === space.none };
    })
    .filter(({ flows: set, already: before, exact }) => set !== space.none && (exact || !before));
  return { subject, flows, said };
}

function blockSet({ world, meaning, reach }: Subject, index: number): FlowSet {
  const rule = world.fabric.block[index];
  return rule === undefined ? reach.space.none : meaning.ruleSet(rule);
}

function sayings({ world, meaning, sides, reach }: Subject): Said[] {
  const { space } = reach;
  const fabric: Fabric = world.fabric;
  return [
    ...fabric.allow.map((rule) => ({ text: rule.text, flows: meaning.ruleSet(rule) })),
    ...[...Map.groupBy(sides.endpoints, ({ guest }) => guest)].flatMap(([guest, endpoints]) => [
      { text: `${guest} -> internet`, flows: space.and(meaning.egress, sides.from(endpoints)) },
      { text: `host -> ${guest}`, flows: space.and(meaning.fromHost, sides.to(endpoints)) },
    ]),
  ];
}

/** A part of a rule is told as parties and ports up to so many lines, else by the rule. */
const MOST_LINES = 3;

function flowTexts(gains: readonly Gain[]): string[] {
  const texts = new Set<string>();
  let rest: readonly Rest[] = gains.map(({ subject, flows, said }) => {
    const { space } = subject.reach;
    let left = flows;
    for (const one of said.filter(({ exact }) => exact)) {
      if (space.and(left, one.flows) === space.none) continue;
      if (!one.already) texts.add(one.text);
      left = space.minus(left, one.flows);
    }
    return { subject, left };
  });
  const loose = new Set(gains.flatMap(({ said }) => said.flatMap(({ text, exact }) => (exact ? [] : [text]))));
  for (const text of loose) {
    const flows = gains.map(({ subject, said }): FlowSet => {
      const { space } = subject.reach;
      return space.or(...said.filter((one) => one.text === text).map((one) => one.flows));
    });
    const parts = rest.map(({ subject, left }, i): Rest => ({ subject, left: subject.reach.space.and(left, flows[i] ?? left) }));
    const lines = partyTexts(parts);
    for (const line of lines.length > MOST_LINES ? [text] : lines) texts.add(line);
    rest = rest.map(({ subject, left }, i) => ({ subject, left: subject.reach.space.minus(left, flows[i] ?? left) }));
  }
  for (const text of partyTexts(rest)) texts.add(text);
  return [...texts].sort();
}

/** What of a family's flows is not told yet. */
interface Rest {
  readonly subject: Subject;
  readonly left: FlowSet;
}

function partyTexts(rest: readonly Rest[]): string[] {
  const [first] = rest;
  if (first === undefined || rest.every(({ subject, left }) => left === subject.reach.space.none)) return [];
  const kinds = partiesOf(first.subject.whole);
  return kinds.flatMap((from) => kinds.flatMap((to) => between(from, to, rest)));
}

function between(from: Kind, to: Kind, rest: readonly Rest[]): string[] {
  // Between the host and the internet Weft has no say.
  if (from.party.kind !== 'guests' && to.party.kind !== 'guests') return [];
  const doors = rest.flatMap(({ subject, left }): Doors[] => {
    const { space } = subject.reach;
    const flows = space.and(left, flowsBetween(from, to, subject));
    return flows === space.none ? [] : [doorsOf(flows, subject)];
  });
  const ports = doorTexts(doors);
  if (ports.length === 0) return [];
  return [ports.join(' ') === 'any' ? `${from.name} -> ${to.name}` : `${from.name} -> ${to.name} ${ports.join(' ')}`];
}
