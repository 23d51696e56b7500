/**
 * What a person says of an applied change: keep it, or go back.
 */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { planChanges } from '../plan/plan.ts';
import { refuseTaken } from './taken.ts';
import { liveAttachments } from './attachments.ts';
import { ownState } from './observation.ts';
import { withAttachments } from './record.ts';
import type { ApplyContext } from './context.ts';
import { transact, type Outcome } from './transaction.ts';
import { holdSignals } from './signals.ts';
import { undo } from './undo.ts';

/** Keeps the change that waits for it (the one of that id, if given). The watchdog sees the journal gone and ends. */
export async function confirmPending(context: ApplyContext, id?: string): Promise<'confirmed' | 'nothing'> {
  const journal = await context.store.read('journal');
  if (journal?.phase !== 'pending' || (id !== undefined && journal.id !== id)) return 'nothing';
  context.faults.point('before the change is kept');
  await context.store.remove('journal');
  return 'confirmed';
}

/** Takes the change that waits for confirmation (the one of that id, if given) back. Returns what could not be undone; undefined: there is no such change. */
export async function rollBackPending(context: ApplyContext, id?: string): Promise<readonly Diagnostic[] | undefined> {
  const journal = await context.store.read('journal');
  if (journal?.phase !== 'pending' || (id !== undefined && journal.id !== id)) return undefined;
  const signals = holdSignals();
  try {
    return await undo(context, journal);
  } finally {
    signals.releaseOnceTold();
  }
}

/** Goes back to the record before the last apply, as a transaction of its own; a second time goes forward again. Undefined: there is none. */
export async function rollBack(context: ApplyContext): Promise<Outcome | undefined> {
  const { store } = context;
  const previous = await store.read('previous');
  const applied = await store.read('applied');
  if (previous === undefined) return undefined;
  // A container attached since stays attached.
  const record = withAttachments(previous, await liveAttachments(applied?.attachments ?? {}));
  // Not what the earlier record had made: what bears its names now is somebody else's.
  const observed = await ownState(context, record.state, applied === undefined ? [] : [applied]);
  await refuseTaken(context, observed, record.state);
  return transact(context, { record, command: 'rollback' }, planChanges(observed, record.state));
}
