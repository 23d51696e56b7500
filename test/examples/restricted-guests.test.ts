/** examples/restricted-guests with real packets: one service each way between `local` and its host, and nothing of it outside, by capture. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pointResolverOutside } from '../../src/twin/bed.ts';
import { capture } from '../../src/twin/capture.ts';
import { internet4, withHost } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';

const file = readFileSync(join(import.meta.dirname, '../../examples/restricted-guests/weft.yaml'), 'utf8');
const local = '192.168.77.10';
const gateway = '192.168.77.1';

describe('examples/restricted-guests', () => {
  for (const bridgeNfCall of [0, 1] as const) {
    it(`gives each guest its reach and no more (bridge-nf-call-iptables ${bridgeNfCall})`, async () => {
      await withHost({ file, bridgeNfCall, host: { routes: ['10.0.106.0/24', '192.168.77.0/24'] } }, async (bed) => {
        pointResolverOutside('203.0.113.1');
        const before = await bed.snapshot();
        await bed.weft('apply', '--yes');

        const links = JSON.parse(await bed.host.kernel.run('ip', ['-j', 'link', 'show']));
        const names: string[] = links.map((link: { ifname: string }) => link.ifname);
        assert.ok(names.includes('w-local') && names.includes('w-online'));
        assert.ok(!names.includes('w-offline'), 'a guest without network has no port');

        // One allowed service each way.
        const up = await bed.probe('local', 'host', { to: gateway, protocol: 'tcp', port: 3128 });
        assert.deepEqual([up.answered, up.seenSource], [true, local]);
        const down = await bed.probe('host', 'local', { to: local, protocol: 'tcp', port: 9100 });
        assert.deepEqual([down.answered, down.seenSource], [true, gateway]);
        assert.equal((await bed.probe('local', 'host', { to: gateway, protocol: 'icmp' })).answered, true);
        assert.equal((await bed.probe('online', 'outer', { to: internet4, protocol: 'tcp', port: 443 })).seenSource, '203.0.113.10');

        // Everything else is dropped, and none of it is seen outside.
        const outside = await capture(bed.outer.kernel, 'u-0', '');
        const dropped = await Promise.all([
          ...(['tcp', 'udp'] as const).flatMap((protocol) => [
            bed.probe('local', 'host', { to: gateway, protocol, port: 22 }),
            bed.probe('local', 'host', { to: '203.0.113.10', protocol, port: 3129 }),
            bed.probe('host', 'local', { to: local, protocol, port: 22 }),
            bed.probe('local', 'outer', { to: internet4, protocol, port: 53 }),
            bed.probe('local', 'outer', { to: '203.0.113.1', protocol, port: 3128 }),
            bed.probe('local', 'online', { to: '10.0.106.10', protocol, port: 80 }),
            bed.probe('online', 'local', { to: local, protocol, port: 9100 }),
          ]),
          bed.probe('local', 'outer', { to: internet4, protocol: 'icmp' }),
          bed.probe('local', 'online', { to: '10.0.106.10', protocol: 'icmp' }),
          bed.probe('local', 'outer', { to: '169.254.169.254', protocol: 'tcp', port: 80 }),
          bed.probe('outer', 'online', { to: '10.0.106.10', protocol: 'tcp', port: 22 }),
          bed.probe('outer', 'local', { to: local, protocol: 'tcp', port: 9100 }),
        ]);
        dropped.forEach((result, index) => assert.equal(result.delivered, false, `probe ${index}: ${JSON.stringify(result)}`));
        const asked = await bed.guest('local').kernel.tryRun('dig', ['+time=1', '+tries=1', `@${gateway}`, 'secret.example.com']);
        assert.doesNotMatch(asked.stdout, /status: NOERROR/);
        const own = await bed
          .guest('local')
          .kernel.tryRun('dig', ['+time=1', '+tries=1', '+short', `@${gateway}`, 'local.vault.weft.internal']);
        assert.equal(own.stdout.trim(), local);
        const packets = await outside.stop();
        const stray = packets.filter((line) => line.includes('192.168.77.') || line.includes('.53:') || line.includes('secret'));
        // What U itself sent towards `local` is its own attempt, not a stray.
        assert.deepEqual(
          stray.filter((line) => !line.includes(`> ${local}.`)),
          [],
        );

        // The capture would have seen a question: the global guest's passes.
        const control = await capture(bed.outer.kernel, 'u-0', 'port 53');
        await bed.guest('online').kernel.tryRun('dig', ['+time=1', '+tries=1', '@10.0.106.1', 'control.example.com']);
        assert.match((await control.stop()).join('\n'), /control\.example\.com/);

        await bed.weft('destroy', '--yes');
        assert.deepEqual(differences(before, await bed.snapshot()), []);
        assert.deepEqual(bed.leftovers(), []);
      });
    });
  }
});
