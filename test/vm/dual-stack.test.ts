/** A real VM in a network of both families: its IPv6 address by DHCPv6, its route from the router advertisement, the policy in both. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { internet6, withHost } from '../bed/host.ts';
import { nicsOf } from '../bed/show.ts';
import { startVm } from './qemu.ts';

const file = `
name: dual
networks: { internal: { kind: nat, subnet: [10.0.105.0/24, 'fd00:105::/64'] } }
guests:
  vm: internal
  db: { network: internal, kind: namespace }
allow: [vm -> db tcp/5432]
`;

it('gives a VM its addresses and the policy in both families', { timeout: 300_000 }, async () => {
  await withHost({ file }, async (bed) => {
    await bed.weft('apply', '--yes');
    const shown = await bed.json('show');
    const [nic] = nicsOf(shown, 'vm');
    assert.ok(nic);
    const addressOf = (guest: string): string =>
      nicsOf(shown, guest)[0]
        ?.addresses.find((address) => address.includes(':'))
        ?.split('/')[0] ?? 'no IPv6 address';
    const vm = await startVm({ kernel: bed.host.kernel, nics: [{ tap: nic.port, mac: nic.mac }], dhcpv6: true });
    try {
      const addresses = await vm.run('ip -6 addr show dev eth0');
      assert.ok(addresses.includes(addressOf('vm')), addresses);
      assert.doesNotMatch(addresses, /fd00:105::\S*\/64/, 'no address of its own making');
      assert.match(await vm.run('ip -6 route'), /default via fe80::1 dev eth0/);
      await vm.run('ping -6 -c 1 -W 3 fd00:105::1');
      assert.match(await vm.run('nslookup -type=aaaa db'), new RegExp(addressOf('db')));
      await bed.prober.listen(bed.guest('db').path, 'tcp', 5432);
      await bed.prober.listen(bed.guest('db').path, 'tcp', 5433);
      await bed.prober.listen(bed.outer.path, 'tcp', 443);
      assert.ok((await vm.run(`nc -w 3 ${addressOf('db')} 5432 </dev/null`)).includes(`"source":"${addressOf('vm')}"`));
      assert.doesNotMatch((await vm.tryRun(`nc -w 2 ${addressOf('db')} 5433 </dev/null`)).output, /source/);
      assert.match(await vm.run(`nc -w 3 ${internet6} 443 </dev/null`), /"source":"2001:db8:cb00::10"/);
    } finally {
      await vm.stop();
    }
  });
});
