/**
 * "Never open in between" (design.md 5.3) while guests change addresses, MACs and networks with each other in one apply: what both the old and the new policy forbid
 * never arrives, whichever address it is sent from or to, though senders try all the time.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { it } from 'node:test';
import { withHost, type HostBed } from '../bed/host.ts';
import { wrongLines } from './lines.ts';

/** `allowed` may speak with db on 9001 and 9002, `heir` never; what they are called by changes hands. `mover` goes from one network to another. */
const file = (turn: boolean, macs: boolean): string => `
name: hands
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
  b: { kind: nat, subnet: [10.2.0.0/24, fd00:2::/64] }
guests:
  db: { network: a, kind: namespace, address: [10.1.0.5, "fd00:1::5"] }
  allowed: { network: a, kind: namespace, address: [10.1.0.${turn ? 10 : 11}, "fd00:1::${turn ? 10 : 11}"]${macs ? `, mac: 02:00:00:00:00:0${turn ? 1 : 2}` : ''} }
  heir: { network: a, kind: namespace, address: [10.1.0.${turn ? 11 : 10}, "fd00:1::${turn ? 11 : 10}"]${macs ? `, mac: 02:00:00:00:00:0${turn ? 2 : 1}` : ''} }
  mover: { network: ${turn ? 'a' : 'b'}, kind: namespace, address: [10.${turn ? 1 : 2}.0.20, "fd00:${turn ? 1 : 2}::20"] }
allow:
  - allowed -> db udp/9001
  - db -> allowed udp/9002
  - mover -> db udp/9003
`;

/** Sends from any source (IP_TRANSPARENT) until a file appears: \`SOURCE DESTINATION PORT\` each. Prints how many. */
const sender = `
use Socket qw(:all);
my ($stop, @flows) = @ARGV; my @sends;
for (@flows) {
  my ($from, $to, $port) = split / /;
  my $six = $to =~ /:/;
  socket(my $s, $six ? PF_INET6 : PF_INET, SOCK_DGRAM, 17) or die;
  setsockopt($s, $six ? 41 : 0, $six ? 75 : 19, 1) or die "transparent: $!";
  bind($s, $six ? pack_sockaddr_in6(0, inet_pton(AF_INET6, $from)) : pack_sockaddr_in(0, inet_aton($from))) or die "bind $from: $!";
  push @sends, [$s, $six ? pack_sockaddr_in6($port, inet_pton(AF_INET6, $to)) : pack_sockaddr_in($port, inet_aton($to))];
}
my $n = 0;
while (!-e $stop) { for (@sends) { $n++ if defined send($_->[0], 'x', 0, $_->[1]) } select(undef, undef, undef, 0.0005) }
print $n;
`;

for (const macs of [false, true]) {
  it(`addresses${macs ? ' and MACs' : ''} that change hands let nothing through in between`, { timeout: 240_000 }, async () => {
    await withHost({ file: file(true, macs) }, async (bed) => {
      await bed.weft('apply', '--yes');
      await count(bed, 'db', [9001, 9004]);
      await count(bed, 'heir', [9002]);
      await count(bed, 'mover', [9005]);
      const stop = join(bed.directory, 'stop');
      const flood = async (name: string, flows: readonly string[]): Promise<number> => {
        const { kernel } = bed.guest(name);
        // Its own way out, whatever becomes of its addresses.
        const routes = ['10.1.0.1', '10.2.0.1'].map((via, i) => `ip route add default via ${via} dev eth0 onlink metric ${5000 + i}`);
        await kernel.run('sh', ['-c', [...routes, 'ip -6 route add default via fe80::1 dev eth0 metric 5000'].join('; ')]);
        return Number(await kernel.run('perl', ['-e', sender, stop, ...flows]));
      };
      const each = (froms: readonly string[], tos: readonly string[], port: number): string[] =>
        froms.flatMap((from) => tos.filter((to) => to.includes(':') === from.includes(':')).map((to) => `${from} ${to} ${port}`));
      const db = ['10.1.0.5', 'fd00:1::5'];
      const both = ['10.1.0.10', '10.1.0.11', 'fd00:1::10', 'fd00:1::11'];
      const movers = ['10.1.0.20', '10.2.0.20', 'fd00:1::20', 'fd00:2::20'];
      const floods = [
        flood('heir', each(both, db, 9001)),
        flood('db', [...each(db, both, 9002), ...each(db, movers, 9005)]),
        flood('mover', each(movers, db, 9004)),
      ];
      try {
        for (let turn = 1; turn <= 6; turn++) {
          bed.writeFile(file(turn % 2 === 0, macs));
          await bed.weft('apply', '--yes');
        }
      } finally {
        writeFileSync(stop, '');
      }
      for (const sent of await Promise.all(floods)) assert.ok(sent > 2000, `${sent} sent`);
      assert.deepEqual(
        [await counted(bed, 'db'), await counted(bed, 'heir'), await counted(bed, 'mover')],
        [{ 9001: 0, 9004: 0 }, { 9002: 0 }, { 9005: 0 }],
      );
      assert.deepEqual(
        await wrongLines(bed, 'yes allowed db udp/9001\nyes db allowed udp/9002\nno heir db udp/9001\nyes mover db udp/9003'),
        [],
      );
    });
  });
}

async function count(bed: HostBed, guest: string, ports: readonly number[]): Promise<void> {
  const rules = ports.map((port) => `add rule inet count c udp dport ${port} counter\n`).join('');
  const input = `add table inet count\nadd chain inet count c { type filter hook prerouting priority -300; }\n${rules}`;
  await bed.guest(guest).kernel.run('nft', ['-f', '-'], { input });
}

async function counted(bed: HostBed, guest: string): Promise<Record<string, number>> {
  const text = await bed.guest(guest).kernel.run('nft', ['list', 'table', 'inet', 'count']);
  return Object.fromEntries(
    [...text.matchAll(/udp dport (\d+) counter packets (\d+)/g)].map(([, port, packets]) => [port ?? '', Number(packets)]),
  );
}
