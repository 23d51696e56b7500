/**
 * Ways back that are barred: a container that has ended, a name that somebody else has taken, a program that is gone, a watchdog that does not start.
 * Undo goes as far as it can, says what is left, never takes what is not Weft's, and never bars the way out.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openKernel } from '../../src/kernel/open.ts';
import { removeNamespace } from '../../src/twin/bed.ts';
import { withHost } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';

const file = (name: string, more = ''): string => `
name: ${name}
networks:
  internal: { kind: nat, subnet: 10.0.105.0/24 }
guests:
  web: { network: internal, kind: namespace, address: 10.0.105.10 }
  box: { network: internal, kind: container, address: 10.0.105.20 }
  ${more}
allow:
  - web -> box tcp/80
`;

describe('the way back', () => {
  it('does without a container that has ended meanwhile', { timeout: 180_000 }, async () => {
    await withHost({ file: file('ended') }, async (bed) => {
      await bed.weft('apply', '--yes');
      const container = await bed.namespace('box');
      await bed.weft('attach', 'box', '--netns', container.path);
      bed.writeFile(file('ended', 'more: internal'));
      assert.equal((await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: 'kill@12' } })).status, 137);
      await removeNamespace(openKernel(), container.name);
      const { status, stdout, stderr } = await bed.tryWeft(['status']);
      assert.equal(status, 0, `${stdout}${stderr}`);
      assert.match(stderr, /interrupted half-way; it has been undone/);
      assert.match(stdout, /not attached: box/);
      await bed.weft('apply', '--yes');
      assert.equal((await bed.tryWeft(['status'])).status, 0);
    });
  });

  it('takes over nothing that somebody else has made under an old name', { timeout: 180_000 }, async () => {
    await withHost({ file: file('taken', 'extra: { network: internal, kind: namespace }') }, async (bed) => {
      await bed.weft('apply', '--yes');
      bed.writeFile(file('taken'));
      await bed.weft('apply', '--yes');
      await bed.host.kernel.run('ip', ['link', 'add', 'dev', 'w-extra', 'type', 'bridge']);
      await openKernel().run('ip', ['netns', 'add', 'taken-extra']);
      const before = await bed.snapshot();
      const { status, stderr } = await bed.tryWeft(['rollback']);
      assert.equal(status, 2, stderr);
      assert.match(stderr, /name-in-use: this host already has an interface called w-extra and a network namespace called taken-extra/);
      assert.deepEqual(differences(before, await bed.snapshot()), []);
      await bed.host.kernel.run('ip', ['link', 'del', 'dev', 'w-extra']);
      await removeNamespace(openKernel(), 'taken-extra');
      await bed.weft('rollback');
      bed.writeFile(file('taken', 'extra: { network: internal, kind: namespace }'));
      assert.match(await bed.weft('plan'), /Nothing to change/);
    });
  });

  it(
    'that ends with something left says what, goes on when that is mended, and `weft rollback` then goes no further',
    { timeout: 180_000 },
    async () => {
      await withHost({ file: file('left') }, async (bed) => {
        await bed.weft('apply', '--yes');
        bed.writeFile(file('left', 'one: internal'));
        await bed.weft('apply', '--yes');
        const before = await bed.snapshot();
        bed.writeFile(file('left', 'two: internal'));
        assert.equal((await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: 'kill@12' } })).status, 137);
        await barred(bed.directory, async () => {
          for (const command of ['status', 'rollback']) {
            const { status, stderr } = await bed.tryWeft([command]);
            assert.equal(status, 4, stderr);
            assert.match(
              stderr,
              /program dnsmasq, which Weft needs here, is not installed[^]*Not undone: .*dnsmasq-internal.* run `weft rollback`/,
            );
          }
        });
        assert.match(await bed.weft('rollback'), /Gone back: the host is as it was before the change/);
        assert.deepEqual(
          differences(before, await bed.snapshot()).filter((line) => !/w-(one|two)/.test(line)),
          [],
        );
        bed.writeFile(file('left', 'one: internal'));
        assert.match(await bed.weft('plan'), /Nothing to change/);
      });
    },
  );

  it('barred for good is no obstacle to leaving', { timeout: 180_000 }, async () => {
    await withHost({ file: file('leaving') }, async (bed) => {
      const before = await bed.snapshot();
      await bed.weft('apply', '--yes');
      bed.writeFile(file('leaving', 'more: internal'));
      assert.equal((await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: 'kill@12' } })).status, 137);
      await barred(bed.directory, async () => {
        assert.equal((await bed.tryWeft(['status'])).status, 4);
        const { status, stderr } = await bed.tryWeft(['destroy', '--yes']);
        assert.equal(status, 0, stderr);
      });
      assert.deepEqual(differences(before, await bed.snapshot()), []);
      assert.deepEqual(
        bed.leftovers().filter((line) => !/etc\/netns\/(?!leaving)/.test(line)),
        [],
      );
    });
  });

  it('without rules brings no port up and no forwarding on', { timeout: 180_000 }, async () => {
    await withHost({ file: file('rules') }, async (bed) => {
      await bed.weft('apply', '--yes');
      const before = await bed.snapshot();
      // nft makes one change more, the removal of the tables, and then none.
      const path = join(bed.directory, 'programs');
      mkdirSync(path);
      writeFileSync(
        join(path, 'nft'),
        `#!/bin/sh\ncase "$*" in *script*) if [ -e ${path}/used ]; then echo "no more rules" >&2; exit 1; fi; : > ${path}/used;; esac\nexec /usr/sbin/nft "$@"\n`,
      );
      chmodSync(join(path, 'nft'), 0o755);
      const env = { PATH: `${path}:${process.env['PATH']}` };
      const failing = await bed.tryWeft(['destroy', '--yes'], { env: { ...env, WEFT_FAULT: 'fail@12' } });
      assert.equal(failing.status, 4, failing.stderr);
      assert.match(failing.stderr, /no more rules[^]*Not undone: /);
      const now = await bed.host.kernel.run('sh', ['-c', 'nft list ruleset; ip -o link show up; cat /proc/sys/net/ipv4/ip_forward']);
      assert.match(now, /^(?![^]*(table|w-web))[^]*\n0\n$/);
      assert.match(await bed.weft('rollback'), /Gone back/);
      assert.deepEqual(
        differences(before, await bed.snapshot()).filter((line) => !/w-web|^[+-] (links|bridge|addresses|routes):/.test(line)),
        [],
      );
      assert.equal((await bed.tryWeft(['status'])).status, 0);
    });
  });
});

/** Runs `work` while the bed's DHCP servers have died and dnsmasq is not installed. */
async function barred(directory: string, work: () => Promise<void>): Promise<void> {
  const kernel = openKernel();
  const program = (await kernel.run('readlink', ['-f', kernel.programPath('dnsmasq')])).trim();
  await kernel.tryRun('sh', ['-c', `kill -9 $(cat ${directory}/run/services/dnsmasq-*/pid)`]);
  await kernel.run('mount', ['--bind', '/dev/null', program]);
  try {
    await work();
  } finally {
    await kernel.run('umount', [program]);
  }
}

it('a watchdog that does not start: nothing is changed', { timeout: 180_000 }, async () => {
  await withHost({ file: file('dog') }, async (bed) => {
    const before = await bed.snapshot();
    // Where it says that it watches there is a directory.
    mkdirSync(join(bed.directory, 'run', 'watchdog'), { recursive: true });
    const { status, stderr } = await bed.tryWeft(['apply', '--yes', '--confirm', '60s']);
    assert.equal(status, 3, stderr);
    assert.match(stderr, /process that would take the change back without a confirmation does not start \(.*EISDIR.*\)/);
    assert.deepEqual(differences(before, await bed.snapshot()), []);
    assert.ok(!existsSync(join(bed.directory, 'state')));
    rmdirSync(join(bed.directory, 'run', 'watchdog'));
    await bed.weft('apply', '--yes', '--confirm', '60s');
    await bed.weft('confirm');
  });
});
