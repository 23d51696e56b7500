/**
 * What must not pass by routed ports: forged sources from either side, addresses of a block that nobody has (no loop to the provider), other MACs on the uplink;
 * and that the host answers on the wire for what guests have, and for nothing else.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { capture } from '../../src/twin/capture.ts';
import type { BedNamespace } from '../../src/twin/bed.ts';
import { internet4, withHost } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';
import { ethernet, ipv4, sendFrames, udp } from '../policy/frames.ts';

const mac = '02:00:00:00:e0:01';

/** 203.0.113.20 to .23 and 2001:db8:cb00::/64 are on-link at the uplink; 198.18.5.0/29 is routed to the host. */
const file = (more = ''): string => `
name: kept
hosts: { vps: { address: [203.0.113.10, '2001:db8:cb00::10'], macs: ${mac} } }
networks:
  routed: { kind: routed, addresses: 198.18.5.0/29, bootstrap: 172.30.0.0/24 }
  onlink: { kind: routed, addresses: [203.0.113.20, 203.0.113.21, 203.0.113.22/31, '2001:db8:cb00::/64'] }
${more}`;
const guests = `
guests:
  a: { kind: namespace, network: routed, address: 198.18.5.0 }
  b: { kind: namespace, network: routed, address: 198.18.5.7 }
  c: { kind: namespace, network: onlink, address: [203.0.113.21, '2001:db8:cb00::c'] }
allow: [internet -> a, internet -> b, internet -> c, 203.0.113.0/24 -> c, '2001:db8:cb00::/64 -> c']
`;

it('nothing forged, no loop, no stranger’s MAC, and answers for the guests alone', { timeout: 200_000 }, async () => {
  await withHost({ file: file(), host: { routes: ['198.18.5.0/29'] } }, async (bed) => {
    const { kernel } = bed.host;
    await kernel.run('ip', ['link', 'set', 'dev', 'eth0', 'address', '02:00:00:00:e0:02']);
    const refused = await bed.tryWeft(['apply', '--yes']);
    assert.equal(refused.status, 2);
    assert.match(refused.stderr, /mac-not-listed: The uplink eth0 has the MAC 02:00:00:00:e0:02, which `macs` does not list/);
    await kernel.run('ip', ['link', 'set', 'dev', 'eth0', 'address', mac]);
    // A host that forwards already: what is neither from a guest nor for one is not Weft's to drop, so only a route keeps it from going back.
    await kernel.writeSysctl('net/ipv4/ip_forward', '1');
    const before = await bed.snapshot();

    // From before the first guest.
    await bed.weft('apply', '--yes');
    const wire = await capture(bed.outer.kernel, 'u-0', 'ether proto 0x88b5 or udp port 7777', { direction: 'in' });
    for (let i = 0; i < 5; i++)
      await sendFrames(kernel, 'eth0', [
        `ffffffffffff02000000bad088b5${'00'.repeat(46)}`,
        `ffffffffffff${mac.replaceAll(':', '')}88b5${'11'.repeat(46)}`,
      ]);
    const seen = await wire.stop();
    assert.equal(seen.filter((line) => line.includes('02:00:00:00:ba:d0')).length, 0);
    assert.equal(seen.filter((line) => line.includes(mac)).length, 5, seen.join('\n'));
    assert.equal((await bed.probe('host', 'outer', { to: internet4, protocol: 'tcp', port: 80 })).answered, true);

    bed.writeFile(file(guests));
    await bed.weft('apply', '--yes');
    for (const [name, to] of Object.entries({ a: '198.18.5.0', b: '198.18.5.7', c: '203.0.113.21' }))
      assert.equal((await bed.probe('outer', name, { to, protocol: 'tcp', port: 80 })).answered, true, name);
    assert.equal((await bed.probe('outer', 'c', { to: '2001:db8:cb00::c', protocol: 'tcp', port: 80 })).answered, true);

    // The outer neighbour resolves exactly what guests have.
    const resolves = async (address: string): Promise<boolean> => {
      await bed.outer.kernel.tryRun('ping', ['-c', '1', '-W', '2', '-I', 'u-0', address]);
      return /lladdr/.test(await bed.outer.kernel.run('ip', ['neigh', 'show', address, 'dev', 'u-0']));
    };
    assert.deepEqual(
      await Promise.all(
        ['203.0.113.21', '203.0.113.20', '203.0.113.22', '203.0.113.30', '198.18.5.0', '2001:db8:cb00::c', '2001:db8:cb00::d'].map(
          resolves,
        ),
      ),
      [true, false, false, false, false, true, false],
    );

    // It is a router there now, and takes router advertisements all the same (ip-sysctl: accept_ra 2).
    const uplink = ['forwarding', 'accept_ra'].map((leaf) => kernel.readSysctl(`net/ipv6/conf/eth0/${leaf}`));
    assert.deepEqual(await Promise.all(uplink), ['1', '2']);

    // From outside with a guest's source, from a guest with another's; nothing arrives.
    const atB = await capture(bed.guest('b').kernel, 'eth0', 'udp port 7777', { direction: 'in' });
    const macOf = async (namespace: BedNamespace, link: string): Promise<string> =>
      /link\/ether (\S+)/.exec(await namespace.kernel.run('ip', ['link', 'show', 'dev', link]))?.[1] ?? '';
    const macs = { outer: await macOf(bed.outer, 'u-0'), a: await macOf(bed.guest('a'), 'eth0'), port: await macOf(bed.host, 'w-a') };
    const datagram = (to: string, by: string, from: string): string =>
      ethernet(to, by, 0x0800, ipv4({ from, to: '198.18.5.7', protocol: 17 }, udp(7000, 7777, '00')));
    for (const from of ['198.18.5.0', '203.0.113.21', '172.30.0.9', '198.51.100.9'])
      await sendFrames(bed.outer.kernel, 'u-0', [datagram(mac, macs.outer, from)]);
    for (const from of ['198.18.5.3', '8.8.4.4', '203.0.113.21'])
      await sendFrames(bed.guest('a').kernel, 'eth0', [datagram(macs.port, macs.a, from)]);
    const arrived = await atB.stop();
    assert.equal(arrived.length, 1, arrived.join('\n'));
    assert.match(arrived[0] ?? '', /198\.51\.100\.9\.\d+ > 198\.18\.5\.7/);

    // An address of the block that nobody has: no packet goes back to the provider.
    const back = await capture(bed.outer.kernel, 'u-0', 'ip dst 198.18.5.3', { direction: 'in' });
    await bed.outer.kernel.tryRun('ping', ['-c', '2', '-W', '1', '198.18.5.3']);
    await bed.guest('a').kernel.tryRun('ping', ['-c', '2', '-W', '1', '198.18.5.3']);
    assert.deepEqual(await back.stop(), []);

    // What somebody took away is seen and mended.
    await kernel.run('ip', ['route', 'del', '198.18.5.7', 'dev', 'w-b']);
    await kernel.run('ip', ['neigh', 'del', 'proxy', '203.0.113.21', 'dev', 'eth0']);
    assert.match((await bed.tryWeft(['status'])).stdout, /198\.18\.5\.7/);
    await bed.weft('apply', '--yes');
    assert.equal((await bed.probe('outer', 'b', { to: '198.18.5.7', protocol: 'tcp', port: 81 })).answered, true);
    assert.equal(await resolves('203.0.113.21'), true);

    await bed.weft('destroy', '--yes');
    assert.deepEqual(differences(before, await bed.snapshot()), []);
    assert.deepEqual(bed.leftovers(), []);
  });
});
