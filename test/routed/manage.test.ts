/** `manage: true`: a rented server whose uplink Weft sets up itself, each address alone, the gateways on-link. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
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

    await ip('route', 'replace', 'default', 'via', '172.31.1.1', 'dev', 'eth0', 'onlink');
    const own = await bed.snapshot();
    await bed.weft('apply', '--yes');
    await reaches(bed, 'web', { v4: '198.18.12.49', v6: '2001:db8:48::2' });
    assert.match(await bed.weft('apply', '--yes', '--full'), /[Nn]othing/);
    await bed.weft('destroy', '--yes');
    assert.deepEqual(differences(own, await bed.snapshot()), []);
  });
});
