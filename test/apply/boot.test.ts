/**
 * A reboot: the very lines of the units that `weft install` writes, run in a fresh namespace with nothing but the saved state. The uplink is not there
 * under its name when the early one runs; a change that nobody had confirmed is taken back; what is killed half-way is done by the next run.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { it } from 'node:test';
import { openKernel } from '../../src/kernel/open.ts';
import type { RunResult } from '../../src/kernel/kernel.ts';
import { internet4, internet6, withHost, type HostBed } from '../bed/host.ts';
import { commandOf, early, full, machine, runUnit, shell } from './rebooted.ts';

const file = (name: string, port: number): string => `
name: ${name}
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
guests:
  web: { network: internal, kind: namespace, address: 10.0.105.10 }
  db: { network: internal, kind: namespace, address: 10.0.105.20 }
  box: internal
  app: { network: internal, kind: container }
allow:
  - web -> db tcp/${port}
block:
  - db -> internet
`;

async function pass(bed: HostBed, from: string, at: string, to: string, port = 80): Promise<boolean> {
  return (await bed.probe(from, at, { to, protocol: 'tcp', port, timeoutMs: 600 })).answered;
}

/** The card as the kernel finds it, and as udev and the network's own service leave it. */
const unnamed = 'ip link set dev eth0 down; ip link set dev eth0 name slot3; ip addr flush dev slot3';
const named = `ip link set dev slot3 name eth0; ip addr add 203.0.113.10/24 dev eth0; ip link set dev eth0 up
  ip -6 addr add 2001:db8:cb00::10/64 dev eth0 nodad; ip route add default via 203.0.113.1; ip -6 route add default via 2001:db8:cb00::1`;

it('after a reboot the units bring back what was applied, and nothing more is open in between', { timeout: 120_000 }, async () => {
  let rules = '';
  const kept = await machine({ file: file('boots', 80) }, async (bed) => {
    await bed.weft('apply', '--yes');
    const { path } = await bed.namespace('app');
    await bed.weft('attach', 'app', '--netns', path);
    rules = await bed.host.kernel.run('nft', ['-s', 'list', 'table', 'inet', 'weft']);
    bed.writeFile(file('boots', 81));
    await bed.weft('apply', '--yes', '--confirm', '10m');
    assert.equal(await pass(bed, 'web', 'db', '10.0.105.20', 81), true);
  });

  const verified = await openKernel().tryRun('systemd-analyze', [
    'verify',
    '--man=no',
    ...[early, full].map((name) => join(kept.units, name)),
  ]);
  assert.deepEqual({ ...verified, stdout: '' }, { status: 0, stdout: '', stderr: '' });

  await withHost({ file: file('boots', 80), host: { routes: ['10.0.105.0/24'] } }, async (bed) => {
    await shell(bed, unnamed);
    // A power cut while it is at work, twice.
    for (const fault of ['kill@8', 'kill@15']) {
      const cut = await runUnit(bed, kept, early, fault);
      assert.ok(cut.status !== 0, fault);
    }
    const first = await runUnit(bed, kept, early);
    assert.equal(first.status, 0, first.stderr);
    assert.match(first.stderr, /it has been undone/);
    assert.equal(await pass(bed, 'web', 'db', '10.0.105.20', 80), true);
    assert.equal(await pass(bed, 'web', 'db', '10.0.105.20', 81), false, 'what nobody had confirmed');
    // The network comes up, and the late one has not run yet.
    await shell(bed, named);
    const closed = await Promise.all([
      pass(bed, 'db', 'outer', internet4),
      pass(bed, 'outer', 'web', '10.0.105.10'),
      pass(bed, 'db', 'web', '10.0.105.10'),
      pass(bed, 'web', 'host', '203.0.113.10'),
    ]);
    assert.deepEqual(closed, [false, false, false, false]);
    assert.notEqual(await bed.host.kernel.readSysctl('net/ipv6/conf/eth0/force_forwarding'), '1');

    const second = await runUnit(bed, kept, full);
    assert.equal(second.status, 0, second.stderr);
    assert.equal(await pass(bed, 'web', 'outer', internet4), true);
    assert.equal(await pass(bed, 'web', 'outer', internet6), true);
    assert.equal(await pass(bed, 'db', 'outer', internet4), false);
    assert.equal(await bed.host.kernel.run('nft', ['-s', 'list', 'table', 'inet', 'weft']), rules);
    assert.match(await bed.host.kernel.run('ip', ['link', 'show', 'dev', 'w-box']), /master br-internal .*UP|UP.*master br-internal/);
    const third = await runUnit(bed, kept, full);
    assert.match(third.stdout, /^Everything is as it was applied\.$/m);
    const status = await bed.host.kernel.tryRun(process.execPath, [
      ...commandOf(kept),
      'status',
      '--state-dir',
      join(kept.directory, 'state'),
      '--run-dir',
      join(kept.directory, 'run'),
    ]);
    assert.equal(status.status, 0, status.stdout + status.stderr);
    assert.match(status.stdout, /not attached: app/);
  });
});

