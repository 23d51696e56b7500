/**
 * Brings an interrupted change to its end: forward when only its files were left to rename, else back.
 */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { bootTime, type BootTime } from '../kernel/clock.ts';
import { settleHandovers } from '../kernel/handover.ts';
import type { Journal } from './store.ts';
import type { ApplyContext } from './context.ts';
import { finishCommit } from './transaction.ts';
import { undo } from './undo.ts';

export interface Repair {
  readonly what: 'nothing' | 'undone' | 'finished' | 'expired';
  readonly left: readonly Diagnostic[];
}

/** The caller holds the lock. */
export async function repair(context: ApplyContext): Promise<Repair> {
  await settleHandovers(context.kernel, context.directories.run);
  const journal = await context.store.read('journal');
  if (journal === undefined) return { what: 'nothing', left: [] };
  if (journal.phase === 'changing' || journal.undoing === true) return { what: 'undone', left: await undo(context, journal) };
  if (journal.phase === 'committing') {
    await finishCommit(context, journal);
    return { what: 'finished', left: [] };
  }
  if (!isOverdue(journal, await bootTime(context.kernel))) return { what: 'nothing', left: [] };
  return { what: 'expired', left: await undo(context, journal) };
}

/** Nobody has confirmed in time. A reboot is the last resort of a person who is locked out: it counts as no. */
export function isOverdue({ deadline }: Journal, now: BootTime): boolean {
  return deadline !== undefined && (now.boot !== deadline.boot || now.ms >= deadline.ms);
}
