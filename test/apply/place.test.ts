/**
 * The state directory against the world: after a reboot, from another namespace, full, read-only, lost; programs that are missing. What cannot
 * be done is refused before anything is changed, or taken back.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openKernel } from '../../src/kernel/open.ts';
import { withHost, type HostBed } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';

const file = (name: string, port = 80): string => `
name: ${name}
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
guests:
  web: { network: internal, kind: namespace, address: 10.0.105.10 }
  db: { network: internal, kind: namespace, address: 10.0.105.20 }
allow:
  - web -> db tcp/${port}
`;

/** What a reboot leaves: the state directory, whose boot is another one now. `settings` is what the new boot has set by itself. */
async function reboot(bed: HostBed, settings = ''): Promise<void> {
  const script = `
    for pid in ${bed.directory}/run/services/*/pid ${bed.directory}/run/watchdog-pid; do [ ! -e $pid ] || kill -9 $(cat $pid); done
    for link in $(ip -o link show | sed -n 's/^[0-9]*: \\(br-[^:@]*\\|w-[^:@]*\\).*/\\1/p'); do ip link del dev $link; done
    nft flush ruleset; sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.eth0.force_forwarding=0 net.ipv4.conf.all.accept_redirects=1
    ${settings}
    for name in $(ls /run/netns | grep "^$1-"); do ip netns del $name; done`;
  const name = /name: (.*)/.exec(readFileSync(bed.file, 'utf8'))?.[1] ?? '';
  await bed.host.kernel.run('sh', ['-c', script, 'sh', name]);
  rmSync(join(bed.directory, 'run'), { recursive: true });
  for (const part of ['place', 'journal']) {
    const path = join(bed.directory, 'state', `${part}.json`);
    if (!existsSync(path)) continue;
    const content = JSON.parse(readFileSync(path, 'utf8')) as { boot?: string; deadline?: { boot: string } };
    if (content.boot !== undefined) content.boot = 'of-before';
    if (content.deadline !== undefined) content.deadline.boot = 'of-before';
    writeFileSync(path, JSON.stringify(content));
  }
}

const open = async (bed: HostBed, port: number): Promise<boolean> =>
  (await bed.probe('web', 'db', { to: '10.0.105.20', protocol: 'tcp', port, timeoutMs: 500 })).answered;

const own = (bed: HostBed, name: string): string[] =>
  bed.leftovers().filter((line) => !line.includes('/etc/netns/') || line.includes(`/etc/netns/${name}-`));

describe('after a reboot', { concurrency: true }, () => {
  it('status tells what is missing, apply makes it again, destroy leaves what the new boot had', { timeout: 180_000 }, async () => {
    await withHost({ file: file('boot') }, async (bed) => {
      await bed.weft('apply', '--yes');
      await reboot(bed, 'sysctl -qw net.ipv4.ip_forward=1');
      const before = await bed.snapshot();
      const status = await bed.tryWeft(['status']);
      assert.equal(status.status, 1, status.stderr);
      assert.match(status.stdout, /bridge br-internal is missing/);
      await bed.weft('apply', '--yes');
      assert.equal((await bed.tryWeft(['status'])).status, 0);
      assert.equal(await open(bed, 80), true);
      // Somebody switches it off meanwhile, and Weft mends it.
      await bed.host.kernel.run('sysctl', ['-qw', 'net.ipv4.ip_forward=0']);
      await bed.weft('restore');
      await bed.weft('destroy', '--yes');
      // Forwarding was on before Weft this time.
      assert.deepEqual(differences(before, await bed.snapshot()), []);
      assert.deepEqual(own(bed, 'boot'), []);
    });
  });

  it('destroy alone is enough', { timeout: 180_000 }, async () => {
    await withHost({ file: file('away') }, async (bed) => {
      await bed.weft('apply', '--yes');
      await reboot(bed);
      const before = await bed.snapshot();
      await bed.weft('destroy', '--yes');
      assert.deepEqual(differences(before, await bed.snapshot()), []);
      assert.deepEqual(own(bed, 'away'), []);
    });
  });

  it('a change that nobody had confirmed is gone, whatever the clock says', { timeout: 180_000 }, async () => {
    await withHost({ file: file('late') }, async (bed) => {
      await bed.weft('apply', '--yes');
      bed.writeFile(file('late', 81));
      await bed.weft('apply', '--yes', '--confirm', '1h');
      await bed.host.kernel.run('sh', ['-c', `kill -9 $(pgrep -f '[w]atchdog .*--state-dir ${bed.directory}')`]);
      await reboot(bed);
      const confirmed = await bed.tryWeft(['confirm']);
      assert.equal(confirmed.status, 1, confirmed.stderr);
      assert.match(confirmed.stderr, /was not confirmed in time; it has been undone/);
      assert.deepEqual([await open(bed, 80), await open(bed, 81)], [true, false]);
    });
  });
});

