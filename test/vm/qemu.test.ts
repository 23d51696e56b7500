/** The VM bed on a hand-made bridge and DHCP server: lease, ping, name, TCP; a second boot keeps the address. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openKernel } from '../../src/kernel/open.ts';
import { ipBatch, makeBed } from '../../src/twin/bed.ts';
import type { Bed, BedNamespace } from '../../src/twin/bed.ts';
import { createProber } from '../../src/twin/prober.ts';
import { startVm } from './qemu.ts';

describe('a VM on a TAP', () => {
  let bed: Bed;
  let host: BedNamespace;
  const prober = createProber(openKernel());
  const mac = '02:00:00:00:00:01';
  before(async () => {
    bed = await makeBed(openKernel(), 'vm-', [{ name: 'h', addresses: ['203.0.113.10/24'] }]);
    host = bed.host('h');
    await ipBatch(host.kernel, [
      'link add dev br-t type bridge',
      'addr add 10.1.0.1/24 dev br-t',
      'tuntap add dev w-a mode tap',
      'link set dev w-a master br-t up',
      'link set dev br-t up',
    ]);
    await host.kernel.startDetached('dnsmasq', [
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts', '--interface=br-t', '--bind-interfaces'],
      ...[
        '--dhcp-range=10.1.0.10,10.1.0.20',
        `--dhcp-host=${mac},10.1.0.17`,
        '--address=/sibling.test/10.1.0.99',
        '--dhcp-leasefile=/run/leases',
        '--user=root',
      ],
    ]);
  });
  after(async () => {
    await prober.close();
    await bed.close();
  });

  for (const boot of ['first boot', 'second boot']) {
    it(boot, async () => {
      const vm = await startVm({ kernel: host.kernel, nics: [{ tap: 'w-a', mac }] });
      try {
        assert.match(await vm.run('ip -4 addr show dev eth0'), /inet 10\.1\.0\.17\/24/);
        assert.match(await vm.run('ip route'), /default via 10\.1\.0\.1/);
        await vm.run('ping -c 1 -W 2 10.1.0.1');
        assert.match(await vm.run('nslookup -type=a sibling.test'), /10\.1\.0\.99/);
        await prober.listen(host.path, 'tcp', 8080);
        assert.match(await vm.run('nc -w 2 10.1.0.1 8080 </dev/null'), /"source":"10\.1\.0\.17"/);
        assert.notEqual((await vm.tryRun('nc -w 2 10.1.0.1 8081 </dev/null')).status, 0);
      } finally {
        await vm.stop();
      }
    });
  }
});
