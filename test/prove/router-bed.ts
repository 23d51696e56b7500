/**
 * A router in namespaces, for holding the prover against the kernel: guests a and b at isolated ports of `br-lan`, guest c alone behind `w-c`, two outer worlds
 * behind `up0` (the default way out) and `up1` (for what is marked 7). Everybody notes what arrives, and answers it on every port; the router itself TCP on {@link SERVER}.
 */
import { capture } from '../../src/kernel/capture.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { startLineProcess, type LineProcess } from '../../src/kernel/line-process.ts';
import { observeRuleset } from '../../src/kernel/observe.ts';
import { openKernel } from '../../src/kernel/open.ts';
import type { KernelModel } from '../../src/prove/kernel-model.ts';
import { modelOfCapture } from '../../src/prove/model/read-capture.ts';
import type { SentPacket } from '../../src/prove/packet-model.ts';

/** The port on which the router answers. */
export const SERVER = 7777;

export type Party = 'a' | 'b' | 'c' | 'o1' | 'o2' | 'router';

interface Machine {
  readonly party: Exclude<Party, 'router'>;
  /** The router's end of its cable, and the interface with the router's addresses there. */
  readonly port: string;
  readonly link: string;
  readonly addresses: readonly [v4: string, v6: string];
  readonly mac: string;
  readonly routers: readonly [v4: string, v6: string];
  readonly routerMac: string;
  /** More that it answers for. */
  readonly behind: readonly string[];
}

const lan = { link: 'br-lan', routers: ['10.5.0.1', 'fd00:5::1'], routerMac: '02:00:00:00:01:01', behind: [] } as const;
const outer = ['203.0.113.0/24', '2001:db8:f::/64'];
export const machines: readonly Machine[] = [
  { party: 'a', port: 'w-a', addresses: ['10.5.0.11', 'fd00:5::11'], mac: '02:00:00:00:0a:01', ...lan },
  { party: 'b', port: 'w-b', addresses: ['10.5.0.12', 'fd00:5::12'], mac: '02:00:00:00:0b:01', ...lan },
  {
    party: 'c',
    port: 'w-c',
    link: 'w-c',
    addresses: ['10.6.0.2', 'fd00:6::2'],
    mac: '02:00:00:00:0c:01',
    routers: ['10.6.0.1', 'fd00:6::1'],
    routerMac: '02:00:00:00:06:01',
    behind: [],
  },
  {
    party: 'o1',
    port: 'up0',
    link: 'up0',
    addresses: ['192.0.2.2', '2001:db8:1::2'],
    mac: '02:00:00:00:11:02',
    routers: ['192.0.2.1', '2001:db8:1::1'],
    routerMac: '02:00:00:00:11:01',
    behind: outer,
  },
  {
    party: 'o2',
    port: 'up1',
    link: 'up1',
    addresses: ['198.51.100.2', '2001:db8:2::2'],
    mac: '02:00:00:00:12:02',
    routers: ['198.51.100.1', '2001:db8:2::1'],
    routerMac: '02:00:00:00:12:01',
    behind: outer,
  },
];

export interface Result {
  /** Where its first packet arrived, and as which: see {@link tuple}. */
  readonly arrived: readonly { readonly party: Party; readonly as: string }[];
  readonly answered: boolean;
}

export interface RouterBed {
  readonly router: Kernel;
  /** False when nft refuses the text; connections are forgotten. */
  load(text: string): Promise<boolean>;
  /** With the tables that are loaded now, and these settings over those of the beginning. */
  model(sysctls?: Readonly<Record<string, string>>): Promise<KernelModel>;
  /** How `br-lan` is from now on: its ports isolated or not, and whether what it bridges passes the inet hooks. Must be put back. */
  bridge(how: { readonly isolated: boolean; readonly nfCall: boolean }): Promise<void>;
  /** TCP and UDP, one packet each, all at once; source ports must differ. An answer that is `expected` is waited for longer. */
  send(packets: readonly { readonly from: Party; readonly packet: SentPacket; readonly expected: boolean }[]): Promise<Result[]>;
  /** Packets that rules with a counter have counted, by `family table chain index`. */
  counters(): Promise<Map<string, number>>;
  close(): Promise<void>;
}

