/** The exact text of rules and pieces, and what the reader makes of JSON that Weft never writes itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NftExpr, NftRule, NftStatement, NftTable } from './nft.ts';
import { normalizeRule, normalizeSet, normalizeTable } from './nft-normal.ts';
import {
  addChain,
  addElements,
  addRules,
  addSet,
  deleteChain,
  deleteElements,
  deleteSet,
  dropTable,
  flushSet,
  printRule,
  printTable,
} from './nft-print.ts';
import { readRuleset } from './nft-read.ts';
import { needsListing, withListing } from './nft-xt.ts';

const field = (protocol: string, name: string): NftExpr => ({ payload: { protocol, field: name } });
const match = (left: NftExpr, right: NftExpr, op: '==' | '!=' | 'in' = '=='): NftStatement => ({ match: { op, left, right } });
const iifname: NftExpr = { meta: { key: 'iifname' } };

test('rules print as nft(8) has them', () => {
  const cases: readonly (readonly [NftRule, string])[] = [
    [
      { statements: [match({ concat: [iifname, field('ether', 'saddr')] }, '@port_mac', '!='), { drop: null }] },
      'iifname . ether saddr != @port_mac drop',
    ],
    [
      { statements: [match(iifname, { set: ['tcp', 'w-x'] }), { accept: null }], comment: 'weft:1' },
      'iifname { "tcp", "w-x" } accept comment "weft:1"',
    ],
    [{ statements: [match(iifname, '@bridges', '!='), { jump: { target: 'a_1' } }] }, 'iifname != @bridges jump a_1'],
    [
      { statements: [match({ ct: { key: 'state' } }, { '|': ['established', 'related'] }, 'in'), { accept: null }] },
      'ct state established,related accept',
    ],
    [{ statements: [match({ ct: { key: 'state' } }, 'new'), { accept: null }] }, 'ct state == new accept'],
    [
      { statements: [match({ '&': [field('tcp', 'flags'), { '|': ['fin', 'syn', 'rst', 'ack'] }] }, 'syn', '!='), { drop: null }] },
      'tcp flags & (fin | syn | rst | ack) != syn drop',
    ],
    [{ statements: [{ vmap: { key: iifname, data: { set: [['w-x', { goto: { target: 'x' } }]] } } }] }, 'iifname vmap { "w-x" : goto x }'],
    [{ statements: [{ dnat: { family: 'ip6', addr: 'fd00::2', port: 80 } }] }, 'dnat ip6 to [fd00::2]:80'],
    [{ statements: [{ dnat: { family: 'ip', addr: field('ip', 'daddr'), port: 53053 } }] }, 'dnat ip to ip daddr:53053'],
    [{ statements: [{ redirect: { port: 53053 } }] }, 'redirect to :53053'],
    [
      { statements: [match({ fib: { result: 'type', flags: ['saddr', 'oif'] } }, 'local', '!='), { drop: null }] },
      'fib saddr . oif type != local drop',
    ],
    [
      { statements: [{ limit: { rate: 10, per: 'second', burst: 5 } }, { log: { prefix: 'weft d x', group: 87 } }] },
      'limit rate 10/second burst 5 packets log prefix "weft d x" group 87',
    ],
    [{ statements: [{ reject: { type: 'tcp reset' } }] }, 'reject with tcp reset'],
  ];
  for (const [rule, text] of cases) assert.equal(printRule(rule), text);
});

test('pieces of a difference', () => {
  const table: NftTable = {
    family: 'inet',
    name: 'weft',
    sets: [{ name: 'bridges', key: { types: ['ifname'] }, flags: [], elements: [] }],
    maps: [{ name: 'to4', key: { types: ['ipv4_addr'] }, flags: [], elements: [] }],
    chains: [],
  };
  const [bridges] = table.sets;
  const [to4] = table.maps;
  assert(bridges && to4);
  assert.equal(addSet(table, bridges), 'add set inet weft bridges { type ifname; }\n');
  assert.equal(addSet(table, to4), 'add map inet weft to4 { type ipv4_addr : verdict; }\n');
  assert.equal(flushSet(table, to4), 'flush map inet weft to4\n');
  assert.equal(deleteSet(table, to4), 'delete set inet weft to4\n');
  assert.equal(addElements(table, bridges, ['br-x', 'tcp']), 'add element inet weft bridges {\n"br-x",\n"tcp"\n}\n');
  assert.equal(
    deleteElements(table, to4, [['10.0.0.1', { jump: { target: 'a' } }]]),
    'delete element inet weft to4 {\n10.0.0.1 : jump a\n}\n',
  );
  assert.equal(addElements(table, bridges, []), '');
  const base = { type: 'filter', hook: 'ingress', priority: -500, policy: 'accept', devices: ['w-x'] } as const;
  assert.equal(
    addChain(table, { name: 'p_w-x', base, rules: [] }),
    'add chain inet weft p_w-x { type filter hook ingress device "w-x" priority -500; policy accept; }\n',
  );
  assert.equal(addRules(table, { name: 'a', rules: [{ statements: [{ drop: null }] }] }), 'add rule inet weft a drop\n');
  assert.equal(deleteChain(table, 'a'), 'delete chain inet weft a\n');
  assert.equal(dropTable(table), 'add table inet weft\ndelete table inet weft\n');
});

test('what nft cannot express is refused, never written wrongly', () => {
  const table = { family: 'inet', name: 'weft' } as const;
  assert.throws(() => printRule({ statements: [{ log: { prefix: 'a "quote"' } }] }), /no quote, backslash or line break/);
  assert.throws(() => printRule({ statements: [match(iifname, 'a" drop #')] }), /cannot be written in nft/);
  assert.throws(() => printRule({ statements: [match(field('ip', 'saddr'), '10.0.0.1 drop')] }), /is no word of nft/);
  assert.throws(() => printRule({ statements: [{ unknown: { xt: {} } }] }), /not understood/);
  assert.throws(() => printRule({ statements: [{ drop: null }], comment: 'x'.repeat(129) }), /128 bytes/);
  assert.throws(() => addChain(table, { name: 'a b', rules: [] }), /cannot be a name/);
  const read = { name: 's', key: { types: ['ifname', 'integer'] }, flags: [], elements: [] };
  assert.throws(() => addSet({ ...table, sets: [read], maps: [], chains: [] }, read), /declared with typeof/);
});

test('normal form', () => {
  const rule = (...statements: NftStatement[]): readonly NftStatement[] => normalizeRule({ statements }).statements;
  assert.deepEqual(
    rule(
      match({ meta: { key: 'l4proto' } }, 'tcp'),
      match(field('tcp', 'dport'), { set: [{ range: [6, 9] }, 80, { range: [1, 5] }, 443] }),
    ),
    [match(field('tcp', 'dport'), { set: [443, 80, { range: [1, 9] }] })],
  );
  assert.deepEqual(rule(match(field('ip', 'saddr'), { set: [{ prefix: { addr: '10.0.0.1', len: 32 } }] })), [
    match(field('ip', 'saddr'), '10.0.0.1'),
  ]);
  assert.deepEqual(rule(match(field('ip', 'saddr'), { range: ['10.0.0.0', '10.0.0.255'] })), [
    match(field('ip', 'saddr'), { prefix: { addr: '10.0.0.0', len: 24 } }),
  ]);
  assert.deepEqual(rule(match(field('ip6', 'saddr'), 'FD00:0::1')), [match(field('ip6', 'saddr'), 'fd00::1')]);
  assert.deepEqual(rule(match({ ct: { key: 'state' } }, { set: ['related', 'established'] }, 'in')), [
    match({ ct: { key: 'state' } }, { '|': ['established', 'related'] }, 'in'),
  ]);
  assert.deepEqual(rule(match({ meta: { key: 'nfproto' } }, 'ipv4'), match(field('ip', 'saddr'), '10.0.0.1')), [
    match(field('ip', 'saddr'), '10.0.0.1'),
  ]);
  assert.deepEqual(rule(match({ meta: { key: 'nfproto' } }, 'ipv4'), match(field('tcp', 'dport'), 1)), [
    match({ meta: { key: 'nfproto' } }, 'ipv4'),
    match(field('tcp', 'dport'), 1),
  ]);
  assert.deepEqual(rule(match({ meta: { key: 'l4proto' } }, 6), { counter: { packets: 5, bytes: 6 } }), [
    match({ meta: { key: 'l4proto' } }, 'tcp'),
    { counter: null },
  ]);
  const elements = [{ concat: ['b', '0x0A'] }, { concat: ['a', '0xFFFFFFFFFFFFFFFFFF'] }, { concat: ['b', 10] }];
  const raw: NftExpr = { payload: { base: 'th', offset: 64, len: 128 } };
  assert.deepEqual(normalizeSet({ name: 's', key: { typeof: [iifname, raw] }, flags: [], elements }), {
    name: 's',
    key: { typeof: [iifname, raw] },
    flags: [],
    elements: [{ concat: ['a', '0xffffffffffffffffff'] }, { concat: ['b', 10] }],
  });
  assert.deepEqual(normalizeSet({ name: 's', key: { typeof: [iifname, field('ip', 'saddr')] }, flags: [], elements: [] }).key, {
    types: ['ifname', 'ipv4_addr'],
  });
  assert.deepEqual(
    normalizeSet({ name: 's', key: { types: ['x'] }, flags: [], elements: [2 ** 60] }).elements,
    [{ unknown: 2 ** 60 }],
    'no rounded number is taken for a value',
  );
});

test('foreign and newer JSON: what is not understood is kept as unknown', () => {
  const list = (...objects: readonly unknown[]): NftTable[] =>
    readRuleset({ nftables: [{ metainfo: {} }, { table: { family: 'ip', name: 't' } }, ...objects] });
  const chain = { chain: { family: 'ip', table: 't', name: 'c' } };
  const rule = (...expr: readonly unknown[]): readonly NftStatement[] | undefined =>
    list(chain, { rule: { family: 'ip', table: 't', chain: 'c', expr } })[0]?.chains[0]?.rules[0]?.statements;
  assert.deepEqual(rule({ xt: { type: 'match', name: 'x' } }, { quota: { val: 1 } }), [
    { unknown: { xt: { type: 'match', name: 'x' } } },
    { unknown: { quota: { val: 1 } } },
  ]);
  // A key more than expected may turn the meaning round.
  const over = { limit: { rate: 5, burst: 3, per: 'second', inv: true } };
  assert.deepEqual(rule(over), [{ unknown: over }]);
  const jhash = { jhash: { mod: 2 } };
  assert.deepEqual(rule({ match: { op: '==', left: jhash, right: 1 } }), [match({ unknown: jhash }, 1)]);
  for (const rubbish of [null, 3, 'x', {}, { match: 3 }, { vmap: { key: 1, data: { set: [[1]] } } }, { drop: null, accept: null, x: 1 }]) {
    assert.deepEqual(rule(rubbish), [{ unknown: rubbish }], JSON.stringify(rubbish));
  }
  for (const rubbish of [
    undefined,
    null,
    [],
    {},
    { nftables: 3 },
    { nftables: [null, 3, { rule: 3 }, { rule: { family: 'x' } }, { set: { family: 'ip', table: 't' } }] },
  ]) {
    assert.doesNotThrow(() => readRuleset(rubbish));
  }
  // nft 1.1 has devices and typeof in its JSON, elements with comments and counters in all versions.
  const newer = list(
    { chain: { family: 'ip', table: 't', name: 'c', type: 'filter', hook: 'ingress', prio: 0, policy: 'drop', dev: ['b', 'a'] } },
    {
      set: {
        family: 'ip',
        table: 't',
        name: 's',
        type: { typeof: { concat: [{ meta: { key: 'iifname' } }, { payload: { base: 'th', offset: 64, len: 128 } }] } },
        elem: [{ elem: { val: { concat: ['a', 1] }, comment: 'x' } }],
      },
    },
    { map: { family: 'ip', table: 't', name: 'm', type: 'ipv4_addr', map: 'ipv4_addr', elem: [['10.0.0.1', '10.0.0.2']] } },
  );
  assert.deepEqual(newer, [
    {
      family: 'ip',
      name: 't',
      sets: [
        {
          name: 's',
          key: { typeof: [iifname, { payload: { base: 'th', offset: 64, len: 128 } }] },
          flags: [],
          elements: [{ concat: ['a', 1] }],
        },
      ],
      maps: [{ name: 'm', key: { types: ['ipv4_addr'] }, data: ['ipv4_addr'], flags: [], elements: [['10.0.0.1', '10.0.0.2']] }],
      chains: [{ name: 'c', base: { type: 'filter', hook: 'ingress', priority: 0, policy: 'drop', devices: ['a', 'b'] }, rules: [] }],
    },
  ]);
});

test("iptables' state match is taken from nft's text, when that says it without doubt", () => {
  const xt: NftStatement = { unknown: { xt: { type: 'match', name: 'conntrack' } } };
  const table: NftTable = {
    family: 'ip',
    name: 'filter',
    sets: [],
    maps: [],
    chains: [{ name: 'F', rules: [{ statements: [xt, { accept: null }] }, { statements: [{ drop: null }] }] }],
  };
  assert(needsListing(table));
  const listing = (line: string): string =>
    `table ip filter {\n\tchain F {\n\t\ttype filter hook forward priority filter; policy drop;\n\t\t${line}\n\t\tdrop\n\t}\n}\n`;
  const first = (line: string): NftStatement | undefined => withListing(table, listing(line)).chains[0]?.rules[0]?.statements[0];
  assert.deepEqual(
    first('ct state related,established counter packets 0 bytes 0 accept'),
    match({ ct: { key: 'state' } }, { '|': ['related', 'established'] }, 'in'),
  );
  assert.deepEqual(first('ct state new accept'), match({ ct: { key: 'state' } }, 'new', 'in'));
  assert.deepEqual(first('ct state != invalid accept'), match({ ct: { key: 'state' } }, 'invalid', '!='));
  for (const doubtful of [
    'ct state new ct status dnat accept',
    'ct original ip saddr 10.0.0.1 accept',
    'xt match "conntrack" accept',
    'ct state != new,related accept',
    'accept\n\t\taccept',
  ]) {
    assert.deepEqual(first(doubtful), xt, doubtful);
  }
});

test('a table prints as one block that loads as it is', () => {
  const table = normalizeTable({
    family: 'inet',
    name: 'weft',
    sets: [{ name: 'bridges', key: { types: ['ifname'] }, flags: [], elements: ['br-x'] }],
    maps: [{ name: 'to4', key: { types: ['ipv4_addr'] }, flags: [], elements: [['10.0.0.1', { jump: { target: 'a' } }]] }],
    chains: [
      {
        name: 'f',
        base: { type: 'filter', hook: 'forward', priority: 0, policy: 'accept' },
        rules: [{ statements: [{ vmap: { key: field('ip', 'daddr'), data: '@to4' } }] }],
      },
      { name: 'a', rules: [] },
    ],
  });
  assert.equal(
    printTable(table),
    'table inet weft {\n\tchain a {\n\t}\n\tchain f {\n\t\ttype filter hook forward priority 0; policy accept;\n\t}\n\tset bridges {\n\t\ttype ifname\n\t\telements = {\n"br-x"\n\t\t}\n\t}\n' +
      '\tmap to4 {\n\t\ttype ipv4_addr : verdict\n\t\telements = {\n10.0.0.1 : jump a\n\t\t}\n\t}\n\tchain f {\n\t\tip daddr vmap @to4\n\t}\n}\n',
  );
});
