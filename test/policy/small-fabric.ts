/**
 * Fabrics for the policy's tests, written down without the file and its validation: `smallFabric({ networks, guests, allow })` with parties as
 * they stand in a file. What is not given is derived simply and the same every time.
 */
import type { PortSpec, Ports } from '../../src/config/flow.ts';
import type { Fabric, Guest, Network, Nic, Party, Rule } from '../../src/fabric/model.ts';
import type { HostFacts } from '../../src/hoststate/model.ts';

export interface SmallNetwork {
  readonly kind?: 'nat' | 'isolated';
  readonly v4?: string;
  readonly v6?: string;
  readonly snat?: string;
  readonly egress?: 'allow' | 'deny';
  readonly fromHost?: 'allow' | 'deny';
  readonly filter?: 'on' | 'off';
  readonly host?: string;
}

export interface SmallGuest {
  readonly kind?: Guest['kind'];
  readonly networks: readonly string[];
  readonly inside?: string;
  readonly logDropped?: boolean;
  readonly egress?: 'allow' | 'deny';
}

export interface SmallRule {
  readonly from: string;
  readonly to: string;
  readonly ports?: string;
  readonly log?: boolean;
}

export interface Small {
  readonly networks: Readonly<Record<string, SmallNetwork>>;
  readonly guests: Readonly<Record<string, SmallGuest>>;
  readonly allow?: readonly SmallRule[];
  readonly block?: readonly SmallRule[];
}

const span = { file: 'test.yaml', line: 1, column: 1, endColumn: 2 };
const hexByte = (n: number): string => n.toString(16).padStart(2, '0');

/** Guests get .10, .11, … in each network; hosts are called `host` unless a network says otherwise. */
export function smallFabric(small: Small): Fabric {
  const hosts = [...new Set(['host', ...Object.values(small.networks).map((n) => n.host ?? 'host')])];
  const networks = Object.entries(small.networks).map(([name, network], i): Network => {
    const v4 = network.v4?.replace(/\.0\/\d+$/, '');
    const v6 = network.v6?.replace(/\/\d+$/, '');
    return {
      name,
      kind: network.kind ?? 'nat',
      host: network.host ?? 'host',
      bridge: `br-${name}`,
      mac: `02:00:00:ff:00:${hexByte(i)}`,
      ...(network.v4 === undefined ? {} : { v4: { subnet: network.v4, gateway: `${v4}.1`, range: { from: `${v4}.10`, to: `${v4}.250` } } }),
      ...(network.v6 === undefined ? {} : { v6: { subnet: network.v6, gateway: `${v6}1` } }),
      ...(network.snat === undefined ? {} : { snat: network.snat }),
      egress: network.egress ?? (network.kind === 'isolated' ? 'deny' : 'allow'),
      fromHost: network.fromHost ?? 'allow',
      dns: [],
      filter: network.filter ?? 'on',
    };
  });
  const used = new Map<string, number>();
  const guests: Guest[] = [];
  let serial = 0;
  for (const [name, guest] of Object.entries(small.guests)) {
    serial++;
    const outer = guest.inside === undefined ? undefined : guests.find((other) => other.name === guest.inside);
    const nics = guest.networks.map((networkName, index): Nic => {
      const network = networks.find((candidate) => candidate.name === networkName);
      if (!network) throw new Error(`no network ${networkName}`);
      const n = used.get(networkName) ?? 10;
      used.set(networkName, n + 1);
      const outerNic = outer?.nics.find((nic) => nic.network === networkName);
      return {
        guest: name,
        network: networkName,
        index,
        name: `eth${index}`,
        port: outerNic?.port ?? (index === 0 ? `w-${name}` : `w-${name}_${index}`),
        mac: outerNic?.mac ?? `02:00:00:${hexByte(serial >> 8)}:${hexByte(serial & 255)}:${hexByte(index)}`,
        ...(network.v4 ? { v4: v4At(network.v4.subnet, n) } : {}),
        ...(network.v6 ? { v6: `${network.v6.subnet.replace(/\/\d+$/, '')}${n.toString(16)}` } : {}),
        default: index === 0,
        egress: guest.egress ?? network.egress,
        dns: [],
      };
    });
    guests.push({
      name,
      kind: guest.kind ?? 'namespace',
      host: networks.find((network) => network.name === guest.networks[0])?.host ?? 'host',
      ...(guest.inside === undefined ? {} : { inside: guest.inside }),
      ...((guest.kind ?? 'namespace') === 'namespace' && guest.inside === undefined ? { namespace: `pol-${name}` } : {}),
      labels: {},
      logDropped: guest.logDropped ?? false,
      nics,
      span,
    });
  }
  const party = (text: string): Party => partyOf(text, guests, networks, hosts);
  const rules = (action: Rule['action'], list: readonly SmallRule[] = []): Rule[] =>
    list.map((rule, i) => ({
      id: `${action}${i}`,
      action,
      from: rule.from.split(',').map(party),
      to: rule.to.split(',').map(party),
      ports: portsOf(rule.ports ?? 'any'),
      log: rule.log ?? false,
      text: `${rule.from} -> ${rule.to} ${rule.ports ?? ''}`.trim(),
      span,
    }));
  return {
    name: 'pol',
    domain: 'weft.internal',
    hosts: hosts.map((name) => ({ name, addresses: [] })),
    networks,
    guests,
    allow: rules('allow', small.allow),
    block: rules('block', small.block),
    publish: [],
    expect: [],
    lock: { version: 1, guests: {} },
    groups: [],
  };
}