export async function openRouterBed(): Promise<RouterBed> {
  const root = openKernel();
  const tag = `wr${process.pid}`;
  const at = (party: Party): Kernel => root.at(`/run/netns/${tag}-${party}`);
  const parties: readonly Party[] = ['router', ...machines.map(({ party }) => party)];
  for (const party of parties) await root.run('ip', ['netns', 'add', `${tag}-${party}`]);
  const router = at('router');
  await batch(router, [
    'link set dev lo up',
    'link add name br-lan address 02:00:00:00:01:01 type bridge mcast_snooping 0',
    'link set dev br-lan up',
    ...machines.flatMap(({ party, port, link, mac, routerMac }) => [
      `link add name ${port} ${port === link ? `address ${routerMac} ` : ''}type veth peer name eth0 address ${mac} netns ${tag}-${party}`,
      ...(port === link ? [] : [`link set dev ${port} master ${link}`, `link set dev ${port} type bridge_slave isolated on learning off`]),
      `link set dev ${port} up`,
    ]),
    ...machines.flatMap(({ party, link, addresses, mac, routers }) => [
      ...(party === 'b' ? [] : [`addr add ${routers[0]}/24 dev ${link}`, `addr add ${routers[1]}/64 dev ${link} nodad`]),
      ...addresses.map((address) => `neigh replace ${address} lladdr ${mac} dev ${link} nud permanent`),
    ]),
    'route add default via 192.0.2.2',
    'route add default via 2001:db8:1::2',
    'route add default via 198.51.100.2 table 100',
    'route add default via 2001:db8:2::2 table 100',
  ]);
  for (const { port, link, mac } of machines)
    if (port !== link) await router.run('bridge', ['fdb', 'replace', mac, 'dev', port, 'master', 'static']);
  for (const family of ['-4', '-6']) await router.run('ip', [family, 'rule', 'add', 'fwmark', '7', 'table', '100', 'priority', '1000']);
  for (const key of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) await router.writeSysctl(key, '1');
  for (const key of ['iptables', 'ip6tables']) {
    const path = `net/bridge/bridge-nf-call-${key}`;
    if ((await router.readSysctl(path)) !== undefined) await router.writeSysctl(path, '0');
  }
  for (const party of parties) await at(party).writeSysctl('net/ipv4/tcp_synack_retries', '0');
  const servers: LineProcess[] = [];
  for (const { party, addresses, routers, routerMac, behind } of machines) {
    const kernel = at(party);
    await batch(kernel, [
      'link set dev lo up',
      `addr add ${addresses[0]}/24 dev eth0`,
      `addr add ${addresses[1]}/64 dev eth0 nodad`,
      'link set dev eth0 up',
      ...routers.flatMap((address) => [
        `neigh replace ${address} lladdr ${routerMac} dev eth0 nud permanent`,
        `route add default via ${address}`,
      ]),
      // Of isolated neighbours the router answers for each (proxy_arp_pvlan).
      ...machines
        .filter((other) => other.link === 'br-lan' && party !== other.party && (party === 'a' || party === 'b'))
        .flatMap((other) => other.addresses.map((address) => `neigh replace ${address} lladdr ${routerMac} dev eth0 nud permanent`)),
      ...behind.map((prefix) => `route add local ${prefix} dev lo`),
    ]);
    await kernel.run('nft', ['-f', '-'], { input: noting('prerouting priority -300', `${redirection}\n`) });
    servers.push(await startServer(kernel, 'SOCK_DGRAM, SOCK_STREAM'));
  }
  // The answers of its own programs to datagrams come from where its routes say, and may be no answers.
  servers.push(await startServer(router, 'SOCK_STREAM'));
  const seen = async (): Promise<KernelModel> => {
    const model = modelOfCapture(await capture(router, 'router'));
    if (!model || model.missing.some((part) => part !== 'wireguard'))
      throw new Error(`The router cannot be captured: ${model?.missing.join(', ')}`);
    return model;
  };
  let bare = await seen();

  return {
    router,
    load: async (text) => {
      const loaded = await router.tryRun('nft', ['-f', '-'], { input: `flush ruleset\n${noting('input priority 300', '')}${text}` });
      if (loaded.status === 0) await router.tryRun('conntrack', ['-F']);
      return loaded.status === 0;
    },
    bridge: async ({ isolated, nfCall }) => {
      const neighbours = machines.filter(({ link }) => link === 'br-lan');
      for (const { party, port } of neighbours) {
        await router.run('bridge', ['link', 'set', 'dev', port, 'isolated', isolated ? 'on' : 'off']);
        const others = neighbours.filter((other) => other.party !== party);
        const lines = others.flatMap(({ addresses, mac, routerMac }) =>
          addresses.map((address) => `neigh replace ${address} lladdr ${isolated ? routerMac : mac} dev eth0 nud permanent`),
        );
        await batch(at(party), lines);
      }
      await router.run('ip', [
        'link',
        'set',
        'dev',
        'br-lan',
        'type',
        'bridge',
        'nf_call_iptables',
        nfCall ? '1' : '0',
        'nf_call_ip6tables',
        nfCall ? '1' : '0',
      ]);
      bare = await seen();
    },
    model: async (sysctls = {}) => ({ ...bare, tables: (await observeRuleset(router)).foreign, sysctls: { ...bare.sysctls, ...sysctls } }),
    send: async (packets) => {
      for (const party of parties) await batchNft(at(party), 'flush set inet watch seen4\nflush set inet watch seen6\n');
      const answered = new Set<number>();
      const sendFrom = async (party: Party): Promise<void> => {
        const input = packets
          .flatMap(({ from, packet, expected }, id) => (from === party ? [`${id} ${tuple(packet)} ${expected ? 1 : 0}\n`] : []))
          .join('');
        if (input === '') return;
        for (const line of (await at(party).run('perl', ['-e', senderProgram], { input })).split('\n'))
          if (line !== '') answered.add(Number(line));
      };
      await Promise.all(parties.map(sendFrom));
      const notes = await Promise.all(
        parties.map(async (party) => ({ party, text: await at(party).run('nft', ['-n', 'list', 'table', 'inet', 'watch']) })),
      );
      return packets.map(({ packet }, id) => ({
        answered: answered.has(id),
        arrived: notes.flatMap(({ party, text }) => notesOf(text, packet).map((as) => ({ party, as }))),
      }));
    },
    counters: async () => readCounters(JSON.parse(await router.run('nft', ['-j', 'list', 'ruleset']))),
    close: async () => {
      await Promise.all(servers.map((one) => one.stop()));
      for (const party of parties) await root.run('ip', ['netns', 'del', `${tag}-${party}`]);
    },
  };
}

