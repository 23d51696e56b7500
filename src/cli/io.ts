/**
 * What a command line program has of the outside: streams, environment, directory. Given to `main`, so that tests run commands
 * in-process; `processIo` is the real thing.
 */
export interface Io {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** The working directory has been removed; `cwd` is `/` then. */
  readonly cwdIsGone?: boolean;
  /** Standard output, standard error: whether each is a terminal that shows colours. */
  readonly color: { readonly out: boolean; readonly err: boolean };
  /** A person sits at standard input and sees standard error. */
  readonly interactive: boolean;
  /** Columns of standard error; undefined when it is not a terminal. */
  readonly columns: number | undefined;
}

/**
 * The streams of this process. A reader that went away (`weft show | head`) is no reason to stop: an apply goes on to its end,
 * and what is written meanwhile is lost.
 */
export function processIo(): Io {
  let outGone = false;
  let errGone = false;
  process.stdout.on('error', () => {
    outGone = true;
  });
  process.stderr.on('error', () => {
    errGone = true;
  });
  const colors = (stream: NodeJS.WriteStream): boolean => stream.isTTY === true && stream.hasColors();
  return {
    out: (text) => {
      if (!outGone) process.stdout.write(text);
    },
    err: (text) => {
      if (!errGone) process.stderr.write(text);
    },
    env: process.env,
    ...workingDirectory(),
    color: { out: colors(process.stdout), err: colors(process.stderr) },
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
    columns: process.stderr.isTTY === true ? process.stderr.columns : undefined,
  };
}

function workingDirectory(): Pick<Io, 'cwd' | 'cwdIsGone'> {
  try {
    return { cwd: process.cwd() };
  } catch {
    return { cwd: '/', cwdIsGone: true };
  }
}
