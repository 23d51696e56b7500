/** Runs the command line as a process of its own, from the sources. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const entry = join(import.meta.dirname, '../../src/cli/main.ts');

export interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

export interface RunWeftOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Close the reading end of standard output at once, as `weft … | true` does. */
  readonly closeOut?: boolean;
}

export function weft(args: readonly string[], { cwd, env, closeOut }: RunWeftOptions = {}): Promise<Ran> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [entry, ...args], {
      cwd: cwd ?? tmpdir(),
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    if (closeOut === true) child.stdout.destroy();
    else child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, out, err }));
  });
}

/** A directory with these files, removed at the end of `use`. */
export async function withFiles<T>(files: Readonly<Record<string, string>>, use: (directory: string) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'weft-cli-'));
  try {
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
    return await use(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export const smallFile = `name: small
networks:
  lab: { kind: isolated, subnet: 192.168.77.0/24 }
guests:
  a: lab
  b: { network: lab, kind: namespace, address: 192.168.77.9 }
allow:
  - a -> b tcp/80
expect:
  - can: a -> b tcp/80
`;
