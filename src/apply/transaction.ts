/**
 * One change of the host as a transaction: journal, steps, commit; or undo (undo.ts).
 */
import { randomUUID } from 'node:crypto';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { bootTime } from '../kernel/clock.ts';
import type { Plan } from '../plan/steps.ts';
import { cutConnections } from './connections.ts';
import type { ApplyContext } from './context.ts';
import { executeStep } from './execute.ts';
import type { Claims } from './observation.ts';
import { rememberRight } from './originals.ts';
import { rememberPlace } from './place.ts';
import { requirePrograms } from './programs.ts';
import { listedDifferently, readBackTables } from './readback.ts';
import { holdSignals, type HeldSignal, type HeldSignals } from './signals.ts';
import { readFileIfThere, refuseUnwritable, replaceFile, type AppliedRecord, type Journal } from './store.ts';
import { problemsOf, undo } from './undo.ts';

export interface Goal {
  /** Undefined: Weft is to own nothing here any more. */
  readonly record: AppliedRecord | undefined;
  /** Milliseconds a person has to confirm; undefined: nobody has to. */
  readonly confirmMs?: number;
  readonly command: string;
  readonly keepPrevious?: boolean;
  /** The record is the one that stands: it is not written again. */
  readonly keepRecord?: boolean;
  /** weft.lock stays as it is: only what the kernel holds is brought back, and the file may have gone on since. */
  readonly keepLock?: boolean;
  /** The record stood for the observation (design.md 5.2): what nft has taken is then not read back, for only a little of it is new. */
  readonly stands?: boolean;
  /** Links and namespaces that an earlier change, which this one makes an end of, may have made without a tag. */
  readonly claims?: Claims;
}

export interface Outcome {
  /** Of its journal: a later `confirm` or `rollback` is known to mean this change. */
  readonly id: string;
  readonly cut: number;
  /** Set when somebody has to confirm until then (milliseconds since the epoch). */
  readonly confirmBefore?: number;
}

/**
 * Carries out `plan`, which leads from what is there to the goal. Throws WeftError: exit 3 when a step failed and everything is as before,
 * exit 4 when undoing failed too and something is left, listed.
 */
export async function transact(context: ApplyContext, goal: Goal, plan: Plan): Promise<Outcome> {
  await refuseWhilePending(context);
  requirePrograms(context.kernel, plan);
  const signals = holdSignals();
  try {
    const outcome = await carryOut(context, goal, await beginJournal(context, goal, plan), plan, signals);
    signals.release();
    return outcome;
  } catch (error) {
    signals.releaseOnceTold();
    throw error;
  }
}

async function carryOut(context: ApplyContext, goal: Goal, journal: Journal, plan: Plan, signals: HeldSignals): Promise<Outcome> {
  const { store, faults } = context;
  let cut = 0;
  try {
    faults.point('journal written');
    if (journal.confirmMs !== undefined) await context.armWatchdog(journal.id);
    faults.point('watchdog armed');
    for (const [index, step] of plan.steps.entries()) {
      await store.write('journal', { ...journal, step: index + 1 });
      faults.point(`before: ${step.title}`);
      stopOnSignal(signals);
      context.progress(`[${index + 1}/${plan.steps.length}] ${step.title}`);
      await executeStep(step, context);
      faults.point(`after: ${step.title}`);
      if (step.kind !== 'nft' || !plan.narrowing) continue;
      // At once, before any address reaches another port: what was allowed to the old owner must not arrive at the new one.
      cut = await cutConnections(context.kernel, goal.record, await store.read('applied'));
      if (cut > 0) context.progress(`cut ${cut} connection${cut === 1 ? '' : 's'} that the new policy does not allow`);
      faults.point('connections judged');
    }
    if (goal.stands !== true) await readBack(context, goal.record);
    faults.point('read back');
    stopOnSignal(signals);
    const lock = goal.keepLock === true ? undefined : goal.record?.lock;
    if (lock && (await readFileIfThere(lock.path)) !== lock.text) await replaceFile(lock.path, lock.text, 0o644);
    faults.point('lock file written');
    await store.write('journal', { ...journal, step: plan.steps.length, phase: 'committing' });
  } catch (error) {
    context.progress(`failed: ${error instanceof Error ? error.message : String(error)}`);
    return await undoOrExplain(context, journal, error, signals.received());
  }
  try {
    faults.point('committing');
    const confirmBefore = await finishCommit(context, { ...journal, phase: 'committing' });
    return { id: journal.id, cut, ...(confirmBefore === undefined ? {} : { confirmBefore }) };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new WeftError(
      4,
      [
        failure(
          'apply-failed',
          `The change is made, but its record in ${store.directory} could not be written (${why}); mend that, and the next command of Weft finishes it.`,
        ),
      ],
      error,
    );
  }
}

function stopOnSignal(signals: HeldSignals): void {
  const signal = signals.received();
  if (signal !== undefined) throw new WeftError(3, [interrupted(signal)]);
}

async function readBack({ kernel, store }: ApplyContext, record: AppliedRecord | undefined): Promise<void> {
  const written = record?.state.tables ?? [];
  const listed = listedDifferently(written, await readBackTables(kernel, written));
  if (record && Object.keys(listed).length > 0) await store.write('next', { ...record, listed });
}

