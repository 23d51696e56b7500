/** The concrete interpreter against the kernel: hand-written rulesets of the kinds that catch people, with real packets. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { SentPacket } from '../../src/prove/packet-model.ts';
import { compare, packet } from './compare.ts';
import { openRouterBed, SERVER, type Party, type RouterBed } from './router-bed.ts';

let bed: RouterBed;
before(async () => void (bed = await openRouterBed()));
after(() => bed.close());

async function judged(
  text: string,
  packets: readonly { readonly from: Party; readonly packet: SentPacket }[],
  sysctls: Record<string, string> = {},
  engines: 'both' | 'concrete' = 'both',
): Promise<string[]> {
  // nft wants a line end before and after a chain.
  const lines = text.replaceAll(/\{ (?=chain|set|map)/g, '{\n').replaceAll(/^( *)\} \}/gm, '$1}\n}');
  assert(await bed.load(`${lines}\n`), `nft refuses:\n${lines}`);
  for (const [key, value] of Object.entries(sysctls)) await bed.router.writeSysctl(key, value);
  return compare(bed, await bed.model(sysctls), packets, '', engines);
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

test('ports that are not isolated: across, past the inet hooks or through them; what br_netfilter translates is bridged or routed', async () => {
  const filter = `table bridge b { chain f { type filter hook forward priority -200; policy accept;
      iifname "w-a" oifname "w-b" tcp dport 1 counter drop
    } }
    table inet t { chain f { type filter hook forward priority 0; policy accept;
      iifname "br-lan" oifname "br-lan" tcp dport 2 counter drop
      iifname "w-a" counter drop
    }
    chain p { type nat hook prerouting priority -100; policy accept;
      ip daddr 10.5.0.12 tcp dport 3 dnat to 10.6.0.2
      ip daddr 203.0.113.9 tcp dport 4 dnat to 10.5.0.12
    } }`;
  const packets = () => [
    ...[1, 2, 3, 5].map((port) => packet('a', '10.5.0.12', 6, port)),
    packet('a', '203.0.113.9', 6, 4),
    packet('b', 'fd00:5::11', 6, 2),
    packet('b', '10.6.0.2', 17, 5),
  ];
  try {
    await bed.bridge({ isolated: false, nfCall: false });
    const past = await judged(filter, packets());
    assert.deepEqual(past.slice(1, 4), ['answered', 'answered', 'answered']);
    assert.match(past[0] ?? '', /dport 1/);
    await bed.bridge({ isolated: false, nfCall: true });
    const through = await judged(filter, packets());
    assert.match(through[1] ?? '', /dport 2/);
    assert.match(through[5] ?? '', /dport 2/);
    assert.equal(through[3], 'answered');
    // The symbolic engine has the translated packet routed here, which br_netfilter bridges.
    await bed.bridge({ isolated: true, nfCall: true });
    assert.match((await judged(filter, packets(), {}))[4] ?? '', /isolated from each other$/);
  } finally {
    await bed.bridge({ isolated: true, nfCall: false });
  }
});
