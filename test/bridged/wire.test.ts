/**
 * What a bridge shares and the policy's rules have no words for: nobody on the wire takes a guest's place, guests take nobody's, DHCP and names are this host's for its guests
 * alone. By raw frames, a real DHCP client behind a port and a hostile server on the wire.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import {
  arp,
  captureFrames,
  dhcp,
  ethernet,
  ipv4,
  ipv6,
  neighborAdvert,
  neighborSolicit,
  routerAdvert,
  sendFrames,
  tagged,
  udp,
  withChecksum6,
} from '../policy/frames.ts';
import { ask, renew, udhcpc } from '../services/clients.ts';
import { linkLocalOfMac } from '../../src/net/ip.ts';
import { GATEWAY, HOST, linkAddress, NEIGHBOUR, withLan } from './lan.ts';

const file = (name: string, subnets: string): string => `
name: ${name}
networks: { external: { kind: bridged, interface: em0, subnet: ${subnets}, gateway: ${GATEWAY}, range: 192.168.118.220-192.168.118.230 } }
guests:
  web: { network: external, kind: namespace, address: 192.168.118.220, mac: '02:00:00:00:01:00' }
  db: { network: external, kind: namespace, address: 192.168.118.221, mac: '02:00:00:00:02:00' }
allow:
  - web -> db udp/4000
  - ${NEIGHBOUR} -> db udp/4000
  - db -> ${NEIGHBOUR} udp/4000
`;

const WEB = { mac: '02:00:00:00:01:00', v4: '192.168.118.220', ll: linkLocalOfMac('02:00:00:00:01:00') };
const DB = { mac: '02:00:00:00:02:00', v4: '192.168.118.221', ll: linkLocalOfMac('02:00:00:00:02:00') };
const ALL = 'ff:ff:ff:ff:ff:ff';
const NODES = '33:33:00:00:00:01';

/** Sends each frame from one interface and says which of them came in at the other, by their bytes. */
type Named = Readonly<Record<string, string>>;

const packet = (from: string, to: string, port = 4000): string => ipv4({ from, to, protocol: 17 }, udp(4000, port, '77656674'));
const packet6 = (from: string, to: string): string => ipv6(from, to, 17, withChecksum6(from, to, 17, udp(4000, 4000, '77656674'), 6));

