/**
 * "Related errors always pass", and MTU: port unreachable, time exceeded, fragmentation needed, no route; from the host, from siblings and from outside. With a smaller
 * MTU on one network and on the uplink, whole transfers pass, and a packet that must not be fragmented is answered, also when it is the first of its flow.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { internet4, internet6, withHost } from '../bed/host.ts';
import { partiesOf, wrongLines } from './lines.ts';

const file = `
name: errs
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64], mtu: 1500 }
  small: { kind: nat, subnet: [10.2.0.0/24, fd00:2::/64], mtu: 1400, from-host: deny }
  lab: { kind: isolated, subnet: [10.3.0.0/24, fd00:3::/64], from-host: deny }
guests:
  web: { network: a, kind: namespace }
  db: { network: a, kind: namespace }
  tiny: { network: small, kind: namespace }
  vault: { network: lab, kind: namespace }
allow:
  - web -> db
  - web -> tiny
  - tiny -> web
  - vault -> host udp/9999
  - web -> host udp/9999
`;

/** Sends 1 MB to an echo and prints `all` when it is back; the echo's greeting comes before. */
const megabyte = `
const socket = require('node:net').connect(7, process.argv[1]);
const block = Buffer.alloc(1 << 20, 'x');
let greeting, got = 0;
socket.on('data', (chunk) => {
  if (!greeting) { greeting = true; chunk = chunk.subarray(chunk.indexOf(10) + 1); socket.write(block); }
  got += chunk.length;
  if (got === block.length) { process.stdout.write('all'); process.exit(); }
});
setTimeout(() => { process.stdout.write(String(got)); process.exit(1); }, 4000);
`;

for (const bridgeNfCall of [0, 1] as const) {
  it(`errors come back, with bridge-nf-call-iptables ${bridgeNfCall}`, async () => {
    await withHost({ file, bridgeNfCall, host: { mtu: 1300 } }, async (bed) => {
      await bed.weft('apply', '--yes');
      const parties = await partiesOf(bed);
      // One error a second to one address is the kernel's default: more than that are wanted here.
      for (const path of [bed.host.path, parties.path('db')]) {
        const { kernel } = bed.host;
        await kernel.at(path).run('sh', ['-c', 'echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit']);
      }
      const wrong: string[] = [];
      const tried = async (what: string, from: string, script: string, want: RegExp): Promise<void> => {
        const { stdout, stderr } = await bed.guest(from).kernel.tryRun('sh', ['-c', script]);
        if (!want.test(stdout + stderr)) wrong.push(`${what}: ${stdout}${stderr}`);
      };
      for (const family of [4, 6] as const) {
        const address = (name: string): string => parties.address(name, family) ?? '';
        const outside = family === 4 ? internet4 : internet6;
        const over = family === 4 ? 28 : 48;
        const ping = (size: number, to: string, more = ''): string => `ping -n -c 2 -i 0.2 -W 1 -M do -s ${size - over} ${more} ${to}`;
        const flush = family === 4 ? 'ip route flush cache' : 'ip -6 route flush cache';
        await tried(`v${family} exact size`, 'web', ping(1400, address('tiny')), / 2 received/);
        await tried(`v${family} too big for the network`, 'web', ping(1401, address('tiny')), /mtu.?[=:] ?1400|Message too long/i);
        await tried(`v${family} exact size to the outside`, 'web', ping(1300, outside), / 2 received/);
        await tried(`v${family} too big for the uplink`, 'web', ping(1301, outside), /mtu.?[=:] ?1300|Message too long/i);
        await tried(`v${family} learned`, 'web', `ip route get ${outside}`, /mtu 1300/);
        await tried(`v${family} time exceeded`, 'web', `${flush}; ping -n -c 1 -W 1 -t 1 ${address('db')}`, /exceeded|Hop limit/i);
        await tried(`v${family} time exceeded, to the outside`, 'tiny', `ping -n -c 1 -W 1 -t 1 ${outside}`, /exceeded|Hop limit/i);
        await tried(`v${family} its own MTU`, 'tiny', 'ip link show dev eth0', /mtu 1400/);
        await bed.prober.listen(bed.outer.path, 'tcp', 7);
        await bed.prober.listen(parties.path('tiny'), 'tcp', 7);
        for (const [from, to] of [
          ['tiny', outside],
          ['web', outside],
          ['web', address('tiny')],
        ] as const) {
          const { stdout, stderr } = await bed.guest(from).kernel.tryRun(process.execPath, ['-e', megabyte, to]);
          if (stdout !== 'all') wrong.push(`v${family} 1 MB from ${from} to ${to} and back: ${stdout}${stderr}`);
        }
      }
      // Refused by a closed port, as a probe sees it: nobody was asked to listen.
      const refusals = await bed.prober.probeAll(
        ([4, 6] as const).flatMap((family) =>
          (
            [
              ['web', 'db'],
              ['web', 'gw:a'],
              ['vault', 'gw:lab'],
            ] as const
          ).map(([from, to]) => ({
            from: parties.path(from),
            to: parties.address(to, family) ?? '',
            protocol: 'udp' as const,
            port: 9999,
          })),
        ),
      );
      for (const [i, { refused }] of refusals.entries()) if (!refused) wrong.push(`refusal ${i}`);
      assert.deepEqual(wrong, []);
      assert.deepEqual(await wrongLines(bed, 'yes web db icmp\nno db web icmp\nno vault db icmp'), []);
    });
  });
}
