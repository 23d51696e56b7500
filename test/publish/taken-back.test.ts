/**
 * Published ports that change: exactly the connections of what is no longer published end at once, others lose nothing; one more is elements and never a reload; a program
 * of the host on the port is an error that names it, Weft's own is none.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { it } from 'node:test';
import { startLineProcess } from '../../src/kernel/line-process.ts';
import { internet4, internet6, withHost, type HostBed } from '../bed/host.ts';

const networks = `
name: gone
networks:
  front: { kind: nat, subnet: [10.1.0.0/24, "fd00:1::/64"], from-host: deny, egress: deny }
  back: { kind: nat, subnet: [10.2.0.0/24, "fd00:2::/64"], egress: deny }
guests:
  web: { network: front, kind: namespace, address: [10.1.0.20, "fd00:1::20"] }
  other: { network: front, kind: namespace, address: [10.1.0.30, "fd00:1::30"] }
  far: { network: back, kind: namespace, address: [10.2.0.40, "fd00:2::40"] }
`;
const before = `${networks}
publish:
  - host tcp/1001 udp/1001 -> web tcp/11 udp/11
  - host tcp/1002 udp/1002 -> web tcp/12 udp/12
  - host tcp/1003 udp/1003 -> web tcp/13 udp/13
  - host tcp/1004 udp/1004 -> web tcp/14 udp/14
  - host tcp/1005 udp/1005 -> web tcp/15 udp/15
`;
const after = `${networks}
publish:
  - host tcp/1002 udp/1002 -> other tcp/12 udp/12
  - host tcp/1003 udp/1003 -> web tcp/13 udp/13 from far, host
  - host tcp/1004 udp/1004 -> web tcp/14 udp/14
  - host tcp/2005 udp/2005 -> web tcp/15 udp/15
allow:
  - web -> far tcp/9
`;

const host = { 4: '203.0.113.10', 6: '2001:db8:cb00::10' } as const;
const source = {
  outer: { 4: internet4, 6: internet6 },
  far: { 4: '10.2.0.40', 6: 'fd00:2::40' },
  host,
  web: { 4: '10.1.0.20', 6: 'fd00:1::20' },
} as const;

/** Who, the host's port, and whether it goes on. 1005 has another port of the host now, 1002 another guest, 1003 fewer who may use it. */
const flows = [
  ['outer', 1001, 'ends'],
  ['host', 1001, 'ends'],
  ['web', 1001, 'ends'],
  ['outer', 1002, 'ends'],
  ['outer', 1003, 'ends'],
  ['far', 1003, 'lives'],
  ['host', 1003, 'lives'],
  ['outer', 1004, 'lives'],
  ['host', 1004, 'lives'],
  ['far', 1004, 'lives'],
  ['web', 1004, 'lives'],
  ['outer', 1005, 'ends'],
] as const;

it('cuts what is no longer published, and nothing else', async () => {
  await withHost({ file: before }, async (bed) => {
    await bed.weft('apply', '--yes');
    const held: { name: string; ends: boolean; flow: Awaited<ReturnType<typeof bed.hold>> }[] = [];
    for (const protocol of ['tcp', 'udp'] as const) {
      for (const family of [4, 6] as const) {
        for (let port = 11; port <= 15; port++) await bed.prober.listen(bed.guest('web').path, protocol, port, source.web[family]);
        for (const [from, port, fate] of flows) {
          const path = from === 'outer' ? bed.outer.path : from === 'host' ? bed.host.path : bed.guest(from).path;
          const flow = await bed.prober.hold({ from: path, source: source[from][family], to: host[family], protocol, port });
          held.push({ name: `${from} ${protocol}/${port} IPv${family}`, ends: fate === 'ends', flow });
        }
      }
    }
    bed.writeFile(after);
    await bed.weft('apply', '--yes');
    const states = await Promise.all(held.map(({ flow }) => flow.state()));
    await sleep(1500);
    const later = await Promise.all(held.map(({ flow }) => flow.state()));
    for (const [i, { name, ends }] of held.entries()) {
      const progress = (later[i]?.echoed ?? 0) - (states[i]?.echoed ?? 0);
      if (ends) assert.ok(progress === 0, `${name} went on for ${progress} messages`);
      else assert.ok(progress > 0 && later[i]?.closed === undefined, `${name} stopped: ${JSON.stringify(later[i])}`);
    }
    // Of what goes on, nothing got lost: all that was sent came back, but for what is under way.
    for (const { name, ends, flow } of held) {
      if (ends) continue;
      const { sent, echoed } = await flow.state();
      assert.ok(sent - echoed <= 2, `${name}: ${sent} sent, ${echoed} came back`);
      await flow.release();
    }
  });
});

