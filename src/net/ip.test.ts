import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { describe, test } from 'node:test';
import { containsCidr, overlapCidr, parseCidr } from 'cidr-tools';
import * as fc from 'fast-check';
import {
  addOffset,
  canonicalIp,
  compareIp,
  formatIp,
  formatPrefix,
  hasHostBits,
  linkLocalOfMac,
  parseIp,
  parsePrefix,
  prefixBounds,
  prefixContains,
  prefixesOverlap,
  prefixOf,
  prefixWithin,
} from './ip.ts';
import type { Ip, Prefix } from './ip.ts';

const word = fc.oneof(fc.constantFrom(0, 1, 0xffff, 0x10000, 0xfffffffe, 0xffffffff), fc.integer({ min: 0, max: 0xffffffff }));
const ip: fc.Arbitrary<Ip> = fc.oneof(
  fc.tuple(word).map((words): Ip => ({ family: 4, words })),
  fc.tuple(word, word, word, word).map((words): Ip => ({ family: 6, words })),
);
const prefix: fc.Arbitrary<Prefix> = ip.chain((address) =>
  fc.integer({ min: 0, max: address.family === 4 ? 32 : 128 }).map((length) => prefixOf(address, length)),
);
/** Prefixes near each other, or containment and overlap would hardly ever be true. */
const prefixPair = fc.oneof(
  fc.tuple(prefix, prefix),
  ip.chain((address) => {
    const length = fc.integer({ min: 0, max: address.family === 4 ? 32 : 128 });
    return fc.tuple(length, length).map(([a, b]) => [prefixOf(address, a), prefixOf(address, b)] as const);
  }),
);
/** The number an address is: the oracle's representation. */
const numberOf = (address: Ip): bigint => address.words.reduce((sum, part) => (sum << 32n) | BigInt(part), 0n);
const parsed = (text: string): Ip => parseIp(text) ?? assert.fail(text);
const parsedPrefix = (text: string): Prefix => parsePrefix(text) ?? assert.fail(text);

describe('texts', () => {
  const canonical: readonly (readonly [string, string])[] = [
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['FD00:0105::0001', 'fd00:105::1'],
    // RFC 5952 4.2.2: one zero group is not shortened; 4.2.3: the longest run is, the first of equals.
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::ffff:192.0.2.1', '::ffff:c000:201'],
  ];
  for (const [text, expected] of canonical) test(`${text} is ${expected}`, () => assert.equal(canonicalIp(text), expected));

  const wrong = [
    '',
    '1.2.3',
    '1.2.3.4.5',
    '256.0.0.1',
    '01.2.3.4',
    '1.2.3.4/24',
    ' 1.2.3.4',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7:8::',
    '12345::',
    'fe80::1%eth0',
    '::1.2.3',
    '::256.0.0.1',
    '1.2.3.4::',
    'g::',
  ];
  for (const text of wrong) test(`${JSON.stringify(text)} is no address`, () => assert.equal(parseIp(text), undefined));

  for (const text of ['10.0.0.0/33', 'fd00::/129', '10.0.0.0/', '10.0.0.0/08', '10.0.0.0/-1', '10.0.0.0/8/8', '/8']) {
    test(`${text} is no prefix`, () => assert.equal(parsePrefix(text), undefined));
  }

  test('reading what was written gives the same address', () => {
    fc.assert(fc.property(ip, (address) => assert.deepEqual(parsed(formatIp(address)), address)));
    fc.assert(fc.property(prefix, (p) => assert.deepEqual(parsedPrefix(formatPrefix(p)), p)));
  });

  test('any text is an address exactly when Node says so', () => {
    const nearly = fc.stringMatching(/^[0-9a-f:.]{0,20}$/);
    fc.assert(
      fc.property(fc.oneof(nearly, fc.string(), ip.map(formatIp)), (text) =>
        assert.equal(parseIp(text) !== undefined, isIPv4(text) || isIPv6(text)),
      ),
      { numRuns: 500 },
    );
  });
});

describe('prefixes, judged by cidr-tools', () => {
  test('first and last address', () => {
    fc.assert(
      fc.property(prefix, (p) => {
        const oracle = parseCidr(formatPrefix(p));
        const { first, last } = prefixBounds(p);
        assert.deepEqual([numberOf(first), numberOf(last)], [oracle.start, oracle.end]);
      }),
    );
  });

  test('containment and overlap', () => {
    fc.assert(
      fc.property(prefixPair, ([a, b]) => {
        const [textA, textB] = [formatPrefix(a), formatPrefix(b)];
        assert.equal(prefixWithin(b, a), containsCidr(textA, textB));
        assert.equal(prefixesOverlap(a, b), overlapCidr(textA, textB));
      }),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(prefixPair, ([a, b]) => {
        const { first, last } = prefixBounds(b);
        for (const address of [first, last]) assert.equal(prefixContains(a, address), containsCidr(formatPrefix(a), formatIp(address)));
      }),
      { numRuns: 500 },
    );
  });

  test('host bits', () => {
    assert.equal(hasHostBits('10.0.0.1/24'), true);
    assert.equal(hasHostBits('10.0.0.0/24'), false);
    assert.equal(hasHostBits('10.0.0.1'), false);
    assert.equal(hasHostBits('fd00::1/64'), true);
  });
});

describe('arithmetic', () => {
  test('adding is adding, and stops at the ends of the family', () => {
    const offset = fc.oneof(fc.integer({ min: -300, max: 300 }), fc.maxSafeInteger());
    fc.assert(
      fc.property(ip, offset, (address, n) => {
        const sum = numberOf(address) + BigInt(n);
        const result = addOffset(address, n);
        const fits = sum >= 0n && sum < 1n << (address.family === 4 ? 32n : 128n);
        assert.equal(result && numberOf(result), fits ? sum : undefined);
      }),
      { numRuns: 500 },
    );
  });

  test('order is that of the numbers, IPv4 first', () => {
    fc.assert(
      fc.property(ip, ip, (a, b) => {
        const expected = a.family !== b.family ? a.family - b.family : numberOf(a) < numberOf(b) ? -1 : numberOf(a) > numberOf(b) ? 1 : 0;
        assert.equal(Math.sign(compareIp(a, b)), Math.sign(expected));
      }),
    );
  });

  test('link-local of a MAC (RFC 4291 appendix A)', () => {
    assert.equal(linkLocalOfMac('02:00:00:00:00:01'), 'fe80::ff:fe00:1');
    assert.equal(linkLocalOfMac('34:56:78:9a:bc:de'), 'fe80::3656:78ff:fe9a:bcde');
  });
});
