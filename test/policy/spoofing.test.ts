/**
 * Nobody forges: raw frames from a guest's own NIC, each with one lie, seen neither on the bridge nor at a neighbour, and without effect on what the host knows
 * of its guests; and honest ones of the same make, seen on the bridge. With bridge-nf-call-iptables 0 and 1.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { linkLocalOfMac } from '../../src/net/ip.ts';
import {
  arp,
  captureFrames,
  destinationOptions,
  dhcp,
  ethernet,
  fragment6,
  icmpv6,
  ipv4,
  ipv6,
  neighborAdvert,
  neighborSolicit,
  routerAdvert,
  routerAdvertBody,
  sendFrames,
  tagged,
  udp,
  withChecksum6,
} from './frames.ts';
import { withPolicy } from './policy-bed.ts';
import type { Small } from './small-fabric.ts';

const small: Small = {
  networks: { a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64' } },
  guests: { web: { networks: ['a'] }, db: { networks: ['a'] }, jail: { networks: ['a'], inside: 'web' } },
  // What a forged source would be good for.
  allow: [{ from: 'db', to: 'host' }],
};

const ALL = 'ff:ff:ff:ff:ff:ff';
const NODES = '33:33:00:00:00:01';
const ZERO = '00:00:00:00:00:00';
const bridge = '02:00:00:ff:00:00';
const own = { mac: '02:00:00:00:01:00', v4: '10.1.0.10', v6: 'fd00:1::a', ll: linkLocalOfMac('02:00:00:00:01:00') };
const other = { mac: '02:00:00:00:02:00', v4: '10.1.0.11', v6: 'fd00:1::b', ll: linkLocalOfMac('02:00:00:00:02:00') };
const jail = { v4: '10.1.0.12', v6: 'fd00:1::c' };
/** A link-local address that is not made of the MAC (RFC 7217). */
const privacy = 'fe80::1234:5678:9abc:def0';
const stranger = '02:00:00:00:99:00';
const gateway4 = '10.1.0.1';
const nodes = 'ff02::1';

const hello = udp(4000, 4000, '77656674');
const packet4 = (from: string): string => ipv4({ from, to: gateway4, protocol: 17 }, hello);
const packet6 = (from: string, to = 'fd00:1::1'): string => ipv6(from, to, 17, withChecksum6(from, to, 17, udp(4000, 4000, '77656674'), 6));
const toBridge4 = (from: string, packet: string): string => ethernet(bridge, from, 0x0800, packet);
const toBridge6 = (from: string, packet: string): string => ethernet(bridge, from, 0x86dd, packet);
const broadcast4 = (packet: string): string => ethernet(ALL, own.mac, 0x0800, packet);
const multicast6 = (packet: string): string => ethernet(NODES, own.mac, 0x86dd, packet);
const discover = (chaddr: string): string => udp(68, 67, dhcp(1, chaddr, '350101'));
const offer = udp(67, 68, dhcp(2, other.mac, '350102'));
const ra = icmpv6(own.ll, nodes, 134, routerAdvertBody('2001:db8:bad::'));

const honest: Readonly<Record<string, string>> = {
  'IPv4 to the gateway': toBridge4(own.mac, packet4(own.v4)),
  'IPv4 of the guest inside': toBridge4(own.mac, packet4(jail.v4)),
  'IPv6 to the gateway': toBridge6(own.mac, packet6(own.v6)),
  'IPv6 of the guest inside': toBridge6(own.mac, packet6(jail.v6)),
  'IPv4 broadcast': broadcast4(ipv4({ from: own.v4, to: '10.1.0.255', protocol: 17 }, hello)),
  'ARP request': ethernet(ALL, own.mac, 0x0806, arp(1, own.mac, own.v4, ZERO, gateway4)),
  'ARP probe': ethernet(ALL, own.mac, 0x0806, arp(1, own.mac, '0.0.0.0', ZERO, own.v4)),
  'ARP reply': ethernet(bridge, own.mac, 0x0806, arp(2, own.mac, own.v4, bridge, gateway4)),
  'DHCP discover': broadcast4(ipv4({ from: '0.0.0.0', to: '255.255.255.255', protocol: 17 }, discover(own.mac))),
  'router solicitation': multicast6(ipv6(own.ll, 'ff02::2', 58, icmpv6(own.ll, 'ff02::2', 133, '00000000'))),
  'solicitation from another link-local address': multicast6(ipv6(privacy, 'ff02::2', 58, icmpv6(privacy, 'ff02::2', 133, '00000000'))),
  'duplicate address detection': multicast6(neighborSolicit('::', 'ff02::1:ff00:a', own.v6)),
  'NA of its own': toBridge6(own.mac, neighborAdvert(own.v6, 'fe80::1', own.v6, own.mac)),
  'NA of another link-local address': toBridge6(own.mac, neighborAdvert(privacy, 'fe80::1', privacy, own.mac)),
};

/** br_netfilter puts fragments together before the bridge sees them. */
const honestFragment = {
  'a later fragment': toBridge4(own.mac, ipv4({ from: own.v4, to: gateway4, protocol: 17, fragmentOffset: 100 }, 'aa'.repeat(64))),
};

