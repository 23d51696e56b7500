/**
 * A program that goes on running and is talked to in lines: the twin's probing agents and tcpdump. `Kernel.run` waits for the
 * end, which is too late for these. The program ends with Weft at the latest (its standard input closes).
 */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Kernel } from './kernel.ts';

export interface LineProcess {
  readonly pid: number | undefined;
  /** Writes one line to its standard input. Without effect once it has ended. */
  send(line: string): void;
  /** `signal` default SIGKILL. Resolves when it has ended and all its output was handed over. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  /** Resolves when the program has ended, by whatever cause. */
  readonly ended: Promise<{ readonly status: number | undefined; readonly stderr: string }>;
}

export interface LineListeners {
  readonly onLine?: (line: string) => void;
  readonly onErrorLine?: (line: string) => void;
}

/** Starts `program` in the kernel's namespace. Throws WeftError `program-missing` when it is not installed. */
export function startLineProcess(kernel: Kernel, program: string, args: readonly string[], listeners: LineListeners = {}): LineProcess {
  const path = kernel.programPath(program);
  const argv = kernel.netns === undefined ? [path, ...args] : [kernel.programPath('nsenter'), `--net=${kernel.netns}`, '--', path, ...args];
  const child = spawn(argv[0] ?? path, argv.slice(1), { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } });
  const stderr: string[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => listeners.onLine?.(line));
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (stderr.length < 50) stderr.push(line);
    listeners.onErrorLine?.(line);
  });
  child.stdin.on('error', () => undefined);
  const ended = new Promise<{ status: number | undefined; stderr: string }>((resolve) => {
    child.on('error', (error) => resolve({ status: undefined, stderr: error.message }));
    child.on('close', (code) => resolve({ status: code ?? undefined, stderr: stderr.join('\n') }));
  });
  return {
    pid: child.pid,
    send: (line) => {
      if (child.stdin.writable) child.stdin.write(`${line}\n`);
    },
    stop: async (signal = 'SIGKILL') => {
      child.kill(signal);
      await ended;
    },
    ended,
  };
}
