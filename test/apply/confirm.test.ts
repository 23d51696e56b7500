/**
 * Nobody is locked out: an apply that is not confirmed goes back by itself, also when the apply, its terminal or the whole session is gone.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { withHost, type HostBed } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';

const file = (name: string, rule: string): string => `
name: ${name}
networks:
  internal: { kind: nat, subnet: 10.0.105.0/24 }
guests:
  web: { network: internal, kind: namespace, address: 10.0.105.10 }
  db: { network: internal, kind: namespace, address: 10.0.105.20 }
allow:
  - ${rule}
`;

const open = async (bed: HostBed, port: number): Promise<boolean> =>
  (await bed.probe('web', 'db', { to: '10.0.105.20', protocol: 'tcp', port, timeoutMs: 400 })).answered;

async function until(what: string, test: () => Promise<boolean>, seconds = 30): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await test())) {
    assert.ok(Date.now() < end, `${what} did not happen within ${seconds} s`);
    await sleep(200);
  }
}

interface Status {
  readonly ok: boolean;
  readonly confirmBefore?: string;
}
const status = async (bed: HostBed): Promise<Status> => JSON.parse((await bed.tryWeft(['status', '--json'])).stdout) as Status;

describe('apply --confirm', { concurrency: true }, () => {
  it('goes back by itself, cutting what only the new policy allowed', { timeout: 180_000 }, async () => {
    await withHost({ file: file('back', 'web -> db tcp/80') }, async (bed) => {
      await bed.weft('apply', '--yes');
      const before = await bed.snapshot();
      bed.writeFile(file('back', 'web -> db tcp/81'));
      await bed.weft('apply', '--yes', '--confirm', '15s');
      assert.ok((await status(bed)).confirmBefore !== undefined);
      assert.deepEqual([await open(bed, 80), await open(bed, 81)], [false, true]);
      const held = await bed.hold('web', 'db', { to: '10.0.105.20', protocol: 'tcp', port: 81, everyMs: 50 });
      await until('the way back', () => open(bed, 80));
      await sleep(1000);
      const at = (await held.state()).echoed;
      await sleep(500);
      assert.equal((await held.state()).echoed, at, 'a connection of the taken back policy lives on');
      await held.release();
      assert.equal(await open(bed, 81), false);
      assert.deepEqual(differences(before, await bed.snapshot()), []);
      assert.equal((await status(bed)).confirmBefore, undefined);
      assert.equal((await bed.tryWeft(['confirm'])).status, 1);
    });
  });

  it('goes back after kill -9 in the middle, without any further command', { timeout: 180_000 }, async () => {
    await withHost({ file: file('cut', 'web -> db tcp/80') }, async (bed) => {
      await bed.weft('apply', '--yes');
      const before = await bed.snapshot();
      bed.writeFile(file('cut', 'web -> db tcp/81'));
      const { status: code } = await bed.tryWeft(['apply', '--yes', '--confirm', '2s'], { env: { WEFT_FAULT: 'kill@5' } });
      assert.equal(code, 137);
      await until('the way back', async () => (await open(bed, 80)) && differences(before, await bed.snapshot()).length === 0);
    });
  });

  it('is kept by confirm, refuses another change until then, and rollback takes it back at once', { timeout: 180_000 }, async () => {
    await withHost({ file: file('keep', 'web -> db tcp/80') }, async (bed) => {
      await bed.weft('apply', '--yes');
      bed.writeFile(file('keep', 'web -> db tcp/81'));
      await bed.weft('apply', '--yes', '--confirm', '60s');
      bed.writeFile(file('keep', 'web -> db tcp/82'));
      const refused = await bed.tryWeft(['apply', '--yes']);
      assert.equal(refused.status, 5);
      assert.match(refused.stderr, /still waits to be confirmed: run `weft confirm`/);
      assert.match(await bed.weft('confirm'), /Kept/);
      assert.equal(await open(bed, 81), true);
      await bed.weft('apply', '--yes', '--confirm', '60s');
      assert.equal(await open(bed, 82), true);
      await bed.weft('rollback');
      assert.deepEqual([await open(bed, 81), await open(bed, 82)], [true, false]);
      assert.equal((await bed.tryWeft(['confirm'])).status, 1);
    });
  });

  it(
    'goes back with the next command when the watchdog was killed; `weft rollback` then goes no further',
    { timeout: 180_000 },
    async () => {
      await withHost({ file: file('alone', 'web -> db tcp/79') }, async (bed) => {
        await bed.weft('apply', '--yes');
        bed.writeFile(file('alone', 'web -> db tcp/80'));
        await bed.weft('apply', '--yes');
        const before = await bed.snapshot();
        for (const command of ['status', 'rollback']) {
          bed.writeFile(file('alone', 'web -> db tcp/81'));
          await bed.weft('apply', '--yes', '--confirm', '1s');
          await bed.host.kernel.run('sh', ['-c', `kill -9 $(pgrep -f '[w]atchdog .*--state-dir ${bed.directory}')`]);
          await sleep(1000);
          const { status: code, stderr } = await bed.tryWeft([command]);
          assert.equal(code, 0, stderr);
          assert.match(stderr, /an earlier change was not confirmed in time; it has been undone/);
          assert.deepEqual(differences(before, await bed.snapshot()), []);
        }
      });
    },
  );

  it('a first apply that is not confirmed leaves nothing', { timeout: 180_000 }, async () => {
    await withHost({ file: file('first', 'web -> db tcp/80') }, async (bed) => {
      const before = await bed.snapshot();
      await bed.weft('apply', '--yes', '--confirm', '2s');
      await until('the way back', async () => differences(before, await bed.snapshot()).length === 0);
      await until('the last file gone', () => Promise.resolve(own(bed).length === 0));
      // Taken back by a person before the deadline: the watchdog is the last to leave.
      await bed.weft('apply', '--yes', '--confirm', '60s');
      await bed.weft('rollback');
      assert.deepEqual(differences(before, await bed.snapshot()), []);
      await until('the last file gone again', () => Promise.resolve(own(bed).length === 0));
    });
  });
});

/** Without what the beds of the other tests, which run beside this one, have in /etc/netns. */
const own = (bed: HostBed): string[] => bed.leftovers().filter((line) => !/etc\/netns\/(?!first)/.test(line));

it('without a terminal and without --yes: exit 2, and nothing is touched', async () => {
  await withHost({ file: file('ask', 'web -> db tcp/80') }, async (bed) => {
    const before = await bed.snapshot();
    for (const command of ['apply', 'destroy']) {
      const { status: code, stderr } = await bed.tryWeft([command]);
      assert.equal(code, 2);
      assert.match(stderr, /there is no terminal to ask at: add --yes/);
    }
    assert.deepEqual(differences(before, await bed.snapshot()), []);
  });
});

it('two at once: one of them is told who is at work (exit 5), and the host is right', { timeout: 180_000 }, async () => {
  await withHost({ file: file('two', 'web -> db tcp/80') }, async (bed) => {
    const results = await Promise.all([bed.tryWeft(['apply', '--yes']), bed.tryWeft(['apply', '--yes']), bed.tryWeft(['apply', '--yes'])]);
    assert.ok(results.some((result) => result.status === 0));
    for (const { status: code, stderr } of results) {
      assert.ok(code === 0 || code === 5, stderr);
      if (code === 5) assert.match(stderr, /busy: `weft apply --yes.*` \(pid \d+\) is changing this host/);
    }
    assert.equal((await status(bed)).ok, true);
    assert.equal(await open(bed, 80), true);
  });
});