const forged: Readonly<Record<string, string>> = {
  'a strange MAC': toBridge4(stranger, packet4(own.v4)),
  "a neighbour's MAC": toBridge4(other.mac, packet4(other.v4)),
  "the bridge's MAC": ethernet(ALL, bridge, 0x0800, packet4(own.v4)),
  'a strange MAC, IPv6': toBridge6(stranger, packet6(own.v6)),
  "a neighbour's IPv4": toBridge4(own.mac, packet4(other.v4)),
  "a neighbour's IPv4, at its port": ethernet(other.mac, own.mac, 0x0800, ipv4({ from: gateway4, to: other.v4, protocol: 17 }, hello)),
  "the gateway's IPv4": toBridge4(own.mac, packet4(gateway4)),
  'an IPv4 of nobody': toBridge4(own.mac, packet4('10.1.0.77')),
  'an outer IPv4': toBridge4(own.mac, packet4('198.51.100.7')),
  'no IPv4, not DHCP': toBridge4(own.mac, packet4('0.0.0.0')),
  "a neighbour's IPv6": toBridge6(own.mac, packet6(other.v6)),
  "the gateway's IPv6": toBridge6(own.mac, packet6('fd00:1::1')),
  "the gateway's link-local": multicast6(packet6('fe80::1', nodes)),
  "a neighbour's link-local": multicast6(packet6(other.ll, nodes)),
  'an IPv6 of nobody': toBridge6(own.mac, packet6('fd00:1::77')),
  'no IPv6, not ND': multicast6(packet6('::', nodes)),
  "ARP request with a neighbour's address": ethernet(ALL, own.mac, 0x0806, arp(1, own.mac, other.v4, ZERO, gateway4)),
  "ARP request with the gateway's address": ethernet(ALL, own.mac, 0x0806, arp(1, own.mac, gateway4, ZERO, gateway4)),
  'ARP request with another MAC inside': ethernet(ALL, own.mac, 0x0806, arp(1, other.mac, own.v4, ZERO, gateway4)),
  'ARP probe with another MAC inside': ethernet(ALL, own.mac, 0x0806, arp(1, other.mac, '0.0.0.0', ZERO, own.v4)),
  'ARP request for an address of nobody': ethernet(ALL, own.mac, 0x0806, arp(1, own.mac, own.v4, ZERO, '10.1.0.77')),
  "ARP reply with a neighbour's address": ethernet(bridge, own.mac, 0x0806, arp(2, own.mac, other.v4, bridge, gateway4)),
  "ARP reply with a neighbour's MAC": ethernet(bridge, own.mac, 0x0806, arp(2, stranger, own.v4, bridge, gateway4)),
  'gratuitous ARP of the gateway': ethernet(ALL, own.mac, 0x0806, arp(2, own.mac, gateway4, ALL, gateway4)),
  'ARP reply from 0.0.0.0': ethernet(ALL, own.mac, 0x0806, arp(2, own.mac, '0.0.0.0', ALL, gateway4)),
  'reverse ARP': ethernet(ALL, own.mac, 0x0806, arp(3, own.mac, own.v4, own.mac, own.v4)),
  'NA of a neighbour': toBridge6(own.mac, neighborAdvert(own.v6, 'fe80::1', other.v6, own.mac)),
  'NA of a neighbour, link-local': multicast6(neighborAdvert(own.ll, nodes, other.ll, own.mac)),
  'NA of the gateway': multicast6(neighborAdvert(own.ll, nodes, 'fe80::1', own.mac)),
  "NA of the gateway's other address": multicast6(neighborAdvert(own.ll, nodes, 'fd00:1::1', own.mac)),
  'router advertisement': multicast6(routerAdvert(own.ll, nodes, '2001:db8:bad::')),
  'router advertisement behind options': multicast6(ipv6(own.ll, nodes, 60, destinationOptions(58, ra))),
  'router advertisement in a first fragment': multicast6(ipv6(own.ll, nodes, 44, fragment6(58, 0, true, ra))),
  'ICMPv6 redirect': multicast6(ipv6(own.ll, nodes, 58, icmpv6(own.ll, nodes, 137, '00'.repeat(36)))),
  'DHCP offer': broadcast4(ipv4({ from: own.v4, to: '255.255.255.255', protocol: 17 }, offer)),
  'DHCP offer of the gateway': broadcast4(ipv4({ from: gateway4, to: '255.255.255.255', protocol: 17 }, offer)),
  'DHCP offer in fragments': broadcast4(
    ipv4({ from: own.v4, to: '255.255.255.255', protocol: 17, moreFragments: true }, offer.slice(0, 64)),
  ),
  'DHCP discover for another': broadcast4(ipv4({ from: '0.0.0.0', to: '255.255.255.255', protocol: 17 }, discover(other.mac))),
  'DHCP release for another': toBridge4(own.mac, ipv4({ from: own.v4, to: gateway4, protocol: 17 }, discover(other.mac))),
  "DHCP from a neighbour's address": toBridge4(own.mac, ipv4({ from: other.v4, to: gateway4, protocol: 17 }, discover(own.mac))),
  'DHCP in a fragment too short to tell': toBridge4(
    own.mac,
    ipv4({ from: own.v4, to: gateway4, protocol: 17, moreFragments: true }, discover(other.mac).slice(0, 64)),
  ),
  'DHCPv6 reply': multicast6(ipv6(own.ll, nodes, 17, withChecksum6(own.ll, nodes, 17, udp(547, 546, '07000000'), 6))),
  'a VLAN tag': tagged(toBridge4(own.mac, packet4(own.v4)), 0x8100, 10),
  'a VLAN tag of nothing': tagged(toBridge4(own.mac, packet4(own.v4)), 0x8100, 0),
  'a VLAN tag, IPv6': tagged(toBridge6(own.mac, packet6(own.v6)), 0x8100, 10),
  'a VLAN tag of nothing, IPv6': tagged(toBridge6(own.mac, packet6(own.v6)), 0x8100, 0),
  'a provider tag': tagged(toBridge4(own.mac, packet4(own.v4)), 0x88a8, 10),
  'two tags': tagged(tagged(toBridge4(own.mac, packet4(own.v4)), 0x8100, 10), 0x88a8, 10),
  'a tagged ARP reply': tagged(ethernet(ALL, own.mac, 0x0806, arp(2, own.mac, gateway4, ALL, gateway4)), 0x8100, 0),
  'an unknown protocol': ethernet(ALL, own.mac, 0x88b5, '00'.repeat(46)),
  LLDP: ethernet('01:80:c2:00:00:0e', own.mac, 0x88cc, '00'.repeat(46)),
  'a bridge protocol message': ethernet('01:80:c2:00:00:00', own.mac, 0x0026, `424203${'00'.repeat(43)}`),
  PPPoE: ethernet(ALL, own.mac, 0x8863, '00'.repeat(46)),
  "a first fragment with a neighbour's IPv4": toBridge4(
    own.mac,
    ipv4({ from: other.v4, to: gateway4, protocol: 17, moreFragments: true }, 'aa'.repeat(64)),
  ),
  "a later fragment with a neighbour's IPv4": toBridge4(
    own.mac,
    ipv4({ from: other.v4, to: gateway4, protocol: 17, fragmentOffset: 8 }, 'aa'.repeat(64)),
  ),
  "a fragment with a neighbour's IPv6": toBridge6(own.mac, ipv6(other.v6, 'fd00:1::1', 44, fragment6(17, 8, false, 'aa'.repeat(64)))),
};

