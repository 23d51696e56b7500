/**
 * Who reaches whom, with real packets, TCP, UDP and ICMP, IPv4 and IPv6, with bridge-nf-call-iptables 0 and 1. One host with every kind of network; each expectation
 * is one line.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WEFT_DNS_PORT } from '../../src/hoststate/ports.ts';
import { OUTSIDE4, OUTSIDE6, withPolicy, type PolicyBed } from './policy-bed.ts';
import type { Small } from './small-fabric.ts';

const small: Small = {
  networks: {
    a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64' },
    b: { v4: '10.2.0.0/24', v6: 'fd00:2::/64', fromHost: 'deny', egress: 'deny', snat: '203.0.113.11' },
    lab: { kind: 'isolated', v4: '10.3.0.0/24', v6: 'fd00:3::/64' },
    pub: { v6: '2001:db8:2::/64' },
    open: { v4: '10.4.0.0/24', v6: 'fd00:4::/64', filter: 'off' },
  },
  guests: {
    web: { networks: ['a'] },
    db: { networks: ['a'] },
    mute: { networks: ['a'], egress: 'deny' },
    far: { networks: ['b'] },
    vault: { networks: ['lab'] },
    cell: { networks: ['lab'] },
    www: { networks: ['pub'] },
    free: { networks: ['open'] },
    jail: { networks: ['a'], inside: 'web' },
  },
  allow: [
    { from: 'web', to: 'db', ports: 'tcp/5432 udp/5432' },
    { from: 'web', to: 'db', ports: 'icmp' },
    { from: 'web', to: 'far', ports: 'tcp/1-9' },
    { from: 'a', to: 'db', ports: 'udp/700-800' },
    { from: 'jail', to: 'db', ports: 'tcp/77' },
    { from: 'far', to: 'internet', ports: 'tcp/443' },
    { from: 'web', to: 'host', ports: 'tcp/22' },
    { from: 'db', to: '203.0.113.10', ports: 'tcp/2222' },
    { from: 'host', to: 'far', ports: 'tcp/22' },
    { from: 'vault', to: 'cell', ports: 'tcp/80' },
    { from: 'vault', to: '198.51.100.0/24', ports: 'tcp/80' },
    { from: 'any', to: 'mute', ports: 'tcp/90' },
    { from: 'web', to: 'any', ports: 'udp/4000' },
    { from: 'internet', to: 'web,www', ports: 'tcp/443 udp/443' },
  ],
  block: [
    { from: 'web', to: 'db', ports: 'udp/750' },
    { from: 'host', to: 'vault' },
    { from: 'web', to: 'internet', ports: 'tcp/25' },
    { from: 'cell', to: 'host', ports: 'udp/53' },
    { from: 'mute', to: 'host' },
    { from: 'any', to: 'web', ports: 'udp/4001' },
  ],
};

/** `yes FROM TO PROTOCOL/PORT`: TO is a guest, `outside`, `host` (its uplink's address), or `gw:NETWORK`. */
const lines = `
yes web db tcp/5432
yes web db udp/5432
yes web db icmp
no  web db tcp/5433
no  db web tcp/5432
no  db web icmp
no  mute db tcp/5432
no  mute web icmp
yes web far tcp/1
yes web far tcp/9
no  web far tcp/10
no  web far udp/5
no  far web tcp/5
yes mute db udp/700
yes mute db udp/800
no  mute db udp/801
no  web db udp/750
yes web db udp/751
yes web outside tcp/80
yes web outside udp/80
yes web outside icmp
no  web outside tcp/25
no  mute outside tcp/80
no  mute outside icmp
no  far outside tcp/80
yes far outside tcp/443
no  far outside icmp
no  vault outside tcp/80
no  vault outside udp/80
no  vault outside icmp
yes vault cell tcp/80
no  vault cell tcp/81
no  cell vault tcp/80
no  vault web tcp/80
yes web mute tcp/90
yes far mute tcp/90
yes free mute tcp/90
yes vault mute tcp/90
no  outside mute tcp/90
no  outside free udp/90
yes host mute tcp/91
no  mute web tcp/90
yes web far udp/4000
yes web vault udp/4000
no  db web udp/4001
no  outside web tcp/443
no  outside web udp/443
no  outside web tcp/444
no  outside web icmp
no  outside db tcp/443
no  outside vault tcp/443
no  outside far icmp
no  outside free tcp/80
yes free outside tcp/80
yes free host tcp/80
yes host free tcp/80
no  free web tcp/80
no  web free tcp/80
yes web free udp/4000
yes web host tcp/22
no  web host tcp/23
no  web host icmp
no  db host tcp/22
yes web gw:a tcp/22
yes web gw:a icmp
yes web gw:a udp/53
yes web gw:a tcp/53
no  web gw:a tcp/80
no  web gw:b icmp
no  web gw:b udp/53
no  mute gw:a icmp
no  mute gw:a udp/53
yes cell gw:lab icmp
no  cell gw:lab udp/53
yes cell gw:lab tcp/53
yes vault gw:lab udp/53
yes host web tcp/1234
yes host db icmp
yes host cell tcp/80
no  host vault tcp/80
no  host vault icmp
yes host far tcp/22
no  host far tcp/23
no  host far icmp
no  outside gw:a udp/53
no  outside gw:a icmp
no  outside gw:a udp/80
no  outside gw:lab tcp/80
yes outside host tcp/80
yes host gw:a udp/53
`;
/** Hold in one family only: the party is an address. */
const lines4 = `
yes db host tcp/2222
no  db gw:a tcp/2222
`;
const lines6 = `
yes outside www tcp/443
yes outside www udp/443
no  outside www tcp/444
no  outside www icmp
yes www outside tcp/80
no  www web tcp/443
no  db host tcp/2222
`;

