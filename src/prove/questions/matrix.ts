/** Who reaches whom at which ports: every party with every other one, both families together. */
import type { Case, Subject } from './subject.ts';
import { subjectsOf } from './subject.ts';
import { doorsOf, doorTexts, type Doors } from './doors.ts';
import { flowsBetween, partiesOf, type Kind } from './parties.ts';

export interface MatrixCell {
  readonly from: string;
  readonly to: string;
  /** Flow syntax, delivered and answered for certain. */
  readonly ports: readonly string[];
  /** Delivered or answered depending on what Weft does not judge. */
  readonly unknown?: readonly string[];
}

export interface Matrix {
  readonly parties: readonly { readonly name: string; readonly guests: readonly string[] }[];
  /** Those with something in them. */
  readonly cells: readonly MatrixCell[];
}

export function matrixOf(one: Case): Matrix {
  const subjects = ([4, 6] as const).flatMap((family) => subjectsOf([one], family));
  const [first] = subjects;
  const kinds = first === undefined ? [] : partiesOf(first.whole);
  const cells = kinds.flatMap((from) => kinds.flatMap((to) => cellOf(from, to, subjects) ?? []));
  return { parties: kinds.map(({ name, guests }) => ({ name, guests })), cells };
}

function cellOf(from: Kind, to: Kind, subjects: readonly Subject[]): MatrixCell | undefined {
  // Between the host and the internet Weft has no say.
  if (from.party.kind !== 'guests' && to.party.kind !== 'guests') return undefined;
  const certain: Doors[] = [];
  const possible: Doors[] = [];
  for (const subject of subjects) {
    const { space, answered } = subject.reach;
    const asked = flowsBetween(from, to, subject);
    if (asked === space.none) continue;
    const open = space.and(asked, answered.must);
    if (open !== space.none) certain.push(doorsOf(open, subject));
    const perhaps = space.minus(space.and(asked, answered.may), open);
    if (perhaps !== space.none) possible.push(doorsOf(perhaps, subject));
  }
  const [ports, unknown] = [doorTexts(certain), doorTexts(possible)];
  if (ports.length + unknown.length === 0) return undefined;
  return { from: from.name, to: to.name, ports, ...(unknown.length === 0 ? {} : { unknown }) };
}
