/**
 * A published port from all positions (outside, the host, the guest itself, its network, another network), in both families and protocols, the client's address
 * kept, with bridge-nf-call-iptables 0 and 1; and that nothing else has opened.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { execPath } from 'node:process';
import { it } from 'node:test';
import { internet4, internet6, withHost, type HostBed } from '../bed/host.ts';

const file = `
name: pub
networks:
  front: { kind: nat, subnet: [10.1.0.0/24, "fd00:1::/64"], from-host: deny }
  back: { kind: nat, subnet: [10.2.0.0/24, "fd00:2::/64"] }
  lab: { kind: isolated, subnet: [10.3.0.0/24, "fd00:3::/64"] }
guests:
  web: { network: front, kind: namespace, address: [10.1.0.20, "fd00:1::20"] }
  mate: { network: front, kind: namespace, address: [10.1.0.30, "fd00:1::30"] }
  far: { network: back, kind: namespace, address: [10.2.0.40, "fd00:2::40"] }
  box: { kind: namespace, nics: [{ network: back, address: [10.2.0.50, "fd00:2::50"] }, { network: front, address: [10.1.0.50, "fd00:1::50"] }] }
  jail: { inside: web, network: front, address: [10.1.0.60, "fd00:1::60"] }
  sealed: { network: lab, kind: namespace, address: [10.3.0.70, "fd00:3::70"] }
publish:
  - host tcp/2222 udp/2222 -> web tcp/22 udp/22
  - 203.0.113.11 tcp/80 udp/80 -> web
  - host tcp/3000-3010 udp/3000-3010 -> web
  - host tcp/4000-4003 -> web tcp/5000-5003
  - host tcp/6000 -> web from 198.51.100.0/24, mate
  - host tcp/6001 -> web from host
  - host tcp/6002 -> web from sealed
  - host tcp/7000 -> box tcp/70
  - host tcp/7001 -> jail tcp/71
block:
  - internet -> web tcp/3005
  - host -> web tcp/5001
  - far -> web tcp/5002
  - web -> web tcp/5003
`;

const host = { 4: '203.0.113.10', 6: '2001:db8:cb00::10' } as const;
const own = {
  outer: { 4: internet4, 6: internet6 },
  host,
  web: { 4: '10.1.0.20', 6: 'fd00:1::20' },
  mate: { 4: '10.1.0.30', 6: 'fd00:1::30' },
  far: { 4: '10.2.0.40', 6: 'fd00:2::40' },
  box: { 4: '10.2.0.50', 6: 'fd00:2::50' },
  jail: { 4: '10.1.0.60', 6: 'fd00:1::60' },
  sealed: { 4: '10.3.0.70', 6: 'fd00:3::70' },
} as const;
const gateway = { front: { 4: '10.1.0.1', 6: 'fd00:1::1' }, back: { 4: '10.2.0.1', 6: 'fd00:2::1' } } as const;
type Who = keyof typeof own;

interface Ask {
  readonly from: Who;
  readonly at?: Who;
  readonly port: number;
  readonly guestPort?: number;
  readonly protocol?: 'tcp' | 'udp';
  readonly to?: string;
  readonly source?: string;
  readonly family: 4 | 6;
}

/** Address the guest saw, `refused`, or `nothing`. */
async function ask(bed: HostBed, { from, at = 'web', port, guestPort = port, protocol = 'tcp', family, ...one }: Ask): Promise<string> {
  const { answered, refused, delivered, seenSource, server } = await bed.probe(from === 'jail' ? 'web' : from, at === 'jail' ? 'web' : at, {
    to: one.to ?? host[family],
    source: one.source ?? own[from][family],
    protocol,
    port,
    listenPort: guestPort,
    listenAddress: own[at][family],
  });
  if (answered) return server?.endsWith(`-${at === 'jail' ? 'web' : at}`) === true ? (seenSource ?? '?') : `another: ${server}`;
  return refused ? 'refused' : delivered ? 'no answer' : 'nothing';
}

const families = [4, 6] as const;
const both = ['tcp', 'udp'] as const;

