/** The law of the flow language: canonical text reads back to the same value; and every problem points into the text. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { formatPrefix, prefixOf } from '../net/ip.ts';
import { formatFlow, formatPorts, parseFlow, parseParties, parsePorts } from './flow-parser.ts';
import type { TextProblem } from './flow-parser.ts';
import type { FlowExpr, PartyExpr, PortSpec, Ports } from './flow.ts';

const name = fc
  .stringMatching(/^[A-Za-z]([A-Za-z0-9-]{0,8}[A-Za-z0-9])?$/)
  .filter((text) => !['host', 'any', 'internet'].includes(text.toLowerCase()));
const labelPart = fc.stringMatching(/^[A-Za-z0-9]([A-Za-z0-9._-]{0,8}[A-Za-z0-9])?$/);
const word32 = fc.nat(0xffffffff);
const v4 = fc
  .tuple(word32, fc.integer({ min: 0, max: 32 }))
  .map(([word, length]) => formatPrefix(prefixOf({ family: 4, words: [word] }, length)));
const v6 = fc
  .tuple(fc.array(word32, { minLength: 4, maxLength: 4 }), fc.integer({ min: 0, max: 128 }))
  .map(([words, length]) => formatPrefix(prefixOf({ family: 6, words }, length)));
const party = (prefix: fc.Arbitrary<string>): fc.Arbitrary<PartyExpr> =>
  fc.oneof(
    name.map((text) => ({ kind: 'name' as const, name: text, offset: 0 })),
    fc.tuple(name, name).map(([text, nic]) => ({ kind: 'name' as const, name: text, nic, offset: 0 })),
    fc.tuple(labelPart, labelPart).map(([key, value]) => ({ kind: 'label' as const, key, value, offset: 0 })),
    prefix.map((text) => ({ kind: 'prefix' as const, prefix: text, offset: 0 })),
    fc
      .constantFrom('example.co.uk', '*.example.org', 'a.b.c', 'example.org')
      .map((domain) => ({ kind: 'domain' as const, domain, offset: 0 })),
    fc.constantFrom('host' as const, 'any' as const, 'internet' as const).map((kind) => ({ kind, offset: 0 })),
  );
const port = fc.integer({ min: 1, max: 65535 });
const range = fc.tuple(port, port).map(([a, b]) => ({ from: Math.min(a, b), to: Math.max(a, b) }));
const spec: fc.Arbitrary<PortSpec> = fc.oneof(
  fc.record({
    protocol: fc.constantFrom('tcp' as const, 'udp' as const, 'sctp' as const),
    ranges: fc.array(
      fc.oneof(
        range,
        port.map((p) => ({ from: p, to: p })),
      ),
      { minLength: 1, maxLength: 4 },
    ),
  }),
  fc.constant({ protocol: 'icmp' as const }),
);
const ports: fc.Arbitrary<Ports> = fc.oneof(fc.constant('any' as const), fc.array(spec, { minLength: 1, maxLength: 4 }));

function parsed(text: string): FlowExpr {
  const problems: TextProblem[] = [];
  const flow = parseFlow(text, (problem) => problems.push(problem));
  assert.deepEqual(problems, [], text);
  assert.ok(flow);
  return flow;
}

const bare = (parties: readonly PartyExpr[]): unknown[] =>
  parties.map((one) => Object.fromEntries(Object.entries(one).filter(([key]) => key !== 'offset' && key !== 'length')));

test('canonical text reads back to the same value', () => {
  const sides = fc
    .constantFrom(v4, v6)
    .chain((prefix) =>
      fc.tuple(fc.array(party(prefix), { minLength: 1, maxLength: 3 }), fc.array(party(prefix), { minLength: 1, maxLength: 3 })),
    );
  fc.assert(
    fc.property(sides, ports, ([from, to], what) => {
      const text = formatFlow(from, to, what);
      const flow = parsed(text);
      assert.deepEqual(bare(flow.from), bare(from));
      assert.deepEqual(bare(flow.to), bare(to));
      assert.equal(flow.text, text);
      assert.equal(formatPorts(flow.ports), formatPorts(what));
      assert.deepEqual(parsed(flow.text), flow);
    }),
  );
});

/** The naive meaning of ports: is this packet among them. */
const covers = (what: Ports, protocol: string, number: number): boolean =>
  what === 'any' ||
  what.some((one) => one.protocol === protocol && (one.protocol === 'icmp' || one.ranges.some((r) => r.from <= number && number <= r.to)));

test('canonical ports mean the same packets', () => {
  fc.assert(
    fc.property(ports, fc.constantFrom('tcp', 'udp', 'sctp', 'icmp'), port, (what, protocol, number) => {
      const again = parsePorts(formatPorts(what), () => assert.fail('canonical ports are right'));
      assert.ok(again);
      assert.equal(covers(again, protocol, number), covers(what, protocol, number));
    }),
  );
});

