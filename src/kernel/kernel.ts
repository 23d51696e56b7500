/**
 * The door to the running kernel: the only way Weft runs programs or reads and writes /proc and /sys. A `Kernel` belongs to one
 * network namespace (by default the one Weft runs in), so that the twin, the tests and the real host use the same code.
 * Implemented in open.ts; everything else in this folder takes a `Kernel`.
 */

export interface RunOptions {
  /** Given to standard input. */
  readonly input?: string;
  /** Default 60,000. After it the program gets SIGKILL and the result is an error. */
  readonly timeoutMs?: number;
  /** Environment additions. LC_ALL=C is always set. */
  readonly env?: Readonly<Record<string, string>>;
  /** The input holds a secret: it is never shown to the {@link CommandListener}. */
  readonly secret?: boolean;
  /** It is killed when Weft is: nothing of a change goes on behind the back of the command that repairs it. */
  readonly endsWithWeft?: boolean;
}

export interface RunResult {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Kernel {
  /** Path of the network namespace, or undefined for the one Weft runs in. */
  readonly netns: string | undefined;
  /** Runs a program in this namespace and returns whatever it exits with. Throws WeftError (exit 2, program-missing) when it is not installed. */
  tryRun(program: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** As `tryRun`, but a non-zero exit throws WeftError `program-failed` with the command and its stderr. */
  run(program: string, args: readonly string[], options?: RunOptions): Promise<string>;
  /** Starts a program that goes on after Weft ends (own session, stdio to /dev/null or to `logFile`); resolves to its pid. */
  startDetached(
    program: string,
    args: readonly string[],
    options?: { readonly logFile?: string; readonly env?: Readonly<Record<string, string>> },
  ): Promise<number>;
  /** Key with slashes, as in `Sysctl.key`; undefined when there is no such setting. */
  readSysctl(key: string): Promise<string | undefined>;
  writeSysctl(key: string, value: string): Promise<void>;
  /** Absolute path of a program. Throws WeftError (exit 2, program-missing) when it is not installed: ask before anything is changed. */
  programPath(program: string): string;
  /** The same door for another network namespace (`/run/netns/x`, `/proc/7/ns/net`). */
  at(netns: string): Kernel;
}

/** Called with every command that changes something, before it runs: `apply --verbose` prints it. Secrets never get here. */
export type CommandListener = (line: string) => void;
