/**
 * Guests that are configured from the export alone, by the programs it is written for: the interfaces end up as Weft itself would have set
 * them, and packets go where the policy lets them. The guests are containers' namespaces, whose NICs lose what `attach` set.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openKernel } from '../../src/kernel/open.ts';
import type { BedNamespace } from '../../src/twin/bed.ts';
import { type HostBed, internet4, internet6, withHost } from '../bed/host.ts';

interface Way {
  readonly name: string;
  /** Of two networks, or of one: what cloud-init 22.4 makes for networkd and ifupdown leaves router advertisements on (docs/export.md). */
  readonly nics: 1 | 2;
  /** How the kernel calls the NICs before. */
  readonly called?: readonly [string, string];
  /** Configures `guest` from the export of `name`; resolves to the name servers and search domains it gets. */
  readonly configure: (bed: HostBed, name: string, guest: BedNamespace) => Promise<Resolver>;
}

interface Resolver {
  readonly servers: readonly string[];
  readonly domains: readonly string[];
}

const ways: readonly Way[] = [
  { name: 'ifupdown', nics: 2, configure: async (bed, name, guest) => ifup(guest, await bed.weft('export', 'ifupdown', name)) },
  {
    name: 'ifupdown with its `rename` lines',
    nics: 2,
    called: ['ens3', 'ens4'],
    configure: async (bed, name, guest) => ifup(guest, (await bed.weft('export', 'ifupdown', name)).replaceAll('#rename', 'rename')),
  },
  {
    name: 'networkd, whatever the NICs are called',
    nics: 2,
    called: ['ens3', 'ens4'],
    configure: async (bed, name, guest) => {
      const directory = mkdtempSync('/run/export-');
      await bed.weft('export', 'networkd', name, '--directory', directory);
      return networkd(guest, directory);
    },
  },
  {
    name: 'cloud-init from the seed image, by netplan',
    nics: 2,
    configure: async (bed, name, guest) => {
      const root = await rendered(bed, name, 'netplan');
      await openKernel().run('netplan', ['generate', '--root-dir', root]);
      const directory = join(root, 'run/systemd/network');
      // A veth has no permanent MAC.
      for (const file of readdirSync(directory))
        writeFileSync(join(directory, file), read(join(directory, file)).replace('PermanentMACAddress', 'MACAddress'));
      return networkd(guest, directory);
    },
  },
  {
    name: 'cloud-init from the seed image, by networkd',
    nics: 1,
    configure: async (bed, name, guest) => networkd(guest, join(await rendered(bed, name, 'networkd'), 'etc/systemd/network')),
  },
  {
    name: 'cloud-init from the seed image, by ifupdown',
    nics: 1,
    configure: async (bed, name, guest) => {
      const root = await rendered(bed, name, 'eni');
      // cloud-init 22.4 prints its own data among the options.
      return ifup(guest, read(join(root, 'etc/network/interfaces.d/50-cloud-init')).replace(/^ *dns \{.*\n/gm, ''));
    },
  },
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

/** Everything that `attach` set is taken away; new names as another kernel would give them. */
async function forget(guest: BedNamespace, nics: 1 | 2, called: readonly string[] = []): Promise<void> {
  for (const dev of ['eth0', 'eth1'].slice(0, nics)) {
    await guest.kernel.run('ip', ['addr', 'flush', 'dev', dev]);
    await guest.kernel.run('ip', ['link', 'set', 'dev', dev, 'down']);
    await guest.kernel.run('ip', ['link', 'set', 'dev', dev, 'mtu', '1280']);
    for (const key of ['accept_ra', 'autoconf', 'accept_dad']) await guest.kernel.writeSysctl(`net/ipv6/conf/${dev}/${key}`, '1');
    await guest.kernel.run('ip', ['link', 'set', 'dev', dev, 'name', called[dev === 'eth0' ? 0 : 1] ?? dev]);
  }
}

interface Interface {
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly string[];
  /** Those with a next hop; with `dev eth0` for the first NIC, whatever it is called. */
  readonly routes: readonly string[];
}

/** Sorted by MAC, which does not change. A route from a router advertisement beside the same static one counts once. */
async function interfacesOf(guest: BedNamespace): Promise<readonly Interface[]> {
  type Address = { scope: string; local: string; prefixlen: number };
  type Link = { ifname: string; address: string; mtu: number; addr_info: Address[] };
  type Route = { dst: string; gateway?: string; dev?: string; nexthops?: { gateway?: string; dev: string }[] };
  const links: Link[] = JSON.parse(await guest.kernel.run('ip', ['-j', 'addr']));
  const routes: Route[] = [];
  for (const family of ['-4', '-6']) routes.push(...JSON.parse(await guest.kernel.run('ip', ['-j', family, 'route'])));
  const hops = routes.flatMap(({ dst, gateway, dev, nexthops }) => (nexthops ?? [{ gateway, dev }]).map((hop) => ({ dst, ...hop })));
  return links
    .filter(({ ifname }) => ifname !== 'lo')
    .sort((a, b) => (a.address < b.address ? -1 : 1))
    .map(({ ifname, address, mtu, addr_info: all }) => {
      const own = hops.filter(({ dev, gateway }) => dev === ifname && gateway !== undefined);
      const name = ifname.replace('ens3', 'eth0').replace('ens4', 'eth1');
      return {
        mac: address,
        mtu,
        addresses: all.filter(({ scope }) => scope === 'global').map(({ local, prefixlen }) => `${local}/${prefixlen}`),
        routes: [...new Set(own.map(({ dst, gateway }) => `${dst} via ${gateway ?? ''} dev ${name}`))].sort(),
      };
    });
}

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

/** All different words that the expression's group finds. */
function words(text: string, expression: RegExp): string[] {
  return [...new Set([...text.matchAll(expression)].flatMap(([, found = '']) => found.split(' ')))];
}

async function ifup(guest: BedNamespace, interfaces: string): Promise<Resolver> {
  const directory = mkdtempSync('/run/export-');
  const path = join(directory, 'interfaces');
  writeFileSync(path, interfaces);
  mkdirSync(join(directory, 'state'));
  // `mac/` looks into /sys, which has to be that of the guest.
  const script = 'mount -t sysfs weft-sys /sys && exec ifup -a --no-scripts --interfaces "$1" --state-dir "$2"';
  await guest.kernel.run('unshare', ['--mount', 'sh', '-c', script, 'sh', path, join(directory, 'state')]);
  const resolver = { servers: words(interfaces, /dns-nameservers (.*)$/gm), domains: words(interfaces, /dns-search (.*)$/gm) };
  const comment = { servers: words(interfaces, /^# {3}nameserver (.*)$/gm), domains: words(interfaces, /^# {3}search (.*)$/gm) };
  if (comment.servers.length > 0) assert.deepEqual(comment, resolver);
  return resolver;
}

/** The `network-config` of a seed image as cloud-init renders it, without its network; resolves to the directory that stands for `/`. */
async function rendered(bed: HostBed, name: string, kind: 'netplan' | 'networkd' | 'eni'): Promise<string> {
  const directory = mkdtempSync('/run/export-');
  const image = join(directory, 'seed.iso');
  await bed.weft('export', 'cloud-init', name, '--seed', image);
  const config = join(directory, 'network-config');
  writeFileSync(config, await openKernel().run('isoinfo', ['-R', '-x', '/network-config', '-i', image]));
  const root = join(directory, 'root');
  const what = ['--network-data', config, '--kind', 'yaml', '--output-kind', kind, '--distro', 'debian', '--directory', root];
  await openKernel().run('cloud-init', ['devel', 'net-convert', ...what]);
  return root;
}

/**
 * Runs systemd-networkd on a directory of .network files until it calls all interfaces configured, and leaves it running. A read-only /sys
 * tells it that there is no udev to wait for; it has a /run/systemd of its own.
 */
async function networkd(guest: BedNamespace, directory: string): Promise<Resolver> {
  const script = `mount -t sysfs -o ro weft-sys /sys && mkdir -p /run/systemd && mount -t tmpfs weft-run /run/systemd &&
    mkdir /run/systemd/network && mkdir -m 777 /run/systemd/netif /run/systemd/netif/links &&
    cp ${directory}/*.network /run/systemd/network/ && chmod -R a+rX /run/systemd/network &&
    exec /lib/systemd/systemd-networkd`;
  const logFile = join(directory, 'log');
  const pid = await guest.kernel.startDetached('unshare', ['--mount', 'sh', '-c', script], { logFile });
  const links: { ifname: string; ifindex: number }[] = JSON.parse(await guest.kernel.run('ip', ['-j', 'link']));
  const indexes = links.filter(({ ifname }) => ifname !== 'lo').map(({ ifindex }) => ifindex);
  for (let tries = 0; tries < 200; tries++) {
    const states = indexes.map((index) => read(`/proc/${pid}/root/run/systemd/netif/links/${index}`));
    if (states.every((state) => /^ADMIN_STATE=configured$/m.test(state))) {
      const state = states.join('\n');
      return { servers: words(state, /^DNS=(.+)$/gm), domains: words(state, /^DOMAINS=(.+)$/gm) };
    }
    await sleep(100);
  }
  throw new Error(`systemd-networkd did not configure all interfaces:\n${read(logFile)}`);
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
