/**
 * Opens the door to the running kernel: `Kernel` on `node:child_process`, for Weft's own network namespace or, through
 * `nsenter --net=`, for another one. Nothing is run through a shell; arguments are passed as they are.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { commandLine, isReadOnly } from './command-line.ts';
import type { CommandListener, Kernel, RunOptions, RunResult } from './kernel.ts';
import { programPath } from './programs.ts';
import { isOfTerminal, RESTARTS } from './terminal-signals.ts';

export interface OpenOptions {
  /** Path of a network namespace (`/run/netns/x`, `/proc/7/ns/net`); undefined: the one Weft runs in. */
  readonly netns?: string | undefined;
  /** Told of every command that changes something, before it runs. */
  readonly onCommand?: CommandListener | undefined;
}

/** Opens the kernel for one network namespace. Opening does nothing by itself: a wrong path shows at the first command. */
export function openKernel(options: OpenOptions = {}): Kernel {
  const { netns, onCommand } = options;

  function argv(program: string, args: readonly string[], endsWithWeft = false): readonly [string, readonly string[]] {
    const plain = [programPath(program), ...args] as const;
    // PR_SET_PDEATHSIG (prctl(2)) survives nsenter's and setpriv's execve.
    const [path, ...rest] = endsWithWeft ? [programPath('setpriv'), '--pdeathsig', 'KILL', '--', ...plain] : plain;
    return netns === undefined ? [path, rest] : [programPath('nsenter'), [`--net=${netns}`, '--', path, ...rest]];
  }

  function tell(program: string, args: readonly string[], runOptions: RunOptions = {}): void {
    if (onCommand && !isReadOnly(program, args))
      onCommand(commandLine(netns, program, args, runOptions.secret ? undefined : runOptions.input));
  }

  async function tryRun(program: string, args: readonly string[], runOptions: RunOptions = {}): Promise<RunResult> {
    const [path, all] = argv(program, args, runOptions.endsWithWeft);
    tell(program, args, runOptions);
    const describe = (): string => commandLine(netns, program, args, undefined);
    let ended = await collect(path, all, runOptions, describe);
    for (let again = 0; again < RESTARTS && endedByTerminal(ended); again++) ended = await collect(path, all, runOptions, describe);
    const { result } = ended;
    if (netns !== undefined && result.status !== 0 && /^nsenter: (cannot open|reassociate)/.test(result.stderr))
      throw namespaceGone(netns, result.stderr);
    return result;
  }

  async function run(program: string, args: readonly string[], runOptions: RunOptions = {}): Promise<string> {
    const result = await tryRun(program, args, runOptions);
    if (result.status === 0) return result.stdout;
    const said = (result.stderr.trim() || result.stdout.trim() || 'it said nothing').slice(0, 4000);
    throw failed(`\`${commandLine(netns, program, args, undefined)}\` failed with exit status ${result.status}: ${said}`);
  }

  async function startDetached(
    program: string,
    args: readonly string[],
    start: { readonly logFile?: string; readonly env?: Readonly<Record<string, string>> } = {},
  ): Promise<number> {
    const [path, all] = argv(program, args);
    onCommand?.(`${commandLine(netns, program, args, undefined)} &`);
    const log = start.logFile === undefined ? undefined : openSync(start.logFile, 'a', 0o640);
    try {
      const out = log ?? 'ignore';
      const child = spawn(path, all, { detached: true, stdio: ['ignore', out, out], cwd: '/', env: environment(start.env) });
      await started(child, path);
      child.unref();
      if (child.pid === undefined) throw failed(`${path} did not start.`);
      return child.pid;
    } finally {
      if (log !== undefined) closeSync(log);
    }
  }

  async function readSysctl(key: string): Promise<string | undefined> {
    const path = sysctlPath(key);
    if (netns === undefined) {
      try {
        return readFileSync(path, 'utf8').trimEnd();
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw failed(`The setting ${path} cannot be read: ${String(error)}`, error);
      }
    }
    // /proc/sys/net shows the reader's namespace, so the reader has to be inside.
    const result = await tryRun('cat', [path]);
    if (result.status === 0) return result.stdout.trimEnd();
    if (result.stderr.includes('No such file or directory')) return undefined;
    throw failed(`The setting ${path} cannot be read: ${result.stderr.trim()}`);
  }

  async function writeSysctl(key: string, value: string): Promise<void> {
    const path = sysctlPath(key);
    if (netns !== undefined) {
      // `sysctl -w` exits 0 for some refused values; tee reports what write(2) said.
      await run('tee', [path], { input: `${value}\n` });
      return;
    }
    onCommand?.(`echo ${value} > ${path}`);
    try {
      writeFileSync(path, `${value}\n`);
    } catch (error) {
      throw failed(`The setting ${path} cannot be set to ${value}: ${error instanceof Error ? error.message : String(error)}`, error);
    }
  }

  return { netns, tryRun, run, startDetached, readSysctl, writeSysctl, programPath, at: (path) => openKernel({ netns: path, onCommand }) };
}

/** Path of a sysctl under /proc. Keys come from the compiler; a key that leaves /proc/sys is a bug and refused. */
export function sysctlPath(key: string): string {
  if (!/^[a-z0-9_]+(\/[A-Za-z0-9_.@:+-]+)+$/.test(key) || key.split('/').includes('..'))
    throw failed(`${key} is not the name of a kernel setting.`);
  return `/proc/sys/${key}`;
}

const defaultTimeoutMs = 60_000;

interface Ended {
  readonly result: RunResult;
  /** What ended it, where it did not end by itself. */
  readonly signal: NodeJS.Signals | null;
}

/** It had not become the program yet (terminal-signals.ts). */
const endedByTerminal = ({ signal, result }: Ended): boolean => isOfTerminal(signal) && result.stdout === '' && result.stderr === '';

/** Runs to the end with all output captured. Output that arrives after SIGKILL is not waited for: a grandchild may hold the pipe open. */
function collect(path: string, args: readonly string[], options: RunOptions, describe: () => string): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
    const child = spawn(path, args, {
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
      env: environment(options.env),
      // A session of its own: the terminal's Ctrl-C is for Weft, which answers it in order, and not for what it runs.
      detached: true,
    });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      child.stdout?.destroy();
      child.stderr?.destroy();
      reject(failed(`\`${describe()}\` was still running after ${timeoutMs / 1000} s and was killed.`));
    }, timeoutMs);
    child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
    child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk));
    // A program that ends without reading all of its input makes EPIPE here; its exit status tells the story.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(failed(`${path} cannot be started: ${error.message}`, error));
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      const status = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
      resolve({ signal, result: { status, stdout: textOf(stdout), stderr: textOf(stderr) } });
    });
  });
}

const textOf = (chunks: readonly Buffer[]): string => Buffer.concat(chunks).toString('utf8');

function started(child: ChildProcess, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', () => resolve());
    child.once('error', (error) => reject(failed(`${path} cannot be started: ${error.message}`, error)));
  });
}

function environment(additions: Readonly<Record<string, string>> | undefined): NodeJS.ProcessEnv {
  return { ...process.env, ...additions, LC_ALL: 'C' };
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}

function failed(message: string, cause?: unknown): WeftError {
  return new WeftError(2, [{ code: 'program-failed', severity: 'error', message }], cause);
}

function namespaceGone(netns: string, stderr: string): WeftError {
  return failed(`The network namespace ${netns} cannot be entered (does it still exist?): ${stderr.trim()}`);
}
