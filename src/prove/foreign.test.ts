/**
 * Foreign rulesets in the structure that Docker, ufw, firewalld and libvirt make: judged by the interpreter, and the judgement compared
 * with what a real packet does in a namespace that routes between two others.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { openKernel } from '../kernel/open.ts';
import { observeRuleset } from '../kernel/observe.ts';
import type { NftTable } from '../hoststate/nft.ts';
import { foreignForwardDrops, foreignJudge } from './foreign.ts';
import type { TestPacket } from './foreign.ts';

const root = openKernel();
const tag = `kt-foreign-${process.pid}`;
const [router, left, right] = ['h', 'l', 'r'].map((name) => root.at(`/run/netns/${tag}-${name}`));
assert(router && left && right);

before(async () => {
  for (const name of ['h', 'l', 'r']) await root.run('ip', ['netns', 'add', `${tag}-${name}`]);
  await router.run('ip', ['-batch', '-'], {
    input: `link add name br-x address 02:00:00:00:01:01 type veth peer name eth0 address 02:00:00:00:01:02 netns ${tag}-l
link add name up0 address 02:00:00:00:02:01 type veth peer name eth0 address 02:00:00:00:02:02 netns ${tag}-r
addr add 10.5.0.1/24 dev br-x
addr add 192.0.2.1/24 dev up0
addr add fd00:5::1/64 dev br-x nodad
addr add 2001:db8::1/64 dev up0 nodad
link set dev br-x up
link set dev up0 up
neigh replace 10.5.0.2 lladdr 02:00:00:00:01:02 dev br-x nud permanent
neigh replace fd00:5::2 lladdr 02:00:00:00:01:02 dev br-x nud permanent
neigh replace 192.0.2.2 lladdr 02:00:00:00:02:02 dev up0 nud permanent
neigh replace 2001:db8::2 lladdr 02:00:00:00:02:02 dev up0 nud permanent
`,
  });
  for (const key of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) await router.writeSysctl(key, '1');
  const far = async (kernel: typeof left, v4: string, v6: string, via4: string, via6: string, mac: string): Promise<void> => {
    await kernel.run('ip', ['-batch', '-'], {
      input: `link set dev lo up\naddr add ${v4} dev eth0\naddr add ${v6} dev eth0 nodad\nlink set dev eth0 up\nroute add default via ${via4}\nroute add default via ${via6}\nneigh replace ${via4} lladdr ${mac} dev eth0 nud permanent\nneigh replace ${via6} lladdr ${mac} dev eth0 nud permanent\n`,
    });
  };
  await far(left, '10.5.0.2/24', 'fd00:5::2/64', '10.5.0.1', 'fd00:5::1', '02:00:00:00:01:01');
  await far(right, '192.0.2.2/24', '2001:db8::2/64', '192.0.2.1', '2001:db8::1', '02:00:00:00:02:01');
  // Counts what arrives: that is what delivered means, whatever answers do.
  for (const kernel of [left, right]) {
    await kernel.run('nft', ['-f', '-'], {
      input:
        'table inet count {\nset seen {\ntypeof meta l4proto . th dport\nflags dynamic\n}\nchain c {\ntype filter hook prerouting priority 0; policy accept;\nmeta l4proto { tcp, udp } update @seen { meta l4proto . th dport }\n}\n}\n',
    });
  }
});
after(async () => {
  for (const name of ['h', 'l', 'r']) await root.run('ip', ['netns', 'del', `${tag}-${name}`]);
});

const out = (protocol: string, dport: number, v6 = false): TestPacket => ({
  iifname: 'br-x',
  oifname: 'up0',
  saddr: v6 ? 'fd00:5::2' : '10.5.0.2',
  daddr: v6 ? '2001:db8::2' : '192.0.2.2',
  protocol,
  dport,
});
const into = (protocol: string, dport: number, v6 = false): TestPacket => ({
  iifname: 'up0',
  oifname: 'br-x',
  saddr: v6 ? '2001:db8::2' : '192.0.2.2',
  daddr: v6 ? 'fd00:5::2' : '10.5.0.2',
  protocol,
  dport,
});

/** Opens a connection or sends a datagram for each `PROTOCOL ADDRESS PORT`, without waiting for an answer. */
const sender = `
use Socket qw(:DEFAULT :addrinfo); use Fcntl;
while (<STDIN>) { my ($protocol, $address, $port) = split; my $type = $protocol eq 'tcp' ? SOCK_STREAM : SOCK_DGRAM;
my ($error, $found) = getaddrinfo($address, $port, { socktype => $type, flags => AI_NUMERICHOST }); die $error if $error;
socket(my $s, $found->{family}, $type, 0) or die; fcntl($s, F_SETFL, O_NONBLOCK); connect($s, $found->{addr}); syswrite($s, 'x') if $protocol eq 'udp' }
`;

