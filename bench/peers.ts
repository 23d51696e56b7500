/**
 * `npm run bench:peers [-- --rounds N --guests N]`: what it costs to connect one guest more, beside Podman's netavark (its bridge driver, called as Podman calls it: one
 * namespace, one interface, its rules) and libvirt's networks (one DHCP host of a running network), in one run. Weft's figure is a whole apply of so many guests
 * with ten rules each, from nothing, by the number of guests.
 */
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { table } from '../src/cli/table.ts';
import { measure, median } from './command.ts';
import { generate } from './generate.ts';
import { onStage, uplink, weft } from './stage.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '5' }, guests: { type: 'string', default: '1000' } } });
const rounds = Number(values.rounds);
const guests = Number(values.guests);

await onStage(['scripts/packages', 'scripts/packages-bench'], everything);

async function everything(): Promise<void> {
  execFileSync('ip', ['-batch', '-'], { input: uplink, stdio: ['pipe', 'inherit', 'inherit'] });
  mkdirSync('/run/bench');
  writeFileSync('/run/bench/weft.yaml', generate({ guests, rulesEach: 10, networks: Math.ceil(guests / 1000) }));
  const up: Record<'Weft' | 'netavark' | 'libvirt', number[]> = { Weft: [], netavark: [], libvirt: [] };
  await startLibvirt();
  for (let round = 1; round <= rounds; round++) {
    up.Weft.push((await wholeApply()) / guests);
    for (let i = 0; i < 5; i++) up.netavark.push(await netavark(round * 10 + i));
    for (let i = 0; i < 5; i++) up.libvirt.push(await dhcpHost(round * 10 + i));
    process.stderr.write(`round ${round} of ${rounds}\n`);
  }
  const own = median(up.Weft);
  console.log(
    table(
      ['A GUEST MORE', 'MS', 'TIMES WEFT'],
      Object.entries(up).map(([name, all]) => [name, median(all).toFixed(2), (median(all) / own).toFixed(1)]),
    ),
  );
}

async function wholeApply(): Promise<number> {
  const where = ['-f', '/run/bench/weft.yaml', '--state-dir', '/run/bench/state', '--run-dir', '/run/bench/run'];
  const applied = await measure([weft, 'apply', '--yes', ...where]);
  const destroyed = await measure([weft, 'destroy', '--yes', ...where]);
  if (applied.status !== 0 || destroyed.status !== 0) throw new Error(applied.err + destroyed.err);
  return applied.ms;
}

/** As Podman asks for it; the namespace is made before, as Podman's own work. */
async function netavark(n: number): Promise<number> {
  const namespace = `podman-${n}`;
  execFileSync('ip', ['netns', 'add', namespace]);
  const request = {
    container_id: String(n).padStart(64, '0'),
    container_name: namespace,
    networks: { podman: { static_ips: [`10.88.0.${n}`], interface_name: 'eth0' } },
    network_info: {
      podman: {
        name: 'podman',
        id: '2f259bab93aaaaa2542ba43ef33eb990d0999ee1b9924b557b7be53c0b7a1bb9',
        driver: 'bridge',
        network_interface: 'podman0',
        subnets: [{ subnet: '10.88.0.0/16', gateway: '10.88.0.1' }],
        ipv6_enabled: false,
        internal: false,
        dns_enabled: false,
        ipam_options: { driver: 'host-local' },
      },
    },
  };
  const file = `/run/bench/${namespace}.json`;
  writeFileSync(file, JSON.stringify(request));
  return timed(['sh', '-c', `exec /usr/lib/podman/netavark setup /run/netns/${namespace} <${file}`]);
}

async function dhcpHost(n: number): Promise<number> {
  const host = `<host mac='52:54:00:00:00:${n.toString(16).padStart(2, '0')}' ip='10.77.1.${n}'/>`;
  return timed(['virsh', '-q', '-c', 'network:///system', 'net-update', 'bench', 'add', 'ip-dhcp-host', host, '--live']);
}

async function timed(argv: readonly string[]): Promise<number> {
  const { ms, status, err } = await measure(argv);
  if (status !== 0) throw new Error(`${argv[0]}: ${err}`);
  return ms;
}

/** Its daemon wants a directory and a user of its own, which the sandbox's private /etc gets. */
async function startLibvirt(): Promise<void> {
  // A link to the machine's own, where libvirt is configured already.
  rmSync('/etc/libvirt', { force: true, recursive: true });
  mkdirSync('/etc/libvirt/qemu/networks', { recursive: true });
  for (const [file, line] of [
    ['passwd', 'libvirt-qemu:x:64055:64055::/:/bin/false\n'],
    ['group', 'libvirt-qemu:x:64055:\n'],
  ] as const) {
    writeFileSync(`/etc/${file}.new`, readFileSync(`/etc/${file}`, 'utf8') + line);
    renameSync(`/etc/${file}.new`, `/etc/${file}`);
  }
  mkdirSync('/run/libvirt');
  execFileSync('mount', ['-t', 'tmpfs', 'libvirt', '/var/lib/libvirt']);
  mkdirSync('/var/lib/libvirt/dnsmasq');
  spawn('libvirtd', [], { stdio: 'ignore' }).unref();
  const network =
    '<network><name>bench</name><forward mode="nat"/><bridge name="bench"/><ip address="10.77.0.1" netmask="255.255.0.0"><dhcp><range start="10.77.0.2" end="10.77.0.254"/></dhcp></ip></network>';
  writeFileSync('/run/bench/network.xml', network);
  for (let tries = 0; tries < 60; tries++) {
    await sleep(500);
    const made = await measure(['virsh', '-q', '-c', 'network:///system', 'net-create', '/run/bench/network.xml']);
    if (made.status === 0) return;
    if (tries === 59) throw new Error(made.err);
  }
}
