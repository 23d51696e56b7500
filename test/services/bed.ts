/**
 * A host with bridges and guests behind them, made by hand in throw-away network namespaces as docs/architecture.md describes them, for
 * the tests of the services. Deliberately not the compiler's work: a test of one part must not lean on another.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import type { Fabric } from '../../src/fabric/model.ts';
import { openKernel } from '../../src/kernel/open.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';
import type { ServiceDirs } from '../../src/kernel/services.ts';

export interface Bed {
  readonly host: Kernel;
  readonly dirs: ServiceDirs;
  readonly directory: string;
  /** The inside of a guest; its first NIC is eth0. */
  inside(name: string): Kernel;
  /** A namespace like a guest's on the bridge, with a MAC of its own choice. */
  plug(name: string, bridge: string, mac: string): Promise<Kernel>;
  /** Starts a program that {@link close} ends. */
  background(kernel: Kernel, program: string, args: readonly string[]): Promise<number>;
  close(): Promise<void>;
}

let beds = 0;

/** Makes the host with bridges, addresses, ports and the redirect of port 53; no service runs yet. */
export async function makeBed(described: Fabric): Promise<Bed> {
  const root = openKernel();
  const prefix = `svc-${process.pid}-${beds++}`;
  // The directory is open to all as /run/weft is, so that dnsmasq runs as its own user.
  const directory = mkdtempSync(join(tmpdir(), 'weft-services-'));
  chmodSync(directory, 0o755);
  const spaces: string[] = [];
  const pids: number[] = [];
  let links = 0;

  async function space(name: string): Promise<Kernel> {
    const full = `${prefix}-${name}`;
    await root.run('ip', ['netns', 'add', full]);
    spaces.push(full);
    const kernel = openKernel({ netns: `/run/netns/${full}` });
    await kernel.run('ip', ['link', 'set', 'lo', 'up']);
    // Link-local addresses are usable at once; duplicate address detection is not what is tested here.
    await kernel.writeSysctl('net/ipv6/conf/default/accept_dad', '0');
    return kernel;
  }

  const host = await space('host');
  const inner = new Map<string, Kernel>();
  const batch = (kernel: Kernel, lines: readonly string[]): Promise<string> =>
    kernel.run('ip', ['-batch', '-'], { input: lines.map((line) => `${line}\n`).join('') });

  async function connect(kernel: Kernel, name: string, port: string, bridge: string, mac: string): Promise<void> {
    const peer = `${prefix}-${links++}`.slice(-15);
    await host.run('ip', ['link', 'add', 'name', port, 'type', 'veth', 'peer', 'name', peer]);
    await host.run('ip', ['link', 'set', 'dev', peer, 'netns', kernel.netns ?? '']);
    await batch(host, [`link set dev ${port} master ${bridge}`, `link set dev ${port} up`]);
    await host.run('bridge', ['link', 'set', 'dev', port, 'isolated', 'on', 'learning', 'off', 'flood', 'off']);
    await host.run('bridge', ['fdb', 'replace', mac, 'dev', port, 'master', 'static']);
    await batch(kernel, [`link set dev ${peer} name ${name} address ${mac}`, `link set dev ${name} up`]);
  }

  async function plug(name: string, bridge: string, mac: string): Promise<Kernel> {
    const kernel = await space(name);
    inner.set(name, kernel);
    await connect(kernel, 'eth0', `w-${name}`, bridge, mac);
    return kernel;
  }

  for (const net of described.networks) {
    const bridge = net.bridge;
    await batch(host, [`link add name ${bridge} address ${net.mac} type bridge stp_state 0 mcast_snooping 0`]);
    await batch(host, [`link set dev ${bridge} addrgenmode none`, `link set dev ${bridge} up`]);
    const addresses: string[] = [];
    if (net.v4) addresses.push(`${net.v4.gateway}/${net.v4.subnet.split('/')[1] ?? '24'}`);
    if (net.v6) addresses.push(`${net.v6.gateway}/${net.v6.subnet.split('/')[1] ?? '64'} nodad`, 'fe80::1/64 nodad');
    await batch(
      host,
      addresses.map((address) => `address add ${address} dev ${bridge}`),
    );
    await host.writeSysctl(`net/ipv4/conf/${bridge}/proxy_arp_pvlan`, '1');
    await host.writeSysctl(`net/ipv4/neigh/${bridge}/proxy_delay`, '0');
    await host.writeSysctl(`net/ipv4/conf/${bridge}/forwarding`, '1');
  }
  if (described.networks.some((net) => net.v6)) await host.writeSysctl('net/ipv6/conf/all/forwarding', '1');
  for (const guest of described.guests.filter(({ inside }) => inside === undefined)) {
    const kernel = await space(guest.name.toLowerCase());
    inner.set(guest.name, kernel);
    for (const nic of guest.nics) {
      const bridge = described.networks.find(({ name }) => name === nic.network)?.bridge ?? '';
      await connect(kernel, nic.name, nic.port, bridge, nic.mac);
      for (const address of [nic.v4, nic.v6])
        if (address !== undefined)
          await host.run('ip', ['neigh', 'replace', address, 'lladdr', nic.mac, 'dev', bridge, 'nud', 'permanent']);
    }
  }
  // A plain `redirect` in the output hook would send the host's own questions to 127.0.0.1.
  const own = described.networks.flatMap(({ v4, v6 }) => [
    ...(v4 ? [`ip daddr ${v4.gateway} meta l4proto { tcp, udp } th dport 53 dnat ip to ${v4.gateway}:53053`] : []),
    ...(v6 ? [`ip6 daddr ${v6.gateway} meta l4proto { tcp, udp } th dport 53 dnat ip6 to [${v6.gateway}]:53053`] : []),
  ]);
  const rules = join(directory, 'rules.nft');
  writeFileSync(
    rules,
    `table inet weft {
  set bridges { type ifname; elements = { ${described.networks.map(({ bridge }) => bridge).join(', ')} } }
  chain nat_prerouting { type nat hook prerouting priority dstnat;
    iifname @bridges meta l4proto { tcp, udp } th dport 53 redirect to :53053
  }
  chain nat_output { type nat hook output priority -100;
    ${own.join('\n    ')}
  }
}
`,
  );
  await host.run('nft', ['-f', rules]);

  return {
    host,
    dirs: { run: join(directory, 'run'), state: join(directory, 'state') },
    directory,
    plug,
    inside(name) {
      const kernel = inner.get(name);
      if (!kernel) throw new Error(`no guest ${name}`);
      return kernel;
    },
    async background(kernel, program, args) {
      const pid = await kernel.startDetached(program, args);
      pids.push(pid);
      return pid;
    },
    async close() {
      for (const pid of pids)
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It ended by itself.
        }
      // A service lives on when its namespace has lost its name; whatever still runs in one of them was started by the test.
      for (const name of spaces)
        for (const pid of (await root.tryRun('ip', ['netns', 'pids', name])).stdout.split('\n').filter(Boolean))
          try {
            process.kill(Number(pid), 'SIGKILL');
          } catch {
            // It ended by itself.
          }
      for (const name of spaces) await root.tryRun('ip', ['netns', 'del', name]);
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
