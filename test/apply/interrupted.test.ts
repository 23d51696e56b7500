/**
 * A person at the terminal says no, says nothing, presses Ctrl-C or closes the window; a service manager stops the command; nobody reads its output: the
 * host is as before or as asked for, never in between, and the command says which.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { withHost, type HostBed } from '../bed/host.ts';
import { differences, type Snapshot } from '../bed/snapshot.ts';
import { atTerminal, CTRL_C, type Turn } from './terminal.ts';

const file = (name: string, port: number): string => `
name: ${name}
networks:
  internal: { kind: nat, subnet: 10.0.105.0/24 }
guests:
  web: { network: internal, kind: namespace, address: 10.0.105.10 }
  db: { network: internal, kind: namespace, address: 10.0.105.20 }
allow:
  - web -> db tcp/${port}
`;

async function until(what: string, test: () => Promise<boolean>, seconds = 40): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !(await test()); await sleep(200))
    assert.ok(Date.now() < end, `${what} did not happen within ${seconds} s`);
}

const unchanged = async (bed: HostBed, before: Snapshot): Promise<boolean> => differences(before, await bed.snapshot()).length === 0;
const isKept = async (bed: HostBed): Promise<boolean> =>
  ((await bed.json('plan')) as { changes: readonly unknown[] }).changes.length === 0 &&
  !readdirSync(`${bed.directory}/state`).includes('journal.json');

const apply: Turn = [/Apply this\? \[y\/N\] $/, 'y\n'];
const keep = /Keep it\? .*\[y\/N\] $/;

describe('weft apply at a terminal', { concurrency: true }, () => {
  it('changes nothing without a yes', { timeout: 180_000 }, async () => {
    await withHost({ file: file('ask', 80) }, async (bed) => {
      const before = await bed.snapshot();
      for (const typed of ['n\n', '\n', 'yess\n', CTRL_C, '\x04']) {
        const { status, output } = await atTerminal(bed, ['apply'], [[/Apply this\? \[y\/N\] $/, typed]]);
        assert.equal(status, 1, `${JSON.stringify(typed)}: ${output}`);
        assert.match(output, /\+ bridge br-internal[^]*Nothing was changed\./);
        assert.ok(await unchanged(bed, before), JSON.stringify(typed));
      }
    });
  });

  it('keeps it after a second yes, and goes back after no, Ctrl-C, end of input or no answer', { timeout: 240_000 }, async () => {
    await withHost({ file: file('keep', 80) }, async (bed) => {
      const kept = await atTerminal(bed, ['apply'], [apply, [keep, 'y\n']]);
      assert.equal(kept.status, 0, kept.output);
      assert.match(kept.output, /Kept\./);
      assert.ok(await isKept(bed));
      const before = await bed.snapshot();
      bed.writeFile(file('keep', 81));
      for (const typed of ['n\n', CTRL_C, '\x04']) {
        const { status, output } = await atTerminal(bed, ['apply'], [apply, [keep, typed]]);
        assert.equal(status, 1, output);
        assert.match(output, /Not kept: the host is as it was before\./);
        assert.ok(await unchanged(bed, before), JSON.stringify(typed));
      }
      const { status, output } = await atTerminal(bed, ['apply', '--confirm', '2s'], [apply]);
      assert.equal(status, 1, output);
      assert.match(output, /Not kept: the host is as it was before\./);
      assert.ok(await unchanged(bed, before));
      assert.ok(!/error|busy/.test(output), output);
    });
  });

  it('goes back by itself when the terminal is closed at the question', { timeout: 180_000 }, async () => {
    await withHost({ file: file('gone', 80) }, async (bed) => {
      const before = await bed.snapshot();
      await atTerminal(bed, ['apply', '--confirm', '3s'], [apply, [keep, 'hang up']]);
      await until('the way back', () => unchanged(bed, before));
    });
  });

  it('says so when somebody else has confirmed meanwhile, and leaves a later change of theirs alone', { timeout: 180_000 }, async () => {
    await withHost({ file: file('other', 80) }, async (bed) => {
      await bed.weft('apply', '--yes');
      bed.writeFile(file('other', 81));
      const person = atTerminal(bed, ['apply', '--confirm', '30s'], [apply]);
      await until('the question', () => Promise.resolve(readdirSync(`${bed.directory}/state`).includes('journal.json')));
      await until('the confirmation', async () => (await bed.tryWeft(['confirm'])).status === 0);
      const { status, output } = await person;
      assert.equal(status, 1);
      assert.match(output, /It was kept by `weft confirm` meanwhile/);
      assert.ok(await isKept(bed));
    });
  });

  it('Ctrl-C in the middle of a slow step: that step ends, well or not, and everything goes back', { timeout: 240_000 }, async () => {
    await withHost({ file: file('slow', 80) }, async (bed) => {
      const before = await bed.snapshot();
      for (const fails of [false, true]) {
        const { status, output } = await atTerminal(
          bed,
          ['apply', '--yes'],
          [
            [/\] firewall: /, CTRL_C],
            // Impatience, up to the last step: it may not cut off how it ended.
            ...Array.from({ length: 8 }, (): Turn => [/undo: /, CTRL_C]),
          ],
          slow(bed, 'nft', 1.5, fails),
        );
        assert.equal(status, 3, output);
        assert.match(output, /error[^\n]*Interrupted \(SIGINT\)\.[^]*rolled back: the host is as it was before/);
        if (fails) assert.match(output, /Interrupted \(SIGINT\)\.[^]*no such luck/);
        assert.deepEqual(differences(before, await bed.snapshot()), []);
      }
    });
  });
});

/** Environment in which the program waits before it does its work, except for reading. With `failsOnce` it fails the first time. */
function slow(bed: HostBed, program: string, seconds: number, failsOnce = false): Record<string, string> {
  const directory = `${bed.directory}/slow`;
  mkdirSync(directory, { recursive: true });
  const path = `${directory}/${program}`;
  const failure = failsOnce ? `[ -e "$0.failed" ] || { touch "$0.failed"; echo no such luck >&2; exit 1; }` : ':';
  const script = `#!/bin/sh\ncase "$*" in *list*|*-c*) ;; *) sleep ${seconds}; ${failure};; esac\nexec /usr/sbin/${program} "$@"\n`;
  writeFileSync(path, script);
  chmodSync(path, 0o755);
  return { PATH: `${directory}:${process.env['PATH']}` };
}

