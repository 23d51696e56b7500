/** "Several NICs": default route and DNS by the first or the one that says so, the subnet's routes for the others; and IPv6 between guests when the uplink has none. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { withHost } from '../bed/host.ts';
import { capture } from '../../src/twin/capture.ts';
import { partiesOf, wrongLines } from './lines.ts';

const file = `
name: nics
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
  b: { kind: nat, subnet: [10.2.0.0/24, fd00:2::/64], egress: deny }
  lab: { kind: isolated, subnet: [10.3.0.0/24, fd00:3::/64] }
guests:
  first: { kind: namespace, nics: [{ network: a }, { network: lab }] }
  second: { kind: namespace, nics: [{ network: lab }, { network: a, default: true }] }
  inner: { kind: namespace, nics: [{ network: lab }, { network: b }] }
  web: { network: a, kind: namespace }
  vault: { network: lab, kind: namespace }
allow:
  - vault -> first.lab tcp/80
  - first -> vault tcp/81
  - web -> second.a tcp/82
  - inner -> vault tcp/83
  - vault -> inner.lab tcp/84
  - second -> web tcp/85
  - web -> first icmp
`;
const lines = `
yes vault first.lab tcp/80
no  vault first.a tcp/80
yes first.lab vault tcp/81
yes web second.a tcp/82
yes inner.lab vault tcp/83
yes vault inner.lab tcp/84
yes second.a web tcp/85
yes web first.a icmp
no  vault first.lab icmp
yes host first.a tcp/1
yes host first.lab tcp/1
`;
const outward = `
yes first.a outside tcp/80
yes second.a outside tcp/80
no  inner.lab outside tcp/80
no  vault outside tcp/80
`;

it('routes, names and rules follow the NIC', async () => {
  await withHost({ file }, async (bed) => {
    await bed.weft('apply', '--yes');
    const parties = await partiesOf(bed);
    const routes = async (name: string, family: '-4' | '-6'): Promise<string[]> => {
      const text = await bed.guest(name).kernel.run('ip', [family, 'route']);
      return [...text.matchAll(/^(default|10\.\S+|fd00\S+\/64) .*dev (eth\d)/gm)].map(([, to, link]) => `${to} ${link}`).toSorted();
    };
    assert.deepEqual(await routes('first', '-4'), ['10.1.0.0/24 eth0', '10.3.0.0/24 eth1', 'default eth0']);
    assert.deepEqual(await routes('second', '-4'), ['10.1.0.0/24 eth1', '10.3.0.0/24 eth0', 'default eth1']);
    assert.deepEqual(await routes('first', '-6'), ['default eth0', 'fd00:3::/64 eth1']);
    assert.deepEqual(await routes('second', '-6'), ['default eth1', 'fd00:3::/64 eth0']);
    assert.deepEqual(await wrongLines(bed, lines + outward, parties), []);
    const named = async (name: string): Promise<string> =>
      (await bed.guest('web').kernel.run('dig', ['+short', '@10.1.0.1', name, 'A'])).trim();
    assert.deepEqual(
      [await named('first'), await named('second'), await named('second.lab'), await named('inner')],
      ['first.a', 'second.a', 'second.lab', 'inner.lab'].map((name) => parties.address(name, 4)),
    );
    // What has the address of one NIC does not leave by the other.
    const stray = await capture(bed.outer.kernel, 'u-0', 'net 10.0.0.0/8 or net fd00::/8');
    for (const family of [4, 6] as const) {
      const to = parties.address('outside', family) ?? '';
      const source = parties.address('first.lab', family) ?? '';
      const result = await bed.prober.probe({ from: parties.path('first'), at: bed.outer.path, source, to, protocol: 'udp', port: 9 });
      assert.equal(result.delivered, false);
    }
    assert.deepEqual(await stray.stop(), []);
  });
});

it('guests reach each other by IPv6 although the uplink has none', async () => {
  await withHost({ file, host: { addresses: ['203.0.113.10/24'] } }, async (bed) => {
    await bed.weft('apply', '--yes');
    const six = (text: string): string => text.trim().replace(/^/gm, '6:');
    assert.deepEqual(await wrongLines(bed, six(lines)), []);
    assert.deepEqual(await wrongLines(bed, outward.trim().replace(/^/gm, '4:')), []);
  });
});