/** Sends a datagram every 50 ms from one port, and prints a line for each answer. */
const beacon = `
const [source, to, port] = process.argv.slice(1);
const socket = require('node:dgram').createSocket(to.includes(':') ? 'udp6' : 'udp4');
socket.on('message', () => console.log('answer')).on('error', () => undefined);
socket.bind(4567, source, () => setInterval(() => socket.send('{}', Number(port), to), 50));
`;

it('an exchange of UDP from before goes the new way at once', async () => {
  await withHost({ file: `${networks}publish:\n  - host udp/1001 -> other\n` }, async (bed) => {
    await bed.weft('apply', '--yes');
    for (const family of [4, 6] as const) await bed.prober.listen(bed.guest('web').path, 'udp', 12, source.web[family]);
    const answers = { 4: 0, 6: 0 };
    const beacons = ([4, 6] as const).map((family) =>
      startLineProcess(bed.outer.kernel, process.execPath, ['-e', beacon, source.outer[family], host[family], '1002'], {
        onLine: () => void answers[family]++,
      }),
    );
    await sleep(500);
    assert.deepEqual(answers, { 4: 0, 6: 0 });
    bed.writeFile(`${networks}publish:\n  - host udp/1001 -> other\n  - host udp/1002 -> web udp/12\n`);
    await bed.weft('apply', '--yes');
    const deadline = Date.now() + 20_000;
    while ((answers[4] === 0 || answers[6] === 0) && Date.now() < deadline) await sleep(50);
    assert.ok(answers[4] > 0 && answers[6] > 0, JSON.stringify(answers));
    await Promise.all(beacons.map((one) => one.stop()));
  });
});

const kindsOf = async (bed: HostBed): Promise<string[]> => {
  const plan = await bed.json('plan');
  assert.ok(typeof plan === 'object' && plan !== null && 'changes' in plan && Array.isArray(plan.changes));
  return [...new Set(plan.changes.map(({ action, kind }: { action: string; kind: string }) => `${action} ${kind}`))].sort();
};

it('one more is elements; the plan says what is published', async () => {
  await withHost({ file: before }, async (bed) => {
    await bed.weft('apply', '--yes');
    bed.writeFile(`${before}  - host tcp/1006 -> web tcp/16\n  - host tcp/1007 -> web\n`);
    assert.deepEqual(await kindsOf(bed), ['create element']);
    const text = await bed.weft('plan');
    assert.match(text, /^ {2}publishes host tcp\/1006 -> web tcp\/16$/m);
    // For a guest of which nothing was published before, its MAC is pinned another way.
    bed.writeFile(`${before}  - host tcp/1006 -> other\n`);
    assert.deepEqual(await kindsOf(bed), ['create element', 'update fdb']);
    await bed.weft('apply', '--yes');
    assert.deepEqual((await bed.probe('outer', 'other', { to: host[4], protocol: 'tcp', port: 1006 })).seenSource, '203.0.113.1');
    bed.writeFile(before);
    assert.match(await bed.weft('apply', '--yes'), /^ {2}withdraws host tcp\/1006 -> other$/m);
    assert.match(await bed.weft('status'), /Everything is as applied/);
  });
});

it('a port that a program of the host waits on is an error, for that address', async () => {
  const one = (entry: string): string => `${networks}publish:\n  - ${entry}\n`;
  await withHost({ file: one('host udp/67 tcp/53 -> web') }, async (bed) => {
    // Weft's own DHCP and DNS are on the networks' gateways.
    await bed.weft('apply', '--yes');
    await bed.weft('apply', '--yes', '--full');
    await bed.prober.listen(bed.host.path, 'tcp', 2222);
    await bed.prober.listen(bed.host.path, 'udp', 2223, '203.0.113.11');
    await bed.prober.listen(bed.host.path, 'tcp', 2224, '127.0.0.1');
    const planned = async (entry: string): Promise<string> => {
      bed.writeFile(one(entry));
      const { status, stderr } = await bed.tryWeft(['plan']);
      return `${status} ${stderr.split('\n')[0]?.replace(/^.*weft\.yaml:/, '')}`;
    };
    assert.match(
      await planned('host tcp/2222 -> web tcp/22'),
      /^2 \d+:5: error published-port-in-use: The program \S+ of this host waits on tcp\/2222, where `host tcp\/2222 -> web tcp\/22` would take/,
    );
    assert.match(await planned('203.0.113.10 tcp/2220-2230 -> web'), /^2 .* published-port-in-use: .* waits on tcp\/2222,/);
    assert.match(await planned('host udp/2223 -> web'), /^2 .* published-port-in-use: .* waits on udp\/2223 of 203\.0\.113\.11,/);
    assert.match(await planned('203.0.113.12 tcp/80 -> web'), /^2 .* address-not-of-host: 203\.0\.113\.12 is not an address of this host/);
    for (const free of ['203.0.113.10 udp/2223 -> web', 'host tcp/2223 -> web', 'host tcp/2224 -> web', '10.1.0.1 tcp/80 -> web'])
      assert.match(await planned(free), /^0 /, free);
  });
});
