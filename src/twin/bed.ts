/**
 * The bed a twin or a packet test stands on: an outer world and hosts, each in a network namespace of its own, joined by the hosts'
 * uplinks. The outer world plays "the internet": it owns the hosts' gateways and answers on every other address. Guests are not made
 * here: Weft makes them, with the same code as on a real host.
 */
import { mkdirSync, existsSync, writeFileSync } from 'node:fs';
import { formatIp, parseIp, parsePrefix, prefixContains } from '../net/ip.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { freeAddress } from '../net/free-address.ts';

export interface BedHost {
  /** Also the name under /run/netns, after the bed's prefix. */
  readonly name: string;
  /** Name of the uplink; undefined: a host without one. Default `eth0`. */
  readonly uplink?: string;
  /** On the uplink, with prefix length. Routes lead to the gateway of each family that has an address. */
  readonly addresses: readonly string[];
  /** The outer world's address on this uplink, of each family; default: the first free one in the subnet. */
  readonly gateways?: readonly string[];
  /** More of the outer world's addresses on this uplink: machines beside the gateway. */
  readonly neighbours?: readonly string[];
  readonly mtu?: number;
  /** Of the uplink; default: the kernel's choice. */
  readonly mac?: string;
  /** Prefixes the outer world sends this way: routed addresses, and the private ones a forger on the same wire would try. */
  readonly routes?: readonly string[];
  /** More interfaces into the outer world, each with a subnet of its own and no default route. */
  readonly lans?: readonly BedLan[];
  /** net.bridge.bridge-nf-call-{ip,ip6,arp}tables inside; default: the kernel's, which is 1 where br_netfilter is loaded. */
  readonly bridgeNfCall?: 0 | 1;
}

export interface BedLan {
  readonly interface: string;
  /** The host's, with prefix length. */
  readonly addresses: readonly string[];
  /** The outer world's there, without. */
  readonly outer: readonly string[];
}

export interface Bed {
  readonly outer: BedNamespace;
  host(name: string): BedNamespace;
  /** Makes an empty namespace, `lo` up, for a container to attach or for one more machine. */
  namespace(name: string): Promise<BedNamespace>;
  /** Ends the processes in the bed's namespaces and removes these. Goes on after a failure and throws the first. */
  close(): Promise<void>;
}

export interface BedNamespace {
  /** Name under /run/netns. */
  readonly name: string;
  readonly path: string;
  readonly kernel: Kernel;
}

/**
 * Makes the outer world `<prefix>outer` and the hosts `<prefix><name>`. Two links a host: `<uplink>` there and `u-<n>` in the outer world.
 * Needs about 15 ms a host. A failure on the way removes what was made.
 */
