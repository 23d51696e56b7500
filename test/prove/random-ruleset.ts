/** Random rulesets for the router's bed, in nft's words, and packets to the edges of what they name. Some are refused by nft: rules that contradict themselves. */
import fc from 'fast-check';
import type { SentPacket } from '../../src/prove/packet-model.ts';
import { packet } from './compare.ts';
import { machines, SERVER, type Party } from './router-bed.ts';

const words = (...values: readonly string[]): fc.Arbitrary<string> => fc.constantFrom(...values);
/** Numbers at whose edges packets are sent: see {@link edges}. */
const condition4 = words(
  'ip saddr 10.5.0.0/24',
  'ip saddr != 10.5.0.11',
  'ip daddr 203.0.113.4/30',
  'ip daddr { 10.5.0.12, 203.0.113.7-203.0.113.8 }',
  'ip daddr @nets',
  'ip daddr != @nets',
  'ip saddr . meta l4proto . th dport @triples',
  'ip daddr . th dport @pairs',
  'ip daddr & 255.255.255.252 == 203.0.113.4',
  '@nh,128,32 0xcb007107',
);
const condition6 = words(
  'ip6 daddr 2001:db8:f::4/126',
  'ip6 saddr fd00:5::/64',
  'ip6 daddr != { fd00:5::12, 2001:db8:f::7 }',
  'meta nfproto ipv6',
);
const conditionAny = words(
  'iifname "br-lan"',
  'iifname "w-*"',
  'iifname != { "up0", "up1" }',
  'meta l4proto udp',
  'meta l4proto { tcp, 47 }',
  'th dport 80-90',
  'th dport != { 53, 100-200 }',
  'tcp dport 80',
  'udp dport { 53, 90 }',
  'th sport < 30000',
  'ct state new',
  'ct state established,related',
  'ct state != new',
  'ct state { new, untracked }',
  'ct direction original',
  'ct status dnat',
  'ct status snat',
  'ct mark 5',
  'meta l4proto tcp ct original proto-dst 80',
  'tcp flags syn',
  'tcp flags & (fin|syn|rst|ack) == syn',
  'meta mark 7',
  'meta mark & 0x3 != 0',
  'fib daddr type local',
  'fib saddr type != local',
);
const condition = fc.oneof(condition4, condition4, condition6, conditionAny, conditionAny, conditionAny);
const leaf = words('accept', 'drop', 'drop', 'return', 'reject');
const end = fc.oneof(
  leaf,
  words(
    'jump a',
    'jump b',
    'goto a',
    'continue',
    'meta mark set 7',
    'meta mark set meta mark | 2',
    'ct mark set 5',
    'meta mark set ct mark',
  ),
  words(
    'ip daddr vmap @verdicts',
    'th dport vmap { 53 : drop, 80-85 : jump b, 90 : accept }',
    'ct state vmap { new : jump a, established : accept, invalid : drop }',
  ),
);
const ruleLine = (last: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc
    .tuple(fc.array(condition, { maxLength: 2 }), last)
    .map(([conditions, what]) => [...conditions, ...(what === 'drop' || what === 'reject' ? ['counter'] : []), what].join(' '));
export const filterTable = fc
  .record({
    hook: words('prerouting', 'forward', 'forward', 'forward', 'input', 'output', 'postrouting'),
    priority: fc.constantFrom(-310, -190, -160, -10, 0, 20, 150),
    policy: words('accept', 'accept', 'accept', 'drop'),
    a: fc.array(ruleLine(leaf), { maxLength: 2 }),
    b: fc.array(ruleLine(leaf), { maxLength: 2 }),
    rules: fc.array(ruleLine(end), { minLength: 1, maxLength: 4 }),
  })
  .map(
    ({ hook, priority, policy, a, b, rules }) =>
      (name: string): string => `table inet ${name} {
set nets { type ipv4_addr; flags interval; elements = { 203.0.113.6/31, 10.0.0.0-10.5.0.11 }
}
set triples { type ipv4_addr . inet_proto . inet_service; elements = { 10.5.0.11 . tcp . 80, 10.6.0.2 . udp . 53 }
}
set pairs { type ipv4_addr . inet_service; flags interval; elements = { 203.0.113.0/29 . 80-85, 10.5.0.12 . 1-65535 }
}
map verdicts { type ipv4_addr : verdict; elements = { 203.0.113.8 : jump a, 10.5.0.12 : drop, 203.0.113.5 : accept }
}
chain a {
${a.join('\n')}
}
chain b {
${b.join('\n')}
}
chain base { type filter hook ${hook} priority ${priority}; policy ${policy};
meta l4proto != { tcp, udp } accept
${rules.map((line) => (hook === 'output' || hook === 'input' ? line : line.replaceAll('reject', 'drop'))).join('\n')}
}
}
`,
  );
const target = words(
  'dnat ip to 10.5.0.12',
  'dnat ip to 10.5.0.11:90',
  'dnat ip6 to [fd00:5::12]:80',
  'dnat ip to ip daddr . th dport map { 192.0.2.1 . 80 : 10.5.0.11 . 53, 203.0.113.7 . 53 : 10.6.0.2 . 80 }',
  'dnat ip to ip daddr map @where',
  `redirect to :${SERVER}`,
  'accept',
);
export const natTable = fc
  .record({
    pre: fc.array(fc.tuple(fc.array(condition, { maxLength: 2 }), target), { maxLength: 3 }),
    post: fc.array(
      fc.tuple(condition, words('masquerade', 'snat ip to 192.0.2.1', 'snat ip to 198.51.100.1', 'snat ip6 to 2001:db8:1::1', 'accept')),
      { maxLength: 3 },
    ),
    first: fc.constantFrom(-110, -90),
  })
  .map(
    ({ pre, post, first }) =>
      (name: string): string => `table inet ${name} {
set nets { type ipv4_addr; flags interval; elements = { 203.0.113.6/31 }
}
set triples { type ipv4_addr . inet_proto . inet_service; elements = { 10.5.0.11 . tcp . 80 }
}
set pairs { type ipv4_addr . inet_service; flags interval; elements = { 203.0.113.0/29 . 80-85 }
}
map where { type ipv4_addr : ipv4_addr; elements = { 192.0.2.1 : 10.5.0.11, 203.0.113.7 : 10.6.0.2 }
}
chain pre { type nat hook prerouting priority ${first}; policy accept;
${pre.map(([conditions, what]) => `meta l4proto { tcp, udp } ${conditions.join(' ')} ${what}`).join('\n')}
}
chain post { type nat hook postrouting priority 100; policy accept;
${post.map(([one, what]) => `oifname "up*" ${one} ${what}`).join('\n')}
}
}
`,
  );

/** To the addresses and ports at the edges of what the rules above name. */
export function edges(random: () => number): { from: Party; packet: SentPacket }[] {
  const pick = <T>(...values: readonly T[]): T => values[Math.floor(random() * values.length)] ?? (values[0] as T);
  return Array.from({ length: 44 }, () => {
    const from = pick<Party>('a', 'a', 'b', 'c', 'o1', 'o1', 'o2', 'router');
    const outside = from === 'o1' || from === 'o2';
    const inner4 = ['10.5.0.11', '10.5.0.12', '10.6.0.2', '192.0.2.1', '10.5.0.1'];
    const inner6 = ['fd00:5::11', 'fd00:5::12', 'fd00:6::2', '2001:db8:1::1'];
    const own: readonly string[] = machines.find(({ party }) => party === from)?.addresses ?? [
      '192.0.2.1',
      '10.5.0.1',
      '10.6.0.1',
      '198.51.100.1',
    ];
    const outer4 = ['203.0.113.3', '203.0.113.4', '203.0.113.5', '203.0.113.6', '203.0.113.7', '203.0.113.8', '203.0.113.9'];
    const outer6 = ['2001:db8:f::3', '2001:db8:f::4', '2001:db8:f::7', '2001:db8:f::8'];
    const v6 = random() < 0.25;
    const choices = (v6 ? [...inner6, ...(outside ? [] : outer6)] : [...inner4, ...(outside ? [] : outer4)]).filter(
      (address) => !own.includes(address),
    );
    const source = outside && random() < 0.5 ? (v6 ? pick(...outer6) : pick(...outer4)) : undefined;
    return packet(from, pick(...choices), pick(6, 17), pick(52, 53, 54, 79, 80, 81, 85, 86, 90, 91, 99, 100, 200, 201, SERVER), source);
  });
}
