import assert from 'node:assert/strict';
import { test } from 'node:test';
import { containsCidr } from 'cidr-tools';
import * as fc from 'fast-check';
import { parseConfig } from '../config/read.ts';
import { formatPrefix, parseIp, prefixOf } from '../net/ip.ts';
import { buildFabric } from './build.ts';

/** Few bits that differ, so that most files have overlaps, nested and equal ones too. */
const subnet = fc.tuple(fc.integer({ min: 0, max: 15 }), fc.integer({ min: 12, max: 16 }), fc.boolean()).map(([bits, length, v4]) => {
  const ip = parseIp(v4 ? `10.${bits}.0.0` : `fd00:0:0:0:${(bits * 0x1000).toString(16)}::`);
  return ip ? formatPrefix(prefixOf(ip, v4 ? length : length + 52)) : assert.fail();
});

test('as many overlaps as subnets that lie in another, whatever their order', () => {
  fc.assert(
    fc.property(fc.array(subnet, { minLength: 1, maxLength: 8 }), (subnets) => {
      const networks = Object.fromEntries(subnets.map((text, i) => [`n${i}`, { kind: 'nat', subnet: text }]));
      const codes: string[] = [];
      const config = parseConfig('weft.yaml', '/srv/demo', JSON.stringify({ networks }), (d) => assert.fail(d.message));
      const fabric = config && buildFabric(config, undefined, (d) => codes.push(d.code));
      // Of equal ones, all but the first lie in another.
      const inner = subnets.filter((one, i) => subnets.some((other, j) => i !== j && containsCidr(other, one) && (other !== one || j < i)));
      assert.deepEqual(codes, Array(inner.length).fill('subnet-overlap'));
      assert.equal(fabric !== undefined, inner.length === 0);
    }),
    { numRuns: 200 },
  );
});