export async function makeBed(kernel: Kernel, prefix: string, hosts: readonly BedHost[]): Promise<Bed> {
  const made = new Map<string, BedNamespace>();
  async function namespace(name: string): Promise<BedNamespace> {
    const full = `${prefix}${name}`;
    await kernel.run('ip', ['netns', 'add', full]);
    const path = `/run/netns/${full}`;
    const one: BedNamespace = { name: full, path, kernel: kernel.at(path) };
    made.set(name, one);
    await ipBatch(one.kernel, ['link set dev lo up']);
    return one;
  }
  async function close(): Promise<void> {
    const failures: unknown[] = [];
    for (const { name } of [...made.values()].toReversed()) {
      try {
        await removeNamespace(kernel, name);
      } catch (error) {
        failures.push(error);
      }
    }
    made.clear();
    if (failures.length > 0) throw failures[0];
  }
  try {
    const outer = await namespace('outer');
    await outer.kernel.run('sh', ['-c', outerSettings]);
    await ipBatch(outer.kernel, ['route add local 0.0.0.0/0 dev lo table local', 'route add local ::/0 dev lo table local']);
    for (const [index, host] of hosts.entries()) {
      const own = await namespace(host.name);
      if (host.bridgeNfCall !== undefined) await setBridgeNfCall(own.kernel, host.bridgeNfCall);
      await joinUplink(outer, own, `u-${index}`, host);
      for (const [lan, { interface: uplink, addresses, outer: gateways }] of (host.lans ?? []).entries())
        await joinUplink(outer, own, `l-${index}-${lan}`, { name: host.name, uplink, addresses, gateways }, false);
    }
    return {
      outer,
      host: (name) => {
        const found = made.get(name);
        if (!found) throw new Error(`The bed has no host ${name}.`);
        return found;
      },
      namespace,
      close,
    };
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
}

/** Ends every process in `/run/netns/<name>`, waits for them, and deletes the namespace. No error when it is gone already. */
export async function removeNamespace(kernel: Kernel, name: string): Promise<void> {
  if (!existsSync(`/run/netns/${name}`)) return;
  for (let attempt = 0; attempt < 100; attempt++) {
    const pids = (await kernel.run('ip', ['netns', 'pids', name])).trim();
    if (pids === '') break;
    await kernel.tryRun('kill', ['-9', ...pids.split(/\s+/)]);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await kernel.run('ip', ['netns', 'del', name]);
}

/** One `ip -batch` from standard input; throws at the first line that fails. */
export async function ipBatch(kernel: Kernel, lines: readonly string[]): Promise<void> {
  if (lines.length > 0) await kernel.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` });
}

/** In the namespace only. Without br_netfilter there is nothing to set. */
export async function setBridgeNfCall(kernel: Kernel, value: 0 | 1): Promise<void> {
  const keys = ['bridge-nf-call-iptables', 'bridge-nf-call-ip6tables', 'bridge-nf-call-arptables'];
  await kernel.run('sh', [
    '-c',
    keys.map((key) => `[ ! -e /proc/sys/net/bridge/${key} ] || echo ${value} > /proc/sys/net/bridge/${key}`).join('\n'),
  ]);
}

/**
 * AnyIP (`ip route add local 0.0.0.0/0 dev lo`) makes every address the outer world's own; packets from "own" sources arrive all the same
 * (accept_local), since an unmasked guest's address has to be seen, not lost.
 */
const outerSettings = `
for i in all default; do
  echo 0 > /proc/sys/net/ipv4/conf/$i/rp_filter
  echo 1 > /proc/sys/net/ipv4/conf/$i/accept_local
  echo 0 > /proc/sys/net/ipv6/conf/$i/accept_dad
done
echo 1 > /proc/sys/net/ipv4/ip_nonlocal_bind
echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind
`;

async function joinUplink(outer: BedNamespace, own: BedNamespace, peer: string, host: BedHost, leadsOut = true): Promise<void> {
  const uplink = host.uplink ?? 'eth0';
  const mtu = host.mtu ?? 1500;
  const bare = host.addresses.map((address) => address.split('/')[0] ?? '');
  const gateways = host.gateways ?? uplinkSubnets(host.addresses).map((subnet) => freeAddress(subnet, bare));
  await ipBatch(outer.kernel, [
    `link add dev ${peer} mtu ${mtu} type veth peer name ${uplink} mtu ${mtu} netns ${own.name}`,
    `link set dev ${peer} up`,
    `route append fe80::/64 dev ${peer} table local`,
    ...[...gateways, ...(host.neighbours ?? [])].map(
      (gateway) => `addr add ${gateway}/${gateway.includes(':') ? '128' : '32'} dev ${peer}`,
    ),
  ]);
  // The twin's uplink is nobody's but ours: its link-local address is final at once.
  await own.kernel.writeSysctl(`net/ipv6/conf/${uplink}/accept_dad`, '0');
  await ipBatch(own.kernel, [
    ...(host.mac === undefined ? [] : [`link set dev ${uplink} address ${host.mac}`]),
    `link set dev ${uplink} up`,
    ...host.addresses.map((address) => `addr add ${address} dev ${uplink}${address.includes(':') ? ' nodad' : ''}`),
    ...(leadsOut ? gateways.map((gateway) => `route add default via ${gateway} dev ${uplink} onlink`) : []),
  ]);
  // The hosts' addresses and subnets lie before the outer world's "everything is mine", in the same table.
  const via = (prefix: string): string | undefined => bare.find((address) => address.includes(':') === prefix.includes(':'));
  const routes = (host.routes ?? []).flatMap((prefix) => {
    const next = via(prefix);
    return next === undefined ? [] : [`route add ${prefix} via ${next} dev ${peer} onlink table local`];
  });
  await ipBatch(outer.kernel, [...uplinkSubnets(host.addresses).map((subnet) => `route add ${subnet} dev ${peer} table local`), ...routes]);
}

/** The subnets of addresses with prefix length, each once. */
function uplinkSubnets(addresses: readonly string[]): string[] {
  const subnets = addresses.flatMap((text) => {
    const prefix = parsePrefix(text);
    return prefix ? [`${formatIp({ family: prefix.family, words: prefix.words })}/${prefix.length}`] : [];
  });
  return [...new Set(subnets)].filter((one) => !subnets.some((other) => other !== one && covers(other, one)));
}

function covers(outer: string, inner: string): boolean {
  const [wide, narrow] = [parsePrefix(outer), parsePrefix(inner)];
  const first = parseIp(inner.split('/')[0] ?? '');
  return wide !== undefined && narrow !== undefined && first !== undefined && wide.length < narrow.length && prefixContains(wide, first);
}

/** In a sandbox only: the host's resolver is the outer world, where questions can be seen and nobody else is asked. */
export function pointResolverOutside(server: string): void {
  mkdirSync('/etc', { recursive: true });
  writeFileSync('/etc/resolv.conf', `nameserver ${server}\n`);
}
