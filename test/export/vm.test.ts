/** A virtual machine started with the arguments of `weft export qemu`, word for word: each NIC on its own TAP, with its MAC and MTU. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { internet4, withHost } from '../bed/host.ts';
import { nicsOf } from '../bed/show.ts';
import { startVm } from '../vm/qemu.ts';

const file = `
name: started
networks:
  internal: { kind: nat, subnet: 10.0.105.0/24, mtu: 1400 }
  lab: { kind: isolated, subnet: 10.0.106.0/24 }
guests:
  vm: { nics: [{ network: internal, address: 10.0.105.20 }, { network: lab, address: 10.0.106.20 }] }
  db: { network: lab, kind: namespace, address: 10.0.106.30 }
allow: [vm -> db tcp/5432]
`;

it('starts a VM with the exported arguments', { timeout: 300_000 }, async () => {
  await withHost({ file }, async (bed) => {
    await bed.weft('apply', '--yes');
    const nics = nicsOf(await bed.json('show'), 'vm');
    const nicArguments = (await bed.weft('export', 'qemu', 'vm')).trim().split(/\s+/);
    const vm = await startVm({ kernel: bed.host.kernel, nics: [], nicArguments });
    try {
      // net.ifnames=0 keeps the order of the arguments.
      assert.match(await vm.run('ip link show dev eth0'), new RegExp(nics[0]?.mac ?? 'no MAC'));
      assert.match(await vm.run('ip link show dev eth1'), new RegExp(nics[1]?.mac ?? 'no MAC'));
      // No more is possible than the device was told: the argument's doing, not that of DHCP.
      assert.notEqual((await vm.tryRun('ip link set dev eth0 mtu 1500')).status, 0);
      assert.equal((await vm.tryRun('ip link set dev eth1 mtu 1500')).status, 0);
      await bed.prober.listen(bed.outer.path, 'tcp', 443);
      await bed.prober.listen(bed.guest('db').path, 'tcp', 5432);
      assert.match(await vm.run(`nc -w 3 ${internet4} 443 </dev/null`), /"source":"203\.0\.113\.10"/);
      assert.match(await vm.run('nc -w 3 10.0.106.30 5432 </dev/null'), /"source":"10\.0\.106\.20"/);
    } finally {
      await vm.stop();
    }
  });
});