async function startServer(kernel: Kernel, kinds: string): Promise<LineProcess> {
  const { promise: ready, resolve } = Promise.withResolvers<void>();
  const started = startLineProcess(kernel, 'perl', ['-e', serverProgram(kinds)], { onLine: () => resolve() });
  await Promise.race([ready, started.ended.then(({ stderr }) => Promise.reject(new Error(`The server has ended: ${stderr}`)))]);
  return started;
}

const batch = (kernel: Kernel, lines: readonly string[]): Promise<string> =>
  kernel.run('ip', ['-batch', '-'], { input: lines.map((line) => `${line}\n`).join('') });
const batchNft = (kernel: Kernel, input: string): Promise<string> => kernel.run('nft', ['-f', '-'], { input });

/** `source destination protocol sport dport` */
export const tuple = ({ source, destination, protocol, sport, dport }: SentPacket): string =>
  [source, destination, protocol, sport, dport].join(' ');

/** Notes each packet that opens something at this machine. Of a connection nothing is sent but what opens and what answers, so that each flow is counted once. */
const noting = (at: string, more: string): string => `table inet watch {
  set seen4 { type ipv4_addr . ipv4_addr . inet_proto . inet_service . inet_service; flags dynamic; size 65535;
  }
  set seen6 { type ipv6_addr . ipv6_addr . inet_proto . inet_service . inet_service; flags dynamic; size 65535;
  }
  chain note { type filter hook ${at}; policy accept;
    meta l4proto != { tcp, udp } return
    tcp flags & (syn|ack) != syn return
    update @seen4 { ip saddr . ip daddr . meta l4proto . th sport . th dport }
    update @seen6 { ip6 saddr . ip6 daddr . meta l4proto . th sport . th dport }
  }
  chain quiet { type filter hook output priority -400; policy accept;
    tcp flags & syn != syn drop
  }
${more}}
`;

/** Whatever port is asked. */
const redirection = `  chain redirection { type nat hook prerouting priority -100; policy accept;
    meta l4proto { tcp, udp } redirect to :${SERVER}
  }`;

function notesOf(text: string, { protocol, sport }: SentPacket): string[] {
  return [...text.matchAll(/([0-9a-f.:]+) \. ([0-9a-f.:]+) \. (\d+) \. (\d+) \. (\d+)/g)]
    .filter((found) => found[3] === String(protocol) && found[4] === String(sport))
    .map((found) => found.slice(1).join(' '));
}

