/** The Podman bed by itself: a container of an ordinary user without a network, whose namespace takes a veth by pid. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openKernel } from '../../src/kernel/open.ts';
import { ipBatch } from '../../src/twin/bed.ts';
import { podmanUser } from './podman.ts';

it('starts, takes an interface, and has a new namespace after a restart', async () => {
  const kernel = openKernel();
  const user = await podmanUser(kernel, 'cloud');
  const first = await user.start('nextcloud');
  assert.doesNotMatch(await first.run('busybox ip link'), /eth0/);
  await ipBatch(kernel, [
    `link add dev w-nc type veth peer name eth0 netns ${first.pid}`,
    'link set dev w-nc up',
    'addr add 10.1.0.1/24 dev w-nc',
  ]);
  await ipBatch(kernel.at(`/proc/${first.pid}/ns/net`), ['addr add 10.1.0.2/24 dev eth0', 'link set dev eth0 up']);
  await kernel.run('ping', ['-c', '1', '-W', '1', '10.1.0.2']);
  assert.match(await first.run('busybox ip addr'), /10\.1\.0\.2/);

  const second = await first.restart();
  assert.notEqual(second.pid, first.pid);
  assert.doesNotMatch(await second.run('busybox ip link'), /eth0/);
  await second.stop();
});
