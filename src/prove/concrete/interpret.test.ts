/** The interpreter on a router made by hand: the order of the kernel, and what of nftables and routing catches people. Real packets are in test/prove. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NftStatement, NftTable } from '../../hoststate/nft.ts';
import type { KernelModel } from '../kernel-model.ts';
import type { DecidedBy, SentPacket } from '../packet-model.ts';
import { blockers, interpret } from './interpret.ts';
import {
  accept,
  base,
  ct,
  drop,
  field,
  fromA,
  fromOutside,
  guestA,
  has,
  is,
  isNot,
  kernelRules,
  meta,
  router,
  rule,
  table,
  withTables,
} from './example.ts';

/** `answered`, `delivered`, `unknown: rules`, `dropped: rule`. */
function fate(model: KernelModel, packet: SentPacket): string {
  const story = interpret(model, packet);
  if (story.fate.kind === 'dropped') return `dropped: ${words(story.fate.by)}`;
  return story.fate.kind === 'unknown' ? `unknown: ${story.fate.because.map(words).join(' | ')}` : story.fate.kind;
}
const words = (by: DecidedBy): string => ('what' in by ? by.what : `${by.chain}: ${by.rule}`);
const forwarding = (...statements: readonly NftStatement[][]): KernelModel =>
  withTables(
    table('t', [
      base(
        'forward',
        'forward',
        0,
        statements.map((list) => rule(...list)),
      ),
    ]),
  );
const masquerading: NftTable = table('nat', [
  base('post', 'postrouting', 100, [rule(is(meta('oifname'), 'eth0'), { masquerade: null })], { type: 'nat' }),
]);
const v6 = (packet: SentPacket): SentPacket => ({
  ...packet,
  source: packet.source.startsWith('10.') ? 'fd00::11' : '2001:db8:5::5',
  destination: packet.destination.startsWith('10.') ? 'fd00::11' : '2001:db8:5::5',
});

test('without rules everything is forwarded, both families, and answered', () => {
  assert.equal(fate(router, fromA), 'answered');
  assert.equal(fate(router, v6(fromA)), 'answered');
  assert.equal(fate(router, fromOutside), 'answered');
});

test('between isolated ports the host routes; what is delivered names the port', () => {
  const story = interpret(router, { ...fromA, destination: '10.0.0.12' });
  assert.deepEqual(story.fate.kind === 'answered' && story.fate.at, { kind: 'station', port: 'w-b' });
  assert.deepEqual(
    story.steps.map(({ where, effect }) => `${where}: ${effect}`),
    ['bridge br-lan: up to the host', 'routing: out by br-lan'],
  );
});

test('ports that are not isolated: the frame goes across, past the inet hooks, unless the bridge calls them', () => {
  const open = (nfCall: boolean): KernelModel => ({
    ...forwarding([drop]),
    interfaces: router.interfaces.map((one) =>
      one.portOf
        ? { ...one, portOf: { ...one.portOf, isolated: false } }
        : one.kind === 'bridge'
          ? { ...one, nfCall: { v4: nfCall, v6: nfCall } }
          : one,
    ),
  });
  assert.equal(fate(open(false), { ...fromA, destination: '10.0.0.12' }), 'answered');
  assert.equal(fate(open(true), { ...fromA, destination: '10.0.0.12' }), 'dropped: forward: drop');
});

test('accept ends one base chain only, a drop is final', () => {
  const two = withTables(
    table('a', [base('first', 'forward', -10, [rule(accept)])]),
    table('b', [base('second', 'forward', 10, [rule(drop)])]),
  );
  assert.equal(fate(two, fromA), 'dropped: second: drop');
});

test('a chain of family ip6 does not see IPv4', () => {
  const model = withTables(table('t', [base('forward', 'forward', 0, [rule(drop)])], {}, 'ip6'));
  assert.equal(fate(model, fromA), 'answered');
  assert.equal(fate(model, v6(fromA)), 'dropped: forward: drop');
});