function readCounters(ruleset: { readonly nftables: readonly Record<string, unknown>[] }): Map<string, number> {
  const counted = new Map<string, number>();
  const indices = new Map<string, number>();
  for (const { rule } of ruleset.nftables as readonly {
    rule?: { family: string; table: string; chain: string; expr: readonly { counter?: { packets: number } }[] };
  }[]) {
    if (!rule) continue;
    const chain = `${rule.family} ${rule.table} ${rule.chain}`;
    const index = indices.get(chain) ?? 0;
    indices.set(chain, index + 1);
    const counter = rule.expr.find((one) => one.counter)?.counter;
    if (counter) counted.set(`${chain} ${index}`, counter.packets);
  }
  return counted;
}

/** Answers datagrams, but no answers; connections are answered by the kernel. */
const serverProgram = (kinds: string): string => `
use Socket qw(:all); my (@all, @listening, $bits); $bits = '';
for my $f (AF_INET, AF_INET6) { for my $t (${kinds}) {
socket(my $s, $f, $t, 0) or die; setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1); setsockopt($s, IPPROTO_IPV6, IPV6_V6ONLY, 1) if $f == AF_INET6;
bind($s, $f == AF_INET ? pack_sockaddr_in(${SERVER}, INADDR_ANY) : pack_sockaddr_in6(${SERVER}, IN6ADDR_ANY)) or die "bind: $!";
if ($t == SOCK_STREAM) { listen($s, 4096) or die; push @listening, $s } else { vec($bits, fileno($s), 1) = 1; push @all, $s } } }
$| = 1; print "ready\\n"; while (1) { my $ready = $bits; select($ready, undef, undef, undef);
for my $s (@all) { next unless vec($ready, fileno($s), 1); my $from = recv($s, my $data, 100, 0); send($s, 'answer', 0, $from) if defined $from and $data eq 'x' } }
`;

/**
 * For each `ID SOURCE DESTINATION PROTOCOL SPORT DPORT EXPECTED` a packet; prints the ids of those that are answered. No SYN is sent twice: the first repetition would come after
 * one second. A connection is closed by a reset.
 */
const senderProgram = `
use Socket qw(:all); use Fcntl; use Time::HiRes 'time'; my %open; my @keep; my $waiting = 0;
while (<STDIN>) { my ($id, $source, $destination, $protocol, $sport, $dport, $expected) = split;
my $type = $protocol == 6 ? SOCK_STREAM : SOCK_DGRAM;
my ($e1, $from) = getaddrinfo($source, $sport, { socktype => $type, flags => AI_NUMERICHOST }); die $e1 if $e1;
my ($e2, $to) = getaddrinfo($destination, $dport, { socktype => $type, flags => AI_NUMERICHOST }); die $e2 if $e2;
socket(my $s, $to->{family}, $type, 0) or die; fcntl($s, F_SETFL, O_NONBLOCK);
setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1); setsockopt($s, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)) if $protocol == 6;
setsockopt($s, IPPROTO_IPV6, 78, 1) if $to->{family} == AF_INET6; # IPV6_FREEBIND
bind($s, $from->{addr}) or die "bind $source $sport: $!"; push @keep, $s;
if ($protocol == 6) { connect($s, $to->{addr}) } else { connect($s, $to->{addr}) and syswrite($s, 'x') }
$waiting += $expected; $open{$id} = [$s, $protocol, $expected] }
my $began = time; while (%open) { my $left = $began + ($waiting > 0 ? 0.9 : 0.2) - time; last if $left <= 0; my ($r, $w) = ('', '');
for (values %open) { if ($_->[1] == 6) { vec($w, fileno($_->[0]), 1) = 1 } else { vec($r, fileno($_->[0]), 1) = 1 } }
select($r, $w, undef, $left);
for my $id (keys %open) { my ($s, $p, $expected) = @{$open{$id}};
if ($p == 6) { next unless vec($w, fileno($s), 1); print "$id\\n" unless unpack('i', getsockopt($s, SOL_SOCKET, SO_ERROR)); $waiting -= $expected; delete $open{$id} }
else { next unless vec($r, fileno($s), 1); print "$id\\n" if defined recv($s, my $data, 100, 0); $waiting -= $expected; delete $open{$id} } } }
`;
