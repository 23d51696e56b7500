/** The concrete interpreter against the kernel: hand-written rulesets of the kinds that catch people, then random ones, with real packets at their edges. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { interpret, type Spot } from '../../src/prove/concrete/interpret.ts';
import type { KernelModel, Origin } from '../../src/prove/kernel-model.ts';
import type { DecidedBy, Fate, SentPacket } from '../../src/prove/packet-model.ts';
import { machines, openRouterBed, SERVER, tuple, type Party, type Result, type RouterBed } from './router-bed.ts';

let bed: RouterBed;
before(async () => void (bed = await openRouterBed()));
after(() => bed.close());

const originOf = (party: Party): Origin => {
  const machine = machines.find((one) => one.party === party);
  return machine ? { kind: 'interface', name: machine.port } : { kind: 'host' };
};

let sports = 20_000;
/** A packet from one of the machines, from its first address of the family unless said otherwise; its source port is nobody else's. */
function packet(from: Party, destination: string, protocol: 6 | 17, dport: number, source?: string): { from: Party; packet: SentPacket } {
  const v6 = destination.includes(':');
  const own = machines.find(({ party }) => party === from)?.addresses[v6 ? 1 : 0] ?? (v6 ? '2001:db8:1::1' : '192.0.2.1');
  return { from, packet: { origin: originOf(from), source: source ?? own, destination, protocol, sport: sports++, dport } };
}

const partyAt = (fate: Fate): Party | undefined => {
  if (fate.kind !== 'answered' && fate.kind !== 'delivered') return undefined;
  const { at } = fate;
  if (at.kind === 'host') return 'router';
  return machines.find(({ port }) => port === (at.kind === 'station' ? at.port : at.interface))?.party;
};

/** Sends the packets, compares each with what the interpreter says, and the counters of rules that drop; returns the fates in words. */
async function compare(
  model: KernelModel,
  packets: readonly { readonly from: Party; readonly packet: SentPacket }[],
  text = '',
): Promise<string[]> {
  const stories = packets.map((one) => interpret(model, one.packet));
  const results = await bed.send(packets);
  const dropped = new Map<string, number>();
  for (const [i, story] of stories.entries()) {
    const { fate, unanswered } = story;
    const [sent, result] = [packets[i]?.packet, results[i]];
    assert(sent && result);
    const said = `${text}${packets[i]?.from}: ${tuple(sent)} was ${JSON.stringify(result)}, said to be ${JSON.stringify(fate)}\n${story.steps.map((step) => `  ${step.where} | ${step.rule} | ${step.effect}`).join('\n')}\n  back\n${(story.reply ?? []).map((step) => `  ${step.where} | ${step.rule} | ${step.effect}`).join('\n')}`;
    assert.notEqual(fate.kind, 'unknown', said);
    same(fate, result, said);
    const by = fate.kind === 'dropped' ? fate.by : answers(fate) ? unanswered : undefined;
    if (by && isSpot(by)) {
      const key = [by.family, by.table, by.chain, by.index].join(' ');
      dropped.set(key, (dropped.get(key) ?? 0) + 1);
    }
  }
  const counters = await bed.counters();
  for (const [key, count] of counters)
    if (drops(model, key)) assert.equal(count, dropped.get(key) ?? 0, `counter of ${key}: ${ruleAt(model, key)}\n${text}`);
  return stories.map(({ fate }) => (fate.kind === 'dropped' ? ('what' in fate.by ? fate.by.what : fate.by.rule) : fate.kind));
}

function same(fate: Fate, { arrived, answered }: Result, said: string): void {
  const party = partyAt(fate);
  if (fate.kind === 'answered' || fate.kind === 'delivered') assert.deepEqual(arrived, [{ party, as: tuple(fate.arrives) }], said);
  else assert.deepEqual(arrived, [], said);
  if (fate.kind === 'dropped' || answers(fate)) assert.equal(answered, fate.kind === 'answered', said);
}

