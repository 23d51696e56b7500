/**
 * A published SCTP port: the first packet of an association arrives at the guest and the answer comes back as the host's, ports and checksums (CRC32c) rewritten, in both families; what
 * is not published does not arrive. Frame by frame, as not every kernel has SCTP sockets.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { internet4, internet6, withHost } from '../bed/host.ts';
import { captureFrames, ethernet, ipv4, ipv6, sendFrames } from '../policy/frames.ts';

const file = `
name: assoc
networks:
  front: { kind: nat, subnet: [10.1.0.0/24, "fd00:1::/64"] }
guests:
  web: { network: front, kind: namespace, address: [10.1.0.20, "fd00:1::20"] }
publish:
  - host sctp/3868 -> web sctp/3869
  - host sctp/4000-4003 -> web
  - host tcp/5000 -> web
`;

const u16 = (n: number): string => n.toString(16).padStart(4, '0');

/** RFC 9260, appendix A: over the packet with zeros in its place; the least significant byte comes first. */
function crc32c(hex: string): string {
  let crc = 0xffffffff;
  for (const byte of Buffer.from(hex, 'hex')) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(~crc >>> 0);
  return sum.toString('hex');
}

function packet(from: number, to: number, tag: string, chunk: string): string {
  const head = `${u16(from)}${u16(to)}${tag}`;
  return `${head}${crc32c(`${head}00000000${chunk}`)}${chunk}`;
}

const CLIENT = 1000;
/** INIT and INIT ACK: the second bears the tag that the first has offered. */
const init = (port: number): string => packet(CLIENT, port, '00000000', '010000141234567800010000000a000a00000001');
const initAck = (port: number): string => packet(port, CLIENT, '12345678', '020000148765432100010000000a000a00000001');

const macOn = async (kernel: Kernel, link: string): Promise<string> =>
  /link\/ether (\S+)/.exec(await kernel.run('ip', ['link', 'show', 'dev', link]))?.[1] ?? '';

it('a published SCTP port: there and back', { timeout: 120_000 }, async () => {
  await withHost({ file }, async (bed) => {
    await bed.weft('apply', '--yes');
    const web = bed.guest('web').kernel;
    const macs = {
      host: await macOn(bed.host.kernel, 'eth0'),
      outer: await macOn(bed.outer.kernel, 'u-0'),
      web: await macOn(web, 'eth0'),
      bridge: await macOn(bed.host.kernel, 'br-front'),
    };
    const outside = { 4: [internet4, '203.0.113.10'], 6: [internet6, '2001:db8:cb00::10'] } as const;
    const inside = { 4: '10.1.0.20', 6: 'fd00:1::20' } as const;
    for (const family of [4, 6] as const) {
      const [client, host] = outside[family];
      const frame = (to: string, by: string, source: string, target: string, payload: string): string =>
        family === 4
          ? ethernet(to, by, 0x0800, ipv4({ from: source, to: target, protocol: 132 }, payload))
          : ethernet(to, by, 0x86dd, ipv6(source, target, 132, payload));
      /** The SCTP packets among frames, behind an IP header without options. */
      const packets = (frames: readonly string[]): string[] => {
        const [protocol, start] = family === 4 ? [46, 68] : [40, 108];
        return frames.filter((one) => one.slice(protocol, protocol + 2) === '84').map((one) => one.slice(start, start + 64));
      };
      const atWeb = await captureFrames(web, 'eth0', 'in');
      for (const port of [3868, 3869, 4002, 4004, 5000])
        await sendFrames(bed.outer.kernel, 'u-0', [frame(macs.host, macs.outer, client, host, init(port))]);
      assert.deepEqual(packets(await atWeb.stop()), [init(3869), init(4002)], `v${family}: from outside`);

      const atClient = await captureFrames(bed.outer.kernel, 'u-0', 'in');
      await sendFrames(web, 'eth0', [
        frame(macs.bridge, macs.web, inside[family], client, initAck(3869)),
        frame(macs.bridge, macs.web, inside[family], client, initAck(4002)),
      ]);
      assert.deepEqual(packets(await atClient.stop()), [initAck(3868), initAck(4002)], `v${family}: the answers`);
    }
  });
});
