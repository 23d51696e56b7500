/**
 * Which kernel a state directory speaks of: the boot, the network namespace, and the run directory of its services. Records of another
 * namespace are refused; after a reboot they stand, but what the old kernel's settings were before Weft is of no use any more.
 */
import { existsSync } from 'node:fs';
import { rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { bootTime } from '../kernel/clock.ts';
import { isNamespaceAlive, namespaceIdentity } from '../kernel/netns.ts';
import type { Place } from './store.ts';
import type { ApplyContext } from './context.ts';

async function here({ kernel, directories }: ApplyContext): Promise<Place> {
  const [now, netns] = await Promise.all([bootTime(kernel), namespaceIdentity(kernel.netns ?? '/proc/self/ns/net')]);
  return { boot: now.boot, netns: netns ?? '', run: directories.run };
}

/** Before the first change: whose records these will be. */
export async function rememberPlace(context: ApplyContext): Promise<void> {
  if (!context.store.exists('place')) await context.store.write('place', await here(context));
}

/**
 * To be called with the lock held, before the records are used. Throws WeftError `foreign-state` (exit 2) when they are of another
 * namespace that still lives, or of other services of this one.
 */
export async function checkPlace(context: ApplyContext): Promise<void> {
  const { store } = context;
  const place = await store.read('place');
  if (place === undefined) return;
  const now = await here(context);
  if (place.boot === now.boot && place.netns === now.netns) {
    if (place.run === now.run) return;
    throw foreign(
      `what is applied here runs its services in ${place.run}, not in ${now.run}: use --run-dir ${place.run} (or \`weft destroy\` with it first)`,
    );
  }
  if (place.boot === now.boot && (await isNamespaceAlive(place.netns))) {
    throw foreign(`${store.directory} tells of another network namespace of this machine: run weft there, or use another --state-dir here`);
  }
  await removeResolvers(context);
  await store.remove('digest');
  await store.remove('originals');
  await store.write('place', now);
}

/** Namespaces end with their boot, their resolv.conf files (ip-netns(8)) do not. */
async function removeResolvers({ store, netnsConfig }: ApplyContext): Promise<void> {
  for (const { netns } of (await store.read('applied'))?.state.guests ?? []) {
    if (netns.kind === 'made' && !existsSync(`/run/netns/${netns.namespace}`))
      await rm(join(netnsConfig, netns.namespace), { recursive: true, force: true });
  }
  await rmdir(netnsConfig).catch(() => undefined);
}

function foreign(message: string): WeftError {
  const diagnostic: Diagnostic = { code: 'foreign-state', severity: 'error', message };
  return new WeftError(2, [diagnostic]);
}