/** The router has no server on other ports. */
const answers = (fate: Fate): boolean =>
  partyAt(fate) !== 'router' ||
  ((fate.kind === 'answered' || fate.kind === 'delivered') && fate.arrives.dport === SERVER && fate.arrives.protocol === 6);

const isSpot = (by: DecidedBy): by is Spot => 'index' in by;

const ruleAt = (model: KernelModel, key: string): string => {
  const [family, table, chain, index] = key.split(' ');
  const found = model.tables.find((one) => one.family === family && one.name === table)?.chains.find(({ name }) => name === chain)?.rules[
    Number(index)
  ];
  return JSON.stringify(found?.statements);
};
const drops = (model: KernelModel, key: string): boolean => /\{"drop":null\}\]$|"reject"/.test(ruleAt(model, key));

async function judged(
  text: string,
  packets: readonly { readonly from: Party; readonly packet: SentPacket }[],
  sysctls: Record<string, string> = {},
): Promise<string[]> {
  // nft wants a line end before and after a chain.
  const lines = text.replaceAll(/\{ (?=chain|set|map)/g, '{\n').replaceAll(/^( *)\} \}/gm, '$1}\n}');
  assert(await bed.load(`${lines}\n`), `nft refuses:\n${lines}`);
  for (const [key, value] of Object.entries(sysctls)) await bed.router.writeSysctl(key, value);
  return compare(await bed.model(sysctls), packets);
}

test('without rules: everything arrives and is answered, both families, all ways', async () => {
  const fates = await judged('', [
    packet('a', '203.0.113.5', 6, 443),
    packet('a', '10.5.0.12', 17, 53),
    packet('a', '10.6.0.2', 6, 22),
    packet('c', '2001:db8:f::5', 17, 53),
    packet('o1', 'fd00:5::11', 6, 80),
    packet('o1', '10.5.0.11', 6, 80, '203.0.113.9'),
    packet('a', '10.5.0.1', 6, SERVER),
    packet('router', '10.5.0.11', 6, 22, '10.5.0.1'),
    packet('router', '192.0.2.1', 6, SERVER, '10.5.0.1'),
  ]);
  assert(
    fates.every((fate) => fate === 'answered'),
    fates.join(),
  );
});

