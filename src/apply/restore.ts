/**
 * Brings back what was applied last, from the state directory alone: after a reboot (the boot units run it, docs/boot.md), or by hand. No file is read and
 * nothing is decided anew. It is the transaction that every change is, with the record as its goal, so it may be cut off anywhere and run again.
 */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { HostState } from '../hoststate/model.ts';
import { setResolved } from '../kernel/resolved.ts';
import type { Change } from '../plan/steps.ts';
import { findDrift } from './drift.ts';
import { refuseTaken } from './taken.ts';
import type { ApplyContext } from './context.ts';
import { refuseWhilePending, transact } from './transaction.ts';

export interface Restored {
  readonly changes: readonly Change[];
  /** What of the record could not be had. */
  readonly problems: readonly Diagnostic[];
  /** Guests whose container has ended, as all have after a reboot. */
  readonly detached: readonly string[];
}

/** The caller holds the lock. Undefined: nothing is applied. Throws as {@link transact}, and `name-in-use` when a name is somebody else's now. */
export async function restore(context: ApplyContext): Promise<Restored | undefined> {
  const { store, stage } = context;
  await refuseWhilePending(context);
  const applied = await store.read('applied');
  if (applied === undefined) return undefined;
  const { plan, wanted, observed } = await findDrift(context, applied);
  const { record, state, missing, detached } = wanted;
  if (plan.steps.length > 0) {
    await refuseTaken(context, observed, state);
    await transact(context, { record, command: 'restore', keepRecord: record === applied, keepPrevious: true, keepLock: true }, plan);
  }
  if (stage === 'full') await tellResolved(context, state.services);
  const problems = missing.map((name): Diagnostic => ({
    code: 'interface-missing',
    severity: 'warning',
    message: `what was applied here sets up the interface ${name}, which this host does not have (any more); all else is restored. Bring it back and run \`weft restore\` again, or change the file and run \`weft apply\``,
  }));
  return { changes: plan.changes, problems, detached };
}

/** systemd-resolved starts after the early part of the boot: it has to be told again of the networks' servers. */
async function tellResolved({ kernel }: ApplyContext, services: HostState['services']): Promise<void> {
  for (const service of services) if (service.kind === 'dnsmasq' && service.resolved) await setResolved(kernel, service.resolved);
}
