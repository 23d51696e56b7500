/**
 * Names in a flow of the command line (`weft explain 'A -> B'`) or of an expectation, resolved in a finished fabric.
 */
import type { FlowExpr, PartyExpr } from '../config/flow.ts';
import type { Report, Span } from '../diagnostic/diagnostic.ts';
import type { Fabric, Party } from './model.ts';
import { partyResolver } from './parties.ts';
import type { ResolveParty } from './parties.ts';

/** `span`: where the flow's text begins, if it is in a file. Undefined when a name is unknown, which is reported. */
export function resolveFlow(
  fabric: Fabric,
  flow: FlowExpr,
  span: Span | undefined,
  report: Report,
): { readonly from: readonly Party[]; readonly to: readonly Party[] } | undefined {
  const resolve = resolverOf(fabric);
  let failed = false;
  const side = (exprs: readonly PartyExpr[]): Party[] =>
    exprs.flatMap((expr) => {
      const party = resolve(expr, ({ code, severity, message }) => {
        if (severity === 'error') failed = true;
        report({ code, severity, message, ...(span && { span: spanWithin(span, expr) }) });
      });
      return party ?? [];
    });
  const from = side(flow.from);
  const to = side(flow.to);
  return failed ? undefined : { from, to };
}

/** One for each fabric: a matrix or rehearsal asks about thousands of flows of the same. */
const resolvers = new WeakMap<Fabric, ResolveParty>();

function resolverOf(fabric: Fabric): ResolveParty {
  const known = resolvers.get(fabric) ?? partyResolver(fabric);
  resolvers.set(fabric, known);
  return known;
}

/** A flow that does not lie on one line as it was written keeps the place of the whole. */
function spanWithin(span: Span, expr: PartyExpr): Span {
  const column = span.column + expr.offset;
  const endColumn = column + (expr.length ?? 1);
  return endColumn <= span.endColumn ? { ...span, column, endColumn } : span;
}