for (const bridgeNfCall of [0, 1] as const) {
  it(`a published port, from everywhere (bridge-nf-call-iptables ${bridgeNfCall})`, async () => {
    await withHost({ file, bridgeNfCall, host: { routes: ['10.1.0.0/24', 'fd00:1::/64'] } }, async (bed) => {
      await bed.weft('apply', '--yes');
      const web = bed.guest('web').kernel;
      await web.run('sh', ['-ec', 'ip addr add 10.1.0.60/32 dev eth0; ip addr add fd00:1::60/128 dev eth0 nodad']);

      const expected: [string, Ask, string][] = [];
      const expect = (what: string, one: Ask, answer: string): void => void expected.push([`${what}, IPv${one.family}`, one, answer]);
      for (const family of families) {
        for (const protocol of both) {
          const ssh = { port: 2222, guestPort: 22, protocol, family } as const;
          for (const from of ['outer', 'host', 'mate', 'far', 'box'] as const)
            expect(`${from} ${protocol}`, { ...ssh, from }, own[from][family]);
          // What would come back to itself comes from its gateway, whichever of its addresses it takes.
          expect(`itself ${protocol}`, { ...ssh, from: 'web' }, gateway.front[family]);
          expect(`the guest inside ${protocol}`, { ...ssh, from: 'jail' }, gateway.front[family]);
          for (const port of [3000, 3007, 3010])
            expect(`range ${port} ${protocol}`, { from: 'outer', port, protocol, family }, own.outer[family]);
          expect(`beside the range ${protocol}`, { from: 'outer', port: 3011, protocol, family }, 'refused');
        }
        expect('another port', { from: 'mate', port: 4002, guestPort: 5002, family }, own.mate[family]);
        expect('by the default NIC', { from: 'outer', at: 'box', port: 7000, guestPort: 70, family }, own.outer[family]);
        expect('by the default NIC, itself', { from: 'box', at: 'box', port: 7000, guestPort: 70, family }, gateway.back[family]);
        expect('a guest inside', { from: 'outer', at: 'jail', port: 7001, guestPort: 71, family }, own.outer[family]);

        // Limited to some.
        expect('named guest', { from: 'mate', port: 6000, family }, own.mate[family]);
        expect('not named', { from: 'far', port: 6000, family }, 'nothing');
        expect('named host', { from: 'host', port: 6001, family }, own.host[family]);
        expect('not named, outside', { from: 'outer', port: 6001, family }, 'refused');
        expect('isolated', { from: 'sealed', port: 2222, guestPort: 22, family }, 'nothing');
        expect('isolated, named', { from: 'sealed', port: 6002, family }, own.sealed[family]);

        // `block` wins, from every side.
        expect('blocked outside', { from: 'outer', port: 3005, family }, 'nothing');
        expect('not blocked', { from: 'mate', port: 3005, family }, own.mate[family]);
        expect('blocked host', { from: 'host', port: 4001, guestPort: 5001, family }, 'nothing');
        expect('blocked guest', { from: 'far', port: 4002, guestPort: 5002, family }, 'nothing');
        expect('blocked itself', { from: 'web', port: 4003, guestPort: 5003, family }, 'nothing');

        // The guest's own ports have not opened, nor does the way there past the host's address exist.
        for (const from of ['outer', 'host', 'mate', 'far'] as const)
          expect(`${from} at its own port`, { from, to: own.web[family], port: 22, family }, 'nothing');
        // A gateway's address is DNS and DHCP, not a position.
        expect('gateway', { from: 'mate', to: gateway.front[family], port: 2222, guestPort: 22, family }, 'nothing');
      }
      expect('named prefix', { from: 'outer', port: 6000, family: 4 }, internet4);
      expect('outside the prefix', { from: 'outer', port: 6000, family: 6 }, 'refused');
      // One address only.
      const one = '203.0.113.11';
      for (const protocol of both) {
        for (const from of ['outer', 'mate', 'far'] as const)
          expect(`${from} at one address ${protocol}`, { from, to: one, port: 80, protocol, family: 4 }, own[from][4]);
        expect(`host at one address ${protocol}`, { from: 'host', to: one, source: one, port: 80, protocol, family: 4 }, one);
        expect(`itself at one address ${protocol}`, { from: 'web', to: one, port: 80, protocol, family: 4 }, gateway.front[4]);
        expect(`the other address ${protocol}`, { from: 'outer', port: 80, protocol, family: 4 }, 'refused');
      }
      // Loopback is no position.
      expect('loopback', { from: 'host', to: '127.0.0.1', source: '127.0.0.1', port: 2222, guestPort: 22, family: 4 }, 'refused');
      expect('loopback', { from: 'host', to: '::1', source: '::1', port: 2222, guestPort: 22, family: 6 }, 'refused');

      const got = await Promise.all(expected.map(async ([what, question]) => `${what}: ${await ask(bed, question)}`));
      assert.deepEqual(
        got,
        expected.map(([what, , answer]) => `${what}: ${answer}`),
      );
      if (bridgeNfCall === 0) await scan(bed);
      assert.match(await bed.weft('status'), /Everything is as applied/);
      assert.match(await bed.weft('apply', '--yes', '--full'), /Nothing to change/);
    });
  });
}

/** Every port from 1 to 8000 of the host's addresses: open are those that are published and no others (guests answer on all of theirs). */
async function scan(bed: HostBed): Promise<void> {
  for (const guest of ['web', 'box']) {
    const input = 'table inet every { chain p { type nat hook prerouting priority -100; meta l4proto tcp redirect to :9\n }\n }\n';
    await bed.guest(guest).kernel.run('nft', ['-f', '-'], { input });
    await bed.prober.listen(bed.guest(guest).path, 'tcp', 9);
  }
  const open = async (to: string): Promise<number[]> =>
    JSON.parse(await bed.outer.kernel.run(execPath, ['-e', scanner, to], { timeoutMs: 60_000 }));
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
  const everywhere = [2222, ...range(3000, 3010).filter((port) => port !== 3005), ...range(4000, 4003), 7000, 7001];
  assert.deepEqual(await open('203.0.113.10'), everywhere);
  assert.deepEqual(await open('203.0.113.11'), [80, ...everywhere]);
  assert.deepEqual(await open('2001:db8:cb00::10'), everywhere);
}

/** Prints the ports of an address that take a connection, as JSON; half a second of silence is none. */
const scanner = `
const net = require('node:net');
const [to] = process.argv.slice(1);
const open = [];
let next = 1;
const lane = () => {
  if (next > 8000) return Promise.resolve();
  const port = next++;
  return new Promise((done) => {
    const socket = net.connect({ host: to, port });
    const end = (is) => { if (is) open.push(port); socket.destroy(); done(); };
    socket.setTimeout(3000, () => end(false)).on('connect', () => end(true)).on('error', () => end(false));
  }).then(lane);
};
Promise.all(Array.from({ length: 200 }, lane)).then(() => console.log(JSON.stringify(open.sort((a, b) => a - b))));
`;
