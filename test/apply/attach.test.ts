/** A container gets its NIC when it is there, again after it restarts, and keeps it through other changes. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { withHost } from '../bed/host.ts';

const file = (extra = ''): string => `
name: ship
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
guests:
  web: { network: internal, kind: namespace, address: [10.0.105.10, "fd00:105::10"] }
  box: { network: internal, kind: container, address: [10.0.105.20, "fd00:105::20"] }
  ${extra}
allow:
  - web -> box tcp/80
`;

it('attaches by path, follows a restart, survives an apply, detaches', { timeout: 240_000 }, async () => {
  await withHost({ file: file() }, async (bed) => {
    await bed.weft('apply', '--yes');
    const answered = async (at: string, to: string, port: number): Promise<boolean> =>
      (await bed.prober.probe({ from: bed.guest('web').path, at, to, protocol: 'tcp', port, timeoutMs: 500 })).answered;
    const first = await bed.namespace('one');
    assert.match(await bed.weft('attach', 'box', '--netns', first.path), /box is attached: eth0 10\.0\.105\.20\/24/);
    for (const to of ['10.0.105.20', 'fd00:105::20']) {
      assert.equal(await answered(first.path, to, 80), true, to);
      assert.equal(await answered(first.path, to, 81), false, to);
    }
    assert.match(await first.kernel.run('ip', ['route']), /default via 10\.0\.105\.1 dev eth0/);
    // Attached once more: nothing changes. Another apply: it stays.
    await bed.weft('attach', 'box', '--netns', first.path);
    bed.writeFile(file('more: internal'));
    await bed.weft('apply', '--yes');
    assert.equal(await answered(first.path, '10.0.105.20', 80), true);
    assert.match(await bed.weft('apply', '--yes'), /Nothing to change/);
    // Its container restarts: a new namespace, by a process of it.
    await first.kernel.run('ip', ['link', 'del', 'dev', 'eth0']);
    const broken = await bed.tryWeft(['status']);
    assert.equal(broken.status, 1);
    assert.match(broken.stdout, /port w-box is missing/);
    const second = await bed.namespace('two');
    const pid = await second.kernel.startDetached('sleep', ['60']);
    await bed.weft('attach', 'box', '--pid', String(pid));
    assert.equal(await answered(second.path, '10.0.105.20', 80), true);
    assert.doesNotMatch(await first.kernel.run('ip', ['-br', 'link']), /eth0/);
    await bed.weft('detach', 'box');
    assert.equal(await answered(second.path, '10.0.105.20', 80), false);
    assert.doesNotMatch(await second.kernel.run('ip', ['-br', 'link']), /eth0/);
    process.kill(pid, 'SIGKILL');
    assert.match(await bed.weft('status'), /not attached: box/);
  });
});

it('says why something cannot be attached, and touches nothing', async () => {
  await withHost({ file: file() }, async (bed) => {
    const refused = async (args: readonly string[], message: RegExp): Promise<void> => {
      const { status, stderr } = await bed.tryWeft(args);
      assert.equal(status, 2, stderr);
      assert.match(stderr, message);
    };
    const taken = await bed.namespace('taken');
    await taken.kernel.run('ip', ['link', 'add', 'dev', 'eth0', 'type', 'bridge']);
    await refused(['attach', 'box', '--netns', taken.path], /not-applied: nothing is applied on this host yet/);
    await bed.weft('apply', '--yes');
    await refused(['attach', 'bx', '--pid', '1'], /unknown-guest: there is no guest called bx/);
    await refused(['attach', 'web', '--pid', '1'], /not-attachable: web is a namespace: Weft makes its namespace itself/);
    await refused(['attach', 'box'], /usage: say which container: either --pid N or --netns PATH/);
    await refused(['attach', 'box', '--pid', 'x'], /usage: --pid takes a process number, not "x"/);
    await refused(['attach', 'box', '--pid', '4194303'], /attach-failed: there is no process 4194303/);
    await refused(['attach', 'box', '--netns', '/run/netns/none'], /attach-failed: there is no network namespace at/);
    await refused(['attach', 'box', '--netns', bed.host.path], /attach-failed: .* is this host's own network namespace/);
    await refused(
      ['attach', 'box', '--netns', taken.path],
      /attach-failed: box already has an interface called eth0 that Weft did not make/,
    );
    await refused(['detach', 'box'], /not-attachable: box is not attached/);
    assert.match(await bed.weft('status'), /Everything is as applied/);
  });
});
