/** What is read out of DNS messages, honest and forged, and what becomes of an answer behind an alias. */
import assert from 'node:assert/strict';
import test from 'node:test';
import dnsPacket, { type Answer, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { failureFor, follow, readAnswer, readQuestion, withoutAliases, type Question } from './message.ts';

const asked = (name: string, type: 'A' | 'AAAA' | 'TXT' | 'SRV' = 'A', more: Packet = {}): Buffer =>
  dnsPacket.encode({ type: 'query', id: 7, flags: dnsPacket.RECURSION_DESIRED, questions: [{ type, name }], ...more });
const questionOf = (query: Buffer): Question => {
  const question = readQuestion(query);
  assert.ok(question);
  return question;
};
const question = questionOf(asked('Www.Example.org'));
const answered = (answers: readonly Answer[], more: Packet = {}): Buffer =>
  dnsPacket.encode({ type: 'response', id: 7, questions: [{ type: 'A', name: 'Www.Example.org' }], answers: [...answers], ...more });
const a = (name: string, data: string, ttl = 300): Answer => ({ type: 'A', name, data, ttl });
const cname = (name: string, data: string, ttl = 300): Answer => ({ type: 'CNAME', name, data, ttl });
const found = (message: Buffer): ReturnType<typeof follow> => {
  const answer = readAnswer(message, question);
  assert.ok(answer);
  return follow(answer, question.name);
};

test('a question is read as it was asked', () => {
  assert.deepEqual(question, { id: 7, name: 'Www.Example.org', type: 'A', plain: true, dnssec: false });
});

test('what is no single question in the class IN is none', () => {
  for (const more of [
    { questions: [] },
    {
      questions: [
        { type: 'A' as const, name: 'a.test' },
        { type: 'A' as const, name: 'b.test' },
      ],
    },
    { questions: [{ type: 'A' as const, name: 'a.test', class: 'CH' as const }] },
    { flags: 1 << 11 },
    { type: 'response' as const },
  ])
    assert.equal(readQuestion(asked('a.test', 'A', more)), undefined, JSON.stringify(more));
});

test('a name with a dot inside a label is not plain, though it reads like another one', () => {
  const query = asked('x.updates.example.org');
  // The label `x` with its length becomes one label `x.updates`.
  query[12] = 9;
  query[14] = '.'.charCodeAt(0);
  const read = questionOf(query);
  assert.deepEqual([read.name, read.plain], ['x.updates.example.org', false]);
});

test('an answer is one to this question alone', () => {
  const good = answered([a('www.example.org', '192.0.2.1')]);
  assert.ok(readAnswer(good, question));
  const otherId = Buffer.from(good);
  otherId[1] = 8;
  const others: Readonly<Record<string, Buffer>> = {
    'another id': otherId,
    'another name': answered([], { questions: [{ type: 'A', name: 'www.example.com' }] }),
    'another type': answered([], { questions: [{ type: 'AAAA', name: 'www.example.org' }] }),
    'another class': answered([], { questions: [{ type: 'A', name: 'www.example.org', class: 'CH' }] }),
    'no question': answered([], { questions: [] }),
    'a query': answered([], { type: 'query' }),
    'cut short': good.subarray(0, good.length - 1),
  };
  for (const [what, message] of Object.entries(others)) assert.equal(readAnswer(message, question), undefined, what);
});

test('addresses are those of the name, by its aliases', () => {
  assert.deepEqual(found(answered([a('www.example.org', '192.0.2.1', 60), a('other.example.org', '192.0.2.66')])), {
    addresses: [{ address: '192.0.2.1', family: 4, ttl: 60 }],
    owner: 'www.example.org',
    chainTtl: undefined,
  });
  const chain = [
    a('cdn.test', '192.0.2.2', 90),
    cname('WWW.example.org', 'a.test', 200),
    cname('a.test', 'CDN.test', 70),
    a('a.test', '192.0.2.66'),
  ];
  assert.deepEqual(found(answered(chain)), { addresses: [{ address: '192.0.2.2', family: 4, ttl: 90 }], owner: 'cdn.test', chainTtl: 70 });
});

test('aliases in a circle end, and a time with the highest bit set counts as none', () => {
  assert.deepEqual(found(answered([cname('www.example.org', 'a.test'), cname('a.test', 'www.example.org')])).addresses, []);
  assert.equal(found(answered([a('www.example.org', '192.0.2.1', 0x8000_0001)])).addresses[0]?.ttl, 0);
});

test('an answer behind an alias is given at the name that was asked for, for the shortest time on the way', () => {
  const message = answered([cname('www.example.org', 'cdn.test', 70), a('cdn.test', '192.0.2.2', 90), a('cdn.test', '192.0.2.3', 50)], {
    flags: dnsPacket.RECURSION_AVAILABLE,
    authorities: [{ type: 'NS', name: 'test', data: 'ns.test', ttl: 9 }],
    additionals: [
      { type: 'OPT', name: '.', udpPayloadSize: 1232, flags: 0, extendedRcode: 0, ednsVersion: 0, flag_do: false, options: [] },
    ],
  });
  const answer = readAnswer(message, question);
  assert.ok(answer);
  const given = withoutAliases(answer, question, follow(answer, question.name));
  assert.ok(given);
  const read = dnsPacket.decode(given);
  assert.deepEqual(
    read.answers?.map((record) => ('ttl' in record && 'data' in record ? [record.type, record.name, record.data, record.ttl] : [])),
    [
      ['A', 'Www.Example.org', '192.0.2.2', 70],
      ['A', 'Www.Example.org', '192.0.2.3', 50],
    ],
  );
  assert.deepEqual([read.id, read.flag_ra, read.authorities, read.additionals?.[0]?.type], [7, true, [], 'OPT']);
  assert.ok(readAnswer(given, question));
});

test('other answers are given as they came', () => {
  const plain = answered([a('www.example.org', '192.0.2.1')]);
  const alias = [cname('www.example.org', 'cdn.test'), a('cdn.test', '192.0.2.2')];
  const asIs = (message: Buffer, of: Question): void => {
    const answer = readAnswer(message, of);
    assert.ok(answer);
    assert.equal(withoutAliases(answer, of, follow(answer, of.name)), undefined);
  };
  asIs(plain, question);
  asIs(answered(alias, { flags: dnsPacket.TRUNCATED_RESPONSE }), question);
  asIs(answered(alias), { ...question, dnssec: true });
  const text = questionOf(asked('www.example.org', 'TXT'));
  asIs(answered(alias, { questions: [{ type: 'TXT', name: 'www.example.org' }] }), text);
});

test('a failure repeats the question', () => {
  const query = asked('www.example.org', 'A', {
    additionals: [
      { type: 'OPT', name: '.', udpPayloadSize: 1232, flags: 0, extendedRcode: 0, ednsVersion: 0, flag_do: false, options: [] },
    ],
  });
  const answer = readAnswer(failureFor(query, questionOf(query)), questionOf(query));
  assert.deepEqual([(answer?.flags ?? 0) & 0xf, answer?.flag_rd, answer?.flag_ra, answer?.additionals], [2, true, true, []]);
});

test('no bytes make it throw', () => {
  const good = answered([cname('www.example.org', 'cdn.test'), a('cdn.test', '192.0.2.2')]);
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 8 }), fc.nat(good.length), (changes, length) => {
      const message = Buffer.from(good);
      for (const [at, value] of changes) message[at] = value;
      const cut = message.subarray(0, length);
      readQuestion(cut);
      const answer = readAnswer(cut, question);
      if (answer) withoutAliases(answer, question, follow(answer, question.name));
    }),
    { numRuns: 2000 },
  );
});
