/**
 * What the policy says of one flow, read from the same data that nft-policy.ts prints: for cutting exactly the connections that are no longer allowed, and for
 * knowing what a rehearsal has to see. Compared with real packets in test/policy.
 */
import { parseIp, parsePrefix, prefixContains, type Ip, type Prefix } from '../net/ip.ts';
import type { Ports } from '../config/flow.ts';
import type { Direction, Endpoint, Entry, HostPolicy, Layer, Peer, PolicyNetwork, Publication } from './policy-model.ts';
import { familyOf } from './prefixes.ts';
import { WEFT_DNS_PORT } from '../hoststate/ports.ts';

export interface Flow {
  /** Canonical text: the source before, the destination after NAT. */
  readonly src: string;
  readonly dst: string;
  /** A number is the IP protocol's. `icmp` to the host is an echo request: ND and MLD are not flows. */
  readonly protocol: 'tcp' | 'udp' | 'sctp' | 'icmp' | 'icmpv6' | number;
  /** After NAT. */
  readonly dport?: number;
  /** Tells DHCP from other UDP; otherwise without meaning. */
  readonly sport?: number;
  /** Of the guest's end, where its address is link-local: guests may have others than the one made of their MAC (RFC 7217). */
  readonly guestMac?: string;
  /** The destination was translated (`ct status dnat`). */
  readonly dnat?: boolean;
  /** The destination before that; without it, a translated flow may be any publication's that leads there. */
  readonly original?: { readonly dst: string; readonly dport?: number };
  /** Through the host, to the host, from the host. */
  readonly path: 'forward' | 'input' | 'output';
}

export interface Judgement {
  /** `not-ours`: neither end is behind a port with a policy; whoever else filters on the host decides. */
  readonly verdict: 'accept' | 'drop' | 'not-ours';
  /** The rule that decided, or the default that allowed it: `egress`, `from-host`. Undefined for the rest. */
  readonly ruleId?: string;
}

const protocols = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
const DROP: Judgement = { verdict: 'drop' };
const ACCEPT: Judgement = { verdict: 'accept' };
const NOT_OURS: Judgement = { verdict: 'not-ours' };

/** Judges the opening packet of a flow; replies and related errors follow it. */
export function judge(policy: HostPolicy, flow: Flow): Judgement {
  const protocol = typeof flow.protocol === 'number' ? flow.protocol : protocols[flow.protocol];
  const packet: Packet = { ...flow, protocol };
  switch (flow.path) {
    case 'forward':
      return judgeForward(policy, packet);
    case 'input':
      return judgeInput(policy, packet);
    case 'output':
      return judgeOutput(policy, packet);
  }
}

interface Packet extends Flow {
  readonly protocol: number;
}

function judgeForward(policy: HostPolicy, packet: Packet): Judgement {
  const from = networkAt(policy, packet.src);
  const to = networkAt(policy, packet.dst);
  // Guests on the outer network come and are reached by the way of whoever is there.
  const [fromOutside, toOutside] = [!from || from.shared !== undefined, !to || to.shared !== undefined];
  if ((from?.isolated && toOutside) || (to?.isolated && fromOutside)) return DROP;
  if (fromOutside && to && packet.dnat !== true && covered(to.keptIn, packet.dst)) return DROP;
  if (from && !to && covered(policy.elsewhere, packet.dst)) return DROP;
  if (!from?.filtered && !to?.filtered) {
    const guarded = familyOf(packet.src) === 4 ? policy.guardsForwarding.v4 : policy.guardsForwarding.v6;
    return !from && !to && guarded ? DROP : NOT_OURS;
  }
  const source = policy.endpoints.get(packet.src);
  // An address of ours that no guest has, or of a network elsewhere: forged.
  if ((from && !source) || covered(policy.elsewhere, packet.src)) return DROP;
  const destination = policy.endpoints.get(packet.dst);
  for (const layer of ['block', 'allow'] as const) {
    const found = find(policy, destination, layer, 'from', packet.src, packet) ?? find(policy, source, layer, 'to', packet.dst, packet);
    if (found) return { verdict: layer === 'block' ? 'drop' : 'accept', ruleId: found.ruleId };
    const published = layer === 'block' ? publicationOf(policy, packet) : undefined;
    if (published) return { verdict: 'accept', ruleId: published.id };
  }
  return DROP;
}

