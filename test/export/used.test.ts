/**
 * Guests that are configured from the export alone, by the programs it is written for: the interfaces end up as Weft itself would have set
 * them, and packets go where the policy lets them. The guests are containers' namespaces, whose NICs lose what `attach` set.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { BedNamespace } from '../../src/twin/bed.ts';
import { type HostBed, internet4, internet6, withHost } from '../bed/host.ts';
import {
  byCloudInitAndIfupdown,
  byCloudInitAndNetplan,
  byCloudInitAndNetworkd,
  byIfupdown,
  byIfupdownRenaming,
  byNetworkd,
  forget,
  interfacesOf,
  type Configure,
  type Interface,
  type Resolver,
} from './configured.ts';

interface Way {
  readonly name: string;
  /** Of two networks, or of one: what cloud-init 22.4 makes for networkd and ifupdown leaves router advertisements on (docs/export.md). */
  readonly nics: 1 | 2;
  /** How the kernel calls the NICs before. */
  readonly called?: readonly [string, string];
  readonly configure: Configure;
}

const ways: readonly Way[] = [
  { name: 'ifupdown', nics: 2, configure: byIfupdown },
  { name: 'ifupdown with its `rename` lines', nics: 2, called: ['ens3', 'ens4'], configure: byIfupdownRenaming },
  { name: 'networkd, whatever the NICs are called', nics: 2, called: ['ens3', 'ens4'], configure: byNetworkd },
  { name: 'cloud-init from the seed image, by netplan', nics: 2, configure: byCloudInitAndNetplan },
  { name: 'cloud-init from the seed image, by networkd', nics: 1, configure: byCloudInitAndNetworkd },
  { name: 'cloud-init from the seed image, by ifupdown', nics: 1, configure: byCloudInitAndIfupdown },
];

/** Each way has a guest of its own: `box0`, .40; `box1`, .41; … */
const file = `
name: exported
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, 'fd00:105::/64'], mtu: 1400 }
  lab: { kind: isolated, subnet: [10.0.106.0/24, 'fd00:106::/64'] }
guests:
  web: { network: internal, kind: namespace, address: [10.0.105.30, 'fd00:105::30'] }
  db: { network: lab, kind: namespace, address: [10.0.106.30, 'fd00:106::30'] }
${ways
  .map(({ nics }, i) => {
    const all = ['internal', 'lab'].map(
      (network, n) => `{ network: ${network}, address: [10.0.10${5 + n}.4${i}, 'fd00:10${5 + n}::4${i}'] }`,
    );
    return `  box${i}: { kind: container, labels: { test: box }, nics: [${all.slice(0, nics).join(', ')}] }`;
  })
  .join('\n')}
allow: [test=box -> web tcp/80, test=box -> db tcp/5432, web -> test=box tcp/8080]
`;

it('guests configured from the export alone', { timeout: 240_000, concurrency: true }, async (t) => {
  await withHost({ file }, async (bed) => {
    await bed.weft('apply', '--yes');
    const attached: { way: Way; name: string; guest: BedNamespace; wanted: readonly Interface[]; i: number }[] = [];
    for (const [i, way] of ways.entries()) {
      const name = `box${i}`;
      const guest = await bed.namespace(name);
      await bed.weft('attach', name, '--netns', guest.path);
      const wanted = await interfacesOf(guest);
      assert.equal(wanted.length, way.nics);
      assert.ok(wanted.some(({ routes }) => routes.includes('default via fe80::1 dev eth0')));
      await forget(guest, way.nics, way.called);
      assert.ok((await interfacesOf(guest)).every(({ addresses, routes }) => addresses.length + routes.length === 0));
      attached.push({ way, name, guest, wanted, i });
    }
    await Promise.all(
      attached.map(({ way, name, guest, wanted, i }) =>
        t.test(way.name, async () => {
          const resolver = await way.configure(bed, name, guest);
          assert.deepEqual(await interfacesOf(guest), wanted);
          await packets(bed, guest, i, way.nics);
          await names(guest, resolver);
        }),
      ),
    );
  });
});

/** All probes at once, of both families: to a sibling, by the second NIC, to the internet, from a sibling; and what stays dropped. */
async function packets(bed: HostBed, guest: BedNamespace, i: number, nics: 1 | 2): Promise<void> {
  const tcp = { from: guest.path, protocol: 'tcp', timeoutMs: 3000 } as const;
  const web = bed.guest('web').path;
  const db = bed.guest('db').path;
  const [own4, own6] = [`10.0.105.4${i}`, `fd00:105::4${i}`];
  const expected = [
    { probe: { ...tcp, at: web, to: '10.0.105.30', port: 80 }, seen: own4 },
    { probe: { ...tcp, at: web, to: 'fd00:105::30', port: 80 }, seen: own6 },
    { probe: { ...tcp, at: bed.outer.path, to: internet4, port: 443 }, seen: '203.0.113.10' },
    { probe: { ...tcp, at: bed.outer.path, to: internet6, port: 443 }, seen: '2001:db8:cb00::10' },
    { probe: { ...tcp, from: web, at: guest.path, to: own4, port: 8080 }, seen: '10.0.105.30' },
    { probe: { ...tcp, from: web, at: guest.path, to: own6, port: 8080 }, seen: 'fd00:105::30' },
    ...(nics === 1
      ? []
      : [
          { probe: { ...tcp, at: db, to: '10.0.106.30', port: 5432 }, seen: `10.0.106.4${i}` },
          { probe: { ...tcp, at: db, to: 'fd00:106::30', port: 5432 }, seen: `fd00:106::4${i}` },
        ]),
    { probe: { ...tcp, at: web, to: '10.0.105.30', port: 81, timeoutMs: 500 }, seen: undefined },
    { probe: { ...tcp, at: web, to: 'fd00:105::30', port: 81, timeoutMs: 500 }, seen: undefined },
  ];
  const results = await Promise.all(expected.map(({ probe }) => bed.prober.probe(probe)));
  assert.deepEqual(
    results.map(({ answered, seenSource }) => (answered ? seenSource : undefined)),
    expected.map(({ seen }) => seen),
  );
}

/** Each name server answers for a sibling's name in each domain of the search list. */
async function names(guest: BedNamespace, resolver: Resolver): Promise<void> {
  assert.deepEqual(resolver, { servers: ['10.0.105.1', 'fd00:105::1'], domains: ['internal.weft.internal', 'weft.internal'] });
  for (const server of resolver.servers)
    for (const domain of resolver.domains)
      assert.match(await guest.kernel.run('dig', ['+short', '+time=3', `@${server}`, `web.${domain}`]), /^10\.0\.105\.30$/m);
}
