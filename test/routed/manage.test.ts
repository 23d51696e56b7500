/** `manage: true`: a rented server whose uplink Weft sets up itself, each address alone, the gateways on-link. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openStream } from '../bridged/stream.ts';
import { internet4, internet6, withHost, type HostBed } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';

const head = `
name: rent
hosts:
  server:
    uplink: eth0
    address: [198.18.12.48, 198.18.12.49, '2001:db8:48::2']
    gateway: [172.31.1.1, 'fe80::1']
    manage: true
`;
const networks = `networks:
  inner: { kind: nat, subnet: [10.0.105.0/24, 'fd00:105::/64'], snat: 198.18.12.49 }
`;
const file = `${head}${networks}guests:
  web: { kind: namespace, network: inner, address: 10.0.105.20 }
`;
const later = `${head.replace('198.18.12.49, ', '198.18.12.50, ')}${networks.replace('198.18.12.49', '198.18.12.50')}guests:
  web: { kind: namespace, network: inner, address: 10.0.105.20 }
  db: { kind: namespace, network: inner, address: 10.0.105.21 }
`;

/** A new server: its card is down and has nothing. The provider's router has the addresses behind the wire, and is in no subnet of theirs. */
async function bare({ host, outer }: HostBed): Promise<void> {
  const ip = (kernel: typeof host.kernel, ...commands: string[]): Promise<string> =>
    kernel.run('ip', ['-batch', '-'], { input: `${commands.join('\n')}\n` });
  await ip(host.kernel, 'addr flush dev eth0', 'link set dev eth0 down');
  await ip(
    outer.kernel,
    'addr replace 172.31.1.1/32 dev u-0',
    'addr replace fe80::1/64 dev u-0 nodad',
    'route replace 198.18.12.48/30 dev u-0 table local',
    'route replace 2001:db8:48::2/128 dev u-0 table local',
  );
}

async function reaches(bed: HostBed, from: string, seen: { v4: string; v6: string }): Promise<void> {
  const results = await Promise.all(
    [internet4, internet6].map((to) => bed.probe(from, 'outer', { to, protocol: 'tcp', port: 80, timeoutMs: 5000 })),
  );
  assert.deepEqual(
    results.map(({ answered, seenSource }) => [answered, seenSource]),
    [
      [true, seen.v4],
      [true, seen.v6],
    ],
    from,
  );
}

test('the uplink comes up, serves host and guests, is mended, and leaves again', { timeout: 300_000 }, async () => {
  await withHost({ file }, async (bed) => {
    await bare(bed);
    const ip = (...args: string[]): Promise<string> => bed.host.kernel.run('ip', args);
    const down = await bed.snapshot();
    for (const fault of ['fail@16', 'kill@20']) {
      await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: fault } });
      if (fault.startsWith('kill')) await bed.weft('rollback');
      // What Weft has brought up stays up.
      await ip('link', 'set', 'dev', 'eth0', 'down');
      assert.deepEqual(differences(down, await bed.snapshot()), [], fault);
    }
    await bed.weft('apply', '--yes');
    await reaches(bed, 'host', { v4: '198.18.12.48', v6: '2001:db8:48::2' });
    await reaches(bed, 'web', { v4: '198.18.12.49', v6: '2001:db8:48::2' });
    assert.match(await ip('route', 'show', 'default'), /via 172\.31\.1\.1 dev eth0 proto 87 onlink/);
    assert.match(await bed.weft('apply', '--yes'), /[Nn]othing/);
    assert.match(await bed.weft('apply', '--yes', '--full'), /[Nn]othing/);
    assert.match(await bed.weft('status'), /Everything is as applied/);
    const applied = await bed.snapshot();

    await ip('addr', 'del', '198.18.12.49/32', 'dev', 'eth0');
    assert.match((await bed.tryWeft(['status'])).stdout, /address 198\.18\.12\.49\/32 is missing on eth0/);
    await bed.weft('apply', '--yes');
    assert.deepEqual(differences(applied, await bed.snapshot()), []);
    await ip('link', 'set', 'dev', 'eth0', 'down');
    await bed.weft('restore');
    await reaches(bed, 'web', { v4: '198.18.12.49', v6: '2001:db8:48::2' });
    await bed.weft('restore', '--early');
    assert.deepEqual(differences(applied, await bed.snapshot()), []);

    bed.writeFile(later);
    for (let point = 2; ; point += 11) {
      const { status } = await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: `fail@${point}` } });
      if (status === 0 || status === 4) break;
      assert.deepEqual(differences(applied, await bed.snapshot()).filter(lasting), [], `fail@${point}`);
    }
    await bed.weft('apply', '--yes');
    await reaches(bed, 'web', { v4: '198.18.12.50', v6: '2001:db8:48::2' });
    assert.doesNotMatch(await ip('addr', 'show', 'dev', 'eth0'), /198\.18\.12\.49/);
    const after = await bed.snapshot();
    for (const point of [9, 17]) {
      bed.writeFile(file);
      await bed.tryWeft(['apply', '--yes'], { env: { WEFT_FAULT: `kill@${point}` } });
      bed.writeFile(later);
      await bed.weft('apply', '--yes');
      assert.deepEqual(differences(after, await bed.snapshot()).filter(lasting), [], `kill@${point}`);
      await reaches(bed, 'web', { v4: '198.18.12.50', v6: '2001:db8:48::2' });
    }
    await bed.weft('destroy', '--yes');
    await ip('link', 'set', 'dev', 'eth0', 'down');
    assert.deepEqual(differences(down, await bed.snapshot()), []);
    assert.deepEqual(bed.leftovers(), []);
  });
});

