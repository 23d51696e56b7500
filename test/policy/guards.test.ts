/** What holds beside the rules: nothing private leaves by the uplink, the host becomes nobody's router, revoked connections cannot be revived. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ipBatch } from '../../src/twin/bed.ts';
import { captureFrames, ethernet, ipv4, sendFrames } from './frames.ts';
import { OUTSIDE4, OUTSIDE6, withPolicy } from './policy-bed.ts';
import type { Small } from './small-fabric.ts';

const small: Small = {
  networks: {
    a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64' },
    open: { v4: '10.4.0.0/24', filter: 'off' },
    lab: { kind: 'isolated', v4: '10.3.0.0/24' },
  },
  guests: { web: { networks: ['a'] }, db: { networks: ['a'] }, free: { networks: ['open'] }, cell: { networks: ['lab'] } },
  allow: [
    { from: 'web', to: 'db', ports: 'tcp/80' },
    { from: 'web', to: '10.77.0.0/16' },
  ],
};

for (const bridgeNfCall of [0, 1] as const) {
  it(`no private source leaves by the uplink (bridge-nf-call-iptables ${bridgeNfCall})`, async () => {
    await withPolicy(small, { bridgeNfCall }, async (bed) => {
      const wire = await captureFrames(bed.outer.kernel, 'u-0', 'in');
      // A TCP segment out of nowhere: conntrack calls it invalid or new without SYN, and NAT leaves it alone.
      const tcp = (flags: string): string => `9c400050000000010000000150${flags}ffff00000000`;
      const stray = ['10', '11', '04', '00', '3f'].map((flags) => ipv4({ from: '10.1.0.10', to: OUTSIDE4, protocol: 6 }, tcp(flags)));
      const free = ['10', '11', '04'].map((flags) => ipv4({ from: '10.4.0.10', to: OUTSIDE4, protocol: 6 }, tcp(flags)));
      const cell = ipv4({ from: '10.3.0.10', to: OUTSIDE4, protocol: 6 }, tcp('02'));
      await sendFrames(
        bed.at('web'),
        'eth0',
        stray.map((packet) => ethernet('02:00:00:ff:00:00', '02:00:00:00:01:00', 0x0800, packet)),
      );
      await sendFrames(
        bed.at('free'),
        'eth0',
        free.map((packet) => ethernet('02:00:00:ff:00:01', '02:00:00:00:03:00', 0x0800, packet)),
      );
      await sendFrames(bed.at('cell'), 'eth0', [ethernet('02:00:00:ff:00:02', '02:00:00:00:04:00', 0x0800, cell)]);
      // The host's own mistake: a gateway's address as source.
      await bed.at('host').tryRun('ping', ['-c', '1', '-W', '1', '-I', '10.1.0.1', OUTSIDE4]);
      await bed.at('host').tryRun('ping', ['-c', '1', '-W', '1', '-I', 'fd00:1::1', OUTSIDE6]);
      // And what is right does leave.
      for (const to of [OUTSIDE4, OUTSIDE6]) {
        assert.equal((await bed.probe('web', 'outer', to, 'tcp')).answered, true);
        assert.equal((await bed.probe('web', 'outer', to, 'icmp')).answered, true);
      }
      assert.equal((await bed.probe('free', 'outer', OUTSIDE4, 'udp')).answered, true);
      const sources = (await wire.stop()).map(sourceOf);
      assert.ok(sources.includes('203.0.113.10'));
      assert.deepEqual(
        sources.filter((source) => source.startsWith('10.') || source.startsWith('fd')),
        [],
      );
    });
  });
}

/** Source of an Ethernet frame's IPv4 packet, or the first bytes of an IPv6 one's. */
function sourceOf(frame: string): string {
  if (frame.slice(24, 28) === '86dd') return frame.slice(44, 76);
  return [52, 54, 56, 58].map((at) => Number.parseInt(frame.slice(at, at + 2), 16)).join('.');
}

