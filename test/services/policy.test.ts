/** The services behind Weft's real rules at their strictest: what guests need of them passes, from `from-host: deny` to link-local addresses of any kind. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { compileHost } from '../../src/compile/host.ts';
import { printTable } from '../../src/hoststate/nft-print.ts';
import { startServices } from '../../src/kernel/services.ts';
import { makeBed } from './bed.ts';
import type { Bed } from './bed.ts';
import { ask, dhclient, udhcpc } from './clients.ts';
import { fabric, facts, guest, network } from './fixture.ts';

const described = fabric(
  [
    network('internal', {
      fromHost: 'deny',
      v4: { subnet: '10.0.105.0/24', gateway: '10.0.105.254', range: { from: '10.0.105.10', to: '10.0.105.200' } },
      v6: { subnet: 'fd00:105::/64', gateway: 'fd00:105::1' },
    }),
  ],
  [guest('web', [{ network: 'internal', v4: '10.0.105.10', v6: 'fd00:105::10', mac: '02:00:00:00:01:10' }])],
);

describe('services behind the compiled rules', () => {
  let bed: Bed;
  before(async () => {
    bed = await makeBed(described);
    const state = compileHost(described, 'host', facts);
    await bed.host.run('nft', ['delete', 'table', 'inet', 'weft']);
    await bed.host.run('nft', ['-f', '-'], { input: state.tables.map(printTable).join('\n') });
    await startServices(bed.host, state.services, bed.dirs);
  });
  after(() => bed.close());

  it('lease addresses to a guest whose link-local address does not come from its MAC', async () => {
    const inside = bed.inside('web');
    await inside.run('ip', ['link', 'set', 'dev', 'eth0', 'addrgenmode', 'random']);
    await inside.run('ip', ['link', 'set', 'dev', 'eth0', 'down']);
    await inside.run('ip', ['link', 'set', 'dev', 'eth0', 'up']);
    assert.equal((await udhcpc(bed, inside))?.['ip'], '10.0.105.10');
    assert.equal((await dhclient(bed, inside, { family: 6 }))?.['new_ip6_address'], 'fd00:105::10');
    assert.match(await inside.run('rdisc6', ['-1', 'eth0']), / from fe80::1$/m);
  });

  it('answer the guest and the host, by both families and transports', async () => {
    const inside = bed.inside('web');
    await inside.run('ip', ['addr', 'add', '10.0.105.10/24', 'dev', 'eth0']);
    await inside.run('ip', ['addr', 'add', 'fd00:105::10/128', 'dev', 'eth0', 'nodad']);
    await inside.run('ip', ['-6', 'route', 'replace', 'default', 'via', 'fe80::1', 'dev', 'eth0']);
    for (const kernel of [inside, bed.host])
      for (const server of ['10.0.105.254', 'fd00:105::1'])
        for (const extra of [[], ['+tcp']])
          assert.deepEqual((await ask(kernel, server, 'web', 'A', extra)).records, ['10.0.105.10'], `${server} ${extra.join()}`);
  });
});
