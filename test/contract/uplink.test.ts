/**
 * Towards the outer network (design.md section 2, "Defaults and meanings", and 5.7): which sources leave by which interface, that nothing of the guests' own addresses ever does,
 * that the host becomes no router for others, and that it goes on taking router advertisements.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { internet4, internet6, withHost, type HostBed } from '../bed/host.ts';
import { capture } from '../../src/twin/capture.ts';
import type { BedNamespace } from '../../src/twin/bed.ts';
import { ethernet, ipv4, ipv6, routerAdvert, sendFrames, udp } from '../policy/frames.ts';
import { partiesOf } from './lines.ts';

const file = `
name: edge
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64], snat: 203.0.113.11 }
  b: { kind: nat, subnet: [10.2.0.0/24, fd00:2::/64] }
  c: { kind: nat, subnet: 10.3.0.0/24, snat: 203.0.113.12 }
  lab: { kind: isolated, subnet: [10.4.0.0/24, fd00:4::/64] }
  free: { kind: nat, subnet: [10.5.0.0/24, fd00:5::/64], filter: off }
  cage: { kind: isolated, subnet: [10.6.0.0/24, fd00:6::/64], filter: off }
guests:
  web: { network: a, kind: namespace }
  db: { network: b, kind: namespace }
  app: { network: c, kind: namespace }
  vault: { network: lab, kind: namespace }
  wild: { network: free, kind: namespace }
  tame: { network: cage, kind: namespace }
allow: [any -> any]
`;
const addresses = ['203.0.113.10/24', '203.0.113.11/24', '203.0.113.12/24', '2001:db8:cb00::10/64', '2001:db8:cb00::11/64'];

/** A second way out: `eth1`, for the addresses behind it. */
const second4 = '198.18.0.1';
const second6 = '3fff:18::1';

async function addSecondUplink(bed: HostBed): Promise<void> {
  await bed.host.kernel.run('ip', ['link', 'add', 'eth1', 'type', 'veth', 'peer', 'name', 'u-second', 'netns', bed.outer.name]);
  await bed.host.kernel.run('sh', [
    '-ec',
    `ip link set dev eth1 up; ip addr add 192.0.2.10/24 dev eth1; ip addr add 3fff:2::10/64 dev eth1 nodad
     ip route add 198.18.0.0/15 via 192.0.2.1; ip route add 3fff:18::/32 via 3fff:2::1`,
  ]);
  await bed.outer.kernel.run('sh', [
    '-ec',
    `ip link set dev u-second up; ip addr add 192.0.2.1/32 dev u-second; ip addr add 3fff:2::1/128 dev u-second nodad
     ip route add 192.0.2.0/24 dev u-second table local; ip route add 3fff:2::/64 dev u-second table local`,
  ]);
}

