/**
 * Each point of an apply, a first apply, a rollback, a destroy and of the way back made to fail in turn, and kill -9 at each: the host is as the old
 * policy says or as the new one, never a third, by snapshot of the kernel and by packets; the next command repairs; nothing is left.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { faultsFromEnvironment } from '../../src/apply/faults.ts';
import { repair } from '../../src/apply/repair.ts';
import { WeftError } from '../../src/diagnostic/diagnostic.ts';
import { differences, type Snapshot } from '../bed/snapshot.ts';
import { withHost, type HostBed } from '../bed/host.ts';
import { applier, sessionIn } from './in-process.ts';

const older = (name: string): string => `
name: ${name}
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
guests:
  web: { network: internal, kind: namespace, address: [10.0.105.10, "fd00:105::10"] }
  db: { network: internal, kind: namespace, address: [10.0.105.20, "fd00:105::20"] }
allow:
  - web -> db tcp/5432
`;

/** Takes a rule and a guest back, adds a network, guests of two kinds and rules. */
const newer = (name: string): string => `
name: ${name}
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
  lab: { kind: isolated, subnet: 192.168.77.0/24 }
guests:
  web: { network: internal, kind: namespace, address: [10.0.105.10, "fd00:105::10"] }
  db: { network: internal, kind: namespace, address: [10.0.105.20, "fd00:105::20"] }
  vault: { network: lab, kind: namespace, address: 192.168.77.10 }
  vm: { network: lab, user: nobody }
allow:
  - web -> db tcp/80
  - web -> vault tcp/22
`;

/** What packets say: the open ones of four flows. */
interface NamedBed extends HostBed {
  readonly fabric: string;
}

async function reached(bed: HostBed): Promise<string> {
  const flows = [
    ['10.0.105.20', 5432],
    ['10.0.105.20', 80],
    ['fd00:105::20', 5432],
    ['fd00:105::20', 80],
  ] as const;
  const results = await Promise.all(flows.map(([to, port]) => bed.probe('web', 'db', { to, protocol: 'tcp', port, timeoutMs: 300 })));
  return results.map((result) => (result.answered ? '1' : '0')).join('');
}

const OLD = '1010';
const NEW = '0101';

/** Files that a first and a later apply leave differently and that say nothing of the host; and a watchdog, which ends within half a second. */
const remembered = /(previous|digest)\.json|run\/watchdog|main\.[jt]s watchdog|run\/lock|state\/applied\.json|state\/originals\.json/;

interface Picture {
  readonly kernel: Snapshot;
  readonly left: readonly string[];
}

const picture = async (bed: NamedBed): Promise<Picture> => ({
  kernel: await bed.snapshot(),
  left: bed
    .leftovers()
    .filter((line) => !remembered.test(line) && (!line.includes('/etc/netns/') || line.includes(`/etc/netns/${bed.fabric}-`)))
    .map((line) => line.replace(/process \d+/, 'process').replace(/pid-\d+/, 'pid'))
    .sort(),
});

// The host's ends of ports that are made anew get another index, MAC and namespace number each time.
const plain = (lines: readonly string[]): string[] =>
  lines
    .filter((line) => !/^[+-] (links|bridge|addresses):/.test(line) || !/w-(web|db|vault|vm)/.test(line))
    .filter((line) => !/^[+-] settings: /.test(line) || /forward|accept_ra|redirects|proxy_arp/.test(line));

function difference(now: Picture, then: Picture): string[] {
  return [
    ...plain(differences(then.kernel, now.kernel)),
    ...now.left.filter((line) => !then.left.includes(line)).map((line) => `+ ${line}`),
    ...then.left.filter((line) => !now.left.includes(line)).map((line) => `- ${line}`),
  ];
}

/**
 * The points at which the command leaves something that no earlier point has left: before a step there is what was after the one before it. `env`
 * is what else is to go wrong. Runs the command to its end.
 */
