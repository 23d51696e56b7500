/**
 * What a host tells guests behind routed ports (DHCP with and without `bootstrap:`, router advertisements, names), by clients as guests have them; and that
 * nobody else is told anything, though the guests' gateway is the host's own public address.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import type { Kernel } from '../../src/kernel/kernel.ts';
import { pointResolverOutside } from '../../src/twin/bed.ts';
import { internet4, withHost, type HostBed } from '../bed/host.ts';
import { renew } from '../services/clients.ts';

const file = `
name: told
hosts: { vps: { address: [203.0.113.10, '2001:db8:cb00::10'] } }
networks:
  public: { kind: routed, addresses: [198.18.5.0/29, 198.18.7.9, '2001:db8:5::/64', '2001:db8:7::9'] }
  first: { kind: routed, addresses: 198.18.6.0/29, bootstrap: 172.30.0.0/16 }
  internal: { kind: nat, subnet: 10.0.105.0/24 }
guests:
  plain: { kind: container, network: public, address: [198.18.5.7, '2001:db8:5::77'] }
  single: { kind: container, network: public, address: [198.18.7.9, '2001:db8:7::9'] }
  named: { kind: namespace, network: public, address: [198.18.5.0, '2001:db8:5::78'] }
  installer: { kind: container, network: first, address: 198.18.6.0 }
  two: { kind: namespace, nics: [{ network: first, address: 198.18.6.7 }, { network: internal, address: 10.0.105.2 }] }
  inner: { kind: namespace, network: internal, address: 10.0.105.3 }
allow: [installer -> named tcp/80, named -> installer tcp/80, two -> inner tcp/80]
`;
const main = '203.0.113.10';

/** Attached, and as an installer finds it: nothing set, the interface up. */
async function bare(bed: HostBed, name: string): Promise<Kernel> {
  const guest = await bed.namespace(name);
  await bed.weft('attach', name, '--netns', guest.path);
  await guest.kernel.run('sh', ['-c', 'ip addr flush dev eth0 scope global; ip route flush dev eth0; ip -6 route flush dev eth0 || true']);
  await guest.kernel.run('sh', [
    '-c',
    'echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_ra; ip link set dev eth0 down; ip link set dev eth0 up',
  ]);
  return guest.kernel;
}

/** udhcpc with the script that busybox's documentation has, routes of option 121 included: it sets what it is told. */
async function lease(bed: HostBed, guest: Kernel): Promise<string> {
  const script = join(bed.directory, 'udhcpc');
  writeFileSync(
    script,
    `#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr replace "$ip/$mask" dev "$interface"
set -- $staticroutes
[ $# -gt 0 ] || set -- 0.0.0.0/0 "$router"
while [ $# -gt 0 ]; do
  if [ "$2" = 0.0.0.0 ]; then ip route replace "$1" dev "$interface"; else ip route replace "$1" via "$2" dev "$interface"; fi
  shift 2
done
env
`,
    { mode: 0o755 },
  );
  const args = ['udhcpc', '-f', '-n', '-q', '-t', '10', '-T', '2', '-O', '121', '-O', 'mtu', '-i', 'eth0', '-s', script];
  return guest.run('busybox', args, { timeoutMs: 30_000 });
}

const dig = async (from: Kernel, ...args: readonly string[]): Promise<string> =>
  (await from.tryRun('dig', ['+time=2', '+tries=2', '+short', ...args])).stdout.trim();