it('an interface that is gone is said, and all else restored; without a record there is nothing to do', { timeout: 60_000 }, async () => {
  const kept = await machine({ file: file('gone', 80) }, async (bed) => {
    await bed.weft('apply', '--yes');
  });
  await withHost({ file: file('gone', 80) }, async (bed) => {
    await shell(bed, unnamed);
    for (const fault of ['kill@7', 'kill@16']) assert.notEqual((await runUnit(bed, kept, early, fault)).status, 0, fault);
    const { status, stderr } = await runUnit(bed, kept, full);
    assert.match(stderr, /warning repaired: /);
    assert.deepEqual([status, /interface-missing: .* the interface eth0, which this host does not have/.test(stderr)], [1, true], stderr);
    assert.equal(await pass(bed, 'web', 'db', '10.0.105.20', 80), true);
    assert.ok(!existsSync(join(kept.directory, 'weft.lock')), 'a restore writes no lock');
    const none = await bed.tryWeft(['restore']);
    assert.deepEqual([none.status, none.stdout], [0, 'Nothing is applied on this host, so there is nothing to restore.\n']);
  });
});

it('install writes its units once, refuses what is not its own, and uninstall removes exactly them', { timeout: 60_000 }, async () => {
  await withHost({ file: file('units', 80) }, async (bed) => {
    const root = join(bed.directory, 'root');
    const state = join(root, bed.directory, 'state');
    const install = (...more: string[]): Promise<RunResult> => bed.tryWeft(['install', '--root', root, ...more]);
    const nothing = await install();
    assert.equal(nothing.status, 2);
    assert.match(nothing.stderr, /not-applied: .*run `weft apply` first/);
    await bed.weft('apply', '--yes');
    mkdirSync(dirname(state), { recursive: true });
    cpSync(join(bed.directory, 'state'), state, { recursive: true });

    const units = join(root, 'etc/systemd/system');
    mkdirSync(join(units, 'multi-user.target.wants'), { recursive: true });
    writeFileSync(join(units, 'multi-user.target.wants/other.service'), '');
    const list = (): string[] => readdirSync(units, { recursive: true }).map(String).toSorted();
    const before = list();
    writeFileSync(join(units, full), '[Service]\nExecStart=/bin/true\n');
    const taken = await install();
    assert.equal(taken.status, 2);
    assert.match(taken.stderr, /name-in-use: \/etc\/systemd\/system\/weft\.service is there already/);
    assert.deepEqual(list(), [...before, full].toSorted());
    rmSync(join(units, full));

    assert.match((await install('--watch')).stdout, /Installed weft-early\.service, weft\.service, weft-watch\.service\./);
    assert.equal(readlinkSync(join(units, 'sysinit.target.wants', early)), `/etc/systemd/system/${early}`);
    const verified = await openKernel().tryRun('systemd-analyze', ['verify', '--man=no', join(units, 'weft-watch.service')]);
    assert.deepEqual([verified.status, verified.stderr], [0, '']);
    assert.match((await install()).stdout, /removed .*weft-watch\.service/);
    assert.match((await install()).stdout, /^Nothing to change: weft-early\.service, weft\.service are installed\.$/m);
    assert.equal((await bed.tryWeft(['uninstall', '--root', root])).status, 0);
    assert.deepEqual(list(), before);
    assert.match((await bed.tryWeft(['uninstall', '--root', root])).stdout, /No unit of Weft is installed/);
  });
});