async function pointsOf(bed: HostBed, args: readonly string[], env = '', from = 0): Promise<number[]> {
  const { stderr } = await bed.tryWeft(args, { env: { WEFT_FAULT: `list ${env}` } });
  const points = [...stderr.matchAll(/^point (\d+): (.*)$/gm)].map(([, number, name]) => ({ number: Number(number), name: name ?? '' }));
  const chosen = points.filter(({ number, name }) => number > from && !/^(undo )?before: |^watchdog armed/.test(name));
  assert.ok(chosen.length > 5, stderr);
  return chosen.map(({ number }) => number);
}

const namedBed = (host: HostBed, fabric: string): NamedBed => ({ ...host, fabric });

it('each point of an apply made to fail: undone, or finished by the next command', { timeout: 800_000 }, async () => {
  await withHost({ file: older('fail') }, async (host) => {
    const bed = namedBed(host, 'fail');
    await bed.weft('apply', '--yes');
    const old = await picture(bed);
    bed.writeFile(newer('fail'));
    const points = await pointsOf(bed, ['apply', '--yes']);
    const fresh = await picture(bed);
    assert.equal(await reached(bed), NEW);
    await bed.weft('rollback');
    assert.deepEqual(difference(await picture(bed), old), []);
    assert.equal(await reached(bed), OLD);
    const oldLock = readFileSync(join(bed.directory, 'weft.lock'), 'utf8');
    for (const point of points) {
      // In this process: what a command would do besides is to print.
      const context = { ...sessionIn(bed), faults: faultsFromEnvironment({ WEFT_FAULT: `fail@${point}` }) };
      const error: unknown = await applier(
        bed,
        context,
      )(newer('fail')).then(
        () => undefined,
        (reason: unknown) => reason,
      );
      assert.ok(error instanceof WeftError && [2, 3, 4].includes(error.exitCode), `point ${point}: ${String(error)}`);
      if (error.exitCode === 4) assert.equal((await repair(sessionIn(bed))).what, 'finished');
      const now = await picture(bed);
      const isOld = difference(now, old).length === 0;
      if (!isOld)
        assert.deepEqual(difference(now, fresh), [], `point ${point} is neither; against old: ${difference(now, old).join('\n')}`);
      assert.equal(isOld, error.exitCode !== 4, `point ${point}`);
      assert.equal(await reached(bed), isOld ? OLD : NEW, `point ${point}`);
      if (isOld) assert.equal(readFileSync(join(bed.directory, 'weft.lock'), 'utf8'), oldLock);
      else await applier(bed)(older('fail'));
    }
  });
});

