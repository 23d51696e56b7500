/** IPv6 inside the fabric, where nothing beyond the host has it: guests reach each other and their name server by the router fe80::1. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileDnsmasq } from '../../src/compile/dnsmasq.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { startServices } from '../../src/kernel/services.ts';
import { makeBed } from './bed.ts';
import type { Bed } from './bed.ts';
import { ask, dhclient } from './clients.ts';
import { fabric, facts, guest, network } from './fixture.ts';

const described = fabric(
  [
    network('inner', { v6: { subnet: 'fd00:105::/64', gateway: 'fd00:105::1' } }),
    network('lab', { kind: 'isolated', mac: '02:00:00:00:ff:02', v6: { subnet: 'fd00:77::/64', gateway: 'fd00:77::1' } }),
  ],
  [
    guest('web', [
      { network: 'inner', v6: 'fd00:105::10', mac: '02:00:00:00:01:10' },
      { network: 'lab', v6: 'fd00:77::10', mac: '02:00:00:00:02:10' },
    ]),
    guest('db', [{ network: 'inner', v6: 'fd00:105::20', mac: '02:00:00:00:01:20' }]),
  ],
);

describe('IPv6 without IPv6 on the uplink', () => {
  let bed: Bed;
  before(async () => {
    bed = await makeBed(described);
    const uplink = { name: 'up', mac: '02:00:00:00:aa:01', gateways: [], mtu: 1500, addresses: ['203.0.113.10/24'], v6: false };
    await startServices(bed.host, compileDnsmasq(described, 'host', { ...facts, uplink }, { resolvFile: '/dev/null' }), bed.dirs);
  });
  after(() => bed.close());

  /** The default routes the guest's kernel took from router advertisements; asked for once more, as it may have missed the first ones. */
  async function defaultRoutes(inside: Kernel, links: readonly string[]): Promise<string> {
    for (let i = 0; i < 20; i++) {
      const routes = await inside.run('ip', ['-6', 'route', 'show', 'default']);
      if (links.every((link) => routes.includes(`dev ${link} `))) return routes;
      for (const link of links) await inside.tryRun('rdisc6', ['-1', '-q', link]);
      await sleep(50);
    }
    return 'none';
  }

  it('still lets siblings and the name server be reached with the lease and the advertised router alone', async () => {
    for (const name of ['web', 'db']) {
      const inside = bed.inside(name);
      assert.match(await defaultRoutes(inside, ['eth0']), /^default via fe80::1 dev eth0 proto ra .*/m);
      const lease = await dhclient(bed, inside, { family: 6 });
      await inside.run('ip', ['addr', 'add', `${lease?.['new_ip6_address'] ?? ''}/128`, 'dev', 'eth0', 'nodad']);
    }
    await bed.inside('web').run('ping', ['-c', '1', '-W', '2', 'fd00:105::20']);
    assert.deepEqual((await ask(bed.inside('web'), 'fd00:105::1', 'db', 'AAAA')).records, ['fd00:105::20']);
  });

  it("does not draw a guest's traffic into its isolated network", async () => {
    const onInner = await bed.inside('web').run('rdisc6', ['-1', 'eth0']);
    const onLab = await bed.inside('web').run('rdisc6', ['-1', 'eth1']);
    assert.match(onLab, /Router preference +: +low/);
    assert.doesNotMatch(onLab, /Recursive DNS server/);
    assert.match(onInner, /Recursive DNS server +: fd00:105::1/);
    const lease = await dhclient(bed, bed.inside('web'), { family: 6, interface: 'eth1' });
    assert.equal(lease?.['new_ip6_address'], 'fd00:77::10');
    assert.equal(lease?.['new_dhcp6_name_servers'], undefined);
    assert.equal(lease?.['new_dhcp6_domain_search'], undefined);
  });
});