/** Each with the fates that it is written for; the kernel has to agree with all of them. */
const cases: readonly {
  readonly name: string;
  readonly text: string;
  readonly packets: () => ReturnType<typeof packet>[];
  readonly fates: readonly (string | RegExp)[];
}[] = [
  {
    name: 'ct state and tcp flags test a bit, a set is exact membership',
    text: `table inet t { chain f { type filter hook forward priority 0; policy accept;
      tcp dport 1 tcp flags { ack, fin } counter drop
      tcp sport 2 tcp flags ack counter drop
      tcp sport 3 tcp flags { ack, fin } counter drop
      tcp dport 4 ct state { new, established } counter drop
      tcp dport 5 ct state != established counter drop
    } }`,
    packets: () => [1, 2, 3, 4, 5].map((port) => packet('a', '203.0.113.5', 6, port)),
    fates: ['answered', 'delivered', 'answered', /ct state/, /ct state/],
  },
  {
    name: 'a verdict map that has the key ends the rule, but for continue; without the key it ends it too',
    text: `table inet t { map m { type inet_service : verdict; elements = { 1 : accept, 2 : jump x, 3 : continue }
      }
      chain x { tcp dport 2 return
      }
      chain f { type filter hook forward priority 0; policy accept;
        ct state established accept
        tcp dport vmap @m counter drop
        tcp dport 1-3 counter drop
        tcp dport 4 counter drop
      } }`,
    packets: () => [1, 2, 3, 4, 5].map((port) => packet('a', '203.0.113.5', 6, port)),
    fates: ['answered', /1-3/, /vmap @m/, /dport 4/, 'answered'],
  },
  {
    name: 'NAT is per connection and replies are un-translated; the first translation of a hook is the last',
    text: `table inet late { chain n { type nat hook prerouting priority -90; policy accept;
        tcp dport 80 dnat ip to 10.5.0.12:8080
      }
      chain p { type nat hook postrouting priority 100; policy accept;
        oifname "up0" masquerade
      } }
      table inet early { chain n { type nat hook prerouting priority -110; policy accept;
        ip daddr 192.0.2.1 tcp dport { 80, 81 } dnat ip to 10.5.0.11
        ip6 daddr 2001:db8:1::1 tcp dport 80 dnat ip6 to [fd00:5::12]:90
      } }
      table inet f { chain f { type filter hook forward priority 0; policy drop;
        ct state established accept
        ct status dnat counter accept
        ct status snat counter drop
        iifname "br-lan" oifname "up0" accept
      } }`,
    packets: () => [
      packet('o1', '192.0.2.1', 6, 80),
      packet('o1', '192.0.2.1', 6, 81, '203.0.113.77'),
      packet('o1', '2001:db8:1::1', 6, 80),
      packet('a', '203.0.113.5', 17, 53),
      packet('a', '2001:db8:f::5', 6, 53),
      packet('o1', '10.5.0.12', 6, 79),
    ],
    fates: ['answered', 'answered', 'answered', 'answered', 'answered', 'policy'],
  },
  {
    name: 'redirect depends on the hook; in output the packet goes by lo',
    text: `table inet t { chain pre { type nat hook prerouting priority -100; policy accept;
        tcp dport 80 redirect to :${SERVER}
      }
      chain out { type nat hook output priority -100; policy accept;
        tcp dport 81 redirect to :${SERVER}
      }
      chain in { type filter hook input priority 10; policy accept;
        ip daddr 127.0.0.1 iifname "lo" tcp dport ${SERVER} ct original proto-dst 82 counter drop
        ip daddr 10.6.0.1 counter drop
      } }`,
    packets: () => [
      packet('a', '203.0.113.5', 6, 80),
      packet('c', '203.0.113.5', 6, 80),
      packet('c', '2001:db8:f::5', 6, 80),
      packet('router', '203.0.113.5', 6, 81),
      packet('router', '203.0.113.5', 6, 80),
    ],
    fates: ['answered', /10\.6\.0\.1/, 'answered', 'answered', 'answered'],
  },
  {
    name: 'masquerade takes the address of the way out, and of the subnet of the next hop',
    text: `table inet t { chain m { type filter hook prerouting priority -150; policy accept;
        tcp dport 90-99 meta mark set 7
      }
      chain p { type nat hook postrouting priority 100; policy accept;
        oifname "up*" ip saddr 10.0.0.0/8 masquerade
        oifname "up1" masquerade
      } }`,
    packets: () => [
      packet('a', '203.0.113.5', 6, 89),
      packet('a', '203.0.113.5', 6, 90),
      packet('c', '2001:db8:f::5', 17, 99),
      packet('c', '2001:db8:f::5', 17, 100),
    ],
    fates: ['answered', 'answered', 'answered', 'answered'],
  },
  {
    name: 'before tracking every packet is invalid and has no other ct key; notrack is a state of its own',
    text: `table inet r { chain r { type filter hook prerouting priority -300; policy accept;
        meta l4proto != { tcp, udp } accept
        ct state new counter drop
        ct mark != 5 counter drop
        iifname "w-a" tcp dport 1 ct state invalid counter drop
        iifname "br-lan" tcp dport 2 ct state invalid counter drop
        tcp dport 3 notrack
        udp dport 3 notrack
      }
      chain f { type filter hook forward priority 0; policy accept;
        ct state untracked tcp dport 3 counter accept
        ct state untracked counter drop
        ct state invalid counter drop
      } }`,
    packets: () => [
      packet('a', '203.0.113.5', 6, 1),
      packet('a', '203.0.113.5', 6, 2),
      packet('a', '203.0.113.5', 6, 3),
      packet('a', '203.0.113.5', 17, 3),
      packet('a', '203.0.113.5', 17, 4),
    ],
    fates: ['answered', /dport 2/, 'delivered', /untracked drop/, 'answered'],
  },
  {
    name: "what a rule sets it sees; marks route, also the host's own in chains of type route; a mark of the connection comes back",
    text: `table inet t { chain pre { type filter hook prerouting priority -150; policy accept;
        tcp dport 1 meta mark set 7
        tcp dport 2 meta mark set 3 meta mark 3 counter drop
        tcp dport 3 meta mark set meta mark | 0x6 meta mark set meta mark | 1
        tcp dport 4 ct mark set 9
        tcp sport 4 ct mark 9 counter drop
        udp dport 1 ct mark set 7 meta mark set ct mark and 0xffffff07
      }
      chain out { type route hook output priority -150; policy accept;
        tcp dport 5 meta mark set 7
      }
      chain plain { type filter hook output priority -140; policy accept;
        tcp dport 6 meta mark set 7
      }
      chain post { type filter hook postrouting priority 0; policy accept;
        oifname "up1" tcp dport { 1, 3, 5, 6 } meta mark != 7 counter drop
      } }`,
    packets: () => [
      ...[1, 2, 3, 4].map((port) => packet('c', '203.0.113.5', 6, port)),
      packet('c', '203.0.113.6', 17, 1),
      packet('router', '203.0.113.6', 6, 5, '192.0.2.1'),
      packet('router', '203.0.113.6', 6, 6, '192.0.2.1'),
    ],
    fates: ['answered', /dport 2/, 'answered', 'delivered', 'answered', 'answered', 'answered'],
  },
  {
    name: 'an address implies the family; sets of fields are products; names compare whole or by prefix',
    text: `table inet t { set s { type ipv4_addr . inet_service; flags interval; elements = { 203.0.113.0/29 . 10-19, 203.0.113.8 . 20 }
      }
      chain f { type filter hook forward priority 0; policy accept;
        ct state established accept
        ip saddr != 10.5.0.12 tcp dport 1 counter drop
        ip daddr . tcp dport @s counter drop
        iifname "w" counter drop
        iifname "w-*" tcp dport 2 counter drop
        meta nfproto ipv6 th dport 3 counter reject
        ip daddr . tcp dport { 203.0.113.8-203.0.113.9 . 21 } counter drop
      } }`,
    packets: () => [
      packet('a', '203.0.113.5', 6, 1),
      packet('a', '2001:db8:f::5', 6, 1),
      packet('a', '203.0.113.7', 6, 19),
      packet('a', '203.0.113.8', 6, 19),
      packet('a', '203.0.113.8', 6, 20),
      packet('c', '203.0.113.8', 6, 2),
      packet('a', '203.0.113.8', 6, 2),
      packet('a', '2001:db8:f::5', 17, 3),
      packet('a', '203.0.113.9', 6, 21),
      packet('a', '203.0.113.10', 6, 21),
    ],
    fates: [/dport 1 /, 'answered', /@s/, 'answered', /@s/, /w-\*/, 'answered', /reject/, /21/, 'answered'],
  },
  {
    name: 'netdev, bridge and inet chains see the port, the port, and the bridge; fib knows what is local',
    text: `table netdev n { chain a { type filter hook ingress device "w-a" priority -500; policy accept;
        tcp dport 1 counter drop
        ether saddr != 02:00:00:00:0a:01 counter drop
      }
      chain lan { type filter hook ingress device "br-lan" priority 0; policy accept;
        tcp dport 2 counter drop
      }
      chain out { type filter hook egress device "up0" priority 0; policy accept;
        tcp dport 3 counter drop
      } }
      table bridge b { chain i { type filter hook input priority 0; policy accept;
        iifname "w-a" tcp dport 4 counter drop
      }
      chain o { type filter hook output priority 0; policy accept;
        oifname "w-b" tcp dport 5 counter drop
      } }
      table inet t { chain p { type filter hook prerouting priority 0; policy accept;
        iifname "br-lan" tcp dport 6 fib daddr type local counter drop
        iifname "br-lan" tcp dport 7 fib saddr . iif oif exists counter drop
        fib saddr . iif oif missing counter drop
      } }`,
    packets: () => [
      ...[1, 2, 3, 4, 6, 7].map((port) => packet('a', '203.0.113.5', 6, port)),
      packet('a', '10.5.0.12', 6, 5),
      packet('a', '10.6.0.1', 6, 6),
      packet('b', '203.0.113.5', 6, 1),
      packet('a', '2001:db8:f::5', 6, 3),
      packet('o2', '10.5.0.11', 17, 9, '203.0.113.9'),
    ],
    fates: [/dport 1/, /dport 2/, /dport 3/, /dport 4/, 'answered', /dport 7/, /dport 5/, /local/, 'answered', /dport 3/, /^… drop/],
  },
];

