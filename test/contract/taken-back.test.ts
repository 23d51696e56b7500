/**
 * "Taken back means taken back" (design.md 5.6): exactly the connections that the new policy no longer allows end at once, whichever way they go, translated or not;
 * others lose nothing.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { it } from 'node:test';
import { internet4, internet6, withHost } from '../bed/host.ts';
import { startLineProcess } from '../../src/kernel/line-process.ts';
import { partiesOf } from './lines.ts';

const networks = (fromHost: string): string => `
name: taken
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64], from-host: ${fromHost} }
  b: { kind: nat, subnet: [10.2.0.0/24, fd00:2::/64] }
`;
const before = `${networks('allow')}
guests:
  web: { network: a, kind: namespace }
  db: { network: a, kind: namespace }
  far: { network: b, kind: namespace }
  odd: { network: a, kind: namespace }
  jail: { inside: web, network: a }
allow:
  - web -> db tcp/5432 udp/5432 icmp
  - web -> far tcp/1-9 udp/1-9
  - far -> db tcp/7 udp/7
  - jail -> db tcp/8 udp/8
  - web -> host tcp/22 udp/22
  - odd -> host tcp/22
  - far -> host tcp/23
`;
const after = `${networks('deny')}
guests:
  web: { network: a, kind: namespace, egress: deny }
  db: { network: a, kind: namespace }
  far: { network: b, kind: namespace }
  odd: { network: a, kind: namespace }
  jail: { inside: web, network: a }
allow:
  - web -> db tcp/5433
  - web -> far tcp/2-9 udp/2-9
  - far -> db tcp/7 udp/7
  - far -> host tcp/23
  - web -> internet tcp/443 udp/443
  - host -> web tcp/81 udp/81
block:
  - jail -> db
`;

/** `ends` or `lives`, from, to, port; TCP and UDP each. */
const flows = `
ends  web db 5432
ends  web far 1
lives web far 2
lives far db 7
ends  jail db 8
ends  web outside 80
lives web outside 443
lives db outside 80
lives jail outside 80
ends  host web 80
lives host web 81
lives host far 80
ends  web gw:a 22
`;

for (const bridgeNfCall of [0, 1] as const) {
  it(`cuts exactly what is no longer allowed, with bridge-nf-call-iptables ${bridgeNfCall}`, async () => {
    await withHost({ file: before, bridgeNfCall }, async (bed) => {
      await bed.weft('apply', '--yes');
      const parties = await partiesOf(bed);
      const odd = bed.guest('odd').kernel;
      await odd.run('sh', ['-ec', 'ip link set dev eth0 addrgenmode random; ip link set dev eth0 down; ip link set dev eth0 up']);
      const held: { name: string; ends: boolean; flow: Awaited<ReturnType<typeof bed.hold>> }[] = [];
      for (const family of [4, 6] as const) {
        for (const line of flows.trim().split('\n')) {
          const [want, from = '', to = '', port] = line.split(/\s+/);
          for (const protocol of ['tcp', 'udp'] as const) {
            const source = from === 'host' ? undefined : parties.address(from, family);
            const flow = await bed.prober.hold({
              from: parties.path(from),
              at: parties.path(to),
              to: parties.address(to, family) ?? '',
              protocol,
              port: Number(port),
              ...(source === undefined ? {} : { source }),
            });
            held.push({ name: `v${family} ${line} ${protocol}`, ends: want === 'ends', flow });
          }
        }
      }
      const linkLocal = async (from: string, port: number, ends: boolean): Promise<void> => {
        const flow = await bed.prober.hold({ from: parties.path(from), at: bed.host.path, to: 'fe80::1%eth0', protocol: 'tcp', port });
        held.push({ name: `${from} by a link-local address to tcp/${port}`, ends, flow });
      };
      await linkLocal('web', 22, true);
      await linkLocal('far', 23, false);
      await linkLocal('odd', 22, true);
      const pings = ([4, 6] as const).map((family) =>
        startLineProcess(bed.guest('web').kernel, 'ping', [
          ...['-n', '-q', '-i', '0.1', '-I', parties.address('web', family) ?? ''],
          parties.address('db', family) ?? '',
        ]),
      );
      // Echo requests that reached db, as its kernel counts them.
      const echoes = async (): Promise<readonly number[]> => {
        const text = await bed.guest('db').kernel.run('nstat', ['-asz', 'IcmpInEchos', 'Icmp6InEchos']);
        return [...text.matchAll(/^Icmp6?InEchos +(\d+)/gm)].map(([, count]) => Number(count));
      };
      while ((await echoes()).some((count) => count < 3)) await sleep(20);

      bed.writeFile(after);
      await bed.weft('apply', '--yes');
      const states = await Promise.all(held.map(({ flow }) => flow.state()));
      const last = await echoes();
      await sleep(1000);
      const later = await Promise.all(held.map(({ flow }) => flow.state()));
      await Promise.all(pings.map((ping) => ping.stop('SIGINT')));
      const wrong = held.flatMap(({ name, ends }, i) => {
        const [first, second] = [states[i], later[i]];
        const died = second?.closed !== undefined || second?.echoed === first?.echoed;
        const whole = second !== undefined && second.closed === undefined && second.sent - second.echoed <= 3;
        return (ends ? died : whole) ? [] : [`${name}: ${JSON.stringify([first, second])}`];
      });
      assert.deepEqual(wrong, []);
      assert.deepEqual(await echoes(), last, 'echo requests end too');
    });
  });
}

const same = (guests: string, rules: string): string => `
name: heir
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
guests:
  db: { network: a, kind: namespace }
${guests}
allow:
${rules}
`;
const address = 'address: [10.1.0.50, "fd00:1::50"]';

it('leaves a guest nothing of what another one had open with the same address', async () => {
  await withHost({ file: same(`  old: { network: a, kind: namespace, ${address} }`, '  - old -> db') }, async (bed) => {
    await bed.weft('apply', '--yes');
    for (const to of [internet4, internet6]) await bed.hold('old', 'outer', { to, protocol: 'udp', port: 9 });
    await bed.hold('outer', 'outer', { to: internet4, protocol: 'udp', port: 10 });
    const entries = async (): Promise<string[]> => {
      const lists = await Promise.all(['ipv4', 'ipv6'].map((family) => bed.host.kernel.run('conntrack', ['-L', '-f', family])));
      return lists
        .join('')
        .split('\n')
        .filter((line) => / src=(10\.1\.0\.50|fd00:1::50) /.test(line));
    };
    assert.equal((await entries()).length, 2);
    // The old guest's interface goes on sending until it is removed.
    bed.writeFile(same(`  heir: { network: a, kind: namespace, ${address} }`, '  - heir -> db'));
    await bed.weft('apply', '--yes');
    assert.deepEqual(await entries(), []);
  });
});