it('a signal at each point of an apply: back with exit status 3, or finished', { timeout: 300_000 }, async () => {
  await withHost({ file: file('signals', 80) }, async (bed) => {
    await bed.weft('apply', '--yes');
    const before = await bed.snapshot();
    bed.writeFile(file('signals', 81));
    let finished = 0;
    for (const [index, mode] of [2, 3, 4, 6, 8, 9, 11].map((point, i) => [point, ['int', 'term', 'hup'][i % 3]] as const)) {
      const { status, stderr } = await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: `${mode}@${index}` } });
      assert.ok(status === 3 || status === 0, `${mode}@${index}: ${status} ${stderr}`);
      if (status === 3) assert.deepEqual(differences(before, await bed.snapshot()), [], `${mode}@${index}`);
      else {
        finished++;
        assert.ok(await isKept(bed));
        await bed.weft('rollback');
      }
    }
    assert.ok(finished > 0 && finished < 7, String(finished));
  });
});

it('goes on to the end when nobody reads its output any more', { timeout: 180_000 }, async () => {
  await withHost({ file: file('pipe', 80) }, async (bed) => {
    const weft = (args: string): string =>
      `${process.execPath} ${new URL('../../src/cli/main.ts', import.meta.url).pathname} ${args} -f ${bed.file} --state-dir ${bed.directory}/state --run-dir ${bed.directory}/run`;
    await bed.host.kernel.run('sh', ['-c', `${weft('apply --yes --verbose')} 2>&1 | head -c 1 >/dev/null`]);
    await until('the end', () => isKept(bed));
    await bed.host.kernel.run('sh', ['-c', `${weft('destroy --yes --verbose')} >&- 2>&-`]);
    assert.deepEqual(
      bed.leftovers().filter((line) => !/etc\/netns\/(?!pipe)/.test(line)),
      [],
    );
  });
});