describe('sources', () => {
  it('are the chosen address on the uplink, the interface’s own on another way out, and never a guest’s', async () => {
    await withHost({ file, host: { addresses } }, async (bed) => {
      await addSecondUplink(bed);
      await bed.weft('apply', '--yes');
      const seen = async (from: string, to: string, protocol: 'tcp' | 'udp'): Promise<string | undefined> =>
        (await bed.probe(from, 'outer', { to, protocol, port: 80 })).seenSource;
      const table: [string, string, string | undefined][] = [
        ['web', internet4, '203.0.113.11'],
        ['db', internet4, '203.0.113.10'],
        ['app', internet4, '203.0.113.12'],
        ['wild', internet4, '203.0.113.10'],
        ['web', second4, '192.0.2.10'],
        ['app', second4, '192.0.2.10'],
        ['db', second4, '192.0.2.10'],
        // Among its IPv6 addresses the kernel takes the one that was added last.
        ['web', internet6, '2001:db8:cb00::11'],
        ['db', internet6, '2001:db8:cb00::11'],
        ['web', second6, '3fff:2::10'],
        ['vault', internet4, undefined],
        ['vault', second6, undefined],
        ['tame', internet4, undefined],
        ['tame', internet6, undefined],
      ];
      const found = await Promise.all(table.map(async ([from, to]) => [await seen(from, to, 'tcp'), await seen(from, to, 'udp')]));
      assert.deepEqual(
        found.map((two, i) => [...(table[i]?.slice(0, 2) ?? []), ...two]),
        table.map(([from, to, source]) => [from, to, source, source]),
      );
    });
  });

  it('of guests do not leave with packets that belong to no connection, nor with the host’s own', async () => {
    await withHost({ file, host: { addresses } }, async (bed) => {
      await addSecondUplink(bed);
      await bed.weft('apply', '--yes');
      const parties = await partiesOf(bed);
      const kept = 'src net 10.0.0.0/8 or src net fd00::/8 or src host 203.0.113.99 or src host 2001:db8:cb00::99';
      const captures = await Promise.all(['u-0', 'u-second'].map((link) => capture(bed.outer.kernel, link, kept, { direction: 'in' })));
      for (const name of ['web', 'db', 'vault', 'wild', 'tame']) {
        const { kernel } = bed.guest(name);
        const [, mac = ''] = /link\/ether (\S+)/.exec(await kernel.run('ip', ['link', 'show', 'dev', 'eth0'])) ?? [];
        const network = { web: 'a', db: 'b', vault: 'lab', wild: 'free', tame: 'cage' }[name] ?? '';
        const [, gateway = ''] = /link\/ether (\S+)/.exec(await bed.host.kernel.run('ip', ['link', 'show', 'dev', `br-${network}`])) ?? [];
        const own4 = parties.address(name, 4) ?? '';
        const own6 = parties.address(name, 6) ?? '';
        // RST, ACK and FIN of no connection; an error about nothing; a fragment's tail; and sources that are nobody's here.
        const tcp = (flags: string): string => `12340050000000010000000150${flags}ffff00000000`;
        const frames = [internet4, second4].flatMap((to) => [
          ...['04', '10', '11', '00'].map((flags) => ethernet(gateway, mac, 0x0800, ipv4({ from: own4, to, protocol: 6 }, tcp(flags)))),
          ethernet(gateway, mac, 0x0800, ipv4({ from: own4, to, protocol: 1 }, `0303fcfc00000000${'00'.repeat(28)}`)),
          ethernet(gateway, mac, 0x0800, ipv4({ from: own4, to, protocol: 17, fragmentOffset: 100 }, 'ab'.repeat(64))),
          ethernet(gateway, mac, 0x0800, ipv4({ from: '203.0.113.99', to, protocol: 17 }, udp(1, 2, 'ab'))),
          ethernet(gateway, mac, 0x0800, ipv4({ from: own4, to, protocol: 253 }, 'abcdef00')),
        ]);
        const frames6 = [internet6, second6].flatMap((to) => [
          ...['04', '10', '11', '00'].map((flags) => ethernet(gateway, mac, 0x86dd, ipv6(own6, to, 6, tcp(flags)))),
          ethernet(gateway, mac, 0x86dd, ipv6(own6, to, 58, `01000000${'00'.repeat(48)}`)),
          ethernet(gateway, mac, 0x86dd, ipv6('2001:db8:cb00::99', to, 17, udp(1, 2, 'ab'))),
          ethernet(gateway, mac, 0x86dd, ipv6(own6, to, 253, 'abcdef00')),
        ]);
        await sendFrames(kernel, 'eth0', [...frames, ...frames6]);
      }
      // The host's own, from the addresses on its bridges: translated where the network is, else kept.
      const fromHost = async (source: string, to: string): Promise<boolean> =>
        (await bed.prober.probe({ from: bed.host.path, at: bed.outer.path, source, to, protocol: 'tcp', port: 81 })).answered;
      const own = [
        await fromHost('10.1.0.1', internet4),
        await fromHost('fd00:2::1', internet6),
        await fromHost('10.4.0.1', internet4),
        await fromHost('fd00:4::1', second6),
        await fromHost('203.0.113.12', internet4),
      ];
      assert.deepEqual((await Promise.all(captures.map((one) => one.stop()))).flat(), []);
      assert.deepEqual(own, [true, true, false, false, true]);
    });
  });
});

/** A machine on another interface of the host, which would like to be routed. */
async function addLan(bed: HostBed): Promise<BedNamespace> {
  const lan = await bed.namespace('lan');
  await bed.host.kernel.run('ip', ['link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', lan.name]);
  await bed.host.kernel.run('sh', [
    '-ec',
    'ip link set dev lan0 up; ip addr add 192.168.50.1/24 dev lan0; ip addr add 2001:db8:50::1/64 dev lan0 nodad',
  ]);
  await lan.kernel.run('sh', [
    '-ec',
    `ip link set dev eth0 up; ip addr add 192.168.50.2/24 dev eth0; ip addr add 2001:db8:50::2/64 dev eth0 nodad
     ip route add default via 192.168.50.1; ip route add default via 2001:db8:50::1`,
  ]);
  return lan;
}

