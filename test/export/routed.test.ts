/**
 * Guests with public addresses (kind routed), configured from the export alone: the address is alone, the gateway in no prefix of its own. The interfaces end up as Weft itself
 * would have set them, and packets go where the policy lets them, with the guest's own address.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { BedNamespace } from '../../src/twin/bed.ts';
import { type HostBed, internet4, internet6, withHost } from '../bed/host.ts';
import { byCloudInitAndNetplan, byIfupdown, byNetworkd, forget, interfacesOf, type Configure } from './configured.ts';

/** The first NIC is routed, a second one of a nat network. */
const ways: readonly (readonly [name: string, nics: 1 | 2, configure: Configure])[] = [
  ['ifupdown', 2, byIfupdown],
  ['networkd', 1, byNetworkd],
  ['networkd, with two NICs', 2, byNetworkd],
  ['cloud-init by netplan', 2, byCloudInitAndNetplan],
];

/** `gateway`: the host's own address, or none in the file. Each way has a guest of its own: `box0`, `box1`, … */
const file = (name: string, gateway: string): string => `
name: ${name}
hosts: { vps: { uplink: eth0${gateway === '' ? '' : `, address: ${gateway}`} } }
networks:
  public: { kind: routed, addresses: [198.18.5.0/29, '2001:db8:5::/64'] }
  plain: { kind: nat, subnet: [10.0.105.0/24, 'fd00:105::/64'] }
guests:
  web: { network: public, kind: namespace, address: [198.18.5.7, '2001:db8:5::77'] }
  inner: { network: plain, kind: namespace, address: [10.0.105.30, 'fd00:105::30'] }
${ways
  .map(([, nics], i) => {
    const all = [
      `{ network: public, address: [198.18.5.${i}, '2001:db8:5::4${i}'] }`,
      `{ network: plain, address: [10.0.105.4${i}, 'fd00:105::4${i}'] }`,
    ];
    return `  box${i}: { kind: container, labels: { test: box }, nics: [${all.slice(0, nics).join(', ')}] }`;
  })
  .join('\n')}
allow: [internet -> test=box tcp/80, web -> test=box tcp/8080, test=box -> inner tcp/5432]
`;

for (const [name, gateway] of [
  ['hosted', '203.0.113.10'],
  ['local', ''],
] as const)
  it(`routed guests configured from the export alone, by the gateway ${gateway || '169.254.1.1'}`, { timeout: 240_000 }, async (t) => {
    await withHost({ file: file(name, gateway), host: { routes: ['198.18.5.0/29', '2001:db8:5::/64'] } }, async (bed) => {
      await bed.weft('apply', '--yes');
      const exported = await bed.tryWeft(['export', 'cloud-init', 'box0']);
      assert.match(exported.stderr, /^box0 has a gateway outside its own prefix: .* netplan\. Elsewhere use `weft export networkd`/m);
      for (const [i, [way, nics, configure]] of ways.entries())
        await t.test(way, async () => {
          const guest = await bed.namespace(`box${i}`);
          await bed.weft('attach', `box${i}`, '--netns', guest.path);
          const wanted = await interfacesOf(guest);
          await forget(guest, nics);
          assert.ok((await interfacesOf(guest)).every(({ addresses, routes }) => addresses.length + routes.length === 0));
          const { servers } = await configure(bed, `box${i}`, guest);
          assert.deepEqual(await interfacesOf(guest), wanted);
          assert.ok(wanted.some(({ routes }) => routes.includes(`default via ${gateway || '169.254.1.1'} dev eth0`)));
          await packets(bed, guest, i, nics);
          for (const server of servers.filter((one) => !one.startsWith('fe80')))
            assert.match(
              await guest.kernel.run('dig', ['+short', '+time=3', `@${server}`, 'web.public.weft.internal']),
              /^198\.18\.5\.7$/m,
            );
        });
    });
  });

/** All probes at once, of both families. */
async function packets(bed: HostBed, guest: BedNamespace, i: number, nics: 1 | 2): Promise<void> {
  const tcp = { from: guest.path, at: guest.path, protocol: 'tcp', timeoutMs: 5000 } as const;
  const [outer, web, inner] = [bed.outer.path, bed.guest('web').path, bed.guest('inner').path];
  const [own4, own6] = [`198.18.5.${i}`, `2001:db8:5::4${i}`];
  const expected = [
    { probe: { ...tcp, at: outer, to: internet4, port: 443 }, seen: own4 },
    { probe: { ...tcp, at: outer, to: internet6, port: 443 }, seen: own6 },
    { probe: { ...tcp, from: outer, source: internet4, to: own4, port: 80 }, seen: internet4 },
    { probe: { ...tcp, from: outer, source: internet6, to: own6, port: 80 }, seen: internet6 },
    { probe: { ...tcp, from: web, to: own4, port: 8080 }, seen: '198.18.5.7' },
    { probe: { ...tcp, from: web, to: own6, port: 8080 }, seen: '2001:db8:5::77' },
    { probe: { ...tcp, from: outer, source: internet4, to: own4, port: 81, timeoutMs: 500 }, seen: undefined },
    { probe: { ...tcp, from: outer, source: internet6, to: own6, port: 81, timeoutMs: 500 }, seen: undefined },
    ...(nics === 1
      ? []
      : [
          { probe: { ...tcp, at: inner, to: '10.0.105.30', port: 5432 }, seen: `10.0.105.4${i}` },
          { probe: { ...tcp, at: inner, to: 'fd00:105::30', port: 5432 }, seen: `fd00:105::4${i}` },
        ]),
  ];
  const results = await Promise.all(expected.map(({ probe }) => bed.prober.probe(probe)));
  assert.deepEqual(
    results.map(({ answered, seenSource }) => (answered ? seenSource : undefined)),
    expected.map(({ seen }) => seen),
  );
}
