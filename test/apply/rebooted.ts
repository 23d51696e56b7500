/** A machine that goes down, and what comes up again: a fresh namespace with nothing but the saved state and the units that `weft install` has written. */
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunResult } from '../../src/kernel/kernel.ts';
import { withHost, type HostBed, type HostOptions } from '../bed/host.ts';

export const early = 'weft-early.service';
export const full = 'weft.service';

/** What is left of a machine that goes down: its state directory at its path, and the units. */
export interface Kept {
  readonly directory: string;
  readonly units: string;
}

/** Runs `work` on a host, then takes the host away. */
export async function machine(options: HostOptions, work: (bed: HostBed) => Promise<void>): Promise<Kept> {
  const kept = mkdtempSync('/run/kept-');
  let directory = '';
  await withHost(options, async (bed) => {
    ({ directory } = bed);
    await work(bed);
    cpSync(join(directory, 'state'), join(kept, 'root', directory, 'state'), { recursive: true });
    await bed.weft('install', '--root', join(kept, 'root'));
  });
  assert.ok(!existsSync(directory));
  mkdirSync(directory, { recursive: true });
  cpSync(join(kept, 'root', directory, 'state'), join(directory, 'state'), { recursive: true });
  for (const part of ['place', 'journal']) {
    const path = join(directory, 'state', `${part}.json`);
    if (!existsSync(path)) continue;
    const content = JSON.parse(readFileSync(path, 'utf8')) as { boot?: string; deadline?: { boot: string } };
    if (content.boot !== undefined) content.boot = 'of-before';
    if (content.deadline !== undefined) content.deadline.boot = 'of-before';
    writeFileSync(path, JSON.stringify(content));
  }
  return { directory, units: join(kept, 'root/etc/systemd/system') };
}

/** Runs a unit's command as systemd would: no shell, no terminal, no directory, hardly any environment. */
export function runUnit(bed: HostBed, { units }: Kept, unit: string, fault?: string): Promise<RunResult> {
  const line = /^ExecStart=(.*)$/m.exec(readFileSync(join(units, unit), 'utf8'))?.[1] ?? '';
  const environment = ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin', ...(fault === undefined ? [] : [`WEFT_FAULT=${fault}`])];
  return bed.host.kernel.tryRun('setpriv', ['--no-new-privs', 'env', '--chdir=/', '-i', ...environment, ...line.split(' ')]);
}

/** The program of the units, for other commands. */
export const commandOf = ({ units }: Kept): string[] => [/^ExecStart=\S+ (\S+) /m.exec(readFileSync(join(units, full), 'utf8'))?.[1] ?? ''];

export const shell = (bed: HostBed, script: string): Promise<string> => bed.host.kernel.run('sh', ['-c', script]);
