/** What is said to systemd-resolved, by a stand-in for the kernel: it runs on no test machine. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { openKernel } from '../../src/kernel/open.ts';
import { clearResolved, setResolved } from '../../src/kernel/resolved.ts';

const wanted = { link: 'br-internal', servers: ['10.0.105.254', 'fd00:105::1'], domains: ['weft.internal', '~105.0.10.in-addr.arpa'] };

describe('systemd-resolved', () => {
  let runtimeDirectory = '';
  before(() => {
    runtimeDirectory = mkdtempSync(join(tmpdir(), 'weft-resolved-'));
    writeFileSync(join(runtimeDirectory, 'io.systemd.Resolve'), '');
  });
  after(() => rmSync(runtimeDirectory, { recursive: true }));

  function standIn(status = 0, netns?: string): { readonly kernel: Kernel; readonly said: string[] } {
    const said: string[] = [];
    const kernel: Kernel = {
      ...openKernel({ netns }),
      tryRun: (program, args) => {
        said.push([program, ...args].join(' '));
        return Promise.resolve({ status, stdout: '', stderr: '' });
      },
    };
    return { kernel, said };
  }
  const options = (): Parameters<typeof setResolved>[2] => ({ runtimeDirectory, namespace: '/proc/self/ns/net', installed: () => true });

  it('is told the servers, the domains and nothing else of each bridge', async () => {
    const { kernel, said } = standIn();
    assert.equal(await setResolved(kernel, wanted, options()), true);
    assert.equal(await clearResolved(kernel, wanted.link, options()), true);
    assert.deepEqual(said, [
      'resolvectl dns br-internal 10.0.105.254 fd00:105::1',
      'resolvectl domain br-internal weft.internal ~105.0.10.in-addr.arpa',
      'resolvectl default-route br-internal no',
      'resolvectl llmnr br-internal no',
      'resolvectl mdns br-internal no',
      'resolvectl revert br-internal',
    ]);
  });

  it('is left alone where it does not run, is not installed, or knows another namespace', async () => {
    const cases = [
      [standIn(), { ...options(), runtimeDirectory: '/nonexistent' }],
      [standIn(), { ...options(), installed: () => false }],
      [standIn(), { ...options(), namespace: '/proc/self/ns/mnt' }],
      [standIn(0, '/run/netns/gone'), options()],
    ] as const;
    for (const [{ kernel, said }, given] of cases) {
      assert.equal(await setResolved(kernel, wanted, given), false);
      assert.equal(await clearResolved(kernel, wanted.link, given), false);
      assert.deepEqual(said, []);
    }
  });

  it('that refuses stops no apply', async () => {
    const { kernel, said } = standIn(1);
    assert.equal(await setResolved(kernel, wanted, options()), false);
    assert.equal(said.length, 1);
  });
});
