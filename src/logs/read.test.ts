/** The parser on files made by hand; a real recording is in test/services/recorder.test.ts. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseRecording, readRecordings } from './read.ts';

const v4 = (protocol: number, rest: readonly number[], fragment = 0): number[] => [
  ...[0x45, 0, 0, 0, 0, 0, fragment >> 8, fragment & 255, 64, protocol, 0, 0],
  ...[10, 0, 105, 10, 192, 0, 2, 7],
  ...rest,
];
const v6 = (next: number, rest: readonly number[]): number[] => [
  ...[0x60, 0, 0, 0, 0, 0, next, 64],
  ...[0xfd, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10],
  ...[0xfd, 0, 1, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20],
  ...rest,
];

/** A capture file of either byte order, with one packet per prefix and payload. */
function capture(packets: readonly { prefix: string; payload: readonly number[] }[], little = true, nanoseconds = false): Uint8Array {
  const bytes: number[] = [];
  const put = (size: 2 | 4, value: number): void => {
    const octets = Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** i) % 256);
    bytes.push(...(little ? octets : octets.toReversed()));
  };
  put(4, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
  put(2, 2);
  put(2, 4);
  for (const value of [0, 0, 65535, 239]) put(4, value);
  for (const { prefix, payload } of packets) {
    const fields: [number, number[]][] = [
      [10, [...Buffer.from(`${prefix}\0`)]],
      [4, [0, 0, 0, 7]],
      [9, [...payload]],
    ];
    const size = 4 + fields.reduce((sum, [, value]) => sum + ((value.length + 7) & ~3), 0);
    put(4, 1_700_000_000);
    put(4, nanoseconds ? 250_000_000 : 250_000);
    put(4, size);
    put(4, size);
    bytes.push(2, 0, 0, 87);
    for (const [kind, value] of fields) {
      put(2, value.length + 4);
      put(2, kind);
      bytes.push(...value, ...new Array<number>((4 - (value.length % 4)) % 4).fill(0));
    }
  }
  return Uint8Array.from(bytes);
}

const tcp = [0xc0, 0, 0, 80, 0, 0];

describe('recordings', () => {
  it('are read in both byte orders and both resolutions', () => {
    const wanted = { time: 1_700_000_000_250, verdict: 'accepted', ruleId: '1f2e3d4c', family: 4, src: '10.0.105.10', dst: '192.0.2.7' };
    for (const little of [true, false])
      for (const nano of [true, false])
        assert.deepEqual(parseRecording(capture([{ prefix: 'weft a 1f2e3d4c', payload: v4(6, tcp) }], little, nano)), [
          { ...wanted, protocol: 'tcp', sport: 49152, dport: 80, inIf: 7 },
        ]);
  });

  it('are understood with IPv6 extension headers and fragments', () => {
    const one = (payload: readonly number[]): unknown => {
      const [record] = parseRecording(capture([{ prefix: 'weft d -', payload }]));
      return record && [record.family, record.protocol, record.dport];
    };
    assert.deepEqual(one(v6(6, tcp)), [6, 'tcp', 80]);
    assert.deepEqual(one(v6(0, [60, 0, 0, 0, 0, 0, 0, 0, 17, 1, ...new Array<number>(14).fill(0), ...tcp])), [6, 'udp', 80]);
    assert.deepEqual(one(v6(44, [17, 0, 0, 1, 0, 0, 0, 0, ...tcp])), [6, 'udp', 80]);
    assert.deepEqual(one(v6(44, [17, 0, 1, 0, 0, 0, 0, 0, ...tcp])), [6, 'udp', undefined]);
    assert.deepEqual(one(v6(58, [128, 0])), [6, 'icmp', undefined]);
    assert.deepEqual(one(v4(17, tcp, 0x2000)), [4, 'udp', 80]);
    assert.deepEqual(one(v4(17, tcp, 0x00ff)), [4, 'udp', undefined]);
    assert.deepEqual(one(v4(89, [])), [4, '89', undefined]);
  });

  it("leave out other programs' packets and what is no packet", () => {
    assert.deepEqual(parseRecording(capture([{ prefix: 'ufw block', payload: v4(6, tcp) }])), []);
    assert.deepEqual(parseRecording(capture([{ prefix: 'weft d -', payload: [0x45, 0] }])), []);
    assert.deepEqual(parseRecording(new Uint8Array()), []);
    assert.deepEqual(parseRecording(new TextEncoder().encode('this is not a capture file at all')), []);
    assert.deepEqual(readRecordings('/nonexistent'), []);
  });

  it('cut short or damaged anywhere give what is whole, and never throw', () => {
    const whole = capture([
      { prefix: 'weft a 1f2e3d4c', payload: v4(6, tcp) },
      { prefix: 'weft d -', payload: v6(44, [17, 0, 0, 1, 0, 0, 0, 0, ...tcp]) },
    ]);
    for (let length = 0; length < whole.length; length++) assert.ok(parseRecording(whole.slice(0, length)).length < 2);
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 255 }), (at, value) => {
        parseRecording(whole.with(at, value));
      }),
      { numRuns: 500 },
    );
  });
});
