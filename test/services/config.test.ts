/** Every shape of the compiled configuration is one that dnsmasq accepts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compileDnsmasq } from '../../src/compile/dnsmasq.ts';
import { openKernel } from '../../src/kernel/open.ts';
import { fabric, facts, guest, network } from './fixture.ts';

const v4 = { subnet: '10.0.105.0/24', gateway: '10.0.105.254', range: { from: '10.0.105.10', to: '10.0.105.200' } };
const v6 = { subnet: 'fd00:105::/64', gateway: 'fd00:105::1' };
const web = guest('web', [{ network: 'internal', v4: '10.0.105.10', v6: 'fd00:105::10', mac: '02:00:00:00:01:10' }]);
const odd = guest('odd', [
  { network: 'internal', v4: '10.0.105.12', v6: 'fd00:105::12', mac: '02:00:00:00:01:12', dns: ['1.1.1.1', 'fd00::9'] },
  { network: 'internal', v4: '10.0.105.13', mac: '02:00:00:00:01:13' },
]);

describe('dnsmasq', () => {
  it('accepts the configuration in every combination of families, kinds and exceptions', async () => {
    const kernel = openKernel();
    for (const families of [
      { v4 },
      { v6 },
      { v4, v6 },
      { v4: { ...v4, subnet: '10.0.105.0/25' }, v6: { ...v6, subnet: 'fd00:105::/112' } },
    ])
      for (const kind of ['nat', 'isolated'] as const)
        for (const guests of [[], [web], [web, odd]]) {
          const [service] = compileDnsmasq(fabric([network('internal', { kind, ...families })], guests), 'host', facts);
          const input = (service?.config ?? '').replaceAll('@DIR@', '/tmp').replaceAll('@NAMES@', '/tmp');
          const result = await kernel.tryRun('dnsmasq', ['--test', '--conf-file=-'], { input });
          assert.equal(result.status, 0, result.stderr);
        }
  });
});
