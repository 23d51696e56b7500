/**
 * Sessions of guests of a nat network, seen outside as the host, while the interface that they leave by joins a bridge and leaves it again: they go on, with the same address and port.
 * The kernel forgets what is masqueraded when the address leaves its interface, and when a packet goes out by another one than before.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { listConnections } from '../../src/kernel/conntrack.ts';
import { runJson } from '../../src/kernel/json.ts';
import { GATEWAY, HOST, NEIGHBOUR, withLan, type LanBed } from './lan.ts';
import { openStream } from './stream.ts';

const file = (bridged: string): string => `
name: seen
networks:
  plain: { kind: nat, subnet: [10.0.105.0/24, "fd00:105::/64"] }${bridged}
guests:
  inner: { network: plain, kind: namespace, address: [10.0.105.10, "fd00:105::10"] }
allow:
  - inner -> ${NEIGHBOUR}, 2001:db8:118::5 tcp/7007-7009
publish:
  - ${HOST} tcp/8008 -> inner
`;
const external = `
  external: { kind: bridged, interface: em0, subnet: 192.168.118.0/24, gateway: ${GATEWAY}, range: 192.168.118.220-192.168.118.230 }`;

const joined = async (bed: LanBed): Promise<boolean> =>
  JSON.stringify(await runJson(bed.host.kernel, 'ip', ['-j', 'link', 'show', 'dev', 'em0'])).includes('"master":"br-external"');

/** Who the outer machine sees: `192.168.118.10:36976`. */
const seenAs = async (bed: LanBed): Promise<readonly string[]> =>
  (await listConnections(bed.host.kernel))
    .filter(({ orig }) => orig.src === '10.0.105.10' || orig.src === 'fd00:105::10')
    .map(({ protocol, reply }) => `${protocol} ${reply.dst} ${reply.dport ?? ''}`)
    .sort();

it('sessions of nat guests go on, and no byte of them is lost', { timeout: 180_000 }, async () => {
  await withLan(file(''), async (bed) => {
    await bed.weft('apply', '--yes');
    const inner = bed.guest('inner');
    const streams = [
      await openStream(inner, bed.neighbour, NEIGHBOUR, 7007),
      await openStream(inner, bed.neighbour, NEIGHBOUR, 7008),
      await openStream(inner, bed.neighbour, '2001:db8:118::5', 7009),
      await openStream(bed.neighbour, inner, '10.0.105.10', 8008, HOST),
    ];
    const before = await seenAs(bed);
    assert.equal(before.length, 3, before.join('\n'));
    for (let round = 0; round < 2; round++) {
      bed.writeFile(file(external));
      await bed.weft('apply', '--yes');
      assert.equal(await joined(bed), true);
      assert.deepEqual(await seenAs(bed), before);
      bed.writeFile(file(''));
      await bed.weft('apply', '--yes');
      assert.equal(await joined(bed), false);
      assert.deepEqual(await seenAs(bed), before);
    }
    for (const stream of streams) assert.ok((await stream.end()) > 10_000);
  });
});
