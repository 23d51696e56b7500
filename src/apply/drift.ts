/**
 * How what is there differs from what was applied: the plan that leads back is the difference. `status` tells it, `watch` and `restore` walk it.
 */
import type { Plan, Change } from '../plan/steps.ts';
import { earlyPart } from '../plan/attainable.ts';
import { planChanges } from '../plan/plan.ts';
import type { HostState } from '../hoststate/model.ts';
import type { Observation, ObserveOptions } from '../kernel/observe.ts';
import { attainable, type Attainable } from './attainable.ts';
import { lookInside, observeHost, ownPart } from './observation.ts';
import type { AppliedRecord } from './store.ts';
import type { ApplyContext } from './context.ts';
import { withVanished } from './vanished.ts';

export interface Drift {
  /** What differs; empty where only what a container has left behind is there. */
  readonly changes: readonly Change[];
  /** The way back, as far as it can be gone. */
  readonly plan: Plan;
  /** What it was compared with, and what of that can be had. */
  readonly applied: AppliedRecord;
  readonly wanted: Attainable;
  readonly observed: HostState;
  readonly seen: Observation;
}

export interface LookOptions {
  /** Look into the namespaces of guests as well. */
  readonly inside?: boolean;
  /** As in {@link ObserveOptions}. */
  readonly known?: ObserveOptions['known'];
}

/** Reads the kernel and changes nothing. */
export async function findDrift(context: ApplyContext, applied: AppliedRecord, options: LookOptions = {}): Promise<Drift> {
  const wanted = await attainable(context, await withVanished(context, applied));
  const originals = (await context.store.read('originals')) ?? {};
  const seen = await observeHost(context.kernel, wanted.state, originals, [applied], options.known);
  const all = ownPart(context, seen, wanted.state, [applied]);
  // Early, what is on interfaces of others stays as it is.
  const own = context.stage === 'early' ? earlyPart(all) : all;
  const observed = options.inside === true ? await lookInside(context, own) : own;
  const plan = planChanges(observed, wanted.state);
  const gone = new Set(wanted.detached);
  const missing = wanted.missing.map((name): Change => ({ action: 'create', kind: 'interface', name }));
  const changes = [...plan.changes.filter((change) => !isLeftover(change, applied, gone)), ...missing];
  return { changes, plan, applied, wanted, observed, seen };
}

/** The guard of a port whose container has ended waits for it to come back: `netdev weft p_<port>`. */
function isLeftover({ action, kind, name }: Change, record: AppliedRecord, gone: ReadonlySet<string>): boolean {
  if (action !== 'delete' || kind !== 'chain') return false;
  return record.fabric.guests.some((guest) => gone.has(guest.name) && guest.nics.some((nic) => name === `netdev weft p_${nic.port}`));
}