function judgeInput(policy: HostPolicy, packet: Packet): Judgement {
  const source = localEnd(policy, packet.src, packet);
  if (!source) {
    if (isGateway(policy, packet.src)) return NOT_OURS;
    const network = networkAt(policy, packet.src);
    // Link-local gateways are every bridge's, and the outer network has its own fe80::1.
    if (!network) return isClosedGateway(policy, packet.dst) ? DROP : NOT_OURS;
    return network.filtered ? DROP : NOT_OURS;
  }
  const { network } = source;
  if (!network.filtered) return NOT_OURS;
  const atGateway = network.gateways.includes(packet.dst);
  const atResolver = network.shared?.resolvers.includes(packet.dst) === true;
  const toServers = atGateway || atResolver || DHCP_SERVERS.includes(packet.dst);
  if (toServers && (isDhcp(packet, 68, 67) || isDhcp(packet, 546, 547))) return ACCEPT;
  // dnsmasq's port is what port 53 of the gateway is translated to.
  const translated = packet.dport === WEFT_DNS_PORT && packet.dnat === true;
  const asked: Packet = translated && isTcpOrUdp(packet) ? { ...packet, dport: 53 } : packet;
  const blocked = find(policy, source, 'block', 'toHost', packet.dst, asked);
  if (blocked) return { verdict: 'drop', ruleId: blocked.ruleId };
  if (atGateway && (packet.protocol === protocols.icmp || packet.protocol === protocols.icmpv6)) return ACCEPT;
  if (atResolver && translated && isTcpOrUdp(packet)) return ACCEPT;
  if (atGateway && isTcpOrUdp(asked) && asked.dport === 53) return ACCEPT;
  if (!isHostAddress(policy, packet.dst)) return DROP;
  const allowed = find(policy, source, 'allow', 'toHost', packet.dst, asked);
  return allowed ? { verdict: 'accept', ruleId: allowed.ruleId } : DROP;
}

function judgeOutput(policy: HostPolicy, packet: Packet): Judgement {
  // To its own address: that never reaches a bridge.
  if (isGateway(policy, packet.dst)) return NOT_OURS;
  const destination = localEnd(policy, packet.dst, packet);
  const network = destination?.network ?? networkAt(policy, packet.dst);
  if (!network?.filtered) return NOT_OURS;
  if (isDhcp(packet, 67, 68) || isDhcp(packet, 547, 546)) return ACCEPT;
  const blocked = find(policy, destination, 'block', 'fromHost', packet.src, packet);
  if (blocked) return { verdict: 'drop', ruleId: blocked.ruleId };
  if (network.fromHost) return { verdict: 'accept', ruleId: 'from-host' };
  const published = publicationOf(policy, packet);
  if (published) return { verdict: 'accept', ruleId: published.id };
  const allowed = find(policy, destination, 'allow', 'fromHost', packet.src, packet);
  return allowed ? { verdict: 'accept', ruleId: allowed.ruleId } : DROP;
}

/** The publication that has translated this flow. */
function publicationOf(policy: HostPolicy, packet: Packet): Publication | undefined {
  const { dport, original } = packet;
  if (packet.dnat !== true || dport === undefined) return undefined;
  return policy.published.get(packet.dst)?.find((one) => {
    const port = dport - one.targetPort;
    if (packet.protocol !== protocols[one.protocol] || port < 0 || port > one.last - one.first) return false;
    if (original && (original.dport !== one.first + port || !isPublishedAt(policy, one, original.dst))) return false;
    return mayUse(policy, one, packet);
  });
}

/** Whether it is published at this destination (before NAT) for this source. */
export const publishedFor = (policy: HostPolicy, one: Publication, flow: Pick<Flow, 'src' | 'dst' | 'path'>): boolean =>
  isPublishedAt(policy, one, flow.dst) && mayUse(policy, one, flow);

const isPublishedAt = (policy: HostPolicy, { at }: Publication, address: string): boolean =>
  at === undefined ? !isGateway(policy, address) && !covered(NOT_PUBLISHED, address) : at === address;
const NOT_PUBLISHED = ['127.0.0.0/8', '::1/128', 'fe80::/10'];

function mayUse(policy: HostPolicy, { from }: Publication, { src, path }: Pick<Flow, 'src' | 'path'>): boolean {
  if (!from) return networkAt(policy, src)?.isolated !== true;
  return (path === 'output' && from.host) || from.peers.some((peer) => peerMatches(policy, peer, src));
}

