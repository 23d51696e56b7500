/** The bed by itself: every address outside answers, who asked is seen, a capture shows it, and nothing is left behind. */
import '../../test/bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { openKernel } from '../kernel/open.ts';
import { makeBed } from './bed.ts';
import { freeAddress } from '../net/free-address.ts';
import type { Bed } from './bed.ts';
import { capture } from './capture.ts';
import { createProber } from './prober.ts';
import type { Prober } from './prober.ts';

describe('the bed', () => {
  const kernel = openKernel();
  let bed: Bed;
  let prober: Prober;
  before(async () => {
    bed = await makeBed(kernel, 'b-', [
      { name: 'h', addresses: ['203.0.113.10/24', '203.0.113.11/24', '2001:db8:113::10/64'], routes: ['10.9.0.0/24'] },
    ]);
    prober = createProber(kernel);
  });
  after(async () => {
    await prober.close();
    await bed.close();
    assert.deepEqual(readdirSync('/run/netns'), []);
  });

  for (const protocol of ['tcp', 'udp', 'icmp'] as const) {
    for (const to of ['198.51.100.7', '8.8.8.8', '203.0.113.1', '2001:4860::8888', '2001:db8:113::1']) {
      it(`answers ${protocol} on ${to}`, async () => {
        const result = await prober.probe({ from: bed.host('h').path, to, protocol, port: 80, at: bed.outer.path });
        assert.equal(result.answered, true, JSON.stringify(result));
        if (protocol === 'icmp') return;
        assert.equal(result.server, bed.outer.path);
        assert.equal(result.seenSource, to.includes(':') ? '2001:db8:113::10' : '203.0.113.10');
      });
    }
  }

  it('opens connections from any address of the outer world to the host', async () => {
    for (const [source, to] of [
      ['198.51.100.200', '203.0.113.11'],
      ['2001:4860::1', '2001:db8:113::10'],
    ] as const) {
      for (const protocol of ['tcp', 'udp'] as const) {
        const result = await prober.probe({ from: bed.outer.path, source, to, protocol, port: 81, at: bed.host('h').path });
        assert.equal(result.seenSource, source, JSON.stringify(result));
      }
    }
  });

  it('takes the source the probe names', async () => {
    const result = await prober.probe({
      from: bed.host('h').path,
      source: '203.0.113.11',
      to: '192.0.2.1',
      protocol: 'tcp',
      port: 80,
      at: bed.outer.path,
    });
    assert.equal(result.seenSource, '203.0.113.11');
  });

  it('tells a drop, a refusal and a lost answer apart', async () => {
    const host = bed.host('h');
    const rules =
      'table inet t { chain in { type filter hook input priority 0; tcp dport 90 drop; udp dport 90 drop; udp sport 91 drop\n}\n}\n';
    await host.kernel.run('nft', ['-f', '-'], { input: rules });
    const from = bed.outer.path;
    const to = '203.0.113.10';
    const [dropped, droppedUdp, refused, refusedUdp] = await prober.probeAll([
      { from, to, protocol: 'tcp', port: 90, at: host.path },
      { from, to, protocol: 'udp', port: 90, at: host.path },
      { from, to, protocol: 'tcp', port: 92 },
      { from, to, protocol: 'udp', port: 92 },
    ]);
    for (const one of [dropped, droppedUdp]) assert.deepEqual([one?.delivered, one?.answered, one?.refused], [false, false, false]);
    for (const one of [refused, refusedUdp]) assert.deepEqual([one?.delivered, one?.answered, one?.refused], [true, false, true]);
    // The datagram arrives outside; its answer is dropped on the way back.
    const lost = await prober.probe({ from: host.path, to: '198.51.100.7', protocol: 'udp', port: 91, at: from });
    assert.deepEqual([lost.delivered, lost.answered], [true, false]);
    await host.kernel.run('nft', ['delete', 'table', 'inet', 't']);
  });

  it('shows in a capture what passed, and only that', async () => {
    const seen = await capture(bed.outer.kernel, 'u-0', 'udp port 4711', { direction: 'in' });
    await prober.probe({ from: bed.host('h').path, to: '198.51.100.7', protocol: 'udp', port: 4711, at: bed.outer.path });
    await prober.probe({ from: bed.host('h').path, to: '198.51.100.7', protocol: 'udp', port: 4712, at: bed.outer.path });
    const packets = await seen.stop();
    assert.equal(packets.length, 1, packets.join('\n'));
    assert.match(packets[0] ?? '', /203\.0\.113\.10\.\d+ > 198\.51\.100\.7\.4711/);
  });

  it('holds a flow and sees it cut', async () => {
    const host = bed.host('h');
    for (const protocol of ['tcp', 'udp'] as const) {
      const flow = await prober.hold({ from: host.path, to: '198.51.100.9', protocol, port: 5000, at: bed.outer.path, everyMs: 10 });
      const end = performance.now() + 5000;
      while ((await flow.state()).echoed < 8) {
        assert.ok(performance.now() < end, JSON.stringify(await flow.state()));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      const rules = 'table inet t { chain in { type filter hook input priority 0; iifname "eth0" drop\n}\n}\n';
      await host.kernel.run('nft', ['-f', '-'], { input: rules });
      await new Promise((resolve) => setTimeout(resolve, 600));
      assert.ok((await flow.state()).silentMs > 500);
      await host.kernel.run('nft', ['delete', 'table', 'inet', 't']);
      await flow.release();
    }
  });

  it('removes a namespace with the processes in it', async () => {
    const other = await makeBed(kernel, 'c-', []);
    const extra = await other.namespace('x');
    const pid = await extra.kernel.startDetached('sleep', ['100']);
    await other.close();
    assert.equal(existsSync(extra.path), false);
    // Killed; it is gone when whoever inherited it has reaped it.
    const isRunning = (): boolean => existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    for (const end = performance.now() + 20_000; isRunning() && performance.now() < end;)
      await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(isRunning(), false);
  });
});

describe('freeAddress', () => {
  it('skips the network address and what is taken', () => {
    assert.equal(freeAddress('203.0.113.0/24', ['203.0.113.1']), '203.0.113.2');
    assert.equal(freeAddress('2001:db8::/64', []), '2001:db8::1');
  });
});
