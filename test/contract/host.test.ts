/**
 * Between guests and their host: it is reached at its own addresses as declared, of its services only DHCP, DNS and ping of the own gateway by default, and a `block` holds
 * for link-local addresses of any making.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withHost } from '../bed/host.ts';
import { wrongLines } from './lines.ts';

const file = `
name: local
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
  b: { kind: nat, subnet: [10.2.0.0/24, fd00:2::/64], from-host: deny }
guests:
  web: { network: a, kind: namespace }
  db: { network: a, kind: namespace }
  far: { network: b, kind: namespace }
allow:
  - db -> host udp/53
  - db -> host udp/1-52
  - far -> host tcp/22
block:
  - host -> web
  - far -> 10.2.0.1 tcp/22
`;
/** Further addresses of the host: on another interface, on the loopback, and a second one on a bridge. */
const more = `
ip link add dev lan0 type veth peer name lan1
ip link set dev lan1 up
ip link set dev lan0 up
ip addr add 192.168.50.1/24 dev lan0
ip addr add fd50::1/64 dev lan0 nodad
ip addr add 10.77.0.1/32 dev lo
`;
const lines = `
no  web 192.168.50.1@host icmp
no  web 192.168.50.1@host tcp/80
no  web 192.168.50.1@host udp/67
no  web fd50::1@host icmp
no  web fd50::1@host tcp/80
no  web 10.77.0.1@host udp/53
no  web 203.0.113.11@host icmp
yes web gw:a icmp
no  web gw:b icmp
no  web gw:a udp/53053
no  web gw:a tcp/53053
no  web gw:a udp/67
yes db 192.168.50.1@host udp/53
yes db fd50::1@host udp/53
yes db 10.77.0.1@host udp/52
no  db gw:a udp/53053
no  db gw:b udp/53053
no  db 192.168.50.1@host udp/53053
no  db 192.168.50.1@host tcp/53
4: no far gw:b tcp/22
6: yes far gw:b tcp/22
yes far 192.168.50.1@host tcp/22
yes far 203.0.113.11@host tcp/22
no  host web icmp
no  host web tcp/80
yes host db icmp
no  host far icmp
`;

for (const bridgeNfCall of [0, 1] as const) {
  it(`the host is reached as declared, with bridge-nf-call-iptables ${bridgeNfCall}`, async () => {
    await withHost({ file, bridgeNfCall }, async (bed) => {
      await bed.host.kernel.run('sh', ['-ec', more]);
      await bed.weft('apply', '--yes');
      assert.deepEqual(await wrongLines(bed, lines), []);

      // A client's port gets it to the DHCP server of its own network, and to no other service of that number.
      await bed.host.kernel.run('sh', [
        '-ec',
        'nft add table ip seen; nft add chain ip seen in "{ type filter hook input priority 10; }"; for to in "==" "!="; do nft add rule ip seen in udp dport 67 ip daddr $to 255.255.255.255 counter; done',
      ]);
      const client = bed.guest('web').kernel;
      const seen = async (): Promise<readonly number[]> =>
        [...(await bed.host.kernel.run('nft', ['list', 'table', 'ip', 'seen'])).matchAll(/packets (\d+)/g)].map((match) =>
          Number(match[1]),
        );
      const [, mac = ''] = /link\/ether (\S+)/.exec(await client.run('ip', ['link', 'show', 'dev', 'eth0'])) ?? [];
      await client.run('perl', ['-e', asDhcpClient, '10.1.0.1', mac]);
      // Whichever server it names, it is a question to everybody on its own network.
      assert.deepEqual(await seen(), [1, 0]);
      for (const to of ['192.168.50.1', '203.0.113.10', '10.2.0.1']) await client.run('perl', ['-e', asDhcpClient, to, mac]);
      assert.deepEqual(await seen(), [4, 0]);
    });
  });
}

/** A DHCP request that says the sender's own hardware address. */
const asDhcpClient = `
use Socket;
my ($to, $mac) = @ARGV;
socket(my $s, PF_INET, SOCK_DGRAM, 17) or die; bind($s, sockaddr_in(68, INADDR_ANY)) or die;
send($s, pack('C4 N x4 x16 H12 x202', 1, 1, 6, 0, 7, join('', split(/:/, $mac))) . pack('H*', '63825363350103ff'), 0, sockaddr_in(67, inet_aton($to))) or die;
`;

it('a block holds for link-local addresses that are not made of the MAC', async () => {
  await withHost({ file }, async (bed) => {
    await bed.weft('apply', '--yes');
    const linkLocal = async (name: string, random: boolean): Promise<string> => {
      const { kernel } = bed.guest(name);
      if (random)
        await kernel.run('sh', ['-ec', 'ip link set dev eth0 addrgenmode random; ip link set dev eth0 down; ip link set dev eth0 up']);
      for (let i = 0; i < 50; i++) {
        const found = /inet6 (fe80::[0-9a-f:]+)\/64 scope link(?! tentative)/.exec(
          await kernel.run('ip', ['-6', 'addr', 'show', 'dev', 'eth0']),
        )?.[1];
        if (found !== undefined) return found;
        await sleep(50);
      }
      throw new Error(`${name} has no link-local address`);
    };
    const reached = async (name: string, random: boolean): Promise<boolean> =>
      (await bed.probe('host', name, { to: `${await linkLocal(name, random)}%br-a`, protocol: 'tcp', port: 80, timeoutMs: 1500 }))
        .delivered;
    assert.deepEqual([await reached('web', false), await reached('db', false), await reached('web', true)], [false, true, false]);
    bed.writeFile(file.replace('  - host -> web\n', ''));
    await bed.weft('apply', '--yes');
    assert.equal(await reached('web', true), true);
  });
});
