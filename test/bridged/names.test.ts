/** Domain names as destinations of guests on the outer network, who ask the host. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { pointResolverOutside } from '../../src/twin/bed.ts';
import { outerDns } from '../names/outer-dns.ts';
import { GATEWAY, HOST, withLan } from './lan.ts';

const file = `
name: lannames
networks:
  external: { kind: bridged, interface: em0, subnet: 192.168.118.0/24, gateway: ${GATEWAY}, range: 192.168.118.220-192.168.118.230, egress: deny }
guests:
  web: { network: external, kind: namespace, address: 192.168.118.220 }
  db: { network: external, kind: namespace, address: 192.168.118.221 }
allow:
  - web -> updates.example.org tcp/443
`;

it('a name opens its addresses for the guest that may reach it', { timeout: 120_000 }, async () => {
  await withLan(file, async (bed) => {
    pointResolverOutside(GATEWAY);
    const dns = await outerDns(bed, [], GATEWAY);
    await dns.serve(['198.51.100.31 updates.example.org'], 300);
    await bed.weft('apply', '--yes');
    const reached = (): Promise<boolean[]> =>
      Promise.all(
        ['web', 'db'].map(async (from) => (await bed.probe(from, 'outer', { to: '198.51.100.31', protocol: 'tcp', port: 443 })).answered),
      );
    assert.deepEqual(await reached(), [false, false]);
    const answer = await bed.guest('web').kernel.run('dig', ['+short', '+tries=3', '+time=5', `@${HOST}`, 'updates.example.org']);
    assert.equal(answer.trim(), '198.51.100.31');
    assert.deepEqual(await reached(), [true, false]);
    await bed.weft('status');
    await dns.close();
    await bed.weft('destroy', '--yes');
  });
});