/** The guest at an address, as the host itself reaches it. */
function localEnd(policy: HostPolicy, address: string, { guestMac }: Packet): Endpoint | undefined {
  const known = policy.endpoints.get(address) ?? policy.linkLocals.get(address);
  if (known || guestMac === undefined || !covered(LINK_LOCAL, address)) return known;
  return [...policy.linkLocals.values()].find(({ mac }) => mac === guestMac);
}

const LINK_LOCAL = ['fe80::/10'];

const isGateway = (policy: HostPolicy, address: string): boolean => policy.networks.some((network) => network.gateways.includes(address));

/** One that the outer network does not reach. */
const isClosedGateway = (policy: HostPolicy, address: string): boolean =>
  isGateway(policy, address) && !address.startsWith('fe80:') && !policy.networks.some((network) => network.hostGateways.includes(address));

/** Groups, and the rest of the bridges' subnets (their broadcast addresses), are no address of the host. */
const isHostAddress = (policy: HostPolicy, address: string): boolean =>
  isGateway(policy, address) || !(covered(MULTICAST, address) || networkAt(policy, address));
const MULTICAST = ['224.0.0.0/4', '255.255.255.255/32', 'ff00::/8'];

/** RFC 2131 and 8415: where clients ask who do not know their server. */
const DHCP_SERVERS = ['255.255.255.255', 'ff02::1:2'];
const isDhcp = (packet: Packet, from: number, to: number): boolean =>
  packet.protocol === protocols.udp && packet.sport === from && packet.dport === to;

const isTcpOrUdp = (packet: Packet): boolean => packet.protocol === protocols.tcp || packet.protocol === protocols.udp;

function find(
  policy: HostPolicy,
  endpoint: Endpoint | undefined,
  layer: Layer,
  direction: Direction,
  other: string,
  packet: Packet,
): Entry | undefined {
  if (!endpoint) return undefined;
  return endpoint[layer][direction].find((entry) => portsMatch(entry.ports, packet) && peerMatches(policy, entry.peer, other));
}

function portsMatch(ports: Ports, packet: Packet): boolean {
  if (ports === 'any') return true;
  return ports.some((spec) => {
    if (spec.protocol === 'icmp') return packet.protocol === (familyOf(packet.src) === 4 ? protocols.icmp : protocols.icmpv6);
    const { dport } = packet;
    return (
      packet.protocol === protocols[spec.protocol] &&
      dport !== undefined &&
      spec.ranges.some(({ from, to }) => from <= dport && dport <= to)
    );
  });
}

function peerMatches(policy: HostPolicy, peer: Peer, address: string): boolean {
  switch (peer.kind) {
    case 'any':
      return true;
    case 'addresses':
      return peer.addresses.has(address);
    case 'prefix':
      return covered([peer.prefix], address);
    case 'internet':
      return !covered(policy.notInternet, address);
    case 'domain': {
      const opened = policy.opened?.get(peer.set);
      return (opened === 'all' || opened?.has(address) === true) && !covered(policy.notInternet, address);
    }
  }
}

const networkAt = (policy: HostPolicy, address: string): PolicyNetwork | undefined =>
  policy.endpoints.get(address)?.network ?? policy.networks.find((network) => covered(network.subnets, address));

function covered(prefixes: readonly string[], address: string): boolean {
  const ip = parsedAddress(address);
  return (
    ip !== undefined &&
    prefixes.some((text) => {
      const prefix = parsedPrefix(text);
      return prefix !== undefined && prefixContains(prefix, ip);
    })
  );
}

// The same few texts come again and again when a table of connections is judged.
const prefixCache = new Map<string, Prefix | undefined>();
const addressCache = new Map<string, Ip | undefined>();
const CACHE_LIMIT = 100_000;

function parsedPrefix(text: string): Prefix | undefined {
  return cached(prefixCache, text, parsePrefix);
}

function parsedAddress(text: string): Ip | undefined {
  return cached(addressCache, text, parseIp);
}

function cached<T>(cache: Map<string, T | undefined>, text: string, parse: (text: string) => T | undefined): T | undefined {
  if (cache.has(text)) return cache.get(text);
  if (cache.size > CACHE_LIMIT) cache.clear();
  const value = parse(text);
  cache.set(text, value);
  return value;
}