/** A port made anew has another MAC and index. */
const lasting = (line: string): boolean => !/^[+-] (links|bridge): (\d+: )?w-/.test(line);

test('what somebody else has set up stays theirs, and a rival default route is refused', { timeout: 300_000 }, async () => {
  await withHost({ file }, async (bed) => {
    await bare(bed);
    const ip = (...args: string[]): Promise<string> => bed.host.kernel.run('ip', args);
    await ip('link', 'set', 'dev', 'eth0', 'up');
    await ip('addr', 'add', '198.18.12.48/32', 'dev', 'eth0');
    await ip('route', 'add', 'default', 'via', '172.31.1.7', 'dev', 'eth0', 'onlink');
    const strange = await bed.snapshot();
    const { status, stderr } = await bed.tryWeft(['apply', '--yes']);
    assert.equal(status, 2);
    assert.match(stderr, /default-route-in-use[^]*`ip route del default via 172\.31\.1\.7 dev eth0`/);
    assert.deepEqual(differences(strange, await bed.snapshot()), []);
    assert.deepEqual(bed.leftovers(), []);

    await ip('route', 'replace', 'default', 'via', '172.31.1.1', 'dev', 'eth0', 'onlink');
    const own = await bed.snapshot();
    const session = await openStream(bed.outer, bed.host, '198.18.12.48');
    const [link] = JSON.parse(await ip('-j', 'link', 'show', 'dev', 'eth0')) as readonly { readonly ifindex: number }[];
    const networkd = `/run/systemd/netif/links/${link?.ifindex}`;
    mkdirSync('/run/systemd/netif/links', { recursive: true });
    writeFileSync(networkd, 'ADMIN_STATE=configured\nNETWORK_FILE=/etc/systemd/network/net.network\n');
    const applied = await bed.tryWeft(['apply', '--yes']);
    rmSync(networkd);
    assert.equal(applied.status, 0, applied.stderr);
    assert.match(applied.stderr, /warning interface-managed: eth0 is set up by systemd-networkd too \(.*net\.network\).*Unmanaged=yes/);
    await reaches(bed, 'web', { v4: '198.18.12.49', v6: '2001:db8:48::2' });
    assert.match(await bed.weft('apply', '--yes', '--full'), /[Nn]othing/);
    const hit = await bed.tryWeft(['destroy', '--yes'], { env: { WEFT_FAULT: 'kill@9' } });
    assert.notEqual(hit.status, 0);
    await bed.weft('destroy', '--yes');
    assert.deepEqual(differences(own, await bed.snapshot()), []);
    assert.ok((await session.end()) > 10_000);
  });
});