for (const { name, text, packets, fates } of cases) {
  test(name, async () => {
    const found = await judged(text, packets());
    for (const [i, expected] of fates.entries())
      assert.match(
        found[i] ?? '',
        expected instanceof RegExp ? expected : new RegExp(`^${expected}$`),
        `packet ${i} of ${found.join(' | ')}`,
      );
  });
}

test('rp_filter and forwarding decide as the settings say', async () => {
  const forged = () => [
    packet('o2', '10.5.0.11', 17, 9, '203.0.113.9'),
    packet('o2', '10.5.0.11', 6, 9),
    packet('o1', '10.5.0.11', 17, 9, '203.0.113.9'),
  ];
  const all = 'net/ipv4/conf/all/rp_filter';
  assert.deepEqual(await judged('', forged(), { [all]: '1' }), [
    'rp_filter of up1: the way back to 203.0.113.9 is up0',
    'answered',
    'answered',
  ]);
  assert.deepEqual(await judged('', forged(), { [all]: '2' }), ['delivered', 'answered', 'answered']);
  assert.deepEqual(await judged('', forged(), { [all]: '0', 'net/ipv4/conf/up1/forwarding': '0' }), [
    'the host does not forward IPv4 from up1',
    'the host does not forward IPv4 from up1',
    'answered',
  ]);
  await bed.router.writeSysctl('net/ipv4/conf/up1/forwarding', '1');
});

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
  'ct original proto-dst 80',
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
const filterTable = fc
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
const natTable = fc
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
function edges(random: () => number): { from: Party; packet: SentPacket }[] {
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

test('random rulesets of several tables, priorities, NAT, marks and settings: what is said is what packets do', async () => {
  let [tried, sent] = [0, 0];
  const kinds = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(filterTable, { minLength: 1, maxLength: 3 }),
      fc.array(natTable, { maxLength: 2 }),
      fc.constantFrom('0', '0', '1', '2'),
      fc.nat(),
      async (filters, nats, filter, seed) => {
        const tables = [...filters.map((make, i) => make(`f${i}`)), ...nats.map((make, i) => make(`n${i}`))];
        if (!(await bed.load(tables.join('')))) return;
        const settings = { 'net/ipv4/conf/all/rp_filter': filter };
        for (const [key, value] of Object.entries(settings)) await bed.router.writeSysctl(key, value);
        let state = seed;
        const random = (): number => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
        const packets = edges(random);
        const fates = await compare(await bed.model(settings), packets, tables.join(''));
        tried++;
        sent += packets.length;
        for (const fate of fates) kinds.set(/^(answered|delivered|policy)$/.test(fate) ? fate : 'dropped', (kinds.get(fate) ?? 0) + 1);
      },
    ),
    { numRuns: 20, endOnFailure: true, seed: 4 },
  );
  assert(tried > 4 && sent > 150, `${tried} rulesets, ${sent} packets`);
  assert(kinds.has('answered') && kinds.has('dropped'));
});
