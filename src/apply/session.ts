/**
 * Opens what every command that changes or inspects the host needs: the kernel's door, the state directory, the lock.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { lockHolder, takeLock, type Lock, type LockHolder } from '../kernel/lock.ts';
import { openKernel } from '../kernel/open.ts';
import { faultsFromEnvironment } from './faults.ts';
import { lockPath, openStore, type Directories } from './store.ts';
import { checkPlace } from './place.ts';
import { repair, type Repair } from './repair.ts';
import { leaveIfIdle } from './run-directory.ts';
import type { ApplyContext } from './context.ts';
import { armWatchdog } from './watchdog.ts';

export interface SessionOptions {
  readonly directories: Directories;
  readonly progress: (text: string) => void;
  readonly verbose?: (line: string) => void;
  /** Default `full`. */
  readonly stage?: ApplyContext['stage'];
}

/** Where resolv.conf files of named namespaces live (ip-netns(8)). */
const NETNS_CONFIG = '/etc/netns';

export function openSession(options: SessionOptions): ApplyContext {
  const kernel = openKernel();
  const { directories } = options;
  return {
    kernel,
    directories,
    store: openStore(directories.state),
    netnsConfig: NETNS_CONFIG,
    faults: faultsFromEnvironment(),
    progress: options.progress,
    stage: options.stage ?? 'full',
    ...(options.verbose === undefined ? {} : { verbose: options.verbose }),
    armWatchdog: (id) => {
      const program = process.argv[1];
      if (program === undefined) throw new Error('Weft does not know its own program');
      const args = ['watchdog', id, '--state-dir', directories.state, '--run-dir', directories.run];
      return armWatchdog(directories, id, (logFile) =>
        kernel.startDetached(process.execPath, [...process.execArgv, program, ...args], { logFile, env: { WEFT_FAULT: '' } }),
      );
    },
  };
}

/** Weft reads all of the kernel's rules, and changes them: both take root. Throws WeftError `not-root` (exit 2). */
export function requireRoot(command: string): void {
  if (process.getuid?.() === 0) return;
  throw new WeftError(2, [
    {
      code: 'not-root',
      severity: 'error',
      message: `${command} needs root, as it reads and changes this host's network: run it with sudo`,
    },
  ]);
}

export interface LockOptions {
  /** How long to wait for another run to end, in milliseconds; default: not at all. */
  readonly waitMs?: number;
  /** Go on also when an interrupted change could not be undone: what is left is a warning then. */
  readonly leaving?: boolean;
}

/**
 * Holds the lock while `work` runs, after bringing an interrupted change to its end; `work` is told how that went. Throws WeftError `busy` (exit 5) when
 * another run holds it, `foreign-state` (exit 2) when the records are another namespace's, and exit 4 when an interrupted change could not be undone.
 */
export async function withLock<T>(
  context: ApplyContext,
  report: (diagnostic: Diagnostic) => void,
  work: (repaired: Repair['what']) => Promise<T>,
  options: LockOptions = {},
): Promise<T> {
  const path = lockPath(context.directories);
  const lock = await lockOrRefuse(context, path, options.waitMs ?? 0);
  try {
    await context.store.sweep();
    await checkPlace(context);
    return await work(await bringToEnd(context, report, options));
  } finally {
    await leaveIfIdle(context);
    await lock.release();
  }
}

/** A holder says who it is right after it has the lock, and is silent once it lets go: a silent one is asked again, and its lock tried again, this long. */
const silenceMs = 5000;
/** `weft watch` mends something and is soon done, and so is the watchdog; nobody who calls another command can be expected to know of them. */
const watchMs = 30_000;

function patienceWith(holder: LockHolder | undefined): number {
  if (holder === undefined) return silenceMs;
  return holder.command.split(' ').some((word) => word === 'watch' || word === 'watchdog') ? watchMs : 0;
}

async function lockOrRefuse({ kernel }: ApplyContext, path: string, waitMs: number): Promise<Lock> {
  const start = performance.now();
  for (;;) {
    const lock = await takeLock(kernel, path);
    if (lock !== undefined) return lock;
    const waited = performance.now() - start;
    const holder = lockHolder(path);
    if (waited >= Math.max(waitMs, patienceWith(holder))) {
      const who = holder === undefined ? 'another run of Weft' : `\`${holder.command}\` (pid ${holder.pid})`;
      throw new WeftError(5, [
        { code: 'busy', severity: 'error', message: `${who} is changing this host; wait until it has ended and try again` },
      ]);
    }
    await sleep(50);
  }
}

async function bringToEnd(
  context: ApplyContext,
  report: (diagnostic: Diagnostic) => void,
  { leaving = false }: LockOptions,
): Promise<Repair['what']> {
  const { what, left } = await repair(context);
  const warn = (message: string): void => report({ code: 'repaired', severity: 'warning', message });
  if (left.length > 0) {
    if (!leaving) throw new WeftError(4, left);
    for (const problem of left) report({ ...problem, severity: 'warning' });
    return 'nothing';
  }
  if (what === 'undone') warn('an earlier change was interrupted half-way; it has been undone: the host is as it was before it');
  if (what === 'finished') warn('an earlier change was interrupted after its last step; it has been finished');
  if (what === 'expired') warn('an earlier change was not confirmed in time; it has been undone: the host is as it was before it');
  return what;
}
