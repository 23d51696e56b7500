/** Random maps of published ports, and the rules that look into them, for the tables of nft-arbitrary.ts. Used by tests only. */
import fc from 'fast-check';
import type { NftExpr, NftMap, NftRule, NftVerdict } from './nft.ts';

const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const ip4 = fc.nat(0xffff).map((n) => `10.7.${n >> 8}.${n & 255}`);
const ip6 = fc.nat(0xfffe).map((n) => `fd00:7::${(n + 1).toString(16)}`);
const port = fc.integer({ min: 1, max: 65535 });
const verdict = oneOf<NftVerdict>({ accept: null }, { return: null }, { goto: { target: 'a_1' } });

/** Maps to what a NAT translates to: an address and a port, and by ranges of ports an address alone. */
const publishMap: fc.Arbitrary<NftMap> = fc
  .uniqueArray(fc.tuple(oneOf('tcp', 'udp', 'sctp'), port, ip4, port), { maxLength: 5, selector: ([proto, from]) => `${proto} ${from}` })
  .map((parts): NftMap => ({
    name: 'publish4',
    key: { types: ['inet_proto', 'inet_service'] },
    data: ['ipv4_addr', 'inet_service'],
    flags: [],
    elements: parts.map(([proto, from, addr, to]) => [{ concat: [proto, from] }, { concat: [addr, to] }] as const),
  }));
/** Each range has a thousand of its own, so that none overlaps. */
const publishRangeMap: fc.Arbitrary<NftMap> = fc
  .uniqueArray(fc.tuple(ip4, oneOf('tcp', 'udp'), fc.nat(60), fc.nat(999), fc.nat(999), ip6), {
    maxLength: 5,
    selector: ([, , block]) => block,
  })
  .map((parts): NftMap => ({
    name: 'publish_range6',
    key: { types: ['ipv4_addr', 'inet_proto', 'inet_service'] },
    data: ['ipv6_addr'],
    flags: ['interval'],
    elements: parts.map(([at, proto, block, a, b, addr]) => {
      const [from, to] = [1000 * block + 1 + Math.min(a, b), 1000 * block + 1 + Math.max(a, b)];
      return [{ concat: [at, proto, from === to ? from : { range: [from, to] }] }, addr] as const;
    }),
  }));
/** Which chain a published port of limited use leads to. */
const limitedMap: fc.Arbitrary<NftMap> = fc
  .uniqueArray(fc.tuple(oneOf('tcp', 'udp'), fc.nat(60), fc.nat(999), verdict), { maxLength: 4, selector: ([, block]) => block })
  .map((parts): NftMap => ({
    name: 'limited4',
    key: { types: ['inet_proto', 'inet_service'] },
    flags: ['interval'],
    elements: parts.map(([proto, block, size, target]) => {
      const from = 1000 * block + 1;
      return [{ concat: [proto, size === 0 ? from : { range: [from, from + size] }] }, target] as const;
    }),
  }));
export const publishMaps: fc.Arbitrary<NftMap[]> = fc.tuple(publishMap, publishRangeMap, limitedMap);

const l4proto: NftExpr = { meta: { key: 'l4proto' } };
const portKey: NftExpr = { concat: [l4proto, { payload: { protocol: 'th', field: 'dport' } }] };
export const publishRules: readonly NftRule[] = [
  { statements: [{ vmap: { key: portKey, data: '@limited4' } }] },
  {
    statements: [
      { match: { op: '==', left: l4proto, right: { set: ['sctp', 'tcp', 'udp'] } } },
      { dnat: { family: 'ip', addr: { map: { key: portKey, data: '@publish4' } } } },
    ],
  },
];