test('an address match in an inet table implies the family, also with !=', () => {
  const model = forwarding([isNot(field('ip', 'saddr'), '10.0.0.12'), drop]);
  assert.equal(fate(model, fromA), 'dropped: forward: ip saddr != 10.0.0.12 drop');
  assert.equal(fate(model, v6(fromA)), 'answered');
});

test('ct state and tcp flags test a bit; a set is exact membership', () => {
  const syn = (right: Parameters<typeof has>[1], op: 'in' | '=='): KernelModel =>
    forwarding([{ match: { op, left: field('tcp', 'flags'), right } }, drop]);
  // The SYN-ACK is dropped by the bit, and is not exactly a SYN.
  assert.equal(interpret(syn('ack', 'in'), fromA).delivered, 'yes');
  assert.equal(interpret(syn('ack', 'in'), fromA).answered, 'no');
  assert.equal(interpret(syn({ set: ['ack'] }, '=='), fromA).answered, 'yes');
  assert.equal(interpret(syn({ set: ['syn'] }, '=='), fromA).delivered, 'no');
  // `tcp flags ! ack`, which the reader of rulesets does not know.
  const not: NftStatement = { unknown: { match: { op: '!', left: field('tcp', 'flags'), right: 'ack' } } };
  assert.match(fate(forwarding([not, drop]), fromA), /^dropped/);
  assert.equal(interpret(forwarding([not, is(field('tcp', 'sport'), 443), drop]), fromA).fate.kind, 'answered');
});

test('a hit of a verdict map ends the rule, a miss does too, and the next rule follows', () => {
  const vmap = (port: number): KernelModel =>
    forwarding([{ vmap: { key: field('tcp', 'dport'), data: { set: [[port, accept]] } } }, drop], [is(meta('l4proto'), 'tcp'), drop]);
  assert.equal(fate(vmap(443), { ...fromA }), 'delivered');
  assert.equal(fate(vmap(80), fromA), 'dropped: forward: meta l4proto tcp drop');
});

test('NAT is per connection: established packets do not ask the chains, and replies are un-translated', () => {
  const story = interpret(withTables(masquerading), fromA);
  assert.equal(story.fate.kind, 'answered');
  assert(story.fate.kind === 'answered');
  assert.equal(story.fate.arrives.source, '192.0.2.1');
  assert(story.reply?.some(({ effect }) => effect === 'destination back to 10.0.0.11'));
});

test('masquerade borrows an address where the way out has none, and drops without any', () => {
  const without = (...names: readonly string[]): KernelModel => ({
    ...withTables(masquerading),
    interfaces: router.interfaces.map((one) => (names.includes(one.name) ? { ...one, addresses: [] } : one)),
  });
  const borrowed = interpret(without('eth0'), fromA).fate;
  assert.equal(borrowed.kind === 'answered' && borrowed.arrives.source, '10.0.0.1');
  assert.match(fate(without('eth0', 'br-lan'), fromA), /^dropped: post: oifname "eth0" masquerade/);
});

test('redirect is the incoming interface in prerouting, the loopback address in output', () => {
  const nat = (hook: 'prerouting' | 'output'): KernelModel =>
    withTables(
      table('nat', [base('n', hook, -100, [rule(is(field('tcp', 'dport'), 443), { redirect: { port: 8443 } })], { type: 'nat' })]),
    );
  const there = interpret(nat('prerouting'), fromA).fate;
  assert(there.kind === 'answered');
  assert.deepEqual([there.at, there.arrives.destination, there.arrives.dport], [{ kind: 'host' }, '10.0.0.1', 8443]);
  const here = interpret(nat('output'), { ...fromA, origin: { kind: 'host' }, source: '192.0.2.1' }).fate;
  assert(here.kind === 'answered');
  assert.deepEqual([here.at, here.arrives.destination], [{ kind: 'host' }, '127.0.0.1']);
});

