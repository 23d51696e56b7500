/** A person at a terminal: runs `weft` in a pty (script(1)) and answers its questions. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { HostBed } from '../bed/host.ts';

/** What is typed once the output shows the text; `hang up` closes the terminal. */
export type Turn = readonly [shown: RegExp, typed: string] | readonly [shown: RegExp, act: 'hang up'];

export const CTRL_C = '\x03';

export interface Session {
  /** Of the command; 128 and the signal's number when one ended it. */
  readonly status: number;
  readonly output: string;
}

/** Runs the command inside the bed's host. `env` is added. Ends when the command has ended. */
export async function atTerminal(
  bed: HostBed,
  args: readonly string[],
  turns: readonly Turn[],
  env: Readonly<Record<string, string>> = {},
): Promise<Session> {
  const program = process.env['WEFT_TEST_PROGRAM'] ?? join(import.meta.dirname, '../../src/cli/main.ts');
  const where = ['-f', bed.file, '--state-dir', `${bed.directory}/state`, '--run-dir', `${bed.directory}/run`];
  // `exec`: a shell in between would get the Ctrl-C too, and say 130 whatever weft says.
  const command = ['exec', process.execPath, program, ...args, ...where].map((word, i) => (i === 0 ? word : `'${word}'`)).join(' ');
  const child = spawn('nsenter', [`--net=${bed.host.path}`, 'script', '-qefc', command, '/dev/null'], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { ...process.env, ...env, TERM: 'dumb' },
  });
  let output = '';
  const left = [...turns];
  let seen = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString('utf8');
    for (let [turn] = left; turn; [turn] = left) {
      const match = turn[0].exec(output.slice(seen));
      if (!match) return;
      seen += match.index + match[0].length;
      left.shift();
      if (turn[1] === 'hang up') child.kill('SIGKILL');
      else child.stdin.write(turn[1]);
    }
  });
  child.stdin.on('error', () => undefined);
  const status = await new Promise<number>((resolve) => child.on('close', (code) => resolve(code ?? -1)));
  return { status, output };
}
