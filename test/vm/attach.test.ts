/** `weft attach` on containers of an ordinary user's Podman: network by process id, again after a restart, and gone after `detach`. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openKernel } from '../../src/kernel/open.ts';
import { internet4, withHost } from '../bed/host.ts';
import { nicsOf } from '../bed/show.ts';
import { podmanUser } from './podman.ts';

const file = `
name: attached
networks: { internal: { kind: nat, subnet: [10.0.105.0/24, 'fd00:105::/64'] } }
guests:
  web: { network: internal, kind: namespace }
  nextcloud: { network: internal, kind: container, user: cloud, address: 10.0.105.30 }
allow: [web -> nextcloud tcp/80]
`;

it('gives a container its network, again after it restarts', { timeout: 180_000 }, async () => {
  const user = await podmanUser(openKernel(), 'cloud');
  await withHost({ file }, async (bed) => {
    await bed.weft('apply', '--yes');
    await bed.prober.listen(bed.outer.path, 'tcp', 443);
    const [nic] = nicsOf(await bed.json('show'), 'nextcloud');
    let container = await user.start('nextcloud');
    try {
      for (const time of ['first start', 'restart']) {
        await bed.weft('attach', 'nextcloud', '--pid', String(container.pid));
        const addresses = await container.run('busybox ip addr show dev eth0');
        for (const address of nic?.addresses ?? [])
          assert.ok(addresses.includes(address.split('/')[0] ?? ''), `${time}: ${address} in\n${addresses}`);
        assert.match(addresses, new RegExp(nic?.mac ?? 'no mac'), time);
        assert.match(await container.run(`busybox nc -w 2 ${internet4} 443 </dev/null`), /"source":"203\.0\.113\.10"/, time);
        assert.match(await container.run('busybox nslookup -type=a web 10.0.105.1'), /10\.0\.105\.2/);
        await container.run(
          '(while true; do echo hello | busybox nc -l -p 80; done) >/dev/null 2>&1 & (while true; do echo hello | busybox nc -l -p 81; done) >/dev/null 2>&1 & busybox sleep 0.2',
        );
        assert.equal((await bed.probe('web', undefined, { to: '10.0.105.30', protocol: 'tcp', port: 80 })).answered, true, time);
        assert.equal((await bed.probe('web', undefined, { to: '10.0.105.30', protocol: 'tcp', port: 81 })).delivered, false, time);
        if (time === 'first start') container = await container.restart();
      }
      await bed.weft('detach', 'nextcloud');
      assert.doesNotMatch(await container.run('busybox ip link'), /eth0/);
      assert.equal((await bed.probe('web', undefined, { to: '10.0.105.30', protocol: 'tcp', port: 80 })).delivered, false);
    } finally {
      await container.stop();
    }
    await bed.weft('destroy', '--yes');
    assert.deepEqual(bed.leftovers(), []);
  });
});
