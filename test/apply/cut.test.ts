/** What taking back can cut and what it cannot: the plan says so beforehand, packets agree. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { it } from 'node:test';
import { withHost } from '../bed/host.ts';

const file = (rules: readonly string[]): string => `
name: cut
networks:
  internal: { kind: nat, subnet: 10.0.105.0/24 }
guests:
  a: { network: internal, kind: namespace, address: 10.0.105.10 }
  b: { network: internal, kind: namespace, address: 10.0.105.20 }
allow: [${rules.map((rule) => `"${rule}"`).join(', ')}]
`;

it('warns of UDP that its other side may go on with, and of nothing else', { timeout: 180_000 }, async () => {
  await withHost({ file: file(['a -> b udp/82', 'a -> b tcp/83', 'b -> a udp/1-65535']) }, async (bed) => {
    await bed.weft('apply', '--yes');
    const udp = await bed.hold('a', 'b', { to: '10.0.105.20', protocol: 'udp', port: 82, everyMs: 20 });
    const tcp = await bed.hold('a', 'b', { to: '10.0.105.20', protocol: 'tcp', port: 83, everyMs: 20 });
    bed.writeFile(file(['b -> a udp/1-65535']));
    const { stderr } = await bed.tryWeft(['plan']);
    assert.match(stderr, /warning cannot-cut: `a -> b udp\/82` is taken back, but its answering side may still send UDP/);
    assert.doesNotMatch(stderr, /tcp\/83/);
    await bed.weft('apply', '--yes');
    await sleep(1000);
    const dead = (await tcp.state()).echoed;
    await sleep(500);
    assert.equal((await tcp.state()).echoed, dead);
    await udp.release();
    await tcp.release();
  });
  await withHost({ file: file(['a -> b udp/82', 'b -> a tcp/84']) }, async (bed) => {
    await bed.weft('apply', '--yes');
    const udp = await bed.hold('a', 'b', { to: '10.0.105.20', protocol: 'udp', port: 82, everyMs: 20 });
    bed.writeFile(file(['b -> a tcp/84']));
    assert.doesNotMatch((await bed.tryWeft(['plan'])).stderr, /cannot-cut/);
    await bed.weft('apply', '--yes');
    await sleep(500);
    const dead = (await udp.state()).echoed;
    await sleep(500);
    assert.equal((await udp.state()).echoed, dead);
    await udp.release();
  });
});