test('what is theirs and vanishes is mended, and is Weft’s from then on', { timeout: 300_000 }, async () => {
  await withHost({ file }, async (bed) => {
    await bare(bed);
    const down = await bed.snapshot();
    const ip = (...args: string[]): Promise<string> => bed.host.kernel.run('ip', args);
    await ip('link', 'set', 'dev', 'eth0', 'up');
    await ip('addr', 'add', '198.18.12.48/32', 'dev', 'eth0');
    await ip('route', 'add', 'default', 'via', '172.31.1.1', 'dev', 'eth0', 'onlink');
    await bed.weft('apply', '--yes');
    assert.match(await bed.weft('status'), /Everything is as applied/);
    await ip('route', 'del', 'default');
    await ip('addr', 'del', '198.18.12.48/32', 'dev', 'eth0');
    const { stdout } = await bed.tryWeft(['status']);
    assert.match(stdout, /address 198\.18\.12\.48\/32 is missing on eth0[^]*route 0\.0\.0\.0\/0/);
    await bed.weft('restore', '--early');
    assert.equal((await bed.tryWeft(['status'])).stdout, stdout);
    await bed.weft('restore');
    assert.match(await bed.weft('status'), /Everything is as applied/);
    assert.match(await bed.weft('apply', '--yes'), /[Nn]othing/);
    assert.match(await bed.weft('apply', '--yes', '--full'), /[Nn]othing/);

    const where = ['--state-dir', join(bed.directory, 'state'), '--run-dir', join(bed.directory, 'run')];
    const log = '/run/watch.log';
    const pid = await bed.host.kernel.startDetached(process.execPath, [program, 'watch', '--json', ...where], { logFile: log });
    const told = async (text: string): Promise<void> => {
      for (const until = Date.now() + 30_000; !(existsSync(log) && readFileSync(log, 'utf8').includes(text)); await sleep(50))
        assert.ok(Date.now() < until, `${text} in ${readFileSync(log, 'utf8')}`);
    };
    await told('watching');
    await ip('addr', 'del', '198.18.12.49/32', 'dev', 'eth0');
    await told('address 198.18.12.49/32 is missing on eth0');
    await ip('route', 'del', 'default');
    await told('route 0.0.0.0/0');
    await eventually(() => bed.weft('status'));
    process.kill(pid, 'SIGTERM');
    await reaches(bed, 'web', { v4: '198.18.12.49', v6: '2001:db8:48::2' });
    await bed.weft('destroy', '--yes');
    await ip('link', 'set', 'dev', 'eth0', 'down');
    assert.deepEqual(differences(down, await bed.snapshot()), []);
  });
});

test('after a reboot the uplink is set up by the second unit, from the saved state alone', { timeout: 300_000 }, async () => {
  const kept = mkdtempSync('/run/kept-');
  await withHost({ file }, async (bed) => {
    await bare(bed);
    const ip = (...args: string[]): Promise<string> => bed.host.kernel.run('ip', args);
    // The system's own tools did it so far, and are told not to any more.
    await ip('link', 'set', 'dev', 'eth0', 'up');
    await ip('addr', 'add', '198.18.12.48/32', 'dev', 'eth0');
    await ip('route', 'add', 'default', 'via', '172.31.1.1', 'dev', 'eth0', 'onlink');
    await bed.weft('apply', '--yes');
    cpSync(join(bed.directory, 'state'), join(kept, 'state'), { recursive: true });
  });
  const place = join(kept, 'state/place.json');
  writeFileSync(place, JSON.stringify({ ...(JSON.parse(readFileSync(place, 'utf8')) as object), boot: 'of-before' }));
  await withHost({ file }, async (bed) => {
    await bare(bed);
    const restore = async (...args: string[]): Promise<void> => {
      const where = ['--state-dir', join(kept, 'state'), '--run-dir', join(bed.directory, 'run')];
      await bed.host.kernel.run(process.execPath, [program, 'restore', ...args, ...where]);
    };
    const ip = (...args: string[]): Promise<string> => bed.host.kernel.run('ip', args);
    await restore('--early');
    assert.doesNotMatch(await ip('addr', 'show', 'dev', 'eth0'), /inet|,UP/);
    await restore();
    await reaches(bed, 'host', { v4: '198.18.12.48', v6: '2001:db8:48::2' });
    await reaches(bed, 'web', { v4: '198.18.12.49', v6: '2001:db8:48::2' });
  });
});

const program = process.env['WEFT_TEST_PROGRAM'] ?? join(import.meta.dirname, '../../src/cli/main.ts');

/** Until it does not fail any more. */
async function eventually(work: () => Promise<unknown>): Promise<void> {
  for (const end = Date.now() + 30_000; ; await sleep(100)) {
    try {
      return void (await work());
    } catch (error) {
      if (Date.now() > end) throw error;
    }
  }
}