/** Sends the first packet of each flow and tells which arrived; waits for those that are expected. */
async function delivered(flows: readonly TestPacket[], expected: readonly boolean[]): Promise<boolean[]> {
  for (const kernel of [left, right]) await kernel?.run('nft', ['flush', 'set', 'inet', 'count', 'seen']);
  await Promise.all(
    [left, right].map(async (kernel) => {
      const mine = flows.filter((flow) => (flow.iifname === 'br-x') === (kernel === left));
      await kernel?.run('perl', ['-e', sender], { input: mine.map((flow) => `${flow.protocol} ${flow.daddr} ${flow.dport}\n`).join('') });
    }),
  );
  const list = async (kernel: typeof left): Promise<string> => (await kernel?.run('nft', ['list', 'set', 'inet', 'count', 'seen'])) ?? '';
  let arrived: boolean[] = [];
  for (let attempt = 0; attempt < 20; attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    const seen = { left: await list(left), right: await list(right) };
    arrived = flows.map((flow) =>
      new RegExp(`\\b${flow.protocol} \\. ${flow.dport}\\b`).test(flow.iifname === 'br-x' ? seen.right : seen.left),
    );
    if (arrived.every((yes, i) => yes || expected[i] !== true)) break;
  }
  return arrived;
}

async function load(text: string): Promise<readonly NftTable[]> {
  await router?.run('nft', ['-f', '-'], { input: `flush ruleset\n${text}` });
  return foreign();
}

async function foreign(): Promise<readonly NftTable[]> {
  assert(router);
  return (await observeRuleset(router)).foreign;
}

/** Judges the flows, compares every certain judgement with what packets do, and returns the judgements in words. */
async function judged(tables: readonly NftTable[], flows: readonly TestPacket[]): Promise<string[]> {
  const judge = foreignJudge(tables);
  const verdicts = flows.map(judge);
  const arrived = await delivered(
    flows,
    verdicts.map(({ kind }) => kind === 'passes'),
  );
  for (const [i, verdict] of verdicts.entries()) {
    if (verdict.kind !== 'unknown')
      assert.equal(verdict.kind === 'passes', arrived[i], `${JSON.stringify(flows[i])} was ${JSON.stringify(verdict)}`);
  }
  return verdicts.map((verdict) =>
    verdict.kind === 'dropped' ? `dropped by ${verdict.family} ${verdict.table} ${verdict.chain}: ${verdict.rule}` : verdict.kind,
  );
}

const iptables = (script: string) => router?.run('sh', ['-ec', script]);

test('Docker: policy drop, reached by every flow that is not its own', async () => {
  await load('');
  await iptables(`I=iptables-nft
$I -P FORWARD DROP; for c in DOCKER DOCKER-USER DOCKER-ISOLATION-STAGE-1 DOCKER-ISOLATION-STAGE-2; do $I -N $c; done
$I -A FORWARD -j DOCKER-USER
$I -A FORWARD -j DOCKER-ISOLATION-STAGE-1
$I -A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$I -A FORWARD -o docker0 -j DOCKER
$I -A FORWARD -i docker0 ! -o docker0 -j ACCEPT
$I -A FORWARD -i docker0 -o docker0 -j ACCEPT
$I -A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
$I -A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
$I -A DOCKER-ISOLATION-STAGE-1 -j RETURN
$I -A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
$I -A DOCKER-ISOLATION-STAGE-2 -j RETURN
$I -A DOCKER-USER -j RETURN`);
  const flows = [out('tcp', 80), into('udp', 53), out('tcp', 81, true)];
  assert.deepEqual(await judged(await foreign(), flows), [
    'dropped by ip filter FORWARD: policy',
    'dropped by ip filter FORWARD: policy',
    'passes',
  ]);
  assert.deepEqual(
    foreignForwardDrops(await foreign(), flows).map(({ flow, chain, rule }) => [flow.dport, chain, rule]),
    [
      [80, 'FORWARD', 'policy'],
      [53, 'FORWARD', 'policy'],
    ],
  );
  await iptables('iptables-nft -I DOCKER-USER -i br-x -j ACCEPT');
  assert.deepEqual(await judged(await foreign(), flows), ['passes', 'dropped by ip filter FORWARD: policy', 'passes']);
});