describe('somebody else’s state', { concurrency: true }, () => {
  it('of another namespace that lives, or with another run directory, is refused', { timeout: 180_000 }, async () => {
    await withHost({ file: file('mine') }, async (bed) => {
      await bed.weft('apply', '--yes');
      const here = await bed.snapshot();
      const program = process.env['WEFT_TEST_PROGRAM'] ?? join(import.meta.dirname, '../../src/cli/main.ts');
      const where = ['-f', bed.file, '--state-dir', join(bed.directory, 'state')];
      for (const args of [['status'], ['apply', '--yes'], ['destroy', '--yes']]) {
        const there = await bed.outer.kernel.tryRun(process.execPath, [
          program,
          ...args,
          ...where,
          '--run-dir',
          join(bed.directory, 'run'),
        ]);
        assert.equal(there.status, 2, `${args[0]}: ${there.stderr}`);
        assert.match(there.stderr, /foreign-state: .* tells of another network namespace of this machine/);
        const other = await bed.host.kernel.tryRun(process.execPath, [
          program,
          ...args,
          ...where,
          '--run-dir',
          join(bed.directory, 'run2'),
        ]);
        assert.equal(other.status, 2, `${args[0]}: ${other.stderr}`);
        assert.match(other.stderr, /foreign-state: what is applied here runs its services in .*run, not in .*run2: use --run-dir/);
      }
      assert.deepEqual(differences(here, await bed.snapshot()), []);
    });
  });

  it('lost: destroy still finds what is tagged, and says what it cannot know', { timeout: 180_000 }, async () => {
    await withHost({ file: file('lost') }, async (bed) => {
      const before = await bed.snapshot();
      await bed.weft('apply', '--yes');
      rmSync(join(bed.directory, 'state'), { recursive: true });
      const { status, stdout, stderr } = await bed.tryWeft(['destroy', '--yes']);
      assert.equal(status, 0, stderr);
      assert.match(stdout, /Everything of Weft is gone/);
      const left = differences(before, await bed.snapshot());
      assert.deepEqual(
        left.filter((line) => !/ settings: /.test(line)),
        [],
      );
      assert.deepEqual(own(bed, 'lost'), []);
      assert.match(stderr, /warning .*records .* lost/);
    });
  });
});