it('tells its guests, and nobody else', { timeout: 240_000 }, async () => {
  const routes = ['198.18.5.0/29', '198.18.6.0/29', '198.18.7.9/32', '2001:db8:5::/64', '169.254.0.0/16', '172.30.0.0/16'];
  await withHost({ file, host: { routes } }, async (bed) => {
    pointResolverOutside('203.0.113.1');
    await bed.weft('apply', '--yes');
    const at = bed.prober;

    // The public /32 with its on-link route; the block's broadcast address, and a single address.
    for (const [name, address] of [
      ['plain', '198.18.5.7'],
      ['single', '198.18.7.9'],
    ] as const) {
      const guest = await bare(bed, name);
      const told = await lease(bed, guest);
      assert.match(told, new RegExp(`^ip=${address}$`, 'm'));
      assert.match(told, /^mask=32$/m);
      assert.match(told, new RegExp(`^router=${main}$`, 'm'));
      assert.match(told, new RegExp(`^staticroutes=${main}/32 0.0.0.0 0.0.0.0/0 ${main}$`, 'm'));
      assert.doesNotMatch(told, /^broadcast=198/m);
      const seen = await at.probe({ from: guest.netns ?? '', to: internet4, at: bed.outer.path, protocol: 'tcp', port: 80 });
      assert.equal(seen.seenSource, address);
      assert.equal(await dig(guest, `@${main}`, 'named.public'), '198.18.5.0', name);
      // By router advertisement the default route, by DHCPv6 the address.
      await until(async () => (await guest.run('ip', ['-6', 'route', 'show', 'default'])).includes('via fe80::1'));
      const v6 = name === 'plain' ? '2001:db8:5::77' : '2001:db8:7::9';
      assert.match(await dhclient6(bed, guest), new RegExp(`^new_ip6_address=${v6}$`, 'm'));
    }

    // First a private address, source-NATed; then the public one beside it, as exported; both are its own.
    const installer = await bare(bed, 'installer');
    const told = await lease(bed, installer);
    assert.match(told, /^ip=172\.30\.0\.2$/m);
    assert.match(told, /^mask=16$/m);
    assert.match(told, /^router=172\.30\.0\.1$/m);
    const path = installer.netns ?? '';
    const probe = (source: string) => at.probe({ from: path, source, to: internet4, at: bed.outer.path, protocol: 'tcp', port: 80 });
    assert.equal((await probe('172.30.0.2')).seenSource, main);
    assert.equal(await dig(installer, '@172.30.0.1', 'named.public'), '198.18.5.0');
    await installer.run('ip', ['addr', 'add', '198.18.6.0/32', 'dev', 'eth0']);
    await installer.run('ip', ['route', 'add', main, 'dev', 'eth0']);
    await installer.run('ip', ['route', 'replace', 'default', 'via', main, 'dev', 'eth0']);
    assert.equal((await probe('198.18.6.0')).seenSource, '198.18.6.0');
    assert.equal((await probe('172.30.0.2')).seenSource, main);
    assert.equal((await probe('198.18.6.0')).answered, true);
    assert.equal(await dig(installer, `@${main}`, 'named.public'), '198.18.5.0');
    const [inward, outward] = await Promise.all([
      at.probe({ from: bed.outer.path, to: '172.30.0.2', at: path, protocol: 'tcp', port: 80 }),
      at.probe({ from: bed.guest('named').path, to: '198.18.6.0', at: path, protocol: 'tcp', port: 80 }),
    ]);
    assert.deepEqual([inward.delivered, outward.answered], [false, true]);

    // With a second NIC, each way by its own.
    assert.equal((await bed.probe('two', 'outer', { to: internet4, protocol: 'tcp', port: 80 })).seenSource, '198.18.6.7');
    assert.equal((await bed.probe('two', 'inner', { to: '10.0.105.3', protocol: 'tcp', port: 80 })).seenSource, '10.0.105.2');

    // The namespace asks at its gateway, over IPv6 too.
    const named = bed.guest('named').kernel;
    assert.equal(await dig(named, `@${main}`, 'inner.internal'), '10.0.105.3');
    assert.equal(await dig(named, '@fe80::1%eth0', 'AAAA', 'plain.public'), '2001:db8:5::77');

    // Nobody outside gets a word: not at the host's address, nor at what answers behind it, nor at the port itself.
    const listening = await bed.host.kernel.run('ss', ['-lnuH']);
    assert.ok(!listening.includes(`${main}:`), listening);
    const service =
      /listen-address=(169\S+)/.exec(await bed.host.kernel.run('sh', ['-c', `cat ${bed.directory}/run/services/dnsmasq-public/*`]))?.[1] ??
      '';
    assert.match(service, /^169\.254\./);
    for (const server of [main, service, '172.30.0.1', '2001:db8:cb00::10']) {
      for (const port of ['53', '53053']) {
        for (const extra of [[], ['+tcp']])
          assert.equal(
            await dig(bed.outer.kernel, `@${server}`, '-p', port, '+tries=1', '+time=1', ...extra, 'named.public').then((text) =>
              text.replace(/^;.*$/gm, '').trim(),
            ),
            '',
            `${server} ${port}`,
          );
      }
    }
  });
});