it('frames that lie do not pass, from the wire or to it', { timeout: 120_000 }, async () => {
  await withLan(file('lies', '192.168.118.0/24'), async (bed) => {
    await bed.weft('apply', '--yes');
    const { neighbour } = bed;
    const mac = linkAddress(await neighbour.kernel.run('ip', ['-j', 'link', 'show', 'dev', 'eth0']));
    const ll = linkLocalOfMac(mac);
    const [web, db] = [bed.guest('web').kernel, bed.guest('db').kernel];
    const toDb = (from: string, payload: string, type = 0x0800): string => ethernet(DB.mac, from, type, payload);
    const honestIn = { packet: toDb(mac, packet(NEIGHBOUR, DB.v4)), arp: toDb(mac, arp(2, mac, NEIGHBOUR, DB.mac, DB.v4), 0x0806) };
    const lyingIn: Named = {
      "a guest's MAC": toDb(WEB.mac, packet(NEIGHBOUR, DB.v4)),
      "a guest's address": toDb(mac, packet(WEB.v4, DB.v4)),
      "a guest's address by ARP": toDb(mac, arp(2, mac, WEB.v4, DB.mac, DB.v4), 0x0806),
      "a guest's MAC inside ARP": toDb(mac, arp(2, WEB.mac, NEIGHBOUR, DB.mac, DB.v4), 0x0806),
      'a DHCP server': ethernet(
        ALL,
        mac,
        0x0800,
        ipv4({ from: NEIGHBOUR, to: '255.255.255.255', protocol: 17 }, udp(67, 68, dhcp(2, DB.mac, '350102'))),
      ),
      'a DHCP server to one guest': toDb(mac, ipv4({ from: NEIGHBOUR, to: DB.v4, protocol: 17 }, udp(67, 4000, dhcp(2, DB.mac, '350102')))),
      'a broadcast': ethernet(ALL, mac, 0x0800, packet(NEIGHBOUR, '192.168.118.255')),
      'a group': ethernet('01:00:5e:00:00:fb', mac, 0x0800, packet(NEIGHBOUR, '224.0.0.251', 5353)),
      "somebody else's address": toDb(mac, packet(NEIGHBOUR, '192.168.118.99')),
      'a port that is not allowed': toDb(mac, packet(NEIGHBOUR, DB.v4, 4001)),
      'a router without IPv6 in the network': ethernet(NODES, mac, 0x86dd, routerAdvert(ll, 'ff02::1', '2001:db8:bad::')),
      'IPv6 by link-local addresses': toDb(mac, packet6(ll, DB.ll), 0x86dd),
      'a VLAN tag': tagged(toDb(mac, packet(NEIGHBOUR, DB.v4)), 0x8100, 5),
      'another protocol': toDb(mac, '77656674'.repeat(12), 0x88b5),
    };
    assert.deepEqual(await arriving(neighbour.kernel, db, { ...honestIn, ...lyingIn }), Object.keys(honestIn));

    const toNeighbour = (payload: string, type = 0x0800, from = DB.mac): string => ethernet(mac, from, type, payload);
    const honestOut = {
      packet: toNeighbour(packet(DB.v4, NEIGHBOUR)),
      arp: ethernet(ALL, DB.mac, 0x0806, arp(1, DB.mac, DB.v4, '00:00:00:00:00:00', NEIGHBOUR)),
    };
    const lyingOut: Named = {
      'the MAC of a neighbour': toNeighbour(packet(DB.v4, NEIGHBOUR), 0x0800, '02:00:00:00:77:00'),
      'the address of the gateway': toNeighbour(packet(GATEWAY, NEIGHBOUR)),
      'the gateway by ARP': ethernet(ALL, DB.mac, 0x0806, arp(2, DB.mac, GATEWAY, ALL, NEIGHBOUR)),
      'the address of the host': toNeighbour(packet(HOST, NEIGHBOUR)),
      "a sibling's address": toNeighbour(packet(WEB.v4, NEIGHBOUR)),
      'a question for an address': ethernet(
        ALL,
        DB.mac,
        0x0800,
        ipv4({ from: '0.0.0.0', to: '255.255.255.255', protocol: 17 }, udp(68, 67, dhcp(1, DB.mac, '350101'))),
      ),
      'a DHCP server': ethernet(
        ALL,
        DB.mac,
        0x0800,
        ipv4({ from: DB.v4, to: '255.255.255.255', protocol: 17 }, udp(67, 68, dhcp(2, mac, '350102'))),
      ),
      'a port that is not allowed': toNeighbour(packet(DB.v4, NEIGHBOUR, 4001)),
      'a broadcast': ethernet(ALL, DB.mac, 0x0800, packet(DB.v4, '192.168.118.255')),
      'a router': ethernet(NODES, DB.mac, 0x86dd, routerAdvert(DB.ll, 'ff02::1', '2001:db8:bad::')),
      'a neighbour that is not itself': ethernet(NODES, DB.mac, 0x86dd, neighborAdvert(DB.ll, 'ff02::1', ll, DB.mac)),
      'a question from a link-local address not its own': ethernet(NODES, DB.mac, 0x86dd, neighborSolicit('fe80::77', 'ff02::1', ll)),
      'IPv6 by link-local addresses': toNeighbour(packet6(DB.ll, ll), 0x86dd),
      'another protocol': toNeighbour('77656674'.repeat(12), 0x88b5),
    };
    assert.deepEqual(await arriving(db, neighbour.kernel, { ...honestOut, ...lyingOut }), Object.keys(honestOut));
    // And between guests of one bridge.
    const sibling = { packet: ethernet(DB.mac, WEB.mac, 0x0800, packet(WEB.v4, DB.v4)) };
    const lying: Named = {
      'a port that is not allowed': ethernet(DB.mac, WEB.mac, 0x0800, packet(WEB.v4, DB.v4, 4001)),
      'a broadcast': ethernet(ALL, WEB.mac, 0x0800, packet(WEB.v4, '192.168.118.255')),
      'IPv6 by link-local addresses': ethernet(DB.mac, WEB.mac, 0x86dd, packet6(WEB.ll, DB.ll)),
      'another protocol': ethernet(DB.mac, WEB.mac, 0x88b5, '77656674'.repeat(12)),
    };
    assert.deepEqual(await arriving(web, db, { ...sibling, ...lying }), Object.keys(sibling));
  });
});

