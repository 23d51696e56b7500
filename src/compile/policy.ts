/**
 * Resolves the rules of a fabric into the policy of one host (design.md section 2, "Flows" and "Defaults and meanings"). Every rule becomes entries
 * at the guest addresses of this host that it speaks of; what speaks of no guest here is not Weft's to filter.
 */
import { NEXT_HOP_6, prefixesOf } from '../fabric/addressing.ts';
import type { Fabric, Network, Party, Rule } from '../fabric/model.ts';
import type { HostFacts } from '../hoststate/model.ts';
import { parseIp, parsePrefix, prefixContains, prefixesOverlap, type Family } from '../net/ip.ts';
import { localNetworks, localNics, type LocalNic } from './local-nics.ts';
import { carrierOf, resolversOn } from './links.ts';
import { LocalIndex } from './local-index.ts';
import { domainSet } from './domain-sets.ts';
import type { Direction, Endpoint, Entry, HostPolicy, Layer, Peer, PolicyNetwork, Publication } from './policy-model.ts';
import { familyOf, isPrivate, normalPrefixes, onLinkAtUplink } from './prefixes.ts';
import { resolverOf } from './upstreams.ts';

/** Rule id of what a guest may do because of `egress: allow`. */
export const EGRESS_ID = 'egress';

/** Loopback, link-local and multicast of both families: never internet (RFC 1122, 3927, 5771, 4291). */
const SPECIAL = ['127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '::1/128', 'fe80::/10', 'ff00::/8'];

type Lists = Record<Direction, Entry[]>;
interface Draft extends Endpoint {
  readonly block: Lists;
  readonly allow: Lists;
}

/** The policy of `hostName`. Cost: one step for each address a rule speaks of. */
export function hostPolicy(
  fabric: Fabric,
  hostName: string,
  facts: HostFacts,
  nics: readonly LocalNic[] = localNics(fabric, hostName),
): HostPolicy {
  const byNetwork = Map.groupBy(nics, (local) => local.network.name);
  const networks = new Map(
    localNetworks(fabric, hostName).map((network) => [network.name, policyNetwork(network, byNetwork.get(network.name) ?? [], facts)]),
  );
  const resolvers = new Map(localNetworks(fabric, hostName).map((network) => [network.name, resolverOf(fabric, network)]));
  const drafts = new Map<string, Draft>();
  const linkLocals = new Map<string, Endpoint>();
  const addressesOf = new Map<string, string[]>();
  let logs = false;
  for (const { guest, nic, ownPort, linkLocal } of nics) {
    const network = networks.get(nic.network);
    if (!network) continue;
    logs ||= guest.logDropped;
    const own: string[] = [];
    const asked = guest.nics.find((one) => one.default)?.network;
    const resolver = asked === undefined ? undefined : resolvers.get(asked);
    for (const address of [nic.v4, nic.bootstrap, nic.v6]) {
      if (address === undefined) continue;
      const family = familyOf(address);
      const draft: Draft = {
        address,
        family,
        guest: guest.name,
        network,
        machine: guest.inside ?? guest.name,
        mac: nic.mac,
        ...(family === 6 && ownPort ? { linkLocal } : {}),
        logDropped: guest.logDropped,
        resolver,
        block: emptyLists(),
        allow: emptyLists(),
      };
      own.push(address);
      drafts.set(address, draft);
      if (draft.linkLocal !== undefined) linkLocals.set(linkLocal, draft);
      if (nic.egress === 'allow' && !network.isolated) append([draft], 'allow', 'to', EGRESS[family]);
    }
    addressesOf.set(`${guest.name} ${nic.index}`, own);
  }
  const index = new LocalIndex(drafts);
  const bootstrap = new Set(nics.flatMap(({ nic }) => nic.bootstrap ?? []));
  const expansion: Expansion = { fabric, hostName, index, addressesOf, bootstrap };
  for (const rule of [...fabric.block, ...fabric.allow]) {
    expand(rule, expansion);
    logs ||= rule.log;
  }

  const elsewhere = normalPrefixes(fabric.networks.filter((n) => n.host !== hostName && n.kind !== 'bridged').flatMap(hiddenPrefixes));
  const hostAddresses = [
    ...fabric.hosts.flatMap((host) => host.addresses),
    ...[facts.uplink, ...facts.interfaces].flatMap((link) => link?.addresses ?? []).map((address) => address.replace(/\/\d+$/, '')),
  ];
  const kinds = [...networks.values()];
  const some = (family: Family): boolean => kinds.some((network) => network.subnets.some((subnet) => familyOf(subnet) === family));
  return {
    host: hostName,
    ...(facts.uplink ? { uplink: carrierOf(facts.uplink.name, localNetworks(fabric, hostName)) } : {}),
    networks: kinds,
    elsewhere,
    notInternet: normalPrefixes([...SPECIAL, ...fabric.networks.flatMap(prefixesOf), ...hostAddresses]),
    endpoints: drafts,
    published: publications(expansion),
    linkLocals,
    logs,
    guardsForwarding: { v4: some(4) && !facts.forwarding.v4, v6: some(6) && !facts.forwarding.v6 },
  };
}

/** Most lists stay empty: one for all of them, replaced by the first entry. */
const NONE: Entry[] = [];
const emptyLists = (): Lists => ({ from: NONE, to: NONE, toHost: NONE, fromHost: NONE });
const internet: Peer = { kind: 'internet' };
const any: Peer = { kind: 'any' };
// One object a family, so that its printed form is worked out once.
const EGRESS: Readonly<Record<Family, Entry>> = {
  4: { peer: internet, ports: 'any', log: false, ruleId: EGRESS_ID },
  6: { peer: internet, ports: 'any', log: false, ruleId: EGRESS_ID },
};

/** Those that nobody reaches over the outer network: not the public addresses of a routed network. */
const hiddenPrefixes = (network: Network): string[] =>
  network.kind === 'routed' ? (network.bootstrap ? [network.bootstrap.subnet] : []) : prefixesOf(network);

function policyNetwork(network: Network, nics: readonly LocalNic[], facts: HostFacts): PolicyNetwork {
  const common = {
    name: network.name,
    filtered: network.filter === 'on',
    fromHost: network.fromHost === 'allow',
  };
  if (network.kind === 'bridged') {
    const shared = { bridge: network.bridge, port: network.interface ?? '', resolvers: resolversOn(network, facts) };
    return { ...common, interfaces: [], isolated: false, subnets: [], keptIn: [], gateways: [], hostGateways: [], dnsAt: [], shared };
  }
  if (network.kind === 'routed') {
    const { gateway4, service4, service6, bootstrap } = network;
    const ports = nics.filter((local) => local.ownPort).map((local) => local.link);
    return {
      ...common,
      interfaces: ports,
      isolated: false,
      subnets: [...network.prefixes.flatMap((prefix) => forgedOutside(prefix, nics, facts)), ...(bootstrap ? [bootstrap.subnet] : [])],
      keptIn: bootstrap ? [bootstrap.subnet] : [],
      gateways: [...(service4 === undefined ? [] : [gateway4, service4]), ...(service6 === undefined ? [] : [service6, NEXT_HOP_6])],
      hostGateways: service4 === undefined ? [] : [gateway4],
      dnsAt: [
        ...(service4 === undefined ? [] : [{ asked: gateway4, answers: service4 }]),
        ...(service6 === undefined ? [] : [{ asked: NEXT_HOP_6, answers: service6 }]),
      ],
    };
  }
  const subnets = prefixesOf(network);
  return {
    ...common,
    interfaces: [network.bridge],
    isolated: network.kind === 'isolated',
    subnets,
    keptIn: subnets.filter((subnet) => network.kind === 'isolated' || isPrivate(subnet)),
    gateways: [...(network.v4 ? [network.v4.gateway] : []), ...(network.v6 ? [network.v6.gateway, NEXT_HOP_6] : [])],
    hostGateways: [],
    dnsAt: [],
    ...(network.snat === undefined ? {} : { snat: network.snat }),
  };
}

/** The whole prefix, or of one that is on-link at the uplink its guests' addresses. */
function forgedOutside(text: string, nics: readonly LocalNic[], facts: HostFacts): string[] {
  const prefix = parsePrefix(text);
  if (!prefix) return [];
  if (!onLinkAtUplink(facts).some((other) => prefixesOverlap(other, prefix))) return [text];
  const own = nics.flatMap(({ nic }) => [nic.v4, nic.v6]).filter((address) => address !== undefined);
  return own.filter((address) => {
    const ip = parseIp(address);
    return ip !== undefined && prefixContains(prefix, ip);
  });
}

interface Expansion {
  readonly fabric: Fabric;
  readonly hostName: string;
  readonly index: LocalIndex<Draft>;
  /** `guest index` to the NIC's addresses on this host. */
  readonly addressesOf: ReadonlyMap<string, readonly string[]>;
  /** What guests of routed networks have from DHCP first: nothing is published for these. */
  readonly bootstrap: ReadonlySet<string>;
}

/** One side of a rule in one family. */
interface Side {
  /** Addresses of guests on this host. Guests elsewhere are out of reach until there are links. */
  readonly guests: ReadonlySet<string>;
  readonly peers: readonly Peer[];
  readonly domains: readonly string[];
  /** This host's own addresses, all of them. */
  readonly host: boolean;
}

function expand(rule: Rule, expansion: Expansion): void {
  for (const family of [4, 6] as const) {
    const from = sideOf(rule.from, family, expansion);
    const to = sideOf(rule.to, family, expansion);
    expandForward(rule, family, from, to, expansion);
    expandHost(rule, family, from, to, expansion);
  }
}

/** Between guests, and between guests and the outside. */
function expandForward(rule: Rule, family: Family, from: Side, to: Side, { index }: Expansion): void {
  const { action } = rule;
  const toGuests = index.at(to.guests);
  const fromGuests = index.at(from.guests);
  if (toGuests.length > 0) {
    if (fromGuests.length > 0) append(toGuests, action, 'from', entry(rule, { kind: 'addresses', addresses: from.guests }));
    for (const peer of from.peers) append(toGuests, action, 'from', entry(rule, peer));
  }
  for (const destination of to.peers) {
    append(fromGuests, action, 'to', entry(rule, destination));
    for (const source of from.peers) {
      append(index.within(source, family), action, 'to', entry(rule, destination));
      append(index.within(destination, family), action, 'from', entry(rule, source));
    }
  }
  const senders = (): Draft[] => [...fromGuests, ...from.peers.flatMap((source) => index.within(source, family))];
  const byResolver = to.domains.length === 0 ? [] : [...Map.groupBy(senders(), ({ resolver }) => resolver)];
  for (const domain of to.domains) {
    for (const [resolver = '', endpoints] of byResolver)
      append(endpoints, action, 'to', entry(rule, { kind: 'domain', domain, set: domainSet(domain, resolver) }));
  }
}

/** Between guests and this host itself. */
function expandHost(rule: Rule, family: Family, from: Side, to: Side, { index }: Expansion): void {
  const { action } = rule;
  for (const own of ownAddresses(to)) {
    append(index.at(from.guests), action, 'toHost', entry(rule, own));
    for (const source of from.peers) append(index.within(source, family), action, 'toHost', entry(rule, own));
  }
  for (const own of ownAddresses(from)) {
    append(index.at(to.guests), action, 'fromHost', entry(rule, own));
    for (const destination of to.peers) append(index.within(destination, family), action, 'fromHost', entry(rule, own));
  }
}

/** What is published for guests of this host, by the guest's address. */
function publications(expansion: Expansion): ReadonlyMap<string, readonly Publication[]> {
  const all = new Map<string, Publication[]>();
  for (const { id, host, address, ports, to, from } of expansion.fabric.publish) {
    if (host !== expansion.hostName) continue;
    for (const target of expansion.addressesOf.get(`${to.guest} ${to.nic}`) ?? []) {
      if (expansion.bootstrap.has(target)) continue;
      const family = familyOf(target);
      if (address !== undefined && familyOf(address) !== family) continue;
      const limits = from && limitsOf(sideOf(from, family, expansion));
      for (const { protocol, first, last, target: targetPort } of ports) {
        const one = { id, family, ...(address === undefined ? {} : { at: address }), protocol, first, last, target, targetPort };
        const list = all.get(target) ?? [];
        all.set(target, list);
        list.push(limits ? { ...one, from: limits } : one);
      }
    }
  }
  return all;
}

function limitsOf({ guests, peers, host }: Side): NonNullable<Publication['from']> {
  const named: Peer[] = guests.size > 0 ? [{ kind: 'addresses', addresses: guests }] : [];
  return { peers: [...named, ...peers], host: host || peers.some((peer) => peer.kind === 'any') };
}

/** Which of this host's addresses a side speaks of: all, or those in a prefix. */
function ownAddresses(side: Side): Peer[] {
  if (side.host || side.peers.some((peer) => peer.kind === 'any')) return [any];
  return side.peers.filter((peer) => peer.kind === 'prefix');
}

function sideOf(parties: readonly Party[], family: Family, { fabric, hostName, addressesOf }: Expansion): Side {
  const guests = new Set<string>();
  const peers: Peer[] = [];
  const domains: string[] = [];
  let host = false;
  for (const party of parties) {
    if (party.kind === 'guests') {
      for (const { guest, nic } of party.endpoints) {
        for (const address of addressesOf.get(`${guest} ${nic}`) ?? []) if (familyOf(address) === family) guests.add(address);
      }
    } else if (party.kind === 'prefix') {
      if (familyOf(party.prefix) === family) peers.push({ kind: 'prefix', prefix: party.prefix });
    } else if (party.kind === 'any') peers.push(any);
    else if (party.kind === 'internet') peers.push(internet);
    else if (party.kind === 'domain') domains.push(party.domain);
    else if (party.kind === 'host' || party.host === hostName) host = true;
    else {
      const addresses = (fabric.hosts.find((other) => other.name === party.host)?.addresses ?? []).filter((a) => familyOf(a) === family);
      if (addresses.length > 0) peers.push({ kind: 'addresses', addresses: new Set(addresses) });
    }
  }
  return { guests, peers, domains, host };
}

function entry(rule: Rule, peer: Peer): Entry {
  return { peer, ports: rule.ports, log: rule.log, ruleId: rule.id };
}

function append(endpoints: readonly Draft[], layer: Layer, direction: Direction, added: Entry): void {
  for (const endpoint of endpoints) {
    const lists = endpoint[layer];
    if (lists[direction] === NONE) lists[direction] = [added];
    else lists[direction].push(added);
  }
}
