/**
 * Fault injection for the crash tests: `WEFT_FAULT=fail@7` makes the seventh point of a transaction fail, `kill@7` ends the process
 * there with SIGKILL, as a power cut would; `fail@7,kill@9` does one after the other, to kill the way back. Points are counted from 1 in the order they are
 * passed; nothing happens when the variable is not set. `int@7` is a Ctrl-C there (`term`, `hup` likewise); `WEFT_FAULT=list` prints the points.
 */

export interface Faults {
  /** Passes one point; throws or kills when it is the chosen one. */
  point(name: string): void;
}

export function faultsFromEnvironment(environment: NodeJS.ProcessEnv = process.env): Faults {
  const wanted = environment['WEFT_FAULT'] ?? '';
  const modes = new Map([...wanted.matchAll(/(fail|kill|int|term|hup)@(\d+)/g)].map(([, mode, number]) => [Number(number), mode]));
  const list = wanted.startsWith('list');
  let passed = 0;
  return {
    point(name) {
      passed++;
      if (list) process.stderr.write(`point ${passed}: ${name}\n`);
      const mode = modes.get(passed);
      if (mode === 'kill') process.kill(process.pid, 'SIGKILL');
      if (mode === 'fail') throw new Error(`injected failure at point ${passed} (${name})`);
      if (mode === 'int' || mode === 'term' || mode === 'hup') process.kill(process.pid, `SIG${mode.toUpperCase()}`);
    },
  };
}
