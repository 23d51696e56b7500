/** `weft watch` at work in a bed, and what it tells. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startLineProcess, type LineProcess } from '../../src/kernel/line-process.ts';
import type { HostBed } from '../bed/host.ts';

export interface Event {
  readonly event: string;
  readonly why?: string;
  readonly things?: readonly string[];
  readonly changes?: readonly { readonly text: string; readonly by?: { readonly process: string; readonly pid: number } }[];
}

export interface Watching {
  readonly process: LineProcess;
  readonly events: readonly Event[];
  /** Everything of the host is done by `act`, and `wanted` has to be told after it. Rejects after 30 s. */
  after(act: () => Promise<unknown>, wanted: (event: Event) => boolean, what: string): Promise<Event>;
}

const program = process.env['WEFT_TEST_PROGRAM'] ?? join(import.meta.dirname, '../../src/cli/main.ts');

export async function watching(bed: HostBed, use: (watch: Watching) => Promise<void>): Promise<void> {
  const where = ['--state-dir', join(bed.directory, 'state'), '--run-dir', join(bed.directory, 'run')];
  const events: Event[] = [];
  const watch = startLineProcess(bed.host.kernel, process.execPath, [program, 'watch', '--json', ...where], {
    onLine: (line) => void events.push(JSON.parse(line) as Event),
  });
  const after: Watching['after'] = async (act, wanted, what) => {
    const begin = events.length;
    await act();
    for (const end = performance.now() + 30_000; performance.now() < end; await sleep(20)) {
      const found = events.slice(begin).find(wanted);
      if (found !== undefined) return found;
    }
    throw new Error(`${what}: not told within 30 s, but: ${JSON.stringify(events.slice(begin), undefined, 1)}`);
  };
  try {
    for (const end = performance.now() + 30_000; events.length === 0 && performance.now() < end;) await sleep(20);
    assert.ok(events.length > 0, 'it says nothing');
    await use({ process: watch, events, after });
  } finally {
    await watch.stop('SIGTERM');
  }
}

/** What it has mended makes it look again: only after that does the next thing wake it by itself. */
export const quiet = (): Promise<void> => sleep(1000);

export const mended =
  (text: RegExp) =>
  ({ event, changes = [] }: Event): boolean =>
    event === 'mended' && changes.some((change) => text.test(change.text));
