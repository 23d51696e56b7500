/** One side of a flow in the file: its parties resolved, each with the place of its word. */
import type { PartyExpr } from '../config/flow.ts';
import type { Path } from '../config/model.ts';
import type { Party } from './model.ts';
import type { ResolveParty } from './parties.ts';
import type { Place, Problems } from './problems.ts';

/** Where the word stands is worked out for problems only. */
export interface ResolvedParty {
  readonly party: Party;
  readonly expr: PartyExpr;
  readonly path: Path;
}

/** Reports unknown names at their place inside the flow; leaves out what was reported. */
export function resolveSide(
  context: { readonly resolveParty: ResolveParty; readonly problems: Problems },
  path: Path,
  exprs: readonly PartyExpr[],
): ResolvedParty[] {
  const sides: ResolvedParty[] = [];
  for (const expr of exprs) {
    const party = context.resolveParty(expr, (problem) =>
      context.problems[problem.severity](problem.code, placeOf(expr, path), problem.message),
    );
    if (party) sides.push({ party, expr, path });
  }
  return sides;
}

export function placeOf(expr: PartyExpr, path: Path): Place {
  return { path, within: { offset: expr.offset, length: expr.length ?? 1 } };
}
