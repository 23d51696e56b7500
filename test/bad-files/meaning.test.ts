/**
 * Files that are well formed and mean something wrong get exactly these messages (meaning/*.ts).
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { parseConfig } from '../../src/config/read.ts';
import type { Diagnostic } from '../../src/diagnostic/diagnostic.ts';
import { buildFabric } from '../../src/fabric/build.ts';
import { addresses } from './meaning/addresses.ts';
import { guests } from './meaning/guests.ts';
import { namesAndSubnets } from './meaning/names-and-subnets.ts';
import { policy } from './meaning/policy.ts';
import { routed } from './meaning/routed.ts';

function say({ span, severity, code, message, related = [] }: Diagnostic): string {
  const others = related.map((r) => ` (${r.span?.line}:${r.span?.column} ${r.message})`).join('');
  return `${span?.line}:${span?.column} ${severity} ${code}: ${message}${others}`;
}

describe('files that mean something wrong', () => {
  for (const { name, lock, file, builds, says } of [...namesAndSubnets, ...addresses, ...guests, ...policy, ...routed]) {
    test(name, () => {
      const said: string[] = [];
      const config = parseConfig('weft.yaml', '/srv/demo', file.slice(1), (d) => said.push(say(d)));
      assert.ok(config, `the reader refused it: ${said.join('\n')}`);
      const fabric = buildFabric(config, lock, (d) => said.push(say(d)));
      assert.deepEqual(said, says);
      assert.equal(fabric !== undefined, builds);
    });
  }

  test('the example of the design is refused only for what is not supported yet', () => {
    const said: string[] = [];
    const text = readFileSync(new URL('../fixtures/design-example.yaml', import.meta.url), 'utf8');
    const config = parseConfig('weft.yaml', '/srv/demo', text, (d) => assert.fail(d.message));
    assert.ok(config && !buildFabric(config, undefined, (d) => said.push(`${d.severity} ${d.code}`)));
    assert.deepEqual([...new Set(said)].toSorted(), ['error not-supported-yet', 'warning unpublished-internet']);
  });

  test('a network with more ports than a bridge takes', () => {
    const lines = Array.from({ length: 1025 }, (_, i) => `  guest${i}: ${i === 0 ? '{ inside: guest1, network: wide }' : 'wide'}\n`).join(
      '',
    );
    const text = `networks: { wide: { kind: nat, subnet: 10.0.0.0/16 } }\nguests:\n${lines}`;
    const said: string[] = [];
    const config = parseConfig('weft.yaml', '/srv/demo', text, (d) => said.push(say(d)));
    assert.ok(config && !buildFabric(config, undefined, (d) => said.push(say(d))));
    assert.deepEqual(said, [
      '1:13 error bridge-full: the network `wide` has 1024 ports, but a Linux bridge takes 1023; spread its guests over several networks.',
    ]);
  });
});