const expectations = (text: string): { want: boolean; from: string; to: string; what: string }[] =>
  text
    .trim()
    .split(/\n+/)
    .map((line) => {
      const [want, from = '', to = '', what = ''] = line.split(/\s+/);
      return { want: want === 'yes', from, to, what };
    });

/** Where `to` is, and who answers there. */
function place(bed: PolicyBed, to: string, family: 4 | 6): { address: string; at: string } {
  if (to === 'outside') return { address: family === 4 ? OUTSIDE4 : OUTSIDE6, at: 'outer' };
  if (to === 'host') return { address: family === 4 ? '203.0.113.10' : '2001:db8:99::10', at: 'host' };
  if (to.startsWith('gw:')) {
    const network = bed.fabric.networks.find((one) => one.name === to.slice(3));
    return { address: (family === 4 ? network?.v4?.gateway : network?.v6?.gateway) ?? '', at: 'host' };
  }
  return { address: bed.address(to, family), at: to };
}

for (const bridgeNfCall of [0, 1] as const) {
  describe(`bridge-nf-call-iptables ${bridgeNfCall}`, () => {
    it('lets through what the policy says and nothing else', async () => {
      const routes = [
        '10.1.0.0/24',
        '10.2.0.0/24',
        '10.3.0.0/24',
        '10.4.0.0/24',
        'fd00:1::/64',
        'fd00:2::/64',
        'fd00:3::/64',
        'fd00:4::/64',
        '2001:db8:2::/64',
      ];
      await withPolicy(small, { bridgeNfCall, routes }, async (bed) => {
        const wrong: string[] = [];
        for (const family of [4, 6] as const) {
          const all = expectations(lines + (family === 4 ? lines4 : lines6));
          const results = await bed.prober.probeAll(
            all.map(({ from, to, what }) => {
              const [protocol = '', port = '0'] = what.split('/');
              const { address, at } = place(bed, to, family);
              const source = from === 'outside' ? { source: family === 4 ? OUTSIDE4 : OUTSIDE6 } : {};
              return {
                from: bed.path(from === 'outside' ? 'outer' : from),
                at: bed.path(at),
                to: address,
                port: Number(port),
                protocol: protocol === 'tcp' || protocol === 'udp' ? protocol : 'icmp',
                ...(port === '53' && to.startsWith('gw:') ? { listenPort: WEFT_DNS_PORT } : {}),
                ...source,
              };
            }),
          );
          for (const [i, { want, from, to, what }] of all.entries()) {
            const result = results[i];
            if ((want ? result?.answered : result?.delivered) !== want)
              wrong.push(`v${family} ${want ? 'yes' : 'no'} ${from} ${to} ${what}: ${JSON.stringify(result)}`);
          }
        }
        assert.deepEqual(wrong, []);
      });
    });

    it('knows a guest by its port where its address is link-local, and no flows to groups', async () => {
      await withPolicy(small, { bridgeNfCall }, async (bed) => {
        const toHost = async (from: string, to: string, protocol: 'tcp' | 'udp' | 'icmp', port: number): Promise<boolean> =>
          (
            await bed.prober.probe({
              from: bed.path(from),
              at: bed.path('host'),
              to,
              protocol,
              port,
              listenAddress: to.includes(':') ? 'any' : '0.0.0.0',
            })
          ).delivered;
        assert.deepEqual(
          [
            await toHost('web', 'fe80::1%eth0', 'icmp', 0),
            await toHost('web', 'fe80::1%eth0', 'tcp', 22),
            await toHost('web', 'fe80::1%eth0', 'tcp', 23),
            await toHost('db', 'fe80::1%eth0', 'tcp', 22),
            await toHost('mute', 'fe80::1%eth0', 'icmp', 0),
            await toHost('web', bed.address('web', 4).replace(/\.\d+$/, '.1'), 'udp', 4000),
            await toHost('web', '224.0.0.1', 'udp', 4000),
          ],
          [true, true, false, false, false, true, false],
        );
      });
    });

    it('shows the far end the right source', async () => {
      await withPolicy(small, { bridgeNfCall, routes: ['2001:db8:2::/64'] }, async (bed) => {
        const seen = async (from: string, to: string, port: number): Promise<string | undefined> =>
          (await bed.probe(from, 'outer', to, 'tcp', port)).seenSource;
        assert.equal(await seen('web', OUTSIDE4, 80), '203.0.113.10');
        assert.equal(await seen('web', OUTSIDE6, 80), '2001:db8:99::10');
        assert.equal(await seen('far', OUTSIDE4, 443), '203.0.113.11');
        // A global prefix is routed, not translated.
        assert.equal(await seen('www', OUTSIDE6, 80), bed.address('www', 6));
        // Guests see each other's own addresses.
        assert.equal((await bed.probe('web', 'db', bed.address('db', 4), 'tcp', 5432)).seenSource, bed.address('web', 4));
        assert.equal((await bed.probe('web', 'far', bed.address('far', 6), 'tcp', 5)).seenSource, bed.address('web', 6));
      });
    });
  });
}