function v4At(subnet: string, n: number): string {
  const [a, b, c] = subnet.split('.').map(Number);
  return `${a}.${b}.${(c ?? 0) + (n >> 8)}.${n & 255}`;
}

function partyOf(text: string, guests: readonly Guest[], networks: readonly Network[], hosts: readonly string[]): Party {
  if (text === 'any' || text === 'internet') return { kind: text, text };
  if (text === 'host') return { kind: 'host', text };
  const [name, nicNetwork] = text.split('.');
  const guest = guests.find((candidate) => candidate.name === name);
  if (guest) {
    const nics = guest.nics.filter((nic) => nicNetwork === undefined || nic.network === nicNetwork);
    return { kind: 'guests', text, endpoints: nics.map((nic) => ({ guest: guest.name, nic: nic.index })) };
  }
  if (networks.some((network) => network.name === text)) {
    const nics = guests.flatMap((other) => other.nics.filter((nic) => nic.network === text));
    return { kind: 'guests', text, endpoints: nics.map((nic) => ({ guest: nic.guest, nic: nic.index })) };
  }
  if (/[/:]|^\d/.test(text))
    return { kind: 'prefix', text, prefix: text.includes('/') ? text : `${text}/${text.includes(':') ? 128 : 32}` };
  if (hosts.includes(text)) return { kind: 'named-host', text, host: text };
  throw new Error(`no party ${text}`);
}

/** `tcp/80,443 udp/1000-2000 icmp` */
export function portsOf(text: string): Ports {
  if (text === 'any') return 'any';
  return text.split(' ').map((word): PortSpec => {
    const [protocol, list] = word.split('/');
    if (protocol === 'icmp') return { protocol };
    if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') throw new Error(`no protocol ${word}`);
    return {
      protocol,
      ranges: (list ?? '').split(',').map((range) => {
        const [from, to] = range.split('-').map(Number);
        return { from: from ?? 0, to: to ?? from ?? 0 };
      }),
    };
  });
}

export const smallFacts: HostFacts = {
  uplink: {
    name: 'up0',
    mtu: 1500,
    mac: '02:00:00:00:aa:01',
    gateways: [],
    addresses: ['203.0.113.10/24', '203.0.113.11/24', '2001:db8:99::10/64'],
    v6: true,
  },
  interfaces: [],
  forwarding: { v4: false, v6: false },
  acceptRa: [],
  routes: [],
  features: { forceForwarding: true, bridgeNetfilter: true },
};

/** One of each: kinds of networks and guests, parties, ports, logs. */
export const everything: Small = {
  networks: {
    a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64', snat: '203.0.113.11' },
    b: { v4: '10.2.0.0/24', v6: '2001:db8:2::/64', fromHost: 'deny' },
    lab: { kind: 'isolated', v4: '10.3.0.0/24', v6: 'fd00:3::/64' },
    off: { v4: '10.4.0.0/24', filter: 'off' },
    remote: { v4: '10.9.0.0/24', host: 'home' },
  },
  guests: {
    web: { networks: ['a'] },
    db: { networks: ['a', 'b'], logDropped: true },
    c: { networks: ['b'], kind: 'vm' },
    v: { networks: ['lab'] },
    jail: { networks: ['a'], inside: 'web' },
    box: { networks: ['a'], kind: 'container' },
    o: { networks: ['off'] },
    r: { networks: ['remote'] },
  },
  allow: [
    { from: 'web', to: 'db', ports: 'tcp/5432' },
    { from: 'internet', to: 'web', ports: 'tcp/80,443 udp/443' },
    { from: 'web', to: 'host', ports: 'tcp/22 udp/53' },
    { from: 'a', to: 'b', ports: 'icmp', log: true },
    { from: 'any', to: '10.1.0.0/24', ports: 'tcp/1000-2000' },
    { from: 'web,db,c,v,jail,box,o', to: 'c', ports: 'tcp/1-5' },
    { from: '192.168.0.0/16,172.16.0.0/12', to: 'web' },
    { from: 'r', to: 'web' },
    { from: 'host', to: 'b', ports: 'tcp/22' },
  ],
  block: [
    { from: 'host', to: 'v' },
    { from: 'web', to: '10.2.0.0/24', ports: 'udp/1-5,9', log: true },
    { from: 'c', to: 'host', ports: 'udp/53' },
    { from: 'any', to: 'any', ports: 'sctp/7' },
  ],
};
