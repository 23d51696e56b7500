/** The host's own addresses and routes move from an interface to a bridge and back: nothing is lost or changed, and a TCP session through it goes on. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { enslave, release, settleHandovers } from '../../src/kernel/handover.ts';
import { openKernel } from '../../src/kernel/open.ts';
import { ipBatch, makeBed } from '../../src/twin/bed.ts';
import { differences, snapshot } from '../bed/snapshot.ts';
import { linkAddress } from './lan.ts';
import { openStream } from './stream.ts';

const handover = { interface: 'em0', bridge: 'br-lan' };
const options = { directory: '/run/weft-handover' };

/** One of each kind: several tables, metrics, protocols, sources, MTUs, on-link next hops, several next hops, lifetimes, labels, a taken-away prefix route. */
const settings = [
  'addr add 192.168.118.12/24 dev em0 label em0:1',
  'addr add 10.9.9.1 peer 10.9.9.2/32 dev em0',
  'addr add 10.20.0.1/16 dev em0 noprefixroute',
  'addr add 10.21.0.1/16 dev em0 metric 77',
  'addr add 10.22.0.1/16 dev em0',
  'route del 10.22.0.0/16 dev em0',
  'addr add 192.168.119.9/24 dev em0 valid_lft 5000 preferred_lft 4000',
  'route add 10.30.0.0/16 via 192.168.118.254 dev em0 proto static metric 300 src 192.168.118.12 mtu lock 1400',
  'route append 10.30.0.0/16 via 192.168.118.253 dev em0 proto static metric 300',
  'route add default via 192.168.118.253 dev em0 metric 500 proto dhcp',
  'route add default via 172.31.1.1 dev em0 onlink table 100',
  'route add 10.7.0.0/16 nexthop via 192.168.118.5 dev em0 weight 1 nexthop via 192.168.118.6 dev em0 weight 2',
  'route add 10.40.0.0/16 dev em0 scope link table 200 proto 99',
  'addr add 2001:db8:9::5/64 dev em0 nodad',
  'addr add 2001:db8:a::5/64 dev em0 valid_lft 5000 preferred_lft 4000',
  'route add 2001:db8:77::/48 via 2001:db8:118::1 dev em0 metric 5 proto static',
  'route add ::/0 via fe80::77 dev em0 metric 2000 proto ra expires 3000 pref high',
  'neigh add 192.168.118.250 lladdr 02:00:00:00:00:fa dev em0 nud permanent',
  'neigh add proxy 192.168.118.77 dev em0',
];

it('everything moves to the bridge and comes back as it was, and a session goes on all the time', { timeout: 120_000 }, async () => {
  const kernel = openKernel();
  const bed = await makeBed(kernel, 'ho-', [{ name: 'host', uplink: 'em0', addresses: ['192.168.118.10/24', '2001:db8:118::10/64'] }]);
  try {
    const host = bed.host('host');
    await ipBatch(host.kernel, settings);
    await host.kernel.writeSysctl('net/ipv4/conf/em0/rp_filter', '1');
    const mac = linkAddress(await host.kernel.run('ip', ['-j', 'link', 'show', 'em0']));
    await ipBatch(host.kernel, [
      `link add name br-lan address ${mac} type bridge stp_state 0 forward_delay 0`,
      'link set dev br-lan addrgenmode none',
      'link set dev br-lan up',
    ]);
    const before = await snapshot(host.kernel);
    const stream = await openStream(bed.outer, host, '192.168.118.10');
    const stream6 = await openStream(bed.outer, host, '2001:db8:118::10');
    for (let round = 0; round < 10; round++) {
      await enslave(host.kernel, handover, options);
      if (round === 0) {
        const [was, now] = [routesOf(before['routes'] ?? '', 'em0'), routesOf((await snapshot(host.kernel))['routes'] ?? '', 'br-lan')];
        assert.deepEqual(now, was);
        assert.deepEqual(routesOf((await snapshot(host.kernel))['routes'] ?? '', 'em0'), []);
        assert.equal(await host.kernel.readSysctl('net/ipv4/conf/br-lan/rp_filter'), '1');
        // A second time: nothing to move, nothing lost.
        await enslave(host.kernel, handover, options);
        assert.deepEqual(routesOf((await snapshot(host.kernel))['routes'] ?? '', 'br-lan'), was);
      }
      await release(host.kernel, handover, options);
      const after = await snapshot(host.kernel);
      assert.deepEqual(
        differences(before, after).filter((line) => !/(settings|links|multicast).*br-lan/.test(line)),
        [],
      );
    }
    assert.ok((await stream.end()) > 10_000);
    assert.ok((await stream6.end()) > 10_000);
  } finally {
    await bed.close();
  }
});

it('kill -9 in the middle: it goes on to the end, and what comes after waits for it', { timeout: 120_000 }, async () => {
  const kernel = openKernel();
  const bed = await makeBed(kernel, 'kill-', [{ name: 'host', uplink: 'em0', addresses: ['192.168.118.10/24'] }]);
  try {
    const host = bed.host('host');
    await ipBatch(
      host.kernel,
      Array.from({ length: 3000 }, (_, n) => `route add 10.${n >> 8}.${n & 255}.0/24 via 192.168.118.254 dev em0 proto static`),
    );
    const mac = linkAddress(await host.kernel.run('ip', ['-j', 'link', 'show', 'em0']));
    await ipBatch(host.kernel, [`link add name br-lan address ${mac} type bridge stp_state 0 forward_delay 0`, 'link set dev br-lan up']);
    const routes = async (): Promise<string> => (await snapshot(host.kernel))['routes'] ?? '';
    const all = routesOf(await routes(), 'em0');
    const source = join(import.meta.dirname, '../../src/kernel');
    const program = `
      const { enslave } = await import('${source}/handover.ts');
      const { openKernel } = await import('${source}/open.ts');
      await enslave(openKernel(), ${JSON.stringify(handover)}, ${JSON.stringify(options)});`;
    const pid = await host.kernel.startDetached(process.execPath, ['--input-type=module', '-e', program]);
    // The log is there once the batch has begun.
    const begun = (): boolean => existsSync(options.directory) && readdirSync(options.directory).some((name) => name.endsWith('.log'));
    for (const until = Date.now() + 30_000; !begun() && Date.now() < until;) await new Promise((resolve) => setImmediate(resolve));
    process.kill(pid, 'SIGKILL');
    await settleHandovers(host.kernel, options.directory);
    assert.deepEqual(routesOf(await routes(), 'br-lan').length, all.length);
    assert.deepEqual(routesOf(await routes(), 'em0'), []);
    assert.deepEqual(readdirSync(options.directory), []);
    assert.equal(await host.kernel.run('nft', ['list', 'tables']), '', 'connections may begin again');
    await release(host.kernel, handover, options);
    assert.deepEqual(routesOf(await routes(), 'em0'), all);
  } finally {
    await bed.close();
  }
});

/** Those of an interface, without its name, in an order of their own; the kernel's for the groups stay with every link. */
const routesOf = (text: string, link: string): string[] =>
  text
    .split('\n')
    .map((line, index, all) => (line.startsWith('\t') ? `${all.slice(0, index).findLast((one) => !one.startsWith('\t'))}${line}` : line))
    .filter((line) => line.includes(`dev ${link} `) && !/^multicast|^ff00|^anycast/.test(line))
    .map((line) => line.replaceAll(`dev ${link}`, 'dev X').trim())
    .sort();
