/**
 * examples/hoster: the imported file, one real VM on the outer network with an address outside the range; nothing passes between it and its neighbours on the wire before the two
 * allow lines, and both ways after them.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { internet4 } from '../bed/host.ts';
import { nicsOf } from '../bed/show.ts';
import { differences } from '../bed/snapshot.ts';
import { GATEWAY, NEIGHBOUR, withLan } from '../bridged/lan.ts';
import { startVm } from '../vm/qemu.ts';

const example = join(import.meta.dirname, '../../examples/hoster');
const json = readFileSync(join(example, 'network_config.json'), 'utf8');
const ADDRESS = '192.168.118.200';

describe('examples/hoster', () => {
  it('is what the import makes of network_config.json; the address of the outer gateway is not taken', async () => {
    await withLan('name: none\n', async (bed) => {
      const imported = join(bed.directory, 'imported.yaml');
      const run = (path: string) => bed.host.kernel.tryRun(process.execPath, [main, 'import', 'hoster', path, '-f', imported]);
      const given = join(bed.directory, 'given.json');
      await bed.host.kernel.run('tee', [given], { input: json.replace('"apply_bridge_address": false', '"apply_bridge_address": true') });
      const refused = await run(given);
      assert.equal(refused.status, 2);
      assert.match(
        refused.stderr,
        /would give the bridge on em0 the address 192\.168\.118\.254 of the outer gateway, and the traffic of the guests would loop/,
      );
      assert.equal((await run(join(example, 'network_config.json'))).status, 0);
      assert.equal(readFileSync(imported, 'utf8'), readFileSync(join(example, 'weft.yaml'), 'utf8'));
    });
  });

  it('a VM on the LAN is reached and reaches only what the two lines allow', { timeout: 180_000 }, async () => {
    await withLan(readFileSync(join(example, 'weft.yaml'), 'utf8'), async (bed) => {
      const before = await bed.snapshot();
      await bed.weft('guest', 'add', 'awesomeVmName', '--network', 'external', '--dns', '1.1.1.1', '--address', ADDRESS);
      await bed.weft('apply', '--yes');
      const [nic] = nicsOf(await bed.json('show'), 'awesomeVmName');
      assert.ok(nic);
      const vm = await startVm({ kernel: bed.host.kernel, nics: [{ tap: nic.port, mac: nic.mac }] });
      try {
        assert.match(await vm.run('ip -4 addr show dev eth0'), /inet 192\.168\.118\.200\/24/);
        assert.match(await vm.run('ip route'), /default via 192\.168\.118\.254/);
        assert.match(await vm.run('cat /etc/resolv.conf'), /nameserver 1\.1\.1\.1/);
        await vm.run('(while true; do echo hello | nc -l -p 8080; done) >/dev/null 2>&1 &');
        await bed.neighbour.kernel.startDetached('sh', ['-c', 'while true; do echo hello | busybox nc -l -p 8082; done']);
        const heard = async (patience: number): Promise<boolean[]> => {
          const inwards = bed.prober.probe({
            from: bed.neighbour.path,
            to: ADDRESS,
            protocol: 'tcp',
            port: 8080,
            timeoutMs: patience * 1000,
          });
          const pinged = bed.prober.probe({ from: bed.neighbour.path, to: ADDRESS, protocol: 'icmp', timeoutMs: patience * 1000 });
          const outwards = await vm.tryRun(`nc -w ${patience} ${NEIGHBOUR} 8082 </dev/null`);
          const gateway = await vm.tryRun(`ping -c 1 -W ${patience} ${GATEWAY}`);
          return [(await inwards).delivered, (await pinged).delivered, outwards.output.includes('hello'), gateway.status === 0];
        };
        assert.deepEqual(await heard(2), [false, false, false, false], 'before');
        // The internet is another matter.
        assert.equal((await vm.tryRun(`ping -c 1 -W 5 ${internet4}`)).status, 0);
        const text = readFileSync(bed.file, 'utf8');
        const lines = `  - awesomeVmName -> 192.168.118.0/24\n  - 192.168.118.0/24 -> awesomeVmName\n`;
        bed.writeFile(text.replace(/^ *# - internet -> web tcp\/80\n/m, lines));
        await bed.weft('apply', '--yes');
        assert.deepEqual(await heard(8), [true, true, true, true], 'after');
      } finally {
        await vm.stop();
      }
      await bed.weft('destroy', '--yes');
      assert.deepEqual(differences(before, await bed.snapshot()), []);
      assert.deepEqual(bed.leftovers(), []);
    });
  });
});

const main = join(import.meta.dirname, '../../src/cli/main.ts');
