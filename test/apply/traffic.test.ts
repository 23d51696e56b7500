/**
 * Applies under traffic: what is allowed loses nothing, what is forbidden leaks nothing, established flows live on, and what is taken back dies.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { withHost } from '../bed/host.ts';
import { applier } from './in-process.ts';

/**
 * Perl (perl-base is essential on Debian) sends faster than Node: `RATE` datagrams a second to each of the addresses, in bursts of a
 * hundredth of a second's worth at most; prints how many to each.
 */
const sender = `
use Socket;
my ($rate, $seconds, $stop, @to) = @ARGV; my @count = (0) x @to;
my @socks = map { my ($host, $port) = split /:/; socket(my $s, PF_INET, SOCK_DGRAM, 17) or die; connect($s, sockaddr_in($port, inet_aton($host))) or die; $s } @to;
my $end = time + $seconds; my ($second, $sent) = (0, 0);
while ((my $now = time) < $end && !-e $stop) {
  if ($now != $second) { $second = $now; $sent = 0 }
  for (1 .. 60) { last if $sent >= $rate; $sent++; for my $i (0 .. $#socks) { $count[$i]++ if defined send($socks[$i], 'x' x 22, 0) } }
  select(undef, undef, undef, 0.001);
}
print join(' ', @count), "\\n";
`;

const counting = (port: number): string => `
add table inet count
add chain inet count c { type filter hook prerouting priority -300; }
add rule inet count c udp dport ${port} counter
`;

async function counted(kernel: Kernel): Promise<number> {
  return Number(/counter packets (\d+)/.exec(await kernel.run('nft', ['list', 'table', 'inet', 'count']))?.[1]);
}

const RATE = 30_000;
const CHANGES = 100;

describe('while packets flow', () => {
  it(
    `${RATE} allowed and ${RATE} forbidden packets a second through ${CHANGES} changes: none lost, none leaked`,
    { timeout: 240_000 },
    async (t) => {
      const file = (round: number): string => `
name: flood
networks:
  internal: { kind: nat, subnet: 10.0.105.0/24 }
guests:
  a: { network: internal, kind: namespace, address: 10.0.105.10 }
  b: { network: internal, kind: namespace, address: 10.0.105.20 }
  c: { network: internal, kind: namespace, address: 10.0.105.30 }
  ${round % 2 === 0 ? 'd: internal' : 'e: internal'}
allow:
  - a -> b udp/9000
  ${round % 3 === 0 ? '- b -> c udp/9001' : '- c -> a udp/9001'}
  ${round % 5 === 0 ? '- a -> b tcp/80' : '- a -> c tcp/81'}
`;
      await withHost({}, async (bed) => {
        const apply = applier(bed);
        bed.writeFile(file(0));
        await apply(file(0));
        for (const [name, port] of [
          ['b', 9000],
          ['c', 9001],
        ] as const) {
          await bed.guest(name).kernel.run('nft', ['-f', '-'], { input: counting(port) });
          // Room for what a busy machine cannot take in at once: loss in a queue would not be Weft's, nor say anything of it.
          await bed.guest(name).kernel.run('sh', ['-c', 'sysctl -qw net.ipv4.icmp_ratelimit=0']);
        }
        let done = false;
        // Stopped as soon as the changes are made; a slow machine may take this long for them.
        const seconds = 150;
        const stop = join(bed.directory, 'stop');
        const sending = bed
          .guest('a')
          .kernel.run('perl', ['-e', sender, String(RATE), String(seconds), stop, '10.0.105.20:9000', '10.0.105.30:9001'], {
            timeoutMs: 200_000,
          })
          .finally(() => (done = true));
        let changes = 0;
        for (let round = 1; round <= CHANGES && !done; round++, changes++) await apply(file(round));
        const finished = changes;
        writeFileSync(stop, '');
        const [allowed = 0, forbidden = 0] = (await sending).trim().split(' ').map(Number);
        await sleep(200);
        t.diagnostic(`${allowed} allowed and ${forbidden} forbidden packets during ${finished} changes`);
        assert.ok(finished >= CHANGES, `only ${finished} changes fitted into ${seconds} s of traffic`);
        assert.ok(allowed > RATE * 5, `only ${allowed} packets were sent`);
        assert.equal(await counted(bed.guest('c').kernel), 0, `leaked of ${forbidden}`);
        assert.equal(allowed - (await counted(bed.guest('b').kernel)), 0, `lost of ${allowed}`);
      });
    },
  );

  it(
    `an allowed TCP flow loses no byte over ${CHANGES} changes of others; a revoked one is dead within a second`,
    { timeout: 240_000 },
    async () => {
      const file = (round: number, revoked: boolean): string => `
name: flows
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
guests:
  a: { network: internal, kind: namespace, address: [10.0.105.10, "fd00:105::10"] }
  b: { network: internal, kind: namespace, address: [10.0.105.20, "fd00:105::20"] }
  ${round % 2 === 0 ? 'd: internal' : 'e: { network: internal, kind: namespace }'}
allow:
  - a -> b tcp/80
  ${revoked ? '' : '- a -> b tcp/81 udp/82'}
  ${round % 3 === 0 ? '- b -> a tcp/90' : '- b -> a tcp/91'}
`;
      await withHost({}, async (bed) => {
        const apply = applier(bed);
        bed.writeFile(file(0, false));
        await apply(file(0, false));
        const flow = (to: string, protocol: 'tcp' | 'udp', port: number) => bed.hold('a', 'b', { to, protocol, port, everyMs: 20 });
        const kept = [await flow('10.0.105.20', 'tcp', 80), await flow('fd00:105::20', 'tcp', 80)];
        const doomed = [await flow('10.0.105.20', 'tcp', 81), await flow('fd00:105::20', 'tcp', 81), await flow('10.0.105.20', 'udp', 82)];
        for (let round = 1; round <= CHANGES; round++) await apply(file(round, false));
        for (const held of [...kept, ...doomed]) {
          const state = await held.state();
          assert.equal(state.closed, undefined);
          assert.ok(state.sent > 20 && state.sent - state.echoed <= 5, `unanswered: ${JSON.stringify(state)}`);
        }
        const outcome = await apply(file(CHANGES, true));
        assert.equal(outcome.cut, 3, 'exactly the three revoked connections are cut');
        await sleep(1000);
        const then = await Promise.all(doomed.map((held) => held.state()));
        await sleep(700);
        for (const [index, held] of doomed.entries()) {
          const now = await held.state();
          assert.equal(now.echoed, then[index]?.echoed, `revoked flow ${index} goes on: ${JSON.stringify(now)}`);
        }
        for (const held of kept) {
          const before = await held.state();
          await sleep(300);
          const after = await held.state();
          assert.ok(after.closed === undefined && after.echoed > before.echoed, JSON.stringify(after));
        }
        await Promise.all([...kept, ...doomed].map((held) => held.release()));
      });
    },
  );
});