describe('a host that was no router', () => {
  const quiet = `
name: lan
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
guests:
  web: { network: a, kind: namespace }
`;
  const routes = ['192.168.50.0/24', '2001:db8:50::/64', '10.1.0.0/24', 'fd00:1::/64'];

  for (const before of [false, true]) {
    it(before ? 'goes on being one if it was' : 'is none afterwards', async () => {
      await withHost({ file: quiet, host: { routes } }, async (bed) => {
        const lan = await addLan(bed);
        if (before)
          await bed.host.kernel.run('sh', ['-ec', 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding']);
        const passes = async (): Promise<boolean[]> => {
          const probe = (from: string, at: string, to: string, source?: string) => ({
            ...{ from, at, to, protocol: 'udp' as const, port: 9 },
            ...(source === undefined ? {} : { source }),
          });
          const all = [
            probe(lan.path, bed.outer.path, internet4),
            probe(lan.path, bed.outer.path, internet6),
            probe(bed.outer.path, lan.path, '192.168.50.2', internet4),
            probe(bed.outer.path, lan.path, '2001:db8:50::2', internet6),
          ];
          return (await bed.prober.probeAll(all)).map(({ delivered }) => delivered);
        };
        assert.deepEqual(await passes(), Array<boolean>(4).fill(before), 'before');
        await bed.weft('apply', '--yes');
        assert.deepEqual(await passes(), Array<boolean>(4).fill(before), 'with Weft');
        // Guests use it all the same, and nobody reaches them or their gateways through it.
        const parties = await partiesOf(bed);
        const web = bed.guest('web').path;
        const out = await bed.prober.probeAll(
          [internet4, internet6].map((to) => ({ from: web, at: bed.outer.path, to, protocol: 'tcp' as const, port: 80 })),
        );
        assert.deepEqual(
          out.map(({ answered }) => answered),
          [true, true],
        );
        const inward = ([4, 6] as const).flatMap((family) =>
          ['web', 'gw:a'].flatMap((name) =>
            [lan.path, bed.outer.path].map((from) => ({
              from,
              at: parties.path(name),
              to: parties.address(name, family) ?? '',
              protocol: 'udp' as const,
              port: name === 'web' ? 9 : 53,
              ...(from === lan.path ? {} : { source: family === 4 ? internet4 : internet6 }),
            })),
          ),
        );
        assert.deepEqual(
          (await bed.prober.probeAll(inward)).map(({ delivered }) => delivered),
          Array<boolean>(8).fill(false),
        );
        await bed.weft('destroy', '--yes');
        assert.deepEqual(await passes(), Array<boolean>(4).fill(before), 'after Weft');
      });
    });
  }
});

it('the uplink goes on taking router advertisements', async () => {
  const file6 = `
name: adverts
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
guests:
  web: { network: a, kind: namespace }
`;
  await withHost({ file: file6 }, async (bed) => {
    await bed.host.kernel.run('ip', ['-6', 'route', 'del', 'default']);
    // A router that says in its neighbour advertisements that it is none is taken off the list.
    await bed.outer.kernel.writeSysctl('net/ipv6/conf/u-0/forwarding', '1');
    const [, mac = '', router = ''] =
      /link\/ether (\S+)[^]*inet6 (fe80::[0-9a-f:]+)/.exec(await bed.outer.kernel.run('ip', ['addr', 'show', 'dev', 'u-0'])) ?? [];
    /** For three seconds. */
    const advertise = (): Promise<void> =>
      sendFrames(bed.outer.kernel, 'u-0', [ethernet('33:33:00:00:00:01', mac, 0x86dd, shortLived(router))]);
    // As fresh as they come.
    const there = async (): Promise<boolean> =>
      /^default via fe80::.* proto ra .*expires 2sec/m.test(await bed.host.kernel.run('ip', ['-6', 'route', 'show', 'default']));
    const byAdvert = async (): Promise<boolean> => {
      await advertise();
      for (let i = 0; i < 20 && !(await there()); i++) await sleep(20);
      return there();
    };
    assert.equal(await byAdvert(), true, 'before Weft');
    await bed.weft('apply', '--yes');
    for (let i = 0; i < 4; i++) {
      await sleep(1200);
      assert.equal(await byAdvert(), true, `${i} s after`);
    }
    assert.equal((await bed.probe('web', 'outer', { to: internet6, protocol: 'tcp', port: 80 })).answered, true);
    await bed.weft('destroy', '--yes');
    assert.equal(await byAdvert(), true, 'after Weft');
  });

  function shortLived(router: string): string {
    return routerAdvert(router, 'ff02::1', '2001:db8:cb00::', 3);
  }
});
