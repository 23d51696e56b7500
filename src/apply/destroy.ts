/**
 * Leaving: everything of Weft goes, the host-wide settings go back. Works without a record too, from the tags on links and the names of tables.
 */
import { rm, rmdir } from 'node:fs/promises';
import { WEFT_ALIAS_PREFIX, type GuestSide, type HostState } from '../hoststate/model.ts';
import { farEnds } from '../kernel/links.ts';
import { emptyState, planChanges } from '../plan/plan.ts';
import type { Plan } from '../plan/steps.ts';
import { ownState, type Claims } from './observation.ts';
import { lockPath } from './store.ts';
import type { ApplyContext } from './context.ts';
import { forgetEverything, transact } from './transaction.ts';

export interface PreparedDestroy {
  readonly observed: HostState;
  readonly plan: Plan;
  readonly claims: Claims;
  /** Something of Weft is here and no record tells of it: what host-wide settings were before, nobody knows. */
  readonly lost: boolean;
}

export async function planDestroy(context: ApplyContext): Promise<PreparedDestroy> {
  const { store } = context;
  // A change that could neither be finished nor undone is no obstacle to leaving: what it has made goes too.
  const journal = await store.read('journal');
  const records = [await store.read('applied'), journal && (await store.read('next'))].filter((record) => record !== undefined);
  const claims = { links: journal?.claimedLinks ?? [], namespaces: journal?.claimedNamespaces ?? [] };
  const known = records.at(-1)?.state;
  const goal = emptyState(known?.fabric ?? '', known?.host ?? '');
  const seen = await ownState(context, goal, records, claims);
  const observed = records.length > 0 ? seen : { ...seen, guests: await unrecordedGuests(context) };
  const plan = planChanges(observed, goal);
  return { observed, claims, plan, lost: records.length === 0 && plan.steps.length > 0 };
}

/** Namespaces that Weft must have made: the far end of a port of its own stands in one that is named after the port's fabric and guest. */
async function unrecordedGuests({ kernel }: ApplyContext): Promise<readonly GuestSide[]> {
  const ends = await farEnds(kernel, WEFT_ALIAS_PREFIX);
  const names = new Set(
    ends.flatMap(({ alias, namespace }) => {
      const [, fabric, guest] = /^weft:([^:]*):port:([^.]*)/.exec(alias) ?? [];
      return namespace === `${fabric}-${guest?.toLowerCase()}` ? [namespace] : [];
    }),
  );
  return [...names].map((namespace) => ({ guest: namespace, netns: { kind: 'made', namespace }, interfaces: [], sysctls: [] }));
}

/** Throws as {@link transact}. */
export async function destroyAll(context: ApplyContext, { plan, claims }: PreparedDestroy): Promise<void> {
  const goal = { record: undefined, command: 'destroy', claims };
  if (plan.steps.length > 0) await transact(context, goal, plan);
  else await forgetEverything(context);
}

/** After the lock is free: the lock's file and directory, if nothing else is in it. */
export async function removeRunDirectory(context: ApplyContext): Promise<void> {
  await rm(lockPath(context.directories), { force: true });
  for (const name of ['watchdog.log', 'watchdog', 'script', 'handover.lock'])
    await rm(`${context.directories.run}/${name}`, { force: true });
  for (const name of ['services', 'names', '']) await rmdir(`${context.directories.run}/${name}`).catch(() => undefined);
}