test('once a translation is chosen, later NAT chains of the hook are skipped', () => {
  const to = (addr: string): NftStatement => ({ dnat: { family: 'ip', addr } });
  const model = withTables(
    table('late', [base('n', 'prerouting', -90, [rule(to('10.0.0.12'))], { type: 'nat' })]),
    table('early', [base('n', 'prerouting', -110, [rule(to('10.0.0.11'))], { type: 'nat' })]),
  );
  const story = interpret(model, { ...fromOutside, destination: '192.0.2.1' });
  assert(story.fate.kind === 'answered');
  assert.equal(story.fate.arrives.destination, '10.0.0.11');
});

test('dnat through a map of address and port; what the map does not have goes on', () => {
  const key = { concat: [meta('l4proto'), field('th', 'dport')] };
  const maps = [
    {
      name: 'publish',
      key: { types: ['inet_proto', 'inet_service'] },
      data: ['ipv4_addr', 'inet_service'],
      flags: [],
      elements: [[{ concat: ['tcp', 2222] }, { concat: ['10.0.0.11', 22] }] as const],
    },
  ];
  const chain = base('n', 'prerouting', -100, [rule({ dnat: { family: 'ip', addr: { map: { key, data: '@publish' } } } })], {
    type: 'nat',
  });
  const model = withTables(table('nat', [chain], { maps }));
  const story = interpret(model, { ...fromOutside, destination: '192.0.2.1', dport: 2222 });
  assert(story.fate.kind === 'answered');
  assert.deepEqual([story.fate.arrives.destination, story.fate.arrives.dport], ['10.0.0.11', 22]);
  assert.deepEqual(interpret(model, { ...fromOutside, destination: '192.0.2.1', dport: 2223 }).fate.kind, 'answered');
});

test('before tracking the state is invalid, any other ct key breaks off the rule; notrack is its own state', () => {
  const raw = (...statements: NftStatement[]): NftTable => table('raw', [base('raw', 'prerouting', -300, [rule(...statements)])]);
  assert.equal(fate(withTables(raw(has(ct('state'), 'new'), drop)), fromA), 'answered');
  assert.equal(fate(withTables(raw(isNot(ct('mark'), 5), drop)), fromA), 'answered');
  assert.match(fate(withTables(raw(has(ct('state'), 'invalid'), drop)), fromA), /^dropped: raw/);
  const untracked = (word: string): KernelModel =>
    withTables(raw({ notrack: null }), table('t', [base('forward', 'forward', 0, [rule(has(ct('state'), word), drop)])]));
  assert.match(fate(untracked('untracked'), fromA), /^dropped: forward/);
  assert.equal(fate(untracked('new'), fromA), 'answered');
});

test('what is set in a rule is seen by the rest of it, and by routing', () => {
  const mark: NftStatement = { mangle: { key: meta('mark'), value: 7 } };
  assert.match(fate(forwarding([mark, is(meta('mark'), 7), drop]), fromA), /^dropped/);
  const model: KernelModel = {
    ...withTables(table('t', [base('pre', 'prerouting', -150, [rule(is(meta('iifname'), 'br-lan'), mark)])])),
    rules: [...kernelRules, { family: 4, preference: 100, mark: { value: 7, mask: 0xffffffff }, action: { answer: 'blackhole' } }],
  };
  assert.equal(fate(model, fromA), 'dropped: the route to 203.0.113.5 is blackhole');
  assert.equal(fate(model, v6(fromA)), 'answered');
});

test('concatenated sets are products of each field; interface names may end in a wildcard', () => {
  const elements = [{ concat: [{ prefix: { addr: '10.0.0.0', len: 24 } }, { range: [400, 500] }] } as const];
  const sets = [{ name: 's', key: { types: ['ipv4_addr', 'inet_service'] }, flags: ['interval'] as const, elements }];
  const chain = base('forward', 'forward', 0, [rule(is({ concat: [field('ip', 'saddr'), field('tcp', 'dport')] }, '@s'), drop)]);
  const model = withTables(table('t', [chain], { sets }));
  assert.match(fate(model, fromA), /^dropped/);
  assert.equal(fate(model, { ...fromA, dport: 501 }), 'answered');
  assert.match(fate(forwarding([is(meta('iifname'), 'br-*'), drop]), fromA), /^dropped/);
  assert.equal(fate(forwarding([is(meta('iifname'), 'br'), drop]), fromA), 'answered');
});

