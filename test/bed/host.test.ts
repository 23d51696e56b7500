/** The test bed by itself, without the command: two hosts at once do not meet, br_netfilter is as asked, nothing stays. */
import './sandboxed.ts';
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { it } from 'node:test';
import { differences } from './snapshot.ts';
import { internet4, internet6, withHost } from './host.ts';

it('gives each test a host of its own', async () => {
  const began = performance.now();
  await Promise.all(
    ([0, 1] as const).map((bridgeNfCall) =>
      withHost({ bridgeNfCall }, async (bed) => {
        const set = await bed.host.kernel.readSysctl('net/bridge/bridge-nf-call-iptables');
        assert.ok(set === undefined || set === String(bridgeNfCall));
        const result = await bed.probe('host', 'outer', { to: internet4, protocol: 'tcp', port: 80 });
        assert.equal(result.server, bed.outer.path);
        const v6 = await bed.probe('host', 'outer', { to: internet6, protocol: 'udp', port: 80 });
        assert.equal(v6.seenSource, '2001:db8:cb00::10');
        const before = await bed.snapshot();
        assert.deepEqual(differences(before, await bed.snapshot()), []);
        await bed.host.kernel.run('ip', ['link', 'add', 'br-x', 'type', 'bridge']);
        await bed.host.kernel.writeSysctl('net/ipv4/ip_forward', '1');
        const found = differences(before, await bed.snapshot());
        assert.ok(
          found.some((line) => line.startsWith('+ links: br-x')) && found.some((line) => /^\+ settings: .*ip_forward:1/.test(line)),
          found.join('\n'),
        );
        assert.deepEqual(bed.leftovers(), []);
      }),
    ),
  );
  assert.deepEqual(readdirSync('/run/netns'), []);
  assert.ok(performance.now() - began < 60_000);
});

it('sees what is left, and removes it all the same', async () => {
  await withHost({ file: 'name: x\n' }, async (bed) => {
    await bed.host.kernel.run('ip', ['netns', 'add', 'x-g']);
    // One that makes no other: between fork and exec that would have its command line too.
    await bed.guest('g').kernel.startDetached('tail', ['-f', bed.file]);
    assert.deepEqual(
      bed
        .leftovers()
        .map((line) => line.replace(/process \d+: .*/, 'process'))
        .sort(),
      ['namespace x-g', 'process'],
    );
  });
  assert.deepEqual(readdirSync('/run/netns'), []);
});

it('cleans up after a failing test', async () => {
  await assert.rejects(
    withHost({}, () => Promise.reject(new Error('no'))),
    /no/,
  );
  assert.deepEqual(readdirSync('/run/netns'), []);
});
