/**
 * examples/host-only with a real VM: what leaves is seen as the chosen address of several, replies return, and the address inside the VM is a
 * party of its own.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { internet4, withHost } from '../bed/host.ts';
import { nicsOf } from '../bed/show.ts';
import { startVm } from '../vm/qemu.ts';

const file = readFileSync(join(import.meta.dirname, '../../examples/host-only/weft.yaml'), 'utf8');

it('examples/host-only: the VM and its client are seen as 203.0.113.11', { timeout: 300_000 }, async () => {
  await withHost({ file, host: { routes: ['172.16.80.0/20'] } }, async (bed) => {
    await bed.weft('apply', '--yes');
    const [nic] = nicsOf(await bed.json('show'), 'vm');
    assert.ok(nic);
    const vm = await startVm({ kernel: bed.host.kernel, nics: [{ tap: nic.port, mac: nic.mac }] });
    try {
      assert.match(await vm.run('ip -4 addr show dev eth0'), /inet 172\.16\.80\.2\/20/);
      assert.match(await vm.run('ip route'), /default via 172\.16\.80\.1/);
      await vm.run('ip addr add 172.16.80.55/32 dev eth0');

      await bed.prober.listen(bed.outer.path, 'tcp', 443);
      await bed.prober.listen(bed.outer.path, 'udp', 443, internet4);
      for (const source of ['172.16.80.2', '172.16.80.55']) {
        await vm.run(`ip route replace default via 172.16.80.1 src ${source}`);
        const hello = await vm.run(`nc -w 2 ${internet4} 443 </dev/null`);
        assert.match(hello, /"source":"203\.0\.113\.11"/, `the far end sees the chosen address for ${source}`);
      }
      assert.match(await vm.run(`ping -c 1 -W 2 -I 172.16.80.55 ${internet4}`), /1 packets received/);

      // The client is a party: the neighbour reaches it, at its port only, and not the VM around it.
      await vm.run('(while true; do echo hello | nc -l -p 8080; done) >/dev/null 2>&1 &');
      const reached = await bed.probe('neighbour', undefined, { to: '172.16.80.55', protocol: 'tcp', port: 8080 });
      assert.equal(reached.answered, true);
      for (const [to, port] of [
        ['172.16.80.55', 8081],
        ['172.16.80.2', 8080],
      ] as const) {
        const result = await bed.probe('neighbour', undefined, { to, protocol: 'tcp', port });
        assert.equal(result.delivered, false, `${to} tcp/${port}`);
      }
      assert.equal((await bed.probe('outer', undefined, { to: '172.16.80.55', protocol: 'tcp', port: 8080 })).delivered, false);

      // No third address passes the port.
      await vm.run('ip addr add 172.16.80.99/32 dev eth0');
      await vm.run('ip route replace default via 172.16.80.1 src 172.16.80.99');
      const forged = await vm.tryRun(`nc -w 2 ${internet4} 443 </dev/null`);
      assert.doesNotMatch(forged.output, /source/);
    } finally {
      await vm.stop();
    }
    await bed.weft('destroy', '--yes');
    assert.deepEqual(bed.leftovers(), []);
  });
});