describe('kill -9', { concurrency: true }, () => {
  it('at each point of an apply: never a third policy, and the next command repairs', { timeout: 800_000 }, async () => {
    await withHost({ file: older('kill') }, async (host) => {
      const bed = namedBed(host, 'kill');
      const before = await picture(bed);
      await bed.weft('apply', '--yes');
      const old = await picture(bed);
      bed.writeFile(newer('kill'));
      const points = await pointsOf(bed, ['apply', '--yes']);
      const fresh = await picture(bed);
      await bed.weft('rollback');
      for (const point of points) {
        bed.writeFile(newer('kill'));
        const { status, stderr } = await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: `kill@${point}` } });
        assert.equal(status, 137, stderr);
        // Between the crash and the repair: no flow that neither policy allows, and old ones only or new ones only.
        assert.match(await reached(bed), /^(1010|0101|0000)$/, `between, point ${point}`);
        const repaired = await bed.tryWeft(['status']);
        assert.equal(repaired.status, 0, `point ${point}: ${repaired.stdout}${repaired.stderr}`);
        const now = await picture(bed);
        const isOld = difference(now, old).length === 0;
        if (!isOld)
          assert.deepEqual(difference(now, fresh), [], `point ${point} is neither; against old: ${difference(now, old).join('\n')}`);
        assert.equal(await reached(bed), isOld ? OLD : NEW, `point ${point}`);
        // Past the commit: back to the old policy for the next round.
        if (!isOld) await bed.weft('rollback');
      }
      await bed.weft('destroy', '--yes');
      assert.deepEqual(difference(await picture(bed), before), []);
      assert.ok(!existsSync(join(bed.directory, 'state')));
    });
  });

  it('at each point of a first apply leaves nothing after the next command', { timeout: 800_000 }, async () => {
    await withHost({ file: newer('first') }, async (host) => {
      const bed = namedBed(host, 'first');
      const before = await picture(bed);
      const points = await pointsOf(bed, ['apply', '--yes']);
      await bed.weft('destroy', '--yes');
      rmSync(join(bed.directory, 'weft.lock'));
      for (const point of points) {
        const { status } = await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: `kill@${point}` } });
        assert.equal(status, 137);
        const repaired = await bed.tryWeft(['status']);
        if (repaired.status === 0) await bed.weft('destroy', '--yes');
        assert.deepEqual(difference(await picture(bed), before), [], `point ${point}: ${repaired.stderr}`);
        assert.ok(!existsSync(join(bed.directory, 'weft.lock')) || repaired.status === 0);
        assert.ok(!existsSync(join(bed.directory, 'state')), `point ${point}`);
        rmSync(join(bed.directory, 'weft.lock'), { force: true });
      }
    });
  });

  it('at each point of a destroy: the next destroy ends with nothing', { timeout: 800_000 }, async () => {
    await withHost({ file: newer('leave') }, async (host) => {
      const bed = namedBed(host, 'leave');
      const before = await picture(bed);
      await bed.weft('apply', '--yes');
      const points = await pointsOf(bed, ['destroy', '--yes']);
      const apply = applier(bed);
      for (const point of points) {
        await apply(newer('leave'));
        assert.equal((await bed.tryWeft(['destroy', '--yes'], { env: { WEFT_FAULT: `kill@${point}` } })).status, 137);
        await bed.weft('destroy', '--yes');
        assert.deepEqual(difference(await picture(bed), before), [], `point ${point}`);
        assert.ok(!existsSync(join(bed.directory, 'state')), `point ${point}`);
      }
    });
  });

  it('at each point of the undo of an apply that fails: the next command goes on', { timeout: 800_000 }, async () => {
    await withHost({ file: older('twice') }, async (host) => {
      const bed = namedBed(host, 'twice');
      await bed.weft('apply', '--yes');
      const old = await picture(bed);
      bed.writeFile(newer('twice'));
      const failing = 22;
      for (const point of await pointsOf(bed, ['apply', '--yes'], `fail@${failing}`, failing)) {
        assert.equal((await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: `fail@${failing},kill@${point}` } })).status, 137);
        assert.match(await reached(bed), /^(1010|0101|0000)$/, `between, point ${point}`);
        assert.equal((await bed.tryWeft(['status'])).status, 0, `point ${point}`);
        assert.deepEqual(difference(await picture(bed), old), [], `point ${point}`);
      }
    });
  });

  it(
    'at each point of taking back what nobody confirmed: the next command goes on, and confirm does not keep half of it',
    { timeout: 800_000 },
    async () => {
      await withHost({ file: older('back') }, async (host) => {
        const bed = namedBed(host, 'back');
        await bed.weft('apply', '--yes');
        const old = await picture(bed);
        bed.writeFile(newer('back'));
        const pend = (): Promise<string> => bed.weft('apply', '--yes', '--confirm', '1h');
        await pend();
        for (const point of await pointsOf(bed, ['rollback'])) {
          await pend();
          assert.equal((await bed.tryWeft(['rollback'], { env: { WEFT_FAULT: `kill@${point}` } })).status, 137);
          assert.match(await reached(bed), /^(1010|0101|0000)$/, `between, point ${point}`);
          assert.equal((await bed.tryWeft(['confirm'])).status, 1, `point ${point}`);
          assert.deepEqual(difference(await picture(bed), old), [], `point ${point}`);
          assert.equal((await bed.tryWeft(['status'])).status, 0, `point ${point}`);
        }
      });
    },
  );
});

it('a damaged record is an error that names the file, and nothing is touched', async () => {
  await withHost({ file: older('damaged') }, async (bed) => {
    await bed.weft('apply', '--yes');
    const now = await bed.snapshot();
    writeFileSync(join(bed.directory, 'state/applied.json'), '{"version":1,');
    const { status, stderr } = await bed.tryWeft(['plan']);
    assert.equal(status, 2);
    assert.match(stderr, /foreign-state: .*applied\.json is damaged/);
    assert.deepEqual(differences(now, await bed.snapshot()), []);
  });
});
