/**
 * The way back. Undo is not a list of inverse steps: it looks at what is there, plans the way to the old record and walks it, so it may start
 * from any point, be interrupted and be run again.
 */
import { rm } from 'node:fs/promises';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { emptyState, planChanges } from '../plan/plan.ts';
import type { Plan, Step } from '../plan/steps.ts';
import { attainable } from './attainable.ts';
import { cutConnections } from './connections.ts';
import { executeStep } from './execute.ts';
import { ownState } from './observation.ts';
import { holdSignals } from './signals.ts';
import { replaceFile, type AppliedRecord, type Journal, type Store } from './store.ts';
import type { ApplyContext } from './context.ts';

/** How often undo looks again: a step that failed half-way is planned anew from what is there. */
const ROUNDS = 3;

/**
 * What comes after one of these stands on it: ports come up after their rules, rules leave after their ports. When one fails the round
 * ends there, or a port would come up without its rules. What comes after the others is tried all the same.
 */
const foundations: ReadonlySet<Step['kind']> = new Set(['ip', 'bridge', 'enslave', 'release', 'nft', 'sysctls', 'netns-add']);

/**
 * Takes the host back to the record before the journal's change, from whatever is there. Returns what could not be undone; when nothing
 * is left the journal is gone. Never throws; may be run again after a crash of its own.
 */
export async function undo(context: ApplyContext, journal: Journal): Promise<readonly Diagnostic[]> {
  const signals = holdSignals();
  try {
    const begun: Journal = { ...journal, undoing: true };
    // With a full disk going back matters more than being able to go on after a crash of going back.
    if (journal.phase === 'pending') await context.store.write('journal', begun).catch(() => undefined);
    context.faults.point('undo begun');
    return await goBack(context, begun);
  } catch (error) {
    return [...problemsOf(error, 'undo-failed'), goOn('the rest of the change')];
  } finally {
    signals.release();
  }
}

/** The diagnostics an error carries, or one made of its message. */
export function problemsOf(error: unknown, code: Diagnostic['code']): readonly Diagnostic[] {
  if (error instanceof WeftError && error.diagnostics.length > 0) return error.diagnostics;
  return [{ code, severity: 'error', message: error instanceof Error ? error.message : String(error) }];
}

const goOn = (what: string): Diagnostic => ({
  code: 'undo-failed',
  severity: 'error',
  message: `Not undone: ${what}. Mend what is said above, then run \`weft rollback\`: it goes on where this stopped.`,
});

async function goBack(context: ApplyContext, journal: Journal): Promise<readonly Diagnostic[]> {
  const { faults } = context;
  const { older, newer } = await recordsOf(context.store, journal);
  const known = older ?? newer;
  const goal = older
    ? (await attainable(context, older, journal.claimedLinks)).state
    : emptyState(known?.state.fabric ?? '', known?.state.host ?? '');
  const records = [older, newer].filter((record) => record !== undefined);
  const claims = { links: new Set(journal.claimedLinks), namespaces: new Set(journal.claimedNamespaces) };
  let problems: readonly Diagnostic[] = [];
  let plan: Plan | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    const observed = await ownState(context, goal, records, { links: [...claims.links], namespaces: [...claims.namespaces] });
    plan = planChanges(observed, goal);
    // How far the inside of a guest had got is unknown to the end (observation.ts); what a round without a problem has set up again is done.
    const settled = round > 0 && problems.length === 0;
    if (plan.steps.every((step) => settled && step.kind === 'guests')) break;
    await claim(context, journal, claims, plan);
    problems = await walk(context, plan, older, newer);
    faults.point('undo round');
  }
  if (plan !== undefined && plan.steps.length > 0 && problems.length > 0) {
    const names = plan.changes.map((change) => `${change.kind} ${change.name}`);
    return [...problems, goOn(names.slice(0, 20).join(', ') + (names.length > 20 ? ` and ${names.length - 20} more` : ''))];
  }
  // Once more: an undo that was killed between rules and connections finds no rules to change the next time.
  await cutConnections(context.kernel, older, newer);
  faults.point('undo: connections judged');
  if (journal.lockFile) {
    if (journal.lockFile.text === undefined) await rm(journal.lockFile.path, { force: true });
    else await replaceFile(journal.lockFile.path, journal.lockFile.text, 0o644);
  }
  faults.point('undo: lock file back');
  await putRecordsBack(context, journal);
  return [];
}

/**
 * The records before and after the journal's change. Once a confirmed-to-be change is taken back, previous.json becomes applied.json
 * before the journal goes: a crash in between leaves no previous.json, and then applied.json is the older one already.
 */
async function recordsOf(
  store: Store,
  journal: Journal,
): Promise<{ readonly older: AppliedRecord | undefined; readonly newer: AppliedRecord | undefined }> {
  const older = journal.first ? undefined : await store.read('applied');
  if (journal.phase !== 'pending') return { older, newer: await store.read('next') };
  if (journal.first) return { older: undefined, newer: await store.read('applied') };
  const previous = await store.read('previous');
  return previous === undefined ? { older, newer: undefined } : { older: previous, newer: older };
}

/** What undo makes anew bears no tag for a moment either: the journal has to say so before, for the undo after a crash of this one. */
async function claim(
  { store }: ApplyContext,
  journal: Journal,
  claims: { readonly links: Set<string>; readonly namespaces: Set<string> },
  { makes }: Plan,
): Promise<void> {
  const before = claims.links.size + claims.namespaces.size;
  for (const name of makes.links) claims.links.add(name);
  for (const name of makes.namespaces) claims.namespaces.add(name);
  if (claims.links.size + claims.namespaces.size === before) return;
  await store
    .write('journal', { ...journal, claimedLinks: [...claims.links], claimedNamespaces: [...claims.namespaces] })
    .catch(() => undefined);
}

async function walk(
  context: ApplyContext,
  plan: Plan,
  older: AppliedRecord | undefined,
  newer: AppliedRecord | undefined,
): Promise<readonly Diagnostic[]> {
  const problems: Diagnostic[] = [];
  for (const step of plan.steps) {
    context.progress(`undo: ${step.title}`);
    try {
      context.faults.point(`undo before: ${step.title}`);
      await executeStep(step, context);
      context.faults.point(`undo after: ${step.title}`);
      if (step.kind === 'nft') await cutConnections(context.kernel, older, newer);
    } catch (error) {
      problems.push(...problemsOf(error, 'undo-failed'));
      if (foundations.has(step.kind)) break;
    }
  }
  return problems;
}

/** The journal goes last; everything before may be repeated. */
async function putRecordsBack({ store, faults }: ApplyContext, journal: Journal): Promise<void> {
  if (journal.phase === 'pending') {
    if (journal.first) await store.remove('applied');
    else if (store.exists('previous')) await store.move('previous', 'applied');
    faults.point('undo: record back');
  }
  await store.remove('next');
  await store.remove('digest');
  if (journal.first) for (const name of ['previous', 'originals', 'place'] as const) await store.remove(name);
  faults.point('undo: before the journal goes');
  await store.remove('journal');
  if (journal.first) await store.close();
}