describe('a state directory that cannot be written', { concurrency: true }, () => {
  it('read-only: refused, and nothing is touched', { timeout: 180_000 }, async () => {
    await withHost({ file: file('ro') }, async (bed) => {
      const state = join(bed.directory, 'state');
      const mount = (...args: string[]): Promise<string> => openKernel().run('mount', args);
      mkdirSync(state);
      await mount('-t', 'tmpfs', '-o', 'size=4m', 'weft-state', state);
      try {
        const before = await bed.snapshot();
        await mount('-o', 'remount,ro', state);
        const first = await bed.tryWeft(['apply', '--yes']);
        assert.equal(first.status, 2, first.stderr);
        assert.match(first.stderr, /The journal cannot be written to .*EROFS.*; nothing was changed/);
        assert.deepEqual(differences(before, await bed.snapshot()), []);
        await mount('-o', 'remount,rw', state);
        await bed.weft('apply', '--yes');
        const applied = await bed.snapshot();
        await mount('-o', 'remount,ro', state);
        bed.writeFile(file('ro', 81));
        for (const args of [
          ['apply', '--yes'],
          ['destroy', '--yes'],
        ]) {
          const again = await bed.tryWeft(args);
          assert.equal(again.status, 2, again.stderr);
          assert.match(again.stderr, /cannot be written to .*EROFS.*; nothing was changed/);
        }
        assert.equal((await bed.tryWeft(['status'])).status, 0);
        assert.deepEqual(differences(applied, await bed.snapshot()), []);
      } finally {
        await openKernel().run('umount', [state]);
      }
    });
  });

  it('full, at any moment: the old or the new policy, and no half-written file stays', { timeout: 300_000 }, async () => {
    await withHost({ file: file('full') }, async (bed) => {
      const state = join(bed.directory, 'state');
      const kernel = openKernel();
      mkdirSync(state);
      await kernel.run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'weft-state', state]);
      try {
        await bed.weft('apply', '--yes');
        const old = await bed.snapshot();
        bed.writeFile(file('full', 81));
        const outcomes = new Set<number>();
        for (const free of [0, 8, 60, 120, 160]) {
          const used = Number((await kernel.run('df', ['--output=used', '-k', state])).split('\n')[1]);
          await kernel.run('dd', ['if=/dev/zero', `of=${state}/ballast`, 'bs=1k', `count=${1024 - used - free}`, 'status=none']);
          const { status, stderr } = await bed.tryWeft(['apply', '--yes']);
          outcomes.add(status);
          assert.ok(status === 0 || status === 2 || status === 3, `${free} KiB free: ${status} ${stderr}`);
          assert.deepEqual([await open(bed, 80), await open(bed, 81)], status === 0 ? [false, true] : [true, false]);
          if (status !== 0) assert.deepEqual(differences(old, await bed.snapshot()), [], `${free} KiB free`);
          assert.equal((await kernel.run('sh', ['-c', `ls ${state} | grep tmp$ || true`])).trim(), '');
          rmSync(`${state}/ballast`);
          if (status === 0) await bed.weft('rollback');
        }
        assert.ok(outcomes.has(2) && outcomes.has(0), [...outcomes].join());
        await bed.weft('destroy', '--yes');
      } finally {
        await kernel.run('umount', [state]);
      }
    });
  });
});

it('a missing program is told before anything is changed, with its package', { timeout: 240_000 }, async () => {
  await withHost({ file: file('programs') }, async (bed) => {
    const before = await bed.snapshot();
    for (const [program, message] of [
      ['conntrack', /program conntrack, .* apt install conntrack/],
      ['perl', /program perl, .* apt install perl-base/],
      ['dnsmasq', /program dnsmasq, .* apt install dnsmasq-base/],
      ['bridge', /program bridge, .* apt install iproute2/],
      ['nft', /program nft, .* apt install nftables/],
    ] as const) {
      const paths = (
        await openKernel().run('sh', [
          '-c',
          `for d in /usr/sbin /usr/bin /sbin /bin; do [ ! -e $d/${program} ] || readlink -f $d/${program}; done | sort -u`,
        ])
      )
        .trim()
        .split('\n');
      for (const path of paths) await openKernel().run('mount', ['--bind', '/dev/null', path]);
      try {
        const { status, stderr } = await bed.tryWeft(['apply', '--yes']);
        assert.equal(status, 2, `${program}: ${stderr}`);
        assert.match(stderr, message);
      } finally {
        for (const path of paths) await openKernel().run('umount', [path]);
      }
      assert.deepEqual(differences(before, await bed.snapshot()), [], program);
      assert.ok(!existsSync(join(bed.directory, 'state', 'journal.json')), program);
    }
  });
});
