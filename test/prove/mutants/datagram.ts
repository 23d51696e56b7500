/** One packet of a flow byte by byte, as its sender makes it, with a token by which it is known wherever it is seen; and back from bytes. Hex texts, as in `policy/frames.ts`. */
import { formatIp } from '../../../src/net/ip.ts';
import { checksum, hexOfIp, u16, u32, u8 } from '../../policy/frames.ts';

const MAGIC = '57454654';
const TCP = 6;
const UDP = 17;
const SCTP = 132;

export interface Datagram {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly sport?: number;
  readonly dport?: number;
}

/** An IP packet: a SYN, an echo request, any datagram; `answer`: what whoever gets it says to that. */
export function datagram(packet: Datagram, token: number, answer = false): string {
  const family = packet.source.includes(':') ? 6 : 4;
  const payload = transport(packet, `${MAGIC}${u32(token)}`, { token, answer, family });
  return family === 4 ? header4(packet, payload) + payload : header6(packet, payload) + payload;
}

function header4({ source, destination, protocol }: Datagram, payload: string): string {
  const head = (sum: string): string =>
    `4500${u16(20 + payload.length / 2)}1234000040${u8(protocol)}${sum}${hexOfIp(source)}${hexOfIp(destination)}`;
  return head(checksum(head('0000')));
}

const header6 = ({ source, destination, protocol }: Datagram, payload: string): string =>
  `60000000${u16(payload.length / 2)}${u8(protocol)}40${hexOfIp(source)}${hexOfIp(destination)}`;

interface How {
  readonly token: number;
  readonly answer: boolean;
  readonly family: 4 | 6;
}

function transport(packet: Datagram, mark: string, { token, answer, family }: How): string {
  const { source, destination, protocol, sport = 0, dport = 0 } = packet;
  const ports = u16(sport) + u16(dport);
  const summed = (text: string, at: number, pseudo: boolean): string => {
    const head = pseudo ? hexOfIp(source) + hexOfIp(destination) + u32(text.length / 2) + u32(protocol) : '';
    return text.slice(0, at * 2) + checksum(head + text) + text.slice(at * 2 + 4);
  };
  switch (protocol) {
    case TCP:
      return summed(`${ports}${u32(token)}${u32(answer ? token + 9 : 0)}50${answer ? '12' : '02'}ffff00000000${mark}`, 16, true);
    case UDP:
      return summed(`${ports}${u16(8 + mark.length / 2)}0000${mark}`, 6, true);
    case SCTP:
      return sctp(ports, token, mark);
    case 1:
    case 58:
      return summed(`${u8(echo(family, answer))}000000${u16(token & 0xffff)}0001${mark}`, 2, family === 6);
    default:
      // As GRE has it (RFC 2784).
      return `00000800${mark}`;
  }
}

/** A chunk INIT with a parameter that may be skipped (RFC 9260, 3.3.2); its checksum, which conntrack asks for, is a CRC-32C in the order of the wire. */
function sctp(ports: string, token: number, mark: string): string {
  const rest = `01000020${u32(token)}0000ffff0001000100000001c008000c${mark}`;
  let crc = 0xffffffff;
  for (const byte of Buffer.from(`${ports}0000000000000000${rest}`, 'hex')) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  const sum = Buffer.alloc(4);
  sum.writeUInt32LE(~crc >>> 0);
  return `${ports}00000000${sum.toString('hex')}${rest}`;
}

const echo = (family: 4 | 6, answer: boolean): number => (family === 4 ? (answer ? 0 : 8) : answer ? 129 : 128);

export interface Seen extends Datagram {
  /** Of the packet, if it is one of ours. */
  readonly token: number | undefined;
}

/** Of an IP packet; undefined for what is none. */
export function readDatagram(hex: string): Seen | undefined {
  const number = (at: number, length: number): number => Number.parseInt(hex.slice(at * 2, (at + length) * 2), 16);
  const version = hex[0];
  if (version !== '4' && version !== '6') return undefined;
  const address = (at: number): string => {
    const length = version === '4' ? 4 : 16;
    const words = Array.from({ length: length / 4 }, (_, i) => number(at + i * 4, 4));
    return formatIp({ family: version === '4' ? 4 : 6, words });
  };
  const [protocol, source, destination, after] =
    version === '4' ? [number(9, 1), address(12), address(16), (number(0, 1) & 15) * 4] : [number(6, 1), address(8), address(24), 40];
  const ported = protocol === TCP || protocol === UDP || protocol === SCTP;
  return {
    source,
    destination,
    protocol,
    token: tokenOf(hex),
    ...(ported ? { sport: number(after, 2), dport: number(after + 2, 2) } : {}),
  };
}

export function tokenOf(hex: string): number | undefined {
  const at = hex.indexOf(MAGIC);
  return at < 0 ? undefined : Number.parseInt(hex.slice(at + 8, at + 16), 16);
}

export const swapped = ({ source, destination, protocol, sport, dport }: Datagram): Datagram => ({
  source: destination,
  destination: source,
  protocol,
  ...(dport === undefined ? {} : { sport: dport }),
  ...(sport === undefined ? {} : { dport: sport }),
});

export const sameFlow = (a: Datagram, b: Datagram): boolean =>
  a.source === b.source && a.destination === b.destination && a.protocol === b.protocol && a.sport === b.sport && a.dport === b.dport;
