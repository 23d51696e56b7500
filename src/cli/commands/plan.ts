/** `weft plan`: what `apply` would change on this host, without changing anything. */
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';

export const register: Register = (program, ctx) => {
  const command = program.command('plan').helpGroup(group.change).description('show what apply would change on this host');
  examples(command, 'sudo weft plan', 'sudo weft plan -f lab.yaml --json');
  command.action(async () => {
    const { loadRequest, planDocument, planText, sessionOf, showProof } = await import('../change.ts');
    const { preparePlan } = await import('../../apply/prepare.ts');
    const { requireRoot, withLock } = await import('../../apply/session.ts');
    const request = loadRequest(ctx);
    requireRoot('weft plan');
    const session = sessionOf(ctx);
    await withLock(session, ctx.report, async () => {
      const prepared = await preparePlan(session, request, ctx.report);
      ctx.stopOnErrors(2);
      if (prepared === undefined) return;
      showProof(ctx, prepared, request.config);
      ctx.answer(planDocument(prepared), () => planText(prepared));
    });
  });
};
