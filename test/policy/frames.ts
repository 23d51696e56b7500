/**
 * Ethernet frames byte by byte, to send what no socket would send. Frames are hex texts: `ethernet(to, from, 0x0800, ipv4({ … }, udp(…)))`. Sent by mausezahn and
 * looked for in a capture by their bytes, so a test knows exactly which of its frames got where.
 */
import { readFileSync } from 'node:fs';
import { parseIp } from '../../src/net/ip.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { startLineProcess } from '../../src/kernel/line-process.ts';

export const u8 = (n: number): string => (n & 255).toString(16).padStart(2, '0');
export const u16 = (n: number): string => (n & 0xffff).toString(16).padStart(4, '0');
export const u32 = (n: number): string => (n >>> 0).toString(16).padStart(8, '0');
const mac = (text: string): string => text.replaceAll(':', '');
export const hexOfIp = (text: string): string => (parseIp(text)?.words ?? []).map(u32).join('');
const bytes = (hex: string): number => hex.length / 2;

/** RFC 1071, over hex of even length. */
export function checksum(hex: string): string {
  let sum = 0;
  const padded = hex.length % 4 === 0 ? hex : `${hex}00`;
  for (let i = 0; i < padded.length; i += 4) sum += Number.parseInt(padded.slice(i, i + 4), 16);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return u16(~sum);
}

export const ethernet = (to: string, from: string, type: number, payload: string): string => mac(to) + mac(from) + u16(type) + payload;

/** A tag between the addresses and the type. */
export const tagged = (frame: string, type: number, vlan: number): string => frame.slice(0, 24) + u16(type) + u16(vlan) + frame.slice(24);

export const arp = (operation: number, senderMac: string, sender: string, targetMac: string, target: string): string =>
  `0001080006 04${u16(operation)}`.replace(' ', '') + mac(senderMac) + hexOfIp(sender) + mac(targetMac) + hexOfIp(target);

export interface Ipv4 {
  readonly from: string;
  readonly to: string;
  readonly protocol: number;
  /** In units of 8 bytes. */
  readonly fragmentOffset?: number;
  readonly moreFragments?: boolean;
}

export function ipv4({ from, to, protocol, fragmentOffset = 0, moreFragments = false }: Ipv4, payload: string): string {
  const flags = (moreFragments ? 0x2000 : 0) | fragmentOffset;
  const head = (sum: string): string =>
    `4500${u16(20 + bytes(payload))}1234${u16(flags)}40${u8(protocol)}${sum}${hexOfIp(from)}${hexOfIp(to)}`;
  return head(checksum(head('0000'))) + payload;
}

/** Without checksum, as IPv4 allows. */
export const udp = (from: number, to: number, payload: string): string => `${u16(from)}${u16(to)}${u16(8 + bytes(payload))}0000${payload}`;

export const ipv6 = (from: string, to: string, next: number, payload: string): string =>
  `60000000${u16(bytes(payload))}${u8(next)}ff${hexOfIp(from)}${hexOfIp(to)}${payload}`;

/** Upper-layer checksum of RFC 8200, 8.1, put in at byte `at` of the payload. */
export function withChecksum6(from: string, to: string, next: number, payload: string, at: number): string {
  const sum = checksum(hexOfIp(from) + hexOfIp(to) + u32(bytes(payload)) + u32(next) + payload);
  return payload.slice(0, at * 2) + sum + payload.slice(at * 2 + 4);
}

export const icmpv6 = (from: string, to: string, type: number, body: string): string =>
  withChecksum6(from, to, 58, `${u8(type)}000000${body}`.slice(0, 8) + body, 2);

/** An empty destination options header before the next one. */
export const destinationOptions = (next: number, payload: string): string => `${u8(next)}000104 00000000`.replace(' ', '') + payload;

/** A fragment header; offset in units of 8 bytes. */
export const fragment6 = (next: number, offset: number, more: boolean, payload: string): string =>
  `${u8(next)}00${u16((offset << 3) | (more ? 1 : 0))}00abcdef${payload}`;

export const neighborAdvert = (from: string, to: string, target: string, targetMac: string): string =>
  ipv6(from, to, 58, icmpv6(from, to, 136, `60000000${hexOfIp(target)}0201${mac(targetMac)}`));

export const neighborSolicit = (from: string, to: string, target: string): string =>
  ipv6(from, to, 58, icmpv6(from, to, 135, `00000000${hexOfIp(target)}`));

/** With a prefix to make addresses of, and the sender as default router for so many seconds. */
export const routerAdvertBody = (prefix: string, lifetime = 1800): string =>
  `4000${u16(lifetime)}000000000000000003 0440c0ffffffffffffffff00000000${hexOfIp(prefix)}`.replace(' ', '');
export const routerAdvert = (from: string, to: string, prefix: string, lifetime?: number): string =>
  ipv6(from, to, 58, icmpv6(from, to, 134, routerAdvertBody(prefix, lifetime)));

/** A DHCP message (RFC 2131) with only what the rules look at: `chaddr`. */
export const dhcp = (operation: 1 | 2, chaddr: string, options: string): string =>
  `${u8(operation)}010600deadbeef00000000${'00'.repeat(16)}${mac(chaddr)}${'00'.repeat(10 + 192)}63825363${options}ff`;

/** Sends frames from an interface, in order. */
export async function sendFrames(kernel: Kernel, link: string, frames: readonly string[]): Promise<void> {
  const script = frames.map((frame) => `mausezahn ${link} -q -c 1 ${frame.replace(/../g, '$&:').slice(0, -1)} >/dev/null`).join('\n');
  await kernel.run('sh', ['-e', '-c', script]);
}

export interface FrameCapture {
  /** Ends the capture and returns every frame it saw, as hex. */
  stop(): Promise<string[]>;
}

let captures = 0;

/** Captures whole frames on an interface, in one direction as tcpdump(8) means it. */
export async function captureFrames(kernel: Kernel, link: string, direction: 'in' | 'out' | 'inout'): Promise<FrameCapture> {
  const file = `/run/frames-${++captures}.pcap`;
  let ready: () => void = () => undefined;
  const listening = new Promise<void>((resolve) => (ready = resolve));
  const process = startLineProcess(
    kernel,
    'tcpdump',
    ['-i', link, '-Q', direction, '-U', '-s', '0', '--immediate-mode', '-Z', 'root', '-w', file],
    {
      onErrorLine: (line) => line.includes('listening on') && ready(),
    },
  );
  await Promise.race([listening, process.ended.then(({ stderr }) => Promise.reject(new Error(`tcpdump: ${stderr}`)))]);
  return {
    stop: async () => {
      await new Promise((resolve) => setTimeout(resolve, 150));
      await process.stop('SIGINT');
      return readPcap(readFileSync(file));
    },
  };
}

/** pcap-savefile(5), little-endian, as tcpdump writes it on this machine. */
function readPcap(data: Buffer): string[] {
  const frames: string[] = [];
  for (let at = 24; at + 16 <= data.length;) {
    const length = data.readUInt32LE(at + 8);
    frames.push(data.toString('hex', at + 16, at + 16 + length));
    at += 16 + length;
  }
  return frames;
}
