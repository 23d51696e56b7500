/**
 * Two guests behind a host, and what a host does to the packets between them: nothing, Weft with so many guests, a linear iptables script of so many
 * rules. Each layout stands in a namespace of its own; all of them stand at the same time, so that they can be measured in turn.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { generate } from './generate.ts';
import { uplink } from './stage.ts';

export interface Layout {
  readonly name: string;
  /** Path of the host's namespace. */
  readonly host: string;
  /** Paths of the guests' namespaces. */
  readonly from: string;
  readonly to: string;
  readonly fromAddress: string;
  readonly toAddress: string;
  /** Ethernet addresses: of the sender, and of its next hop. */
  readonly mac: string;
  readonly nextHop: string;
}

/** The ports that are measured: what the last rule allows. */
export const ports = { packets: 9, connects: 7007, throughput: 5201 } as const;

export function inside(namespace: string, argv: readonly string[], input?: string): string {
  return execFileSync('nsenter', [`--net=${namespace}`, ...argv], {
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['pipe', 'pipe', 'inherit'],
    ...(input === undefined ? {} : { input }),
  });
}

/** Two veths routed by a host without a single rule. */
export function bare(name: string): Layout {
  const [host, from, to] = ['host', 'a', 'b'].map((end) => makeNamespace(`${name}-${end}`)) as [string, string, string];
  for (const [i, guest] of [from, to].entries()) {
    inside(
      host,
      ['ip', '-batch', '-'],
      `link add dev p${i} type veth peer name eth0 netns ${name}-${i === 0 ? 'a' : 'b'}\naddr add 10.9.${i}.1/24 dev p${i}\nlink set dev p${i} up\n`,
    );
    inside(guest, ['ip', '-batch', '-'], `addr add 10.9.${i}.2/24 dev eth0\nlink set dev eth0 up\nroute add default via 10.9.${i}.1\n`);
  }
  inside(host, ['sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
  uncounted(to);
  return { name, host, from, to, fromAddress: '10.9.0.2', toAddress: '10.9.1.2', mac: macOf(from, 'eth0'), nextHop: macOf(host, 'p0') };
}

/** Weft with `guests` VMs of ten rules each on a network for each thousand, and the two that are measured, whose rules come last. */
export function withWeft(name: string, guests: number, weft: string): Layout {
  const host = makeNamespace(`${name}-host`);
  const directory = `/run/bench/${name}`;
  mkdirSync(directory, { recursive: true });
  inside(host, ['ip', '-batch', '-'], uplink);
  const text = generate({ guests, rulesEach: 10, networks: Math.ceil(guests / 1000) })
    .replace('name: bench', `name: ${name}`)
    .replace('groups:\n', '  from: { network: net0, kind: namespace }\n  to: { network: net0, kind: namespace }\ngroups:\n');
  const rules = `  - from -> to udp/${ports.packets}\n  - from -> to tcp/${ports.connects}\n  - from -> to tcp/${ports.throughput}\n`;
  writeFileSync(`${directory}/weft.yaml`, text + rules);
  const where = ['-f', `${directory}/weft.yaml`, '--state-dir', `${directory}/state`, '--run-dir', `${directory}/run`];
  inside(host, [weft, 'apply', '--yes', ...where]);
  const shown = JSON.parse(inside(host, [weft, 'show', '--json', ...where])) as {
    readonly guests: readonly {
      readonly name: string;
      readonly nics: readonly { readonly addresses: readonly string[]; readonly mac: string }[];
    }[];
  };
  const nic = (guest: string): { readonly address: string; readonly mac: string } => {
    const found = shown.guests.find((one) => one.name === guest)?.nics[0];
    return { address: found?.addresses[0] ?? '', mac: found?.mac ?? '' };
  };
  uncounted(`/run/netns/${name}-to`);
  return {
    name,
    host,
    from: `/run/netns/${name}-from`,
    to: `/run/netns/${name}-to`,
    fromAddress: nic('from').address,
    toAddress: nic('to').address,
    mac: nic('from').mac,
    nextHop: macOf(host, 'br-net0'),
  };
}

/** What people write: replies first, then a rule for each thing that is allowed, the measured ones last, then drop. Without any it is connection tracking alone. */
export function withScript(name: string, rules: number): Layout {
  const layout = bare(name);
  const lines = ['*filter', ':FORWARD DROP [0:0]', '-A FORWARD -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT'];
  for (let i = 0; i < rules; i++) {
    const guest = Math.floor(i / 10);
    lines.push(`-A FORWARD -s 10.${20 + (guest >> 8)}.${guest & 255}.2/32 -d 10.9.1.2/32 -p tcp --dport ${1024 + (i % 10)} -j ACCEPT`);
  }
  for (const [protocol, port] of [
    ['udp', ports.packets],
    ['tcp', ports.connects],
    ['tcp', ports.throughput],
  ] as const)
    lines.push(`-A FORWARD -s ${layout.fromAddress}/32 -d ${layout.toAddress}/32 -p ${protocol} --dport ${port} -j ACCEPT`);
  inside(`/run/netns/${name}-host`, ['iptables-restore'], `${lines.join('\n')}\nCOMMIT\n`);
  return layout;
}

function makeNamespace(name: string): string {
  execFileSync('ip', ['netns', 'add', name]);
  const path = `/run/netns/${name}`;
  inside(path, ['ip', 'link', 'set', 'dev', 'lo', 'up']);
  return path;
}

function macOf(namespace: string, link: string): string {
  return /link\/ether (\S+)/.exec(inside(namespace, ['ip', '-o', 'link', 'show', 'dev', link]))?.[1] ?? '';
}

export const connectsProgram = join(import.meta.dirname, 'connects.ts');

/** Whether frames of the host's bridges pass the IP hooks before they are routed (br_netfilter, which Docker and others load; new namespaces begin with it on). */
export function filterBridged({ host }: Layout, on: boolean): void {
  if (!existsSync('/proc/sys/net/bridge')) return;
  const line = `for key in iptables ip6tables arptables; do echo ${on ? 1 : 0} >/proc/sys/net/bridge/bridge-nf-call-$key; done`;
  inside(host, ['sh', '-c', line]);
}

/** What the receiver's own network would do with small packets (look for a socket, answer that there is none) is not what is measured. */
function uncounted(receiver: string): void {
  const chain = `table netdev bench {\n chain in {\n type filter hook ingress device "eth0" priority 0;\n udp dport ${ports.packets} drop\n }\n}\n`;
  inside(receiver, ['nft', '-f', '-'], chain);
}

export const version = (): string => readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
