/**
 * PORTS of a flow: what `any`, `icmp`, `sctp/…`, `tcp/…` and `udp/…` mean for packets that no socket sends, frame by frame, and for fragments, which pass or not as a whole.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { withHost } from '../bed/host.ts';
import { captureFrames, ethernet, icmpv6, ipv4, ipv6, sendFrames } from '../policy/frames.ts';
import { partiesOf, wrongLines, type Family } from './lines.ts';

const file = `
name: ports
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
guests:
  web: { network: a, kind: namespace }
  every: { network: a, kind: namespace }
  few: { network: a, kind: namespace }
  signal: { network: a, kind: namespace }
  most: { network: a, kind: namespace }
allow:
  - web -> every
  - web -> few tcp/80 udp/80 icmp
  - web -> signal sctp/5,7-9
  - web -> most
block:
  - web -> most icmp sctp/6 udp/1-100
`;

const u16 = (n: number): string => n.toString(16).padStart(4, '0');
/** An INIT chunk; conntrack is told not to look at the checksum. */
const sctp = (port: number): string => `${u16(1000)}${u16(port)}0000000000000000010000141234567800010000000a000a00000001`;

const kinds: Readonly<Record<string, readonly [protocol: number, payload: string, payload6?: string]>> = {
  'sctp/5': [132, sctp(5)],
  'sctp/6': [132, sctp(6)],
  'sctp/8': [132, sctp(8)],
  gre: [47, '0000080000000000'],
  esp: [50, '0000000100000001aabbccdd'],
  experiment: [253, 'abcdef00'],
  echo: [1, '0800f7fd00010001'],
  timestamp: [1, `0d00f2fe00010000${'00'.repeat(12)}`],
};
const expected: Readonly<Record<string, readonly string[]>> = {
  every: ['echo', 'esp', 'experiment', 'gre', 'sctp/5', 'sctp/6', 'sctp/8', 'timestamp'],
  few: ['echo', 'timestamp'],
  signal: ['sctp/5', 'sctp/8'],
  most: ['esp', 'experiment', 'gre', 'sctp/5', 'sctp/8'],
};

it('each protocol passes where it is named', async () => {
  await withHost({ file }, async (bed) => {
    await bed.weft('apply', '--yes');
    await bed.host.kernel.writeSysctl('net/netfilter/nf_conntrack_checksum', '0');
    const parties = await partiesOf(bed);
    const web = bed.guest('web').kernel;
    const macOn = async (kernel: typeof web, link: string): Promise<string> =>
      /link\/ether (\S+)/.exec(await kernel.run('ip', ['link', 'show', 'dev', link]))?.[1] ?? '';
    const [mac, gateway] = [await macOn(web, 'eth0'), await macOn(bed.host.kernel, 'br-a')];
    for (const family of [4, 6] as const) {
      const from = parties.address('web', family) ?? '';
      const captures = await Promise.all(Object.keys(expected).map((name) => captureFrames(bed.guest(name).kernel, 'eth0', 'in')));
      for (const name of Object.keys(expected)) {
        const to = parties.address(name, family) ?? '';
        await sendFrames(
          web,
          'eth0',
          Object.entries(kinds).flatMap(([kind]) => frame(kind, family, from, to) ?? []),
        );
      }
      for (const [i, name] of Object.keys(expected).entries()) {
        const to = parties.address(name, family) ?? '';
        const frames = (await captures[i]?.stop()) ?? [];
        const arrived = Object.keys(kinds).filter((kind) => {
          const sent = frame(kind, family, from, to);
          // Behind the addresses and up to TTL and checksum it is as it was sent.
          return (
            sent !== undefined &&
            frames.some(
              (seen) =>
                seen.length >= sent.length && seen.slice(family === 4 ? 52 : 44, sent.length) === sent.slice(family === 4 ? 52 : 44),
            )
          );
        });
        const want = (expected[name] ?? []).filter((kind) => family === 4 || kind !== 'timestamp');
        assert.deepEqual(arrived.toSorted(), want, `v${family} at ${name}`);
      }

      function frame(kind: string, of: Family, source: string, to: string): string | undefined {
        const [protocol, payload] = kinds[kind] ?? [0, ''];
        if (of === 4) return ethernet(gateway, mac, 0x0800, ipv4({ from: source, to, protocol }, payload));
        if (kind === 'timestamp') return undefined;
        if (kind === 'echo') return ethernet(gateway, mac, 0x86dd, ipv6(source, to, 58, icmpv6(source, to, 128, '00010001')));
        return ethernet(gateway, mac, 0x86dd, ipv6(source, to, protocol, payload));
      }
    }
    // Whole packets in fragments.
    for (const family of [4, 6] as const) {
      for (const [name, want] of [
        ['every', true],
        ['few', true],
        ['signal', false],
      ] as const) {
        const { status } = await web.tryRun('ping', ['-n', '-c', '1', '-W', '1', '-s', '5000', parties.address(name, family) ?? '']);
        assert.equal(status === 0, want, `v${family} fragments to ${name}`);
      }
    }
    assert.deepEqual(
      await wrongLines(bed, 'no web most udp/80\nno web most udp/100\nyes web most udp/101\nyes web most tcp/80\nyes web every udp/65535'),
      [],
    );
  });
});
