/** Leases and router advertisements with real clients: the address belongs to the port, whoever asks behind it. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { compileDnsmasq } from '../../src/compile/dnsmasq.ts';
import { startServices } from '../../src/kernel/services.ts';
import { makeBed } from './bed.ts';
import type { Bed } from './bed.ts';
import { dhclient, udhcpc } from './clients.ts';
import { fabric, facts, guest, network } from './fixture.ts';

const range = { from: '10.0.105.10', to: '10.0.105.200' };
const described = fabric(
  [
    network('internal', {
      v4: { subnet: '10.0.105.0/24', gateway: '10.0.105.254', range },
      v6: { subnet: 'fd00:105::/64', gateway: 'fd00:105::1' },
      mtu: 1400,
    }),
    network('lab', {
      kind: 'isolated',
      mac: '02:00:00:00:ff:02',
      v4: { subnet: '172.16.80.0/20', gateway: '172.16.80.1', range: { from: '172.16.80.2', to: '172.16.95.254' } },
    }),
  ],
  [
    guest('web', [{ network: 'internal', v4: '10.0.105.20', v6: 'fd00:105::20', mac: '02:00:00:00:01:20' }]),
    guest('clone', [{ network: 'internal', v4: '10.0.105.21', v6: 'fd00:105::21', mac: '02:00:00:00:01:21' }]),
    guest('foreign', [{ network: 'internal', v4: '10.0.105.22', v6: 'fd00:105::22', mac: '02:00:00:00:01:22', dns: ['1.1.1.1'] }]),
    guest('vm1', [
      { network: 'internal', v4: '10.0.105.23', v6: 'fd00:105::23', mac: '02:00:00:00:01:23' },
      { network: 'lab', v4: '172.16.80.55', mac: '02:00:00:00:02:55' },
    ]),
    guest('jail', [{ network: 'lab', v4: '172.16.80.56', mac: '02:00:00:00:02:55' }], { inside: 'vm1' }),
  ],
);

describe('DHCP and router advertisements', () => {
  let bed: Bed;
  before(async () => {
    bed = await makeBed(described);
    await startServices(bed.host, compileDnsmasq(described, 'host', facts, { resolvFile: '/dev/null' }), bed.dirs);
  });
  after(() => bed.close());

  it('gives the reserved address, mask, router, name server, domains, MTU and name', async () => {
    const lease = await udhcpc(bed, bed.inside('web'));
    const wanted = {
      ip: '10.0.105.20',
      subnet: '255.255.255.0',
      router: '10.0.105.254',
      dns: '10.0.105.254',
      domain: 'internal.weft.internal',
      search: 'internal.weft.internal weft.internal',
      mtu: '1400',
      hostname: 'web',
      lease: '3600',
    };
    const got = Object.fromEntries(Object.keys(wanted).map((key) => [key, lease?.[key]]));
    assert.deepEqual(got, wanted);
  });

  it('gives the same address whatever client id is sent, and to a client that asks for another', async () => {
    const inside = bed.inside('web');
    for (const id of ['0x3d:01020000000120', '0x3d:ff00112233', `0x3d:00${Buffer.from('other').toString('hex')}`])
      assert.equal((await udhcpc(bed, inside, ['-x', id]))?.['ip'], '10.0.105.20', id);
    assert.equal((await udhcpc(bed, inside, ['-C', '-r', '10.0.105.21']))?.['ip'], '10.0.105.20');
  });

  it('tells two clones with the same client id apart by their ports', async () => {
    const id = ['-x', '0x3d:ffdeadbeef'];
    assert.equal((await udhcpc(bed, bed.inside('web'), id))?.['ip'], '10.0.105.20');
    assert.equal((await udhcpc(bed, bed.inside('clone'), id))?.['ip'], '10.0.105.21');
    assert.equal((await udhcpc(bed, bed.inside('web'), id))?.['ip'], '10.0.105.20');
  });

  it('reaches clients that check checksums, with and without checksum offload', async () => {
    const inside = bed.inside('web');
    for (const state of ['off', 'on']) {
      await inside.run('ethtool', ['-K', 'eth0', 'tx', state, 'rx', state]);
      await bed.host.run('ethtool', ['-K', 'w-web', 'tx', state, 'rx', state]);
      assert.equal((await udhcpc(bed, inside))?.['ip'], '10.0.105.20', `udhcpc, offload ${state}`);
      assert.equal((await dhclient(bed, inside, { family: 4 }))?.['new_ip_address'], '10.0.105.20', `dhclient, offload ${state}`);
    }
  });

  it('answers no MAC without a reservation', async () => {
    const stranger = await bed.plug('stranger', 'br-internal', '02:00:00:00:01:99');
    assert.equal(await udhcpc(bed, stranger), undefined);
    assert.equal(await udhcpc(bed, stranger, ['-r', '10.0.105.20']), undefined);
  });

  it("gives the guest's own name servers, and never the gateway then", async () => {
    assert.equal((await udhcpc(bed, bed.inside('foreign')))?.['dns'], '1.1.1.1');
    const lease = await dhclient(bed, bed.inside('foreign'), { family: 6 });
    assert.equal(lease?.['new_ip6_address'], 'fd00:105::22');
    assert.equal(lease?.['new_dhcp6_name_servers'], undefined);
  });

  it('gives a second NIC its address and subnet only', async () => {
    const inside = bed.inside('vm1');
    const lease = await udhcpc(bed, inside, ['-i', 'eth1']);
    assert.equal(lease?.['ip'], '172.16.80.55');
    assert.equal(lease?.['subnet'], '255.255.240.0');
    for (const key of ['router', 'dns', 'domain', 'search']) assert.equal(lease?.[key], undefined, key);
    const first = await udhcpc(bed, inside);
    assert.deepEqual([first?.['ip'], first?.['router']], ['10.0.105.23', '10.0.105.254']);
  });

  it("leaves the permanent neighbour entries of the guests' addresses alone", async () => {
    await udhcpc(bed, bed.inside('web'));
    await dhclient(bed, bed.inside('web'), { family: 6, store: 'web' });
    const entries = await bed.host.run('ip', ['neigh', 'show', 'nud', 'permanent']);
    for (const address of ['10.0.105.20', 'fd00:105::20'])
      assert.match(entries, new RegExp(`^${address} dev br-internal lladdr 02:00:00:00:01:20 PERMANENT`, 'm'));
  });

  it('leases exactly the /128 by the port, also to two clones with one DUID', async () => {
    const web = await dhclient(bed, bed.inside('web'), { family: 6, store: 'web' });
    assert.deepEqual([web?.['new_ip6_address'], web?.['new_ip6_prefixlen']], ['fd00:105::20', '128']);
    const duid = /^default-duid .*$/m.exec(readFileSync(join(bed.directory, 'web'), 'utf8'))?.[0] ?? '';
    writeFileSync(join(bed.directory, 'clone'), `${duid}\n`);
    const clone = await dhclient(bed, bed.inside('clone'), { family: 6, store: 'clone' });
    assert.ok(duid !== '' && readFileSync(join(bed.directory, 'clone'), 'utf8').includes(duid), 'the clone sent the same DUID');
    assert.equal(clone?.['new_ip6_address'], 'fd00:105::21');
    assert.equal(clone?.['new_dhcp6_domain_search'], 'internal.weft.internal. weft.internal.');
    assert.equal((await dhclient(bed, bed.inside('vm1'), { family: 6 }))?.['new_dhcp6_name_servers'], 'fd00:105::1');
  });

  it('announces managed addresses, no prefix on-link, the MTU and fe80::1 as the router', async () => {
    const text = await bed.inside('web').run('rdisc6', ['-1', 'eth0']);
    const field = (name: string): string | undefined => new RegExp(`${name}\\s*: +(.*)`).exec(text)?.[1];
    assert.equal(field('Stateful address conf.'), 'Yes');
    assert.match(field('Router lifetime') ?? '', /^1800 /);
    assert.equal(field('Router preference'), 'medium');
    assert.equal(field('Prefix'), 'fd00:105::/64');
    assert.equal(field('On-link'), 'No');
    assert.equal(field('Autonomous address conf.'), 'No');
    assert.match(field('MTU') ?? '', /^1400 /);
    assert.match(text, /^ from fe80::1$/m);
    // One guest here uses another server, and an advertisement cannot except it.
    assert.equal(field('Recursive DNS server'), undefined);
  });
});
