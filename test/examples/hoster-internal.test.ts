/**
 * examples/hoster-internal with real virtual machines: imported, two guests added, and in each VM a lease, the sibling's name, the gateway, one
 * allowed and one denied connection; the same again after a reboot.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { withHost } from '../bed/host.ts';
import type { HostBed } from '../bed/host.ts';
import { nicsOf } from '../bed/show.ts';
import { startVm } from '../vm/qemu.ts';
import type { Vm } from '../vm/qemu.ts';

const example = join(import.meta.dirname, '../../examples/hoster-internal');

async function boot(bed: HostBed, guest: string): Promise<Vm> {
  const [nic] = nicsOf(await bed.json('show'), guest);
  assert.ok(nic, `${guest} has a NIC`);
  return startVm({ kernel: bed.host.kernel, nics: [{ tap: nic.port, mac: nic.mac }] });
}

describe('examples/hoster-internal', () => {
  it('is what the import makes of network_config.json', async () => {
    await withHost({}, async (bed) => {
      await bed.weft('import', 'hoster', join(example, 'network_config.json'));
      assert.equal(readFileSync(bed.file, 'utf8'), readFileSync(join(example, 'weft.yaml'), 'utf8'));
    });
  });

  it('gives two VMs addresses, names and one connection, and again after a reboot', { timeout: 180_000 }, async () => {
    await withHost({}, async (bed) => {
      await bed.weft('import', 'hoster', join(example, 'network_config.json'));
      await bed.weft('guest', 'add', 'web', '--network', 'internal');
      await bed.weft('guest', 'add', 'db', '--network', 'internal', '--address', '10.0.105.20');
      const text = readFileSync(bed.file, 'utf8');
      const edited = text.replace(/^ *# - internet -> web tcp\/80$/m, '  - web -> db tcp/5432');
      assert.notEqual(edited, text);
      writeFileSync(bed.file, edited);
      await bed.weft('apply', '--yes');

      let address: string | undefined;
      for (const time of ['first boot', 'reboot']) {
        const [web, db] = await Promise.all([boot(bed, 'web'), boot(bed, 'db')]);
        try {
          const leased = /inet (10\.0\.105\.\d+)\/24/.exec(await web.run('ip -4 addr show dev eth0'))?.[1];
          assert.ok(leased !== undefined, `${time}: web has a lease`);
          address ??= leased;
          assert.equal(leased, address, `${time}: web keeps its address`);
          assert.match(await db.run('ip -4 addr show dev eth0'), /inet 10\.0\.105\.20\/24/);
          assert.match(await web.run('ip route'), /default via 10\.0\.105\.254/);
          for (const vm of [web, db]) await vm.run('ping -c 1 -W 3 10.0.105.254');
          assert.match(await web.run('nslookup -type=a db'), /10\.0\.105\.20/);
          assert.match(await web.run('nslookup -type=a db.internal.weft.internal'), /10\.0\.105\.20/);
          assert.match(await db.run('nslookup -type=a web'), new RegExp(leased.replaceAll('.', '\\.')));

          for (const port of [5432, 5433]) await db.run(`(while true; do echo hello | nc -l -p ${port}; done) >/dev/null 2>&1 &`);
          await db.run('sleep 0.2');
          assert.match(await web.run('nc -w 3 10.0.105.20 5432 </dev/null'), /hello/);
          const denied = await web.tryRun('nc -w 2 10.0.105.20 5433 </dev/null');
          assert.ok(denied.status !== 0 && !denied.output.includes('hello'), `${time}: tcp/5433 is denied`);
          // Neither way round is implied by the other.
          await web.run('(while true; do echo hello | nc -l -p 5432; done) >/dev/null 2>&1 &');
          assert.notEqual((await db.tryRun(`nc -w 2 ${leased} 5432 </dev/null`)).status, 0);
        } finally {
          await Promise.all([web.stop(), db.stop()]);
        }
      }
      await bed.weft('destroy', '--yes');
      assert.deepEqual(bed.leftovers(), []);
    });
  });
});
