/**
 * The process that takes an unconfirmed change back. It is started before the first change, in a session of its own, so that it outlives the
 * apply, its terminal and the connection the person is logged in through. It does nothing but wait and, at the deadline, undo.
 */
import { existsSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { bootTime } from '../kernel/clock.ts';
import { takeLock } from '../kernel/lock.ts';
import { isOverdue } from './repair.ts';
import { isIdle, leaveIfIdle } from './run-directory.ts';
import { lockPath, readFileIfThere, type Directories } from './store.ts';
import type { ApplyContext } from './context.ts';
import { finishCommit } from './transaction.ts';
import { undo } from './undo.ts';

/** How often it looks whether it is still needed, in milliseconds. */
const POLL_MS = 500;
/** When undoing fails it is tried again: nobody else may be able to reach this host. */
const ATTEMPTS = 5;
/** How long a watchdog may take to say that it watches. */
const ARM_MS = 15_000;

/** Holds the journal's id while its watchdog runs. */
const markPath = (directories: Directories): string => join(directories.run, 'watchdog');
const logPath = (directories: Directories): string => join(directories.run, 'watchdog.log');

/** Starts the watchdog by `start` and resolves once it has said that it watches. Throws WeftError when it does not: then nothing may be changed. */
export async function armWatchdog(directories: Directories, id: string, start: (logFile: string) => Promise<number>): Promise<void> {
  await mkdir(directories.run, { recursive: true });
  const logFile = logPath(directories);
  await rm(logFile, { force: true });
  const pid = await start(logFile);
  for (const end = performance.now() + ARM_MS; performance.now() < end; await sleep(10)) {
    if ((await readFileIfThere(markPath(directories)).catch(() => undefined)) === id) return;
    if (!isRunning(pid)) break;
  }
  const said = (await readFileIfThere(logFile))?.trim().split('\n').at(-1);
  const problem: Diagnostic = {
    code: 'apply-failed',
    severity: 'error',
    message: `The process that would take the change back without a confirmation does not start (${said || 'it said nothing'}).`,
  };
  throw new WeftError(3, [problem]);
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Resolves when journal `id` is confirmed, ended otherwise, or undone. Returns whether it undid something and what was left. */
export async function watch(context: ApplyContext, id: string): Promise<'ended' | 'undone' | 'left'> {
  const mark = markPath(context.directories);
  await writeFile(mark, id);
  try {
    return await waitAndUndo(context, id);
  } finally {
    if ((await readFileIfThere(mark)) === id) await rm(mark, { force: true });
    await leave(context);
  }
}

/** Where a first apply has been taken back nothing stays, this process's own log included. Whoever has the lock now sees to the rest. */
async function leave(context: ApplyContext): Promise<void> {
  const { kernel, directories } = context;
  if (!isIdle(context) || !existsSync(directories.run)) return;
  const lock = await takeLock(kernel, lockPath(directories)).catch(() => undefined);
  if (lock === undefined) return;
  await leaveIfIdle(context, [logPath(directories)]);
  await lock.release();
}

async function waitAndUndo(context: ApplyContext, id: string): Promise<'ended' | 'undone' | 'left'> {
  const { store, kernel, directories } = context;
  for (let attempts = 0; attempts < ATTEMPTS; await sleep(POLL_MS)) {
    // Not readable for the moment is not gone.
    if (!existsSync(store.directory)) return 'ended';
    const seen = await store.read('journal').catch(() => 'unreadable' as const);
    if (seen === 'unreadable') continue;
    if (seen?.id !== id) return 'ended';
    if (!isOverdue(seen, await bootTime(kernel))) continue;
    const lock = await takeLock(kernel, lockPath(directories));
    if (lock === undefined) continue;
    try {
      let journal = await store.read('journal');
      if (journal?.id === id && journal.phase === 'committing') {
        // The apply died while it renamed its records; only then undo knows which is the old one.
        await finishCommit(context, journal);
        journal = await store.read('journal');
      } else if (journal && !isOverdue(journal, await bootTime(kernel))) continue;
      if (journal?.id !== id) return 'ended';
      const left = await undo(context, journal);
      for (const problem of left) context.progress(problem.message);
      if (left.length === 0) return 'undone';
      attempts++;
    } finally {
      await lock.release();
    }
  }
  return 'left';
}