test('rp_filter: strict wants the way back to be the way in, the larger of all and the interface counts; forwarding is per interface', () => {
  const having = (sysctls: Record<string, string>): KernelModel => ({ ...router, sysctls: { ...router.sysctls, ...sysctls } });
  const forged = { ...fromOutside, source: '10.0.0.77', destination: '10.0.0.11' };
  assert.equal(interpret(router, forged).delivered, 'yes');
  assert.equal(
    fate(having({ 'net/ipv4/conf/all/rp_filter': '1' }), forged),
    'dropped: rp_filter of eth0: the way back to 10.0.0.77 is br-lan',
  );
  assert.equal(interpret(having({ 'net/ipv4/conf/all/rp_filter': '1', 'net/ipv4/conf/eth0/rp_filter': '2' }), forged).delivered, 'yes');
  assert.equal(fate(having({ 'net/ipv4/conf/eth0/forwarding': '0' }), fromOutside), 'dropped: the host does not forward IPv4 from eth0');
  assert.match(fate(router, { ...fromOutside, source: '192.0.2.1' }), /own, which comes from nowhere else$/);
});

test('an answer that misses the translation is no answer', () => {
  // Both guests on one open layer 2: the answer goes straight back, from an address that was not asked.
  const open = router.interfaces.map((one) => (one.portOf ? { ...one, portOf: { ...one.portOf, isolated: false } } : one));
  const dnat = base('n', 'prerouting', -100, [rule(is(field('ip', 'daddr'), '192.0.2.1'), { dnat: { family: 'ip', addr: '10.0.0.12' } })], {
    type: 'nat',
  });
  const story = interpret({ ...withTables(table('nat', [dnat])), interfaces: open }, { ...fromA, destination: '192.0.2.1' });
  assert.equal(story.fate.kind, 'delivered');
  assert.match(story.unanswered && 'what' in story.unanswered ? story.unanswered.what : '', /^the answer, from 10\.0\.0\.12/);
});

test('what is not understood is unknown only where it decides', () => {
  const xt: NftStatement = { unknown: { xt: { type: 'match', name: 'statistic' } } };
  assert.equal(fate(forwarding([xt, drop]), fromA), 'unknown: forward: (statistic) drop');
  assert.equal(fate(forwarding([xt, { counter: null }]), fromA), 'answered');
  assert.equal(fate(forwarding([xt, drop], [drop]), fromA), 'dropped: forward: drop');
  assert.equal(fate(forwarding([{ limit: { rate: 1, per: 'second' } }, { log: {} }]), fromA), 'answered');
  assert.match(fate(forwarding([{ unknown: { queue: null } }], [drop]), fromA), /^unknown/);
  // A mark that is not known is in doubt where it is asked for.
  assert.equal(
    fate(forwarding([{ unknown: { xt: { type: 'target', name: 'MARK' } } }], [is(meta('mark'), 3), drop]), fromA),
    'unknown: forward: meta mark 3 drop',
  );
  assert.equal(interpret(forwarding([xt, is(field('tcp', 'dport'), 443), drop]), { ...fromA, dport: 80 }).fate.kind, 'answered');
});

test('parts of the host that could not be read leave what depends on them unknown', () => {
  assert.equal(fate({ ...router, missing: ['nftables'] }, fromA), "unknown: the host's nftables could not be read");
  assert.equal(fate({ ...router, missing: ['routes4'] }, fromA), "unknown: the host's routes4 could not be read");
  assert.equal(fate({ ...router, missing: ['routes4'] }, v6(fromA)), 'answered');
});

test('every blocker is found, in the order of the walk, and on the way back', () => {
  const model = withTables(
    table('a', [base('one', 'forward', 0, [rule(is(field('tcp', 'dport'), 443), drop)])]),
    table('b', [base('two', 'postrouting', 0, [rule(is(meta('oifname'), 'eth0'), drop)], { policy: 'drop' })]),
    table('c', [base('back', 'forward', 5, [rule(is(field('tcp', 'sport'), 443), drop)])]),
  );
  assert.deepEqual(blockers(model, fromA).map(words), [
    'one: tcp dport 443 drop',
    'two: oifname "eth0" drop',
    'two: policy',
    'back: tcp sport 443 drop',
  ]);
  assert.deepEqual(blockers(router, fromA), []);
});

