/** The run directory of a host on which nothing of Weft is: it goes, whoever was the last to need it. */
import { rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApplyContext } from './context.ts';
import { lockPath } from './store.ts';

/** Nothing is applied and nothing under way. */
export const isIdle = ({ store }: ApplyContext): boolean => !store.exists('applied') && !store.exists('journal');

/** To be called while the lock is held, so that nobody has it by then. `also`: files beside it that have served their purpose. */
export async function leaveIfIdle(context: ApplyContext, also: readonly string[] = []): Promise<void> {
  if (!isIdle(context)) return;
  const { run } = context.directories;
  for (const path of [lockPath(context.directories), ...also]) await rm(path, { force: true });
  for (const name of ['services', 'names', '']) await rmdir(join(run, name)).catch(() => undefined);
}