async function dhclient6(bed: HostBed, guest: Kernel): Promise<string> {
  const script = join(bed.directory, 'dhclient-script');
  const out = join(bed.directory, `lease6-${guest.netns?.split('/').at(-1)}`);
  writeFileSync(script, `#!/bin/sh\ncase "$reason" in BOUND6) env > ${out} ;; esac\nexit 0\n`, { mode: 0o755 });
  writeFileSync(`${out}.conf`, 'timeout 20;\nretry 1;\n');
  const pid = `${out}.pid`;
  await until(async () => !(await guest.run('ip', ['-6', 'addr', 'show', 'dev', 'eth0', 'scope', 'link'])).includes('tentative'));
  await guest.tryRun('dhclient', ['-6', '-1', '-cf', `${out}.conf`, '-sf', script, '-lf', `${out}.leases`, '-pf', pid, 'eth0'], {
    timeoutMs: 30_000,
  });
  await guest.tryRun('sh', ['-c', `kill -9 $(cat ${pid})`]);
  return (await guest.tryRun('cat', [out])).stdout;
}

async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 30_000;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not within 30 s: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

it('is there before its only container is attached, and answers it then', { timeout: 240_000 }, async () => {
  const late = `
name: late
networks: { public: { kind: routed, addresses: [203.0.113.64/29] } }
guests: { app: { network: public, kind: container } }
`;
  await withHost({ file: late }, async (bed) => {
    await bed.weft('apply', '--yes');
    assert.match(await bed.weft('status'), /Everything is as applied/);
    const container = await bed.namespace('container');
    await bed.weft('attach', 'app', '--netns', container.path);
    const [nic] = ((await bed.json('show')) as { guests: { nics: { gateways: string[] }[] }[] }).guests[0]?.nics ?? [];
    const server = nic?.gateways[0] ?? '';
    const { stdout } = await container.kernel.tryRun('dig', ['+short', `@${server}`, 'app.public.weft.internal']);
    assert.equal(stdout.trim(), '203.0.113.64');
    assert.match(await bed.weft('apply', '--yes', '--full'), /Nothing to change/);
  });
});

it('renews the leases of several networks, each from its own server', { timeout: 240_000 }, async () => {
  const several = (more: string): string => `
name: several
hosts: { vps: { address: 203.0.113.10 } }
networks:
  a: { kind: routed, addresses: 198.18.5.0/29 }
  b: { kind: routed, addresses: 198.18.6.0/29 }
  c: { kind: routed, addresses: 198.18.7.0/29, bootstrap: 172.30.0.0/24 }
  d: { kind: nat, subnet: 10.0.105.0/24 }
  e: { kind: isolated, subnet: 10.0.106.0/24 }
guests:
  of-a: { kind: container, network: a, address: 198.18.5.1 }
  of-b: { kind: container, network: b, address: 198.18.6.1 }
  of-c: { kind: container, network: c, address: 198.18.7.1 }
  of-d: { kind: container, network: d, address: 10.0.105.2 }
  of-e: { kind: container, network: e, address: 10.0.106.2 }
${more}`;
  await withHost({ file: several('  more: { kind: container, network: a, address: 198.18.5.7 }') }, async (bed) => {
    await bed.weft('apply', '--yes');
    const leases: { readonly guest: Kernel; readonly address: string; readonly server: string }[] = [];
    for (const name of ['of-a', 'of-b', 'of-c', 'of-d', 'of-e']) {
      const guest = await bare(bed, name);
      const told = await lease(bed, guest);
      const [address, server] = ['ip', 'serverid'].map((word) => new RegExp(`^${word}=(.*)$`, 'm').exec(told)?.[1] ?? '');
      leases.push({ guest, address: address ?? '', server: server ?? '' });
    }
    const renewals = (): Promise<string[]> => Promise.all(leases.map(({ guest, address, server }) => renew(guest, address, server)));
    const all = leases.map(({ address }) => `ack ${address}`);
    assert.deepEqual(await renewals(), all, JSON.stringify(leases.map(({ server }) => server)));
    // A reservation that leaves starts the server of its network anew: now it is the last one that has bound the port.
    bed.writeFile(several(''));
    await bed.weft('apply', '--yes');
    assert.deepEqual(await renewals(), all);
  });
});
