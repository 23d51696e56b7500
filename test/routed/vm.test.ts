/** A real virtual machine behind a routed port: first with the private address of `bootstrap:`, then with its public ones, set from the export alone. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { internet4, internet6, withHost } from '../bed/host.ts';
import { nicsOf } from '../bed/show.ts';
import { startVm } from '../vm/qemu.ts';

const file = `
name: rentedvm
hosts: { server: { address: 123.45.12.48 } }
networks:
  public: { kind: routed, addresses: [123.45.90.112/29, '2001:db8:48::/64'], bootstrap: 172.30.0.0/16 }
guests:
  vm: { network: public, address: [123.45.90.119, '2001:db8:48::119'] }
`;
const host = {
  addresses: ['123.45.12.48/32', '2001:db8:48::2/64'],
  gateways: ['123.45.12.1', '2001:db8:48::1'],
  routes: ['123.45.90.112/29'],
};

it('boots with a private address and goes on with its public ones', { timeout: 300_000 }, async () => {
  await withHost({ file, host }, async (bed) => {
    await bed.weft('apply', '--yes');
    const [nic] = nicsOf(await bed.json('show'), 'vm');
    const vm = await startVm({ kernel: bed.host.kernel, nics: [{ tap: nic?.port ?? '', mac: nic?.mac ?? '' }] });
    try {
      await bed.prober.listen(bed.outer.path, 'tcp', 443);
      const seenFrom = async (address: string): Promise<string | undefined> =>
        /"source":"([^"]+)"/.exec(await vm.run(`nc -w 5 ${address} 443 </dev/null`))?.[1];
      assert.match(await vm.run('ip addr show dev eth0'), /inet 172\.30\.0\.2\/16/);
      assert.equal(await seenFrom(internet4), '123.45.12.48');

      // What ifupdown makes of these options (interfaces(5)); the VM has busybox alone.
      const exported = await bed.weft('export', 'ifupdown', 'vm');
      const options = (name: string): string[] =>
        [...exported.matchAll(new RegExp(`^ +${name} (\\S+)$`, 'gm'))].map((match) => match[1] ?? '');
      const [v4, v6] = options('address');
      const [peer] = options('pointopoint');
      const [gateway4, gateway6] = options('gateway');
      await vm.run(
        [
          'ip addr flush dev eth0 scope global; ip route flush dev eth0',
          `ip addr add ${v4} peer ${peer} dev eth0`,
          `ip route add default via ${gateway4} dev eth0`,
          `ip -6 addr add ${v6} dev eth0 nodad || ip -6 addr add ${v6} dev eth0; sleep 2`,
          `ip -6 route replace default via ${gateway6} dev eth0`,
        ].join('\n'),
      );
      assert.equal(await seenFrom(internet4), '123.45.90.119');
      assert.equal(await seenFrom(internet6), '2001:db8:48::119');
    } finally {
      await vm.stop();
    }
  });
});