type Kernel = Parameters<typeof sendFrames>[0];

async function arriving(from: Kernel, at: Kernel, frames: Named): Promise<string[]> {
  const seen = await captureFrames(at, 'eth0', 'in');
  await sendFrames(from, 'eth0', Object.values(frames));
  const got = await seen.stop();
  return Object.entries(frames).flatMap(([name, frame]) => (got.some((one) => one.startsWith(frame)) ? [name] : []));
}

it("DHCP and names are this host's, for its guests alone", { timeout: 120_000 }, async () => {
  await withLan(
    file('lease', '[192.168.118.0/24, "2001:db8:118::/64"]').replace(`gateway: ${GATEWAY}`, `gateway: [${GATEWAY}, "2001:db8:118::fe"]`),
    async (bed) => {
      await bed.weft('apply', '--yes');
      const { neighbour, outer } = bed;
      const hostile =
        '--port=0 --interface=eth0 --dhcp-range=192.168.118.100,192.168.118.110 --dhcp-authoritative --dhcp-leasefile=/run/hostile.leases';
      await neighbour.kernel.startDetached('dnsmasq', ['--no-daemon', '--conf-file=/dev/null', '--user=root', ...hostile.split(' ')]);
      const web = bed.guest('web').kernel;
      const onWire = await captureFrames(neighbour.kernel, 'eth0', 'in');
      const [own, foreign] = [await leaseOf(bed, web), await leaseOf(bed, outer.kernel, ['-i', 'lan'])];
      assert.deepEqual([own?.['ip'], own?.['serverid'], own?.['router'], own?.['dns']], [WEB.v4, HOST, GATEWAY, HOST]);
      assert.equal(await renew(web, WEB.v4, HOST), `ack ${WEB.v4}`);
      assert.match(foreign?.['ip'] ?? '', /^192\.168\.118\.1\d\d$/);
      const guestFrames = (await onWire.stop()).filter(
        (frame) => /^.{24}0800.{42}(00430044|00440043)/.test(frame) && frame.includes(WEB.mac.replaceAll(':', '')),
      );
      assert.deepEqual(guestFrames, [], "a guest's DHCP on the wire");

      // Names: its guests are answered at its address, nobody else at either port.
      assert.deepEqual(await ask(web, HOST, 'db'), { status: 'NOERROR', records: [DB.v4] });
      assert.deepEqual((await ask(web, '2001:db8:118::10', 'db')).records, [DB.v4]);
      assert.equal((await ask(neighbour.kernel, HOST, 'db.weft.internal')).status, 'TIMEOUT');
      assert.equal((await ask(neighbour.kernel, HOST, 'db.weft.internal', 'A', ['-p', '53053'])).status, 'TIMEOUT');
      assert.equal((await ask(neighbour.kernel, '2001:db8:118::10', 'db.weft.internal', 'A', ['-p', '53053', '+tcp'])).status, 'TIMEOUT');
    },
  );
});

/** A busy machine may take longer than the client's two seconds. */
async function leaseOf(...args: Parameters<typeof udhcpc>): ReturnType<typeof udhcpc> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const lease = await udhcpc(...args);
    if (lease) return lease;
  }
  return undefined;
}