it('does not become the router of its LAN, but leaves one that was a router alone', async () => {
  for (const wasRouter of [false, true]) {
    const forwarding = { v4: wasRouter, v6: wasRouter };
    const routes = ['10.99.0.0/24', 'fd99::/64'];
    await withPolicy(small, { facts: { forwarding }, routes }, async (bed) => {
      const lan = await bed.kernel.run('ip', ['netns', 'add', 'pol-lan']).then(() => bed.kernel.at('/run/netns/pol-lan'));
      try {
        for (const one of [bed.host.kernel, lan]) await one.writeSysctl('net/ipv6/conf/default/accept_dad', '0');
        await ipBatch(bed.host.kernel, [
          'link add name lan0 type veth peer name eth0 netns pol-lan',
          'addr add 10.99.0.1/24 dev lan0',
          'addr add fd99::1/64 dev lan0 nodad',
          'link set dev lan0 up',
        ]);
        await ipBatch(lan, [
          'link set dev lo up',
          'link set dev eth0 up',
          'addr add 10.99.0.2/24 dev eth0',
          'addr add fd99::2/64 dev eth0 nodad',
          'route add default via 10.99.0.1',
          'route add default via fd99::1',
        ]);
        if (wasRouter)
          for (const key of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) await bed.host.kernel.writeSysctl(key, '1');
        for (const [to, source] of [
          ['10.99.0.2', OUTSIDE4],
          ['fd99::2', OUTSIDE6],
        ] as const) {
          const result = await bed.prober.probe({
            from: bed.path('outer'),
            at: '/run/netns/pol-lan',
            to,
            source,
            protocol: 'tcp',
            port: 80,
          });
          assert.equal(result.answered, wasRouter, `${to} ${JSON.stringify(result)}`);
        }
        // Guests reach the LAN as they reach the rest of the outer world: translated, and the host lets the answers back.
        const out = await bed.prober.probe({ from: bed.path('web'), at: '/run/netns/pol-lan', to: '10.99.0.2', protocol: 'tcp', port: 80 });
        assert.equal(out.seenSource, '10.99.0.1');
      } finally {
        await bed.prober.close();
        await bed.kernel.run('ip', ['netns', 'del', 'pol-lan']);
      }
    });
  }
});

it('believes no outer packet that it comes from a guest', async () => {
  const allow = [
    { from: 'any', to: 'db', ports: 'udp/80' },
    { from: 'web', to: '2001:db8:2::/64' },
  ];
  const networks = { a: { v6: '2001:db8:2::/64' } };
  const guests = { web: { networks: ['a'] }, db: { networks: ['a'] } };
  await withPolicy({ networks, guests, allow }, { routes: ['2001:db8:2::b/128'] }, async (bed) => {
    const to = bed.address('db', 6);
    const from = (source: string): Promise<{ delivered: boolean }> =>
      bed.prober.probe({ from: bed.path('outer'), at: bed.path('db'), to, source, protocol: 'udp', port: 80 });
    assert.equal((await from(OUTSIDE6)).delivered, true);
    assert.equal((await from(bed.address('web', 6))).delivered, false);
  });
});

it('cuts a connection for good once it is out of the table and no longer allowed', async () => {
  // The other way round stays allowed: the next segment from there would open the table again.
  const back = { from: 'db', to: 'web' };
  await withPolicy({ ...small, allow: [...(small.allow ?? []), back] }, {}, async (bed) => {
    const to = bed.address('db', 4);
    const held = await bed.prober.hold({ from: bed.path('web'), at: bed.path('db'), to, protocol: 'tcp', port: 80 });
    await bed.change({ ...small, allow: [back] });
    await new Promise((resolve) => setTimeout(resolve, 300));
    const before = (await held.state()).echoed;
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal((await held.state()).echoed, before);
    await held.release();
  });
});

it('lets a large packet and its errors through: path MTU discovery works, MSS is clamped', async () => {
  await withPolicy(small, {}, async (bed) => {
    await bed.host.kernel.run('ip', ['link', 'set', 'dev', 'up0', 'mtu', '1300']);
    const wire = await captureFrames(bed.outer.kernel, 'u-0', 'in');
    assert.equal((await bed.probe('web', 'outer', OUTSIDE4, 'tcp')).answered, true);
    const syn = (await wire.stop()).find(
      (frame) => frame.slice(24, 28) === '0800' && frame.slice(46, 48) === '06' && frame.slice(94, 96) === '02',
    );
    assert.match(syn ?? '', /^.{108}0204/);
    assert.equal(Number.parseInt(syn?.slice(112, 116) ?? '', 16), 1260);
    const ping = await bed.at('web').tryRun('ping', ['-c', '1', '-W', '1', '-M', 'do', '-s', '1400', OUTSIDE4]);
    assert.match(ping.stdout + ping.stderr, /mtu ?= ?1300/);
  });
});