test('Docker 28 and later: its own nft tables, verdict map by interface, raw drop of direct access', async () => {
  const tables = await load(`table ip docker-bridges {
  map filter-forward-in-jumps { type ifname : verdict; elements = { "docker0" : jump filter-forward-in__docker0 }
  }
  map filter-forward-out-jumps { type ifname : verdict; elements = { "docker0" : jump filter-forward-out__docker0 }
  }
  chain filter-FORWARD { type filter hook forward priority filter; policy accept;
    oifname vmap @filter-forward-in-jumps
    iifname vmap @filter-forward-out-jumps
  }
  chain filter-forward-in__docker0 { ct state established,related counter accept
    iifname "docker0" counter accept comment "ICC"
    counter drop comment "UNPUBLISHED PORT DROP"
  }
  chain filter-forward-out__docker0 { ct state established,related counter accept
    counter accept
  }
  chain raw-PREROUTING { type filter hook prerouting priority raw; policy accept;
    ip daddr 172.17.0.2 iifname != "docker0" counter drop comment "DROP DIRECT ACCESS"
  }
}
`);
  assert.deepEqual(await judged(tables, [out('tcp', 80), into('udp', 53)]), ['passes', 'passes']);
  assert.equal(
    foreignForwardDrops(tables, [{ ...out('tcp', 80), oifname: 'docker0', daddr: '172.17.0.9' }])[0]?.rule,
    'drop comment "UNPUBLISHED PORT DROP"',
  );
  assert.equal(foreignForwardDrops(tables, [{ ...out('tcp', 80), oifname: 'docker0', daddr: '172.17.0.2' }])[0]?.chain, 'raw-PREROUTING');
});

test('ufw: replies are accepted by state, new flows fall to the policy, allowed routes pass', async () => {
  await load('');
  await iptables(`I=iptables-nft
$I -P FORWARD DROP; for c in ufw-before-forward ufw-user-forward ufw-after-forward ufw-logging-deny ufw-reject-forward; do $I -N $c; done
for c in ufw-before-forward ufw-after-forward ufw-reject-forward; do $I -A FORWARD -j $c; done
$I -A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$I -A ufw-before-forward -p icmp --icmp-type 3 -j ACCEPT
$I -A ufw-before-forward -j ufw-user-forward
$I -A ufw-user-forward -i br-x -o up0 -p tcp --dport 443 -j ACCEPT
$I -A ufw-after-forward -j ufw-logging-deny
$I -A ufw-logging-deny -m limit --limit 3/min --limit-burst 10 -j LOG --log-prefix '[UFW BLOCK] '`);
  const flows = [out('tcp', 443), out('tcp', 444), into('udp', 53)];
  assert.deepEqual(await judged(await foreign(), flows), [
    'passes',
    'dropped by ip filter FORWARD: policy',
    'dropped by ip filter FORWARD: policy',
  ]);
  assert.deepEqual(foreignJudge(await foreign())({ ...out('tcp', 444), state: 'established' }), { kind: 'passes' });
});