test('what br_netfilter translates to a neighbour is bridged, where isolation drops it; unless its frames go through the host', () => {
  const dnat = base('n', 'prerouting', -100, [rule(is(field('ip', 'daddr'), '192.0.2.1'), { dnat: { family: 'ip', addr: '10.0.0.12' } })], {
    type: 'nat',
  });
  const published = (throughHost: boolean): KernelModel => ({
    ...withTables(table('nat', [dnat])),
    interfaces: router.interfaces.map((one) => (one.kind === 'bridge' ? { ...one, nfCall: { v4: true, v6: true } } : one)),
    stations: router.stations.map((one) => (throughHost ? { ...one, throughHost } : one)),
  });
  const asked = { ...fromA, destination: '192.0.2.1' };
  assert.equal(fate(published(false), asked), 'dropped: the ports w-a and w-b are isolated from each other');
  assert.equal(fate(published(true), asked), 'answered');
});

test('netdev chains see the port, bridge chains too, the inet hooks the bridge', () => {
  const ingress = table(
    'n',
    [base('in', 'ingress', -500, [rule(isNot(field('ether', 'saddr'), guestA.mac), drop)], { devices: ['w-a'] })],
    {},
    'netdev',
  );
  assert.equal(fate(withTables(ingress), fromA), 'answered');
  assert.match(fate(withTables(ingress), { ...fromA, mac: '02:00:00:00:ff:ff' }), /^dropped: in: /);
  const bridge = table('b', [base('pre', 'prerouting', -200, [rule(is(meta('iifname'), 'w-a'), drop)])], {}, 'bridge');
  assert.match(fate(withTables(bridge), fromA), /^dropped: pre/);
  assert.equal(fate(forwarding([is(meta('iifname'), 'w-a'), drop]), fromA), 'answered');
});

test("the host's own packets: output, and by lo to its own addresses", () => {
  const host: SentPacket = { ...fromA, origin: { kind: 'host' }, source: '10.0.0.1', destination: '10.0.0.11' };
  const out = (oif: string): KernelModel => withTables(table('t', [base('out', 'output', 0, [rule(is(meta('oifname'), oif), drop)])]));
  assert.match(fate(out('br-lan'), host), /^dropped: out/);
  assert.match(fate(out('lo'), { ...host, destination: '192.0.2.1' }), /^dropped: out/);
  assert.equal(fate(router, { ...host, destination: '192.0.2.1' }), 'answered');
});

test('a guest without an address asks everybody, and the host hears it; from other such sources nothing is believed', () => {
  const asks: SentPacket = { ...fromA, source: '0.0.0.0', destination: '255.255.255.255', protocol: 17, sport: 68, dport: 67 };
  assert.equal(interpret(router, asks).delivered, 'yes');
  assert.match(fate(router, { ...asks, destination: '10.0.0.1' }), /0\.0\.0\.0 is no address that a packet at br-lan can come from$/);
});

test('fib: local addresses by type, the way back by interface', () => {
  const fib = (result: string, ...flags: string[]): Parameters<typeof is>[0] => ({ fib: { result, flags } });
  const pre = (...statements: NftStatement[]): KernelModel => withTables(table('t', [base('pre', 'prerouting', 0, [rule(...statements)])]));
  assert.equal(fate(pre(is(fib('type', 'daddr'), 'local'), drop), fromA), 'answered');
  assert.match(fate(pre(is(fib('type', 'daddr'), 'local'), drop), { ...fromA, destination: '192.0.2.1' }), /^dropped/);
  const missing = pre(is(fib('oif', 'saddr', 'iif'), { unknown: false }), drop);
  assert.equal(fate(missing, fromA), 'answered');
  assert.match(fate(missing, { ...fromOutside, source: '10.0.0.77' }), /^dropped/);
});
