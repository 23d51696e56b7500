/** Configures guests by the programs that exports are written for: containers' namespaces, whose NICs have lost what `attach` set. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openKernel } from '../../src/kernel/open.ts';
import type { BedNamespace } from '../../src/twin/bed.ts';
import type { HostBed } from '../bed/host.ts';

export interface Resolver {
  readonly servers: readonly string[];
  readonly domains: readonly string[];
}

/** Configures `guest` from the export of `name`; resolves to the name servers and search domains it gets. */
export type Configure = (bed: HostBed, name: string, guest: BedNamespace) => Promise<Resolver>;

export const byIfupdown: Configure = async (bed, name, guest) => ifup(guest, await bed.weft('export', 'ifupdown', name));

export const byIfupdownRenaming: Configure = async (bed, name, guest) =>
  ifup(guest, (await bed.weft('export', 'ifupdown', name)).replaceAll('#rename', 'rename'));

export const byNetworkd: Configure = async (bed, name, guest) => {
  const directory = mkdtempSync('/run/export-');
  await bed.weft('export', 'networkd', name, '--directory', directory);
  return networkd(guest, directory);
};

export const byCloudInitAndNetplan: Configure = async (bed, name, guest) => {
  const root = await rendered(bed, name, 'netplan');
  await openKernel().run('netplan', ['generate', '--root-dir', root]);
  const directory = join(root, 'run/systemd/network');
  // A veth has no permanent MAC.
  for (const file of readdirSync(directory))
    writeFileSync(join(directory, file), read(join(directory, file)).replace('PermanentMACAddress', 'MACAddress'));
  return networkd(guest, directory);
};

export const byCloudInitAndNetworkd: Configure = async (bed, name, guest) =>
  networkd(guest, join(await rendered(bed, name, 'networkd'), 'etc/systemd/network'));

export const byCloudInitAndIfupdown: Configure = async (bed, name, guest) => {
  const root = await rendered(bed, name, 'eni');
  // cloud-init 22.4 prints its own data among the options.
  return ifup(guest, read(join(root, 'etc/network/interfaces.d/50-cloud-init')).replace(/^ *dns \{.*\n/gm, ''));
};

/** Everything that `attach` set is taken away; new names as another kernel would give them. */
export async function forget(guest: BedNamespace, nics: 1 | 2, called: readonly string[] = []): Promise<void> {
  for (const dev of ['eth0', 'eth1'].slice(0, nics)) {
    await guest.kernel.run('ip', ['addr', 'flush', 'dev', dev]);
    await guest.kernel.run('ip', ['link', 'set', 'dev', dev, 'down']);
    await guest.kernel.run('ip', ['link', 'set', 'dev', dev, 'mtu', '1280']);
    for (const key of ['accept_ra', 'autoconf', 'accept_dad']) await guest.kernel.writeSysctl(`net/ipv6/conf/${dev}/${key}`, '1');
    await guest.kernel.run('ip', ['link', 'set', 'dev', dev, 'name', called[dev === 'eth0' ? 0 : 1] ?? dev]);
  }
}

export interface Interface {
  readonly mac: string;
  readonly mtu: number;
  readonly addresses: readonly string[];
  /** Those with a next hop; with `dev eth0` for the first NIC, whatever it is called. */
  readonly routes: readonly string[];
}

/** Sorted by MAC, which does not change. A route from a router advertisement beside the same static one counts once. */
export async function interfacesOf(guest: BedNamespace): Promise<readonly Interface[]> {
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