test('firewalld: zones by interface, goto, reject at the end; reverse path check for IPv6', async () => {
  const zone = (zoneName: string, rules: string): string => `chain filter_FWD_${zoneName} {
    ${rules}
    jump filter_FWD_${zoneName}_allow
  }
  chain filter_FWD_${zoneName}_allow {
  }
`;
  const tables = await load(`table inet firewalld {
  chain mangle_PREROUTING { type filter hook prerouting priority mangle + 10; policy accept;
    icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
    meta nfproto ipv6 fib saddr . mark . iif oif missing drop
  }
  ${zone('libvirt', 'oifname "up0" accept')}
  ${zone('public', '')}
  chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
    ct state { established, related } accept
    ct status dnat accept
    iifname "lo" accept
    ct state invalid drop
    ip6 daddr { ::/96, ::ffff:0.0.0.0/96, 2002::/24 } reject with icmpv6 addr-unreachable
    jump filter_FORWARD_POLICIES
    reject with icmpx admin-prohibited
  }
  chain filter_FORWARD_POLICIES {
    iifname "br-x" goto filter_FWD_libvirt
    goto filter_FWD_public
  }
}
`);
  const flows = [out('tcp', 80), into('tcp', 81), out('udp', 82, true), into('udp', 83, true)];
  const reject = 'dropped by inet firewalld filter_FORWARD: reject with icmpx admin-prohibited';
  assert.deepEqual(await judged(tables, flows), ['passes', reject, 'passes', reject]);
});

test('libvirt: accepts for its own bridges, rejects by way out and way in', async () => {
  await load('');
  await iptables(`I=iptables-nft
for c in LIBVIRT_FWX LIBVIRT_FWI LIBVIRT_FWO; do $I -N $c; $I -A FORWARD -j $c; done
$I -A LIBVIRT_FWX -i virbr0 -o virbr0 -j ACCEPT
$I -A LIBVIRT_FWI -d 192.168.122.0/24 -o virbr0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
$I -A LIBVIRT_FWI -o virbr0 -j REJECT --reject-with icmp-port-unreachable
$I -A LIBVIRT_FWO -s 192.168.122.0/24 -i virbr0 -j ACCEPT
$I -A LIBVIRT_FWO -i virbr0 -j REJECT --reject-with icmp-port-unreachable`);
  assert.deepEqual(await judged(await foreign(), [out('tcp', 80), into('tcp', 81)]), ['passes', 'passes']);
  const drops = foreignForwardDrops(await foreign(), [{ ...out('tcp', 80), oifname: 'virbr0', daddr: '192.168.122.9' }]);
  assert.deepEqual(
    drops.map(({ chain, rule }) => [chain, rule]),
    [['LIBVIRT_FWI', 'oifname "virbr0" reject']],
  );
});

test('what is not understood is never a certain drop, and never hides one', async () => {
  await load('');
  await iptables(`I=iptables-nft
$I -A FORWARD -m statistic --mode random --probability 0.5 -j ACCEPT
$I -A FORWARD -p tcp --dport 80 -j DROP
$I -A FORWARD -m statistic --mode random --probability 0.5 -j DROP`);
  const judge = foreignJudge(await foreign());
  const verdict = judge(out('tcp', 80));
  assert.equal(verdict.kind, 'unknown');
  assert.deepEqual(verdict.kind === 'unknown' && verdict.rules.map(({ rule }) => rule), ['(statistic) accept']);
  assert.deepEqual(foreignForwardDrops(await foreign(), [out('tcp', 80), out('tcp', 81)]), []);
  const loaded = await load(
    'table inet later {\nchain c {\ntype filter hook forward priority 10; policy accept;\ntcp dport 80 limit rate over 1/second drop\ntcp dport 80 drop\n}\n}\n',
  );
  assert.equal(foreignForwardDrops(loaded, [out('tcp', 80)])[0]?.rule, 'tcp dport 80 drop');
});

test('before connection tracking every packet is invalid, and no other question about connections is answered', async () => {
  const chain = (rule: string): string =>
    `table inet raw {\nchain c {\ntype filter hook prerouting priority -300; policy accept;\niifname { "br-x", "up0" } ${rule}\n}\n}\n`;
  const flows = [out('tcp', 80), into('udp', 53)];
  for (const [rule, verdict] of [
    ['ct state new drop', 'passes'],
    ['ct status != dnat drop', 'passes'],
    ['ct state invalid drop', 'dropped by inet raw c: iifname { "br-x", "up0" } ct state invalid drop'],
  ] as const) {
    assert.deepEqual(await judged(await load(chain(rule)), flows), [verdict, verdict], rule);
  }
});

