/**
 * The conversation around an apply: plan, question, transaction, question. The transaction itself is src/apply/.
 */
import { applyPlan, recognise, rememberUnchanged, unrecognised } from '../apply/apply.ts';
import { confirmPending, rollBackPending } from '../apply/confirm.ts';
import { preparePlan } from '../apply/prepare.ts';
import { requireRoot, withLock } from '../apply/session.ts';
import type { AppliedRecord } from '../apply/store.ts';
import type { ApplyContext } from '../apply/context.ts';
import { refuseWhilePending } from '../apply/transaction.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { askYes } from './ask.ts';
import { buildId } from './build-id.ts';
import { lockFileOf, loadRequest, planDocument, planText, sessionOf, showProof } from './change.ts';
import type { ApplyOptions } from './commands/apply.ts';
import type { CliContext } from './context.ts';
import { durationText, parseDuration } from './duration.ts';
import { resolve } from 'node:path';
import { phase } from './timing.ts';

const DEFAULT_CONFIRM_MS = 60_000;
/** How long the way back may take. */
const GOING_BACK_MS = 120_000;

export async function runApply(ctx: CliContext, options: ApplyOptions): Promise<void> {
  const interactive = options.yes !== true;
  const confirmMs =
    options.confirm === undefined ? (interactive ? DEFAULT_CONFIRM_MS : undefined) : parseDuration(options.confirm, '--confirm');
  if (interactive && !ctx.io.interactive) {
    throw new WeftError(2, [
      {
        code: 'usage',
        severity: 'error',
        message: 'weft apply asks before it changes anything, and there is no terminal to ask at: add --yes',
      },
    ]);
  }
  const file = resolve(ctx.io.cwd, ctx.configPath());
  const session = sessionOf(ctx, { verbose: options.verbose === true });
  requireRoot('weft apply');
  const pending = await withLock(session, ctx.report, async () => {
    await refuseWhilePending(session);
    phase('unchanged?');
    const inputs = { file, lockFile: lockFileOf(file), host: ctx.options.host, build: buildId() };
    const known = options.full === true ? unrecognised : await recognise(session, inputs);
    if (known.inputs && known.kernel) {
      ctx.answer({ changes: [], reachability: { opened: [], closed: [] } }, () => 'Nothing to change: this host is as the file says.');
      return undefined;
    }
    phase('read');
    const request = loadRequest(ctx);
    phase('plan');
    const prepared = await preparePlan(session, request, ctx.report, { stands: known.kernel && !known.foreign });
    ctx.stopOnErrors(2);
    if (prepared === undefined) return undefined;
    ctx.showProblems();
    if (showProof(ctx, prepared, request.config)) {
      ctx.answer(planDocument(prepared), () => '');
      ctx.err('Nothing was changed.');
      return undefined;
    }
    if (prepared.plan.steps.length > 0 && interactive) {
      ctx.err(planText(prepared));
      if (!(await askYes('Apply this? [y/N] '))) {
        ctx.err('Nothing was changed.');
        ctx.exitCode = 1;
        return undefined;
      }
    }
    ctx.touched = true;
    phase('apply');
    const outcome = await applyPlan(session, prepared, { command: 'apply', ...(confirmMs === undefined ? {} : { confirmMs }) });
    if (outcome.confirmBefore === undefined) {
      phase('remember');
      await rememberUnchanged(session, inputs, prepared);
    }
    ctx.touched = false;
    if (!interactive || prepared.plan.steps.length === 0) ctx.answer(planDocument(prepared), () => planText(prepared, true));
    return outcome.confirmBefore === undefined ? undefined : { id: outcome.id, until: outcome.confirmBefore, prepared };
  });
  if (pending === undefined) return;
  const left = (): number => Math.max(0, pending.until - Date.now());
  if (!interactive) {
    ctx.err(`Applied, but not kept yet: run \`weft confirm\` within ${durationText(confirmMs ?? DEFAULT_CONFIRM_MS)}, or it goes back.`);
    return;
  }
  const keep = await askYes(`Applied. Keep it? Without an answer it goes back in ${durationText(left())}. [y/N] `, left());
  const settle = async (): Promise<void> => {
    if (keep && (await confirmPending(session, pending.id)) === 'confirmed') {
      ctx.answer(planDocument(pending.prepared), () => 'Kept.');
      return;
    }
    const problems = await rollBackPending(session, pending.id);
    if (problems !== undefined && problems.length > 0) throw new WeftError(4, problems);
    ctx.exitCode = 1;
    if (problems === undefined && (await isApplied(session, pending.prepared.record)))
      ctx.err('It was kept by `weft confirm` meanwhile; `weft rollback` goes back.');
    else ctx.err('Not kept: the host is as it was before.');
  };
  // At the deadline the watchdog may be faster, and hold the lock while it goes back.
  await withLock(session, ctx.report, settle, { waitMs: GOING_BACK_MS });
}

/** Whether this record is what is applied now. */
async function isApplied({ store }: ApplyContext, { appliedAt }: AppliedRecord): Promise<boolean> {
  return (await store.read('applied'))?.appliedAt === appliedAt;
}
