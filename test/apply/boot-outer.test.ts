/**
 * A reboot of a host with guests on the outer network (kind bridged) and with public addresses (kind routed): the units bring both back from the saved state alone. The early one finds no
 * interface of that name; the host's own network service has put the addresses onto it, and not onto the bridge, when the late one runs.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { internet4, internet6, withHost, type HostBed } from '../bed/host.ts';
import { commandOf, early, full, machine, runUnit, shell } from './rebooted.ts';

const file = `
name: outer
networks:
  lan: { kind: bridged, interface: eth0, subnet: [203.0.113.0/24, '2001:db8:cb00::/64'], gateway: [203.0.113.1, '2001:db8:cb00::1'], range: 203.0.113.200-203.0.113.220 }
  public: { kind: routed, addresses: [198.18.5.0/29, '2001:db8:5::/64'] }
  plain: { kind: nat, subnet: 10.0.105.0/24 }
guests:
  near: { network: lan, kind: namespace, address: [203.0.113.200, '2001:db8:cb00::200'] }
  web: { network: public, kind: namespace, address: [198.18.5.0, '2001:db8:5::77'] }
  inner: { network: plain, kind: namespace, address: 10.0.105.10 }
allow:
  - internet -> near, web tcp/80
  - inner -> web tcp/5432
`;
const host = { routes: ['198.18.5.0/29', '2001:db8:5::/64'] };

type Row = readonly [from: string, at: string, to: string, port: number, open: boolean];
const rows: readonly Row[] = [
  ['outer', 'near', '203.0.113.200', 80, true],
  ['outer', 'near', '2001:db8:cb00::200', 80, true],
  ['outer', 'web', '198.18.5.0', 80, true],
  ['outer', 'web', '2001:db8:5::77', 80, true],
  ['near', 'outer', internet4, 443, true],
  ['near', 'outer', internet6, 443, true],
  ['web', 'outer', internet4, 443, true],
  ['web', 'outer', internet6, 443, true],
  ['inner', 'outer', internet4, 443, true],
  ['inner', 'web', '198.18.5.0', 5432, true],
  ['outer', 'near', '203.0.113.200', 81, false],
  ['outer', 'web', '198.18.5.0', 81, false],
  ['outer', 'web', '2001:db8:5::77', 81, false],
  ['near', 'web', '198.18.5.0', 81, false],
  ['web', 'near', '203.0.113.200', 81, false],
  ['near', 'host', '203.0.113.10', 81, false],
  ['outer', 'host', '203.0.113.10', 22, true],
];

async function passing(bed: HostBed, chosen: readonly Row[]): Promise<readonly Row[]> {
  const results = await Promise.all(
    chosen.map(([from, at, to, port]) =>
      bed.probe(from, at, {
        to,
        port,
        protocol: 'tcp',
        timeoutMs: 3000,
        ...(from === 'outer' ? { source: to.includes(':') ? internet6 : internet4 } : {}),
      }),
    ),
  );
  return chosen.map(([from, at, to, port], i): Row => [from, at, to, port, results[i]?.answered ?? false]);
}

it('after a reboot the units bring back guests on the LAN and with public addresses', { timeout: 180_000 }, async () => {
  let rules = '';
  const kept = await machine({ file, host }, async (bed) => {
    await bed.weft('apply', '--yes');
    assert.deepEqual(await passing(bed, rows), rows);
    rules = await bed.host.kernel.run('nft', ['-s', 'list', 'ruleset']);
  });
  await withHost({ file, host }, async (bed) => {
    await shell(bed, 'ip link set dev eth0 down; ip link set dev eth0 name slot3; ip addr flush dev slot3');
    const first = await runUnit(bed, kept, early);
    assert.equal(first.status, 0, first.stderr);
    await shell(
      bed,
      `ip link set dev slot3 name eth0; ip addr add 203.0.113.10/24 dev eth0; ip link set dev eth0 up
       ip -6 addr add 2001:db8:cb00::10/64 dev eth0 nodad; ip route add default via 203.0.113.1; ip -6 route add default via 2001:db8:cb00::1`,
    );
    const closed = rows.filter(([, at, , , open]) => !open && at !== 'near');
    assert.deepEqual(await passing(bed, closed), closed, 'before the late one has run');
    // A power cut in the middle of it, with the interface half-way.
    assert.notEqual((await runUnit(bed, kept, full, 'kill@6')).status, 0);
    const second = await runUnit(bed, kept, full);
    assert.equal(second.status, 0, second.stderr);
    assert.match(await shell(bed, 'ip link show dev eth0'), / master br-lan /);
    assert.match(await shell(bed, 'ip route get 203.0.113.1'), / dev br-lan src 203\.0\.113\.10 /);
    assert.deepEqual(await passing(bed, rows), rows);
    assert.equal(await bed.host.kernel.run('nft', ['-s', 'list', 'ruleset']), rules);
    assert.match((await runUnit(bed, kept, full)).stdout, /^Everything is as it was applied\.$/m);
    const where = ['--state-dir', `${kept.directory}/state`, '--run-dir', `${kept.directory}/run`];
    const status = await bed.host.kernel.tryRun(process.execPath, [...commandOf(kept), 'status', ...where]);
    assert.equal(status.status, 0, status.stdout + status.stderr);
  });
});