/** Random chains of matches, sets, maps and verdicts on three tables at different hooks. */
const words = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const condition = words(
  'iifname "br-x"',
  'iifname != "br-x"',
  'oifname "up0"',
  'oifname "u*"',
  'ip saddr 10.5.0.0/24',
  'ip daddr @nets',
  'ip daddr != @nets',
  'ip saddr . meta l4proto . th dport @triples',
  'ip6 daddr 2001:db8::/32',
  'meta nfproto ipv6',
  'meta l4proto udp',
  'tcp dport 80-90',
  'tcp dport != { 80, 100-200 }',
  'udp dport { 53, 82 }',
  'ct state new',
  'ct state established,related',
  'ct state != invalid',
  'ct status dnat',
  'tcp flags & (fin|syn|rst|ack) == syn',
  'meta mark 0',
  'fib daddr type local',
  'ip saddr { 10.5.0.2, 10.9.0.0/16 }',
);
const verdict = words(
  'accept',
  'drop',
  'jump a',
  'jump b',
  'goto a',
  'return',
  'counter',
  'reject',
  'ip daddr vmap @verdicts',
  'iifname vmap { "br-x" : jump b, "up0" : accept }',
  'ct state vmap { new : jump a, invalid : drop }',
);
const line = fc.tuple(fc.array(condition, { maxLength: 2 }), verdict).map(([conditions, end]) => `    ${[...conditions, end].join(' ')}`);
const leafLine = line.map((text) => text.replace(/jump [ab]|goto a/g, 'accept').replace('@verdicts', '{ 192.0.2.2 : drop }'));
const randomTable = fc
  .tuple(
    words('prerouting', 'forward', 'postrouting'),
    fc.integer({ min: -300, max: 90 }),
    words('accept', 'drop'),
    fc.array(leafLine, { maxLength: 3 }),
    fc.array(leafLine, { maxLength: 3 }),
    fc.array(line, { maxLength: 4 }),
  )
  .map(
    ([hook, priority, policy, a, b, base]) =>
      (name: string) => `table inet ${name} {
  set nets { type ipv4_addr; flags interval; elements = { 192.0.2.0/24, 10.0.0.0-10.0.0.9 }
  }
  set triples { type ipv4_addr . inet_proto . inet_service; elements = { 10.5.0.2 . tcp . 80, 192.0.2.2 . udp . 82 }
  }
  map verdicts { type ipv4_addr : verdict; elements = { 192.0.2.2 : jump a, 10.5.0.2 : drop }
  }
  chain a {
${a.join('\n')}
  }
  chain b {
${b.join('\n')}
  }
  chain base { type filter hook ${hook} priority ${priority}; policy ${policy};
    meta l4proto ipv6-icmp accept
    ct state established accept
    iifname != { "br-x", "up0" } accept
${base.join('\n')}
  }
}
`,
  );
/** nft refuses rules that contradict themselves; such a draw is no draw. */
const contradiction = /conflicting|mapping|can only be used|Could not process|not supported/;

test('random rulesets: what is judged is what packets do', async () => {
  let tried = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(randomTable, { minLength: 1, maxLength: 3 }), async (all) => {
      assert(router);
      const text = `flush ruleset\n${all.map((table, i) => table(`t${i}`)).join('')}`;
      const loaded = await router.tryRun('nft', ['-f', '-'], { input: text });
      if (loaded.status !== 0) {
        assert.match(loaded.stderr, contradiction);
        return;
      }
      tried++;
      const verdicts = await judged(await foreign(), [
        out('tcp', 80),
        out('udp', 53),
        into('tcp', 85),
        into('udp', 82),
        out('tcp', 150, true),
        into('udp', 99, true),
      ]);
      assert(!verdicts.includes('unknown'));
    }),
    { numRuns: 12, endOnFailure: true },
  );
  assert(tried > 2);
});
