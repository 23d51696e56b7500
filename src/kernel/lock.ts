/**
 * The lock that keeps two changing runs of Weft apart. A child (`flock … cat`) holds it, whose standard input is a pipe from
 * us: however Weft ends, also by kill -9, the pipe closes, the child ends and the lock is free at once. A file that says "locked"
 * could not do that. The file's content only tells others who holds it.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Kernel } from './kernel.ts';
import { isOfTerminal, RESTARTS } from './terminal-signals.ts';

export interface Lock {
  /** Frees the lock; resolves once it is free. May be called twice. */
  release(): Promise<void>;
}

export interface LockHolder {
  readonly pid: number;
  /** `weft apply --yes` */
  readonly command: string;
}

/** Exit status asked of flock when somebody else holds the lock (flock(1), --conflict-exit-code). */
const conflict = 75;

/** Takes the lock without waiting; undefined when another run holds it (see {@link lockHolder}). Makes the file and its directory. */
export async function takeLock(kernel: Kernel, path: string): Promise<Lock | undefined> {
  for (let again = 0; ; again++) {
    mkdirSync(dirname(path), { recursive: true });
    const taken = await tryLock(kernel, path);
    if (typeof taken !== 'string') return taken;
    if (again === RESTARTS) throw notTaken(path, `${reasons[taken]} again and again`);
  }
}

const reasons = { terminal: 'the terminal interrupted it', removed: 'somebody removed it' } as const;

async function tryLock(kernel: Kernel, path: string): Promise<Lock | undefined | keyof typeof reasons> {
  // Own session: a Ctrl-C meant for Weft, which Weft answers by undoing its work, must not free the lock under it.
  const child = spawn(
    kernel.programPath('flock'),
    ['--nonblock', '--no-fork', `--conflict-exit-code=${conflict}`, path, kernel.programPath('cat')],
    {
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
    },
  );
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on('error', () => resolve(-1));
    child.on('close', (code, signal) => resolve(code ?? signal));
  });
  child.stdin.on('error', () => undefined);
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
  // cat answers only once flock has the lock and has become cat.
  const held = new Promise<'held'>((resolve) => child.stdout.once('data', () => resolve('held')));
  child.stdin.write('held\n');
  const outcome = await Promise.race([held, ended]);
  if (outcome === conflict) return undefined;
  if (outcome !== 'held' && isOfTerminal(outcome)) return 'terminal';
  if (outcome !== 'held') throw notTaken(path, said.trim() || `flock ended with ${outcome}`);
  if (isDeleted(child.pid, path)) {
    child.stdin.end();
    await ended;
    return 'removed';
  }
  const holder: LockHolder = { pid: process.pid, command: ownCommand() };
  writeFileSync(path, `${JSON.stringify(holder)}\n`);
  // The lock alone must not keep Weft alive.
  child.unref();
  let released = false;
  return {
    release: async () => {
      // Still ours: the next holder must not be taken for us. `weft destroy` has removed the file by now.
      if (!released && existsSync(path)) truncateSync(path);
      released = true;
      child.ref();
      child.stdin.end();
      await ended;
    },
  };
}

/** The file was opened, and before it was locked its last holder took it away: the next one would make a new file and lock that. */
function isDeleted(pid: number | undefined, path: string): boolean {
  if (!existsSync(path)) return true;
  const descriptors = `/proc/${pid}/fd`;
  return readdirSync(descriptors).some((fd) => {
    try {
      return readlinkSync(`${descriptors}/${fd}`).endsWith(`/${basename(path)} (deleted)`);
    } catch {
      return false;
    }
  });
}

const notTaken = (path: string, why: string): WeftError =>
  new WeftError(2, [{ code: 'program-failed', severity: 'error', message: `The lock ${path} cannot be taken: ${why}` }]);

/**
 * Who holds the lock; meaningful only right after {@link takeLock} returned undefined. Undefined while a new holder has not said so yet, and once the
 * last one has let go.
 */
export function lockHolder(path: string): LockHolder | undefined {
  const holder = readHolder(path);
  return holder !== undefined && isRunning(holder.pid) ? holder : undefined;
}

function readHolder(path: string): LockHolder | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (typeof value !== 'object' || value === null || !('pid' in value) || !('command' in value)) return undefined;
    return typeof value.pid === 'number' && typeof value.command === 'string' ? { pid: value.pid, command: value.command } : undefined;
  } catch {
    return undefined;
  }
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function ownCommand(): string {
  return ['weft', ...process.argv.slice(2)].join(' ');
}
