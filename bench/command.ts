/** Runs a whole command, as a user does, and measures it: time on the wall, where the time went (WEFT_TIMING=1), memory. */
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';

export interface Measured {
  readonly ms: number;
  readonly status: number;
  readonly out: string;
  readonly err: string;
  /** Phase to milliseconds, of the Weft process. */
  readonly phases: Readonly<Record<string, number>>;
  /** Highest resident size of the Weft process, MB. */
  readonly ownMb: number | undefined;
  /** Highest sum of the resident sizes of the command and all it started, MB; only when asked for, as looking costs time. */
  readonly treeMb: number | undefined;
}

export interface MeasureOptions {
  readonly memory?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

export async function measure(argv: readonly string[], { memory = false, env = {} }: MeasureOptions = {}): Promise<Measured> {
  const [program = '', ...args] = argv;
  const started = performance.now();
  const child = spawn(program, args, { env: { ...process.env, WEFT_TIMING: '1', ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  let peakKb = 0;
  const look = memory ? setInterval(() => (peakKb = Math.max(peakKb, treeKb(child.pid ?? 0))), 10) : undefined;
  // `exit`, not `close`: services that go on after the command may hold its standard error open.
  const status = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? -1));
  });
  const ms = performance.now() - started;
  clearInterval(look);
  await new Promise((resolve) => setTimeout(resolve, 20));
  const phases = Object.fromEntries(
    [...err.matchAll(/^timing (?!peak-rss)(\S+) ([\d.]+)$/gm)].map((line) => [line[1] ?? '', Number(line[2])]),
  );
  const own = /^timing peak-rss (\d+)$/m.exec(err)?.[1];
  return {
    ms,
    status,
    out,
    err,
    phases,
    ownMb: own === undefined ? undefined : Number(own) / 1024,
    treeMb: memory ? peakKb / 1024 : undefined,
  };
}

/** Resident memory of a process and all its descendants now, kB (proc(5): /proc/PID/status, /proc/PID/stat). */
function treeKb(root: number): number {
  const parents = new Map<number, number>();
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid)) continue;
    const stat = read(`/proc/${pid}/stat`);
    const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields) parents.set(pid, Number(fields[1]));
  }
  let sum = 0;
  for (const pid of parents.keys()) {
    let ancestor: number | undefined = pid;
    while (ancestor !== undefined && ancestor !== root) ancestor = parents.get(ancestor);
    if (ancestor === root) sum += Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`) ?? '')?.[1] ?? 0);
  }
  return sum;
}

/** Processes end while one looks. */
function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2;
}