test('any text gives a flow or problems inside it, never an exception', () => {
  const piece = fc.constantFrom(
    'web',
    'db',
    '->',
    ',',
    ' ',
    'tcp/',
    '80',
    '-',
    '/',
    '10.0.0.1',
    'fd00::',
    '=',
    '*.',
    'any',
    '\t',
    '\n',
    '0',
    'é',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join('')),
      ),
      (text) => {
        const problems: TextProblem[] = [];
        const flow = parseFlow(text, (problem) => problems.push(problem));
        assert.equal(flow === undefined, problems.length > 0);
        for (const { offset, length } of problems) assert.ok(offset >= 0 && length >= 0 && offset + length <= text.length + 1, text);
        if (flow) assert.equal(parsed(flow.text).text, flow.text);
      },
    ),
  );
});

test('spellings of one flow have one text', () => {
  const spellings: [string, string][] = [
    ['web->db', 'web -> db'],
    ['  web ,  db ->\tvault  any ', 'web,db -> vault'],
    ['HOST -> Internet TCP/443,80,81-90', 'host -> internet tcp/80-90,443'],
    ['web -> db udp/53 tcp/53 icmp udp/54', 'web -> db tcp/53 udp/53-54 icmp'],
    ['2001:DB8:0::/32 -> FD00:0:0::1/128', '2001:db8::/32 -> fd00::1'],
    ['web.internal -> *.Example.ORG tcp/443', 'web.internal -> *.example.org tcp/443'],
  ];
  for (const [spelling, canonical] of spellings) assert.equal(parsed(spelling).text, canonical);
});

test('the edges of ports and ranges', () => {
  const canonical = (text: string): string => formatPorts(parsePorts(text, () => undefined) ?? []);
  assert.equal(canonical('tcp/1,65535'), 'tcp/1,65535');
  assert.equal(canonical('tcp/65536'), '');
  assert.equal(canonical('tcp/80,81'), 'tcp/80-81');
  assert.equal(canonical('tcp/80,82'), 'tcp/80,82');
  assert.equal(canonical('tcp/1-100,50,90-200'), 'tcp/1-200');
  assert.equal(canonical(''), 'any');
});

test('a name with one dot is a NIC of a guest, with more dots a domain', () => {
  assert.deepEqual(bare(parsed('web.internal -> a.b.c').from), [{ kind: 'name', name: 'web', nic: 'internal' }]);
  assert.deepEqual(bare(parsed('web -> a.b.c').to), [{ kind: 'domain', domain: 'a.b.c' }]);
});

test('a dot at the end makes two words a domain name, and is kept only where it does', () => {
  const flow = parsed('web -> Example.ORG., www.example.org., 1and1.com');
  assert.deepEqual(bare(flow.to), [
    { kind: 'domain', domain: 'example.org' },
    { kind: 'domain', domain: 'www.example.org' },
    { kind: 'domain', domain: '1and1.com' },
  ]);
  assert.equal(flow.text, 'web -> example.org.,www.example.org,1and1.com');
});

test('a domain name with other letters is told in the form that DNS has', () => {
  const said: string[] = [];
  assert.equal(
    parseFlow('web -> bücher.example', ({ code, message }) => said.push(`${code}: ${message}`)),
    undefined,
  );
  assert.deepEqual(said, [
    'bad-domain: `bücher.example` has letters that are not ASCII; write the domain name as DNS has it: `xn--bcher-kva.example`.',
  ]);
});

test('places count from the start of the text', () => {
  const flow = parsed('  web, db.lab -> 10.0.0.0/8');
  assert.deepEqual(
    [...flow.from, ...flow.to].map((p) => [p.offset, p.length]),
    [
      [2, 3],
      [7, 6],
      [17, 10],
    ],
  );
});

test('a literal without a partner of its family is refused, whichever side it is on', () => {
  const codes = (text: string): string[] => {
    const found: string[] = [];
    parseFlow(text, (problem) => found.push(`${problem.code}@${problem.offset}`));
    return found;
  };
  assert.deepEqual(codes('10.0.0.1 -> fd00::1'), ['family-mismatch@12']);
  assert.deepEqual(codes('10.0.0.1 -> 10.0.0.2,fd00::1'), ['family-mismatch@21']);
  assert.deepEqual(codes('fd00::1,10.0.0.1 -> fd00::2'), ['family-mismatch@8']);
  assert.deepEqual(codes('10.0.0.1,fd00::1 -> 10.0.0.2,fd00::2'), []);
  assert.deepEqual(codes('web -> fd00::1'), []);
});

test('parties alone take no ports', () => {
  const codes: string[] = [];
  assert.equal(
    parseParties('web tcp/80', (problem) => codes.push(problem.code)),
    undefined,
  );
  assert.deepEqual(codes, ['bad-flow']);
  assert.equal(parseParties('web, db', () => assert.fail())?.length, 2);
});
