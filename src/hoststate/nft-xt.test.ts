/** iptables' matches and targets, from lines as nft 1.0.6 lists what iptables 1.8.9 has made. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NftStatement, NftTable } from './nft.ts';
import { needsListing, withListing } from './nft-xt.ts';

const xt = (name: string, type = /^[a-z]/.test(name) ? 'match' : 'target'): NftStatement => ({ unknown: { xt: { type, name } } });

/** What becomes of the rule's statements when the listing has this line. */
function translated(line: string, statements: readonly NftStatement[], family: NftTable['family'] = 'ip'): readonly NftStatement[] {
  const table: NftTable = { family, name: 't', sets: [], maps: [], chains: [{ name: 'C', rules: [{ statements }] }] };
  assert(needsListing(table));
  return withListing(table, `table ${family} t {\n\tchain C {\n\t\t${line}\n\t}\n}\n`).chains[0]?.rules[0]?.statements ?? [];
}

const field = (protocol: string, name: string): { readonly payload: { readonly protocol: string; readonly field: string } } => ({
  payload: { protocol, field: name },
});
const match = (left: unknown, right: unknown, op = '=='): unknown => ({ match: { op, left, right } });
const type = { fib: { result: 'type', flags: ['daddr'] } };

const understood: readonly (readonly [name: string, line: string, expected: unknown])[] = [
  ['conntrack', 'ct state new counter accept', match({ ct: { key: 'state' } }, 'new', 'in')],
  ['conntrack', 'ct state ! invalid counter accept', match({ ct: { key: 'state' } }, 'invalid', '!=')],
  ['conntrack', 'ct state new counter log prefix "ct state related "', match({ ct: { key: 'state' } }, 'new', 'in')],
  ['addrtype', 'fib daddr type local counter jump DOCKER', match(type, 'local')],
  ['addrtype', 'fib daddr type != local counter accept', match(type, 'local', '!=')],
  ['icmp', 'meta l4proto icmp icmp type echo-request counter accept', match(field('icmp', 'type'), 'echo-request')],
  [
    'icmp6',
    'meta l4proto ipv6-icmp icmpv6 type nd-router-advert ip6 hoplimit 255 counter accept',
    match(field('icmpv6', 'type'), 'nd-router-advert'),
  ],
  [
    'multiport',
    'meta l4proto tcp tcp dport { 80, 443, 8000-8010 } counter accept',
    match(field('tcp', 'dport'), { set: [80, 443, { range: [8000, 8010] }] }),
  ],
  ['multiport', 'meta l4proto udp udp sport 53 counter accept', match(field('udp', 'sport'), 53)],
  ['multiport', 'meta l4proto tcp tcp dport != { 80, 443 } counter accept', match(field('tcp', 'dport'), { set: [80, 443] }, '!=')],
  ['DNAT', 'tcp dport 8080 counter dnat to 172.30.0.2:80', { dnat: { addr: '172.30.0.2', port: 80 } }],
  ['DNAT', 'counter dnat to 10.0.0.1', { dnat: { addr: '10.0.0.1' } }],
  ['DNAT', 'counter dnat to :80', { dnat: { port: 80 } }],
  ['DNAT', 'counter dnat to [fd00::1]:80', { dnat: { addr: 'fd00::1', port: 80 } }],
  ['DNAT', 'counter dnat to fd00::1', { dnat: { addr: 'fd00::1' } }],
  ['SNAT', 'counter snat to 10.0.0.1', { snat: { addr: '10.0.0.1' } }],
  ['MASQUERADE', 'ip saddr 10.0.0.0/8 counter masquerade', { masquerade: null }],
  ['MASQUERADE', 'counter masquerade to :1024-65535', { masquerade: { port: { range: [1024, 65535] } } }],
  ['REDIRECT', 'counter redirect to :80', { redirect: { port: 80 } }],
  ['REDIRECT', 'counter redirect', { redirect: null }],
  ['REJECT', 'counter reject with icmp type admin-prohibited', { reject: null }],
  ['REJECT', 'counter reject', { reject: null }],
  ['LOG', 'limit rate 3/minute counter log prefix "[UFW BLOCK] "', { log: {} }],
  ['MARK', 'counter meta mark set 0x5', { mangle: { key: { meta: { key: 'mark' } }, value: 5 } }],
  ['CT', 'counter notrack', { notrack: null }],
];

test('what nft has words for, and says all of with them, is understood', () => {
  for (const [name, line, expected] of understood) assert.deepEqual(translated(line, [xt(name)]), [expected], line);
  const ports = 'meta l4proto udp udp sport { 53, 54 } udp dport { 80-90, 91 } counter accept';
  assert.deepEqual(translated(ports, [xt('multiport'), xt('multiport')]), [
    match(field('udp', 'sport'), { set: [53, 54] }),
    match(field('udp', 'dport'), { set: [{ range: [80, 90] }, 91] }),
  ]);
});

/** Beside each what iptables was told. */
const doubtful: readonly (readonly [name: string, line: string])[] = [
  // --ctstate NEW,DNAT; --ctstate NEW --ctexpire 10; ! --ctstate NEW,INVALID
  ['conntrack', 'ct status dnat counter accept'],
  ['conntrack', 'ct state new ct expiration 10 counter accept'],
  ['conntrack', 'ct state ! invalid,new counter accept'],
  // --src-type LOCAL --dst-type UNICAST; --dst-type LOCAL --limit-iface-in; --dst-type LOCAL,BROADCAST
  ['addrtype', 'fib saddr type local counter accept'],
  ['addrtype', 'fib daddr . iif type local counter accept'],
  ['addrtype', 'fib daddr type { local, broadcast } counter accept'],
  // --icmp-type 3/4; --icmp-type any; ! --icmp-type echo-request
  ['icmp', 'meta l4proto icmp xt match icmp counter accept'],
  ['icmp', 'meta l4proto icmp ip protocol icmp counter accept'],
  ['icmp', 'meta l4proto icmp icmp type != echo-request counter accept'],
  // --ports 80; a port of nft's own beside it
  ['multiport', 'tcp sport . tcp dport { 0-65535 . 80, 80 . 0-65535 } counter accept'],
  ['multiport', 'tcp dport 80 tcp sport { 53, 54 } counter accept'],
  // several addresses to choose of; --random; for IPv6 nft lists nothing at all
  ['DNAT', 'counter dnat to 10.0.0.1-10.0.0.4:80-90'],
  ['DNAT', 'counter dnat to 10.0.0.1:80 random'],
  ['DNAT', 'meta l4proto tcp counter'],
  ['MASQUERADE', 'counter masquerade random'],
  ['MARK', 'counter meta mark set mark and 0xffffff00 xor 0x5'],
  ['CT', 'counter xt target CT'],
  // only words of a comment
  ['state', 'counter accept comment "ct state new "'],
];

test('what nft leaves something out of, or has other words for, stays unknown', () => {
  for (const [name, line] of doubtful) assert.deepEqual(translated(line, [xt(name)]), [xt(name)], line);
});

test('a routing header, which no packet has that is asked about, matters only where it opens something', () => {
  const drop: NftStatement = { drop: null };
  assert.deepEqual(translated('rt type 0 counter drop', [xt('rt'), drop], 'ip6'), [match(field('rt', 'type'), 0), drop]);
  const accept: NftStatement = { accept: null };
  assert.deepEqual(translated('rt type 0 counter accept', [xt('rt'), accept], 'ip6'), [xt('rt'), accept]);
});