/** Reach the host, whose kernel ignores neighbour discovery in fragments (RFC 6980), and nobody else. */
const hidden: Readonly<Record<string, string>> = {
  'router advertisement, its type in a second fragment': multicast6(
    ipv6(own.ll, nodes, 44, fragment6(60, 0, true, destinationOptions(58, ''))),
  ),
  'the second fragment': multicast6(ipv6(own.ll, nodes, 44, fragment6(60, 1, false, ra))),
};

for (const bridgeNfCall of [0, 1] as const) {
  it(`no lie gets anywhere (bridge-nf-call-iptables ${bridgeNfCall})`, async () => {
    await withPolicy(small, { bridgeNfCall }, async ({ host, at }) => {
      const known = async (): Promise<string> =>
        [
          await host.kernel.run('ip', ['neigh', 'show', 'dev', 'br-a', 'nud', 'permanent']),
          await host.kernel.run('bridge', ['fdb', 'show', 'br', 'br-a']),
          await host.kernel.run('ip', ['-6', 'route', 'show', 'default']),
          await host.kernel.run('ip', ['-br', 'addr', 'show', 'dev', 'br-a']),
        ].join('');
      const fine = bridgeNfCall === 0 ? { ...honest, ...honestFragment } : honest;
      const before = await known();
      const onBridge = await captureFrames(host.kernel, 'br-a', 'in');
      const atNeighbour = await captureFrames(at('db'), 'eth0', 'in');
      await sendFrames(at('web'), 'eth0', [...Object.values(fine), ...Object.values(forged), ...Object.values(hidden)]);
      const bridgeSaw = await onBridge.stop();
      const neighbourSaw = await atNeighbour.stop();
      const seen = (frames: Readonly<Record<string, string>>, where: readonly string[]): string[] =>
        Object.entries(frames)
          .filter(([, frame]) => where.some((one) => one.startsWith(frame)))
          .map(([name]) => name);
      assert.deepEqual(seen(fine, bridgeSaw), Object.keys(fine));
      assert.deepEqual(seen(forged, bridgeSaw), []);
      assert.deepEqual(seen({ ...fine, ...forged, ...hidden }, neighbourSaw), []);
      assert.equal(await known(), before);
      // A learned entry would be no better: nothing of the neighbour's is known with this guest's MAC.
      const learned = await host.kernel.run('ip', ['neigh', 'show', 'dev', 'br-a']);
      for (const line of learned.split('\n')) {
        const [address] = line.split(' ');
        if (line.includes(own.mac)) assert.ok([own.v4, own.v6, own.ll, privacy, jail.v4, jail.v6].includes(address ?? ''), line);
      }
    });
  });
}
