import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseFlow } from '../config/flow-parser.ts';
import { parseConfig } from '../config/read.ts';
import type { Diagnostic, Span } from '../diagnostic/diagnostic.ts';
import { buildFabric } from './build.ts';
import { resolveFlow } from './resolve.ts';

const TEXT = `networks: { n: { kind: nat, subnet: 10.0.0.0/24 }, m: { kind: isolated, subnet: 10.1.0.0/24 } }
guests: { Web: n, db: { nics: [{ network: n }, { network: m }], labels: { role: db } }, off: none }
groups: { g: [m, web] }
`;
const fail = (d: Diagnostic): never => assert.fail(d.message);
const config = parseConfig('weft.yaml', '/srv/demo', TEXT, fail) ?? assert.fail();
const fabric = buildFabric(config, undefined, fail) ?? assert.fail();

function resolve(text: string, span?: Span): { sides: ReturnType<typeof resolveFlow>; said: Diagnostic[] } {
  const said: Diagnostic[] = [];
  const flow = parseFlow(text, (p) => assert.fail(p.message)) ?? assert.fail();
  return { sides: resolveFlow(fabric, flow, span, (d) => said.push(d)), said };
}

test('the words of a flow in a finished fabric', () => {
  const { sides, said } = resolve('WEB, db.m, role=db -> g, host, 10.9.0.0/16 tcp/80');
  assert.deepEqual(said, []);
  assert.deepEqual(sides, {
    from: [
      { kind: 'guests', text: 'WEB', endpoints: [{ guest: 'Web', nic: 0 }] },
      { kind: 'guests', text: 'db.m', endpoints: [{ guest: 'db', nic: 1 }] },
      {
        kind: 'guests',
        text: 'role=db',
        endpoints: [
          { guest: 'db', nic: 0 },
          { guest: 'db', nic: 1 },
        ],
      },
    ],
    to: [
      // The group has the network m, not all of db.
      {
        kind: 'guests',
        text: 'g',
        endpoints: [
          { guest: 'db', nic: 1 },
          { guest: 'Web', nic: 0 },
        ],
      },
      { kind: 'host', text: 'host' },
      { kind: 'prefix', text: '10.9.0.0/16', prefix: '10.9.0.0/16' },
    ],
  });
});

test('every unknown name is reported, at its place when the flow has one', () => {
  const { sides, said } = resolve('wbe -> db, nobody tcp/80', { file: 'weft.yaml', line: 7, column: 10, endColumn: 35 });
  assert.equal(sides, undefined);
  assert.deepEqual(
    said.map(({ code, severity, message, span }) => [code, severity, message, span?.line, span?.column, span?.endColumn]),
    [
      ['unknown-party', 'error', '`wbe` is not a guest, network, host or group; did you mean `Web`?', 7, 10, 13],
      ['unknown-party', 'error', '`nobody` is not a guest, network, host or group; correct the name, or add it to the file.', 7, 21, 27],
    ],
  );
  assert.equal(resolve('wbe -> db').said[0]?.span, undefined);
});

test('a party without NICs is a warning, and no reason to stop', () => {
  const { sides, said } = resolve('off -> db');
  assert.deepEqual(sides?.from, [{ kind: 'guests', text: 'off', endpoints: [] }]);
  assert.deepEqual(
    said.map((d) => [d.code, d.severity]),
    [['empty-party', 'warning']],
  );
  assert.equal(resolve('off -> db').said.length, 1, 'the second question is answered like the first');
});

test('two words with a dot are a domain name where no guest, network or host is meant', () => {
  const { sides, said } = resolve('web -> Example.Org, db.m, web.n., *.Example.org');
  assert.deepEqual(said, []);
  assert.deepEqual(
    sides?.to.map((party) => (party.kind === 'domain' ? party.domain : party.kind)),
    ['example.org', 'guests', 'web.n', '*.example.org'],
  );
  assert.match(resolve('web -> wbe.n').said[0]?.message ?? '', /^`wbe` is not a guest, .* did you mean `Web`\?$/);
  assert.match(resolve('web -> db.org').said[0]?.message ?? '', /the domain name is written `db\.org\.`/);
  assert.match(resolve('web -> m.org').said[0]?.message ?? '', /the domain name is written `m\.org\.`/);
});