/** Throws WeftError (exit 5) while an earlier change waits to be confirmed. To be asked before a person is: the watchdog needs the lock. */
export async function refuseWhilePending({ store }: ApplyContext): Promise<void> {
  const journal = await store.read('journal');
  if (journal?.phase !== 'pending') return;
  throw new WeftError(5, [
    failure(
      'busy',
      'The last apply still waits to be confirmed: run `weft confirm` to keep it or `weft rollback` to go back, then try again.',
    ),
  ]);
}

async function beginJournal(context: ApplyContext, goal: Goal, plan: Plan): Promise<Journal> {
  const { store } = context;
  const lock = goal.keepLock === true ? undefined : goal.record?.lock;
  const lockText = lock === undefined ? undefined : await readFileIfThere(lock.path);
  if (lock !== undefined && lockText !== lock.text) await refuseUnwritable(lock.path);
  const { confirmMs } = goal;
  const journal: Journal = {
    version: 1,
    id: randomUUID(),
    startedAt: new Date().toISOString(),
    phase: 'changing',
    command: goal.command,
    step: 0,
    steps: plan.steps.length,
    claimedLinks: [...new Set([...(goal.claims?.links ?? []), ...plan.makes.links])],
    claimedNamespaces: [...new Set([...(goal.claims?.namespaces ?? []), ...plan.makes.namespaces])],
    hasGoal: goal.record !== undefined,
    first: !store.exists('applied'),
    keepPrevious: goal.keepPrevious === true,
    ...(confirmMs === undefined ? {} : { confirmMs, ...(await deadlineIn(context, confirmMs)) }),
    ...(lock === undefined ? {} : { lockFile: lockText === undefined ? { path: lock.path } : { path: lock.path, text: lockText } }),
  };
  try {
    context.faults.point('begin');
    await store.remove('digest');
    await rememberPlace(context);
    if (goal.record) await rememberRight(context.kernel, store, goal.record.state.sysctls);
    if (goal.record && goal.keepRecord !== true) await store.write('next', goal.record);
    else await store.remove('next');
    await store.write('journal', journal);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new WeftError(
      2,
      [failure('apply-failed', `The journal cannot be written to ${store.directory} (${why}); nothing was changed.`)],
      error,
    );
  }
  return journal;
}

async function deadlineIn({ kernel }: ApplyContext, ms: number): Promise<Required<Pick<Journal, 'confirmBefore' | 'deadline'>>> {
  const now = await bootTime(kernel);
  return { confirmBefore: Date.now() + ms, deadline: { boot: now.boot, ms: now.ms + ms } };
}

/**
 * Renames the records into place; may be repeated from any point in it. Returns until when somebody has to confirm, if so: the time counts from now, when
 * there is something to look at.
 */
export async function finishCommit(context: ApplyContext, journal: Journal): Promise<number | undefined> {
  const { store, faults } = context;
  if (!journal.hasGoal) {
    await forgetEverything(context);
    return undefined;
  }
  if (store.exists('next')) {
    if (journal.first) await store.remove('previous');
    // A crash between the two renames leaves no applied.json: then previous.json is right already.
    else if (store.exists('applied') && journal.keepPrevious !== true) await store.move('applied', 'previous');
    faults.point('old record kept');
    await store.move('next', 'applied');
  }
  faults.point('new record in place');
  if (journal.confirmMs === undefined) {
    await store.remove('journal');
    return undefined;
  }
  const until = await deadlineIn(context, journal.confirmMs);
  await store.write('journal', { ...journal, ...until, phase: 'pending' });
  return until.confirmBefore;
}

/** Removes the state directory's files, the journal last. */
export async function forgetEverything({ store, faults }: ApplyContext): Promise<void> {
  for (const name of ['applied', 'previous', 'digest', 'originals', 'next', 'place', 'journal'] as const) {
    await store.remove(name);
    faults.point(`${name} removed`);
  }
  await store.close();
}

async function undoOrExplain(context: ApplyContext, journal: Journal, cause: unknown, signal: HeldSignal | undefined): Promise<never> {
  const reasons = reasonsOf(cause, signal);
  const left = await undo(context, journal);
  if (left.length === 0) {
    throw new WeftError(
      3,
      [...reasons, failure('apply-failed', 'The apply failed and was rolled back: the host is as it was before.')],
      cause,
    );
  }
  throw new WeftError(4, [...reasons, ...left], cause);
}

/** A step that fails while a signal is held has often failed by it: the person is told of that first. */
function reasonsOf(cause: unknown, signal: HeldSignal | undefined): readonly Diagnostic[] {
  const problems = problemsOf(cause, 'apply-failed');
  if (signal === undefined) return problems;
  const first = interrupted(signal);
  return [first, ...problems.filter(({ message }) => message !== first.message)];
}

const interrupted = (signal: HeldSignal): Diagnostic => failure('apply-failed', `Interrupted (${signal}).`);

const failure = (code: Diagnostic['code'], message: string): Diagnostic => ({ code, severity: 'error', message });
