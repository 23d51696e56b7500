/**
 * Which running process a pid file means. A pid alone is not enough: numbers are used again, and Weft must never signal
 * a stranger. A process is ours when its command line carries the path of the service's own configuration, and its start time is
 * the recorded one where one was recorded (proc(5)).
 */
import { readFileSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ProcessIdentity {
  readonly pid: number;
  /** Clock ticks since boot, field 22 of /proc/PID/stat; as text because it may exceed 2^53. */
  readonly started: string;
}

/** The process `pid` when it runs and has `argument` among its arguments; undefined when it does not run, is a zombie, or is somebody else's. */
export function identify(pid: number, argument: string): ProcessIdentity | undefined {
  if (!Number.isInteger(pid) || pid < 2) return undefined;
  const command = readProc(pid, 'cmdline');
  // A zombie has an empty command line.
  if (command === undefined || !command.split('\0').includes(argument)) return undefined;
  const started = startTime(pid);
  return started === undefined ? undefined : { pid, started };
}

/** Undefined when the process has ended, also when nobody has taken note of it yet (a zombie). */
function startTime(pid: number): string | undefined {
  const stat = readProc(pid, 'stat');
  // The name in parentheses may hold spaces and parentheses itself; what follows the last one is plain.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

/** True while a process started here goes on, also in the moment in which it becomes another program and has no command line. */
export const isAlive = (pid: number): boolean => startTime(pid) !== undefined;

/** As {@link identify}, for the number in a pid file. */
export function identifyByFile(pidFile: string, argument: string): ProcessIdentity | undefined {
  try {
    return identify(Number(readFileSync(pidFile, 'utf8').trim()), argument);
  } catch {
    return undefined;
  }
}

/** True when the process lives in the network namespace of that path (undefined: in this one). */
export function isInNamespace(pid: number, netns: string | undefined): boolean {
  try {
    const theirs = statSync(`/proc/${pid}/ns/net`);
    const wanted = statSync(netns ?? '/proc/self/ns/net');
    return theirs.ino === wanted.ino && theirs.dev === wanted.dev;
  } catch {
    return false;
  }
}

/** Sends a signal to exactly this process; false when it is gone or its number now belongs to another. */
export function signal(identity: ProcessIdentity, argument: string, name: 'SIGTERM' | 'SIGHUP' | 'SIGKILL'): boolean {
  if (identify(identity.pid, argument)?.started !== identity.started) return false;
  try {
    process.kill(identity.pid, name);
    return true;
  } catch {
    return false;
  }
}

/** SIGTERM, and SIGKILL after 3 s; resolves when the process is gone and its sockets are closed. */
export async function terminate(identity: ProcessIdentity, argument: string): Promise<void> {
  // Not by its command line: that is empty a moment before the sockets are closed.
  const gone = (): boolean => startTime(identity.pid) !== identity.started;
  for (const name of ['SIGTERM', 'SIGKILL'] as const) {
    if (!signal(identity, argument, name)) return;
    if (await until(gone, 3000)) return;
  }
}

/** True when the process itself holds a UDP socket bound to `port`. */
export function listensOnUdp(pid: number, port: number): boolean {
  const inodes = new Set<string>();
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  for (const table of ['net/udp', 'net/udp6'])
    for (const line of (readProc(pid, table) ?? '').split('\n').slice(1)) {
      const fields = line.trim().split(/\s+/);
      if (fields[1]?.endsWith(suffix) === true && fields[9] !== undefined) inodes.add(`socket:[${fields[9]}]`);
    }
  if (inodes.size === 0) return false;
  try {
    return readdirSync(`/proc/${pid}/fd`).some((fd) => inodes.has(linkOf(`/proc/${pid}/fd/${fd}`)));
  } catch {
    return false;
  }
}

/** Asks every few milliseconds until `condition` holds; false when it does not within `limitMs`. */
export async function until(condition: () => boolean, limitMs: number): Promise<boolean> {
  const end = performance.now() + limitMs;
  for (let pause = 1; !condition(); pause = Math.min(5, pause * 2)) {
    if (performance.now() >= end) return false;
    await sleep(pause);
  }
  return true;
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function readProc(pid: number, entry: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${entry}`, 'utf8');
  } catch {
    return undefined;
  }
}
