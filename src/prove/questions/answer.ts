/** What a question is answered with: a verdict, and the packet or the rules it rests on. */
import type { DecidedBy, SentPacket } from '../packet-model.ts';
import type { FlowSet, Reachability, Tri } from '../symbolic/flow-space.ts';

export type Verdict = 'proved' | 'refuted' | 'unknown';

/** Before it is put into words. */
export interface Finding {
  readonly verdict: Verdict;
  /** A flow that goes against it; destination after translation. */
  readonly flow?: SentPacket;
  /** The same as its sender sends it. */
  readonly sent?: SentPacket;
  /** `passes`: it is delivered and must not be. `fails`: it must be, and is not. `leaves`: it is seen with a wrong source. */
  readonly how?: 'passes' | 'fails' | 'leaves';
  /** `leaves`: as which it is seen. */
  readonly seenAs?: string;
  /** What decides, and is not understood. */
  readonly unknowns?: readonly DecidedBy[];
  /** More to say, a whole clause. */
  readonly because?: string;
  /** There was nothing to ask. */
  readonly vacuous?: true;
}

export const proved: Finding = { verdict: 'proved' };

/** No flow of `asked` is in `tri`. */
export function none(reach: Reachability, asked: FlowSet, tri: Tri = reach.delivered, how: 'passes' | 'leaves' = 'passes'): Finding {
  const { space } = reach;
  const may = space.and(asked, tri.may);
  if (may === space.none) return proved;
  const must = space.and(asked, tri.must);
  if (must !== space.none) return { verdict: 'refuted', how, ...packets(reach, must) };
  return { verdict: 'unknown', how, ...packets(reach, may), unknowns: reach.unknowns(may) };
}

/** Every flow of `asked` is answered, whatever its source port. */
export function every(reach: Reachability, asked: FlowSet): Finding {
  const { space, answered } = reach;
  const missing = space.minus(asked, space.anySport(answered.must, 'every'));
  if (missing === space.none) return proved;
  const certain = space.minus(missing, space.anySport(answered.may, 'every'));
  if (certain !== space.none) {
    // Of all source ports one that goes wrong, if any can be told.
    const wrong = space.minus(certain, answered.may);
    return { verdict: 'refuted', how: 'fails', ...packets(reach, wrong === space.none ? certain : wrong) };
  }
  return { verdict: 'unknown', how: 'fails', ...packets(reach, missing), unknowns: reach.unknowns(missing) };
}

function packets(reach: Reachability, set: FlowSet): Pick<Finding, 'flow' | 'sent'> {
  const flow = reach.space.pick(set);
  if (flow === undefined) return {};
  const sent = reach.sentAs(reach.space.and(set, reach.space.only(flow)));
  return { flow, ...(sent === undefined ? {} : { sent }) };
}

/** Refuted by one is refuted; unknown by one is unknown; vacuous only when all are. */
export function together(findings: readonly Finding[]): Finding {
  return (
    findings.find(({ verdict }) => verdict === 'refuted') ??
    findings.find(({ verdict }) => verdict === 'unknown') ??
    findings.find(({ vacuous }) => vacuous === undefined) ??
    findings[0] ??
    proved
  );
}
