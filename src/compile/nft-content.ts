/**
 * Turns the entries of a guest address into nft chains that are named by their content and shared by all guests of the same content, and picks out
 * what goes into the table's exact sets instead. The base chains never change when a guest or a rule does.
 */
import { hash } from 'node:crypto';
import type { PortRange, Ports, PortSpec } from '../config/flow.ts';
import type { NftExpr, NftRule, NftStatement, NftVerdict } from '../hoststate/nft.ts';
import type { Family } from '../net/ip.ts';
import { sortedBy } from './local-nics.ts';
import { anyOf, daddr, has, is, isNot, jump, l4proto, payload, prefixExpr, rule, saddr, type TableParts, words } from './nft-words.ts';
import type { Entry, Peer } from './policy-model.ts';
import { normalPrefixes } from './prefixes.ts';
import { WEFT_DNS_PORT } from '../hoststate/ports.ts';

/** nflog group of everything Weft logs. */
export const LOG_GROUP = 87;
/** At most so many packets a second of one rule are logged, after a burst of twice as many. */
const LOG_RATE = 10;

/** What the peer of an entry is to the packet: its source, its destination. */
export type PeerSide = 'source' | 'destination';

/** Makes chains and sets by content for one table and family. */
export class ContentChains {
  private readonly parts: TableParts;
  private readonly family: Family;
  private readonly chainsByEntries = new Map<string, string>();
  private readonly serials = new Map<Entry, number>();

  constructor(parts: TableParts, family: Family) {
    this.parts = parts;
    this.family = family;
  }

  /** Name of the chain that gives `verdict` to what these entries match, and returns for the rest. */
  verdictChain(prefix: 'a' | 'b', entries: readonly Entry[], side: PeerSide, verdict: NftVerdict, ownPorts = false): string {
    return this.byEntries(`${prefix}${side}${ownPorts}`, entries, () => this.chain(prefix, this.rules(entries, side, verdict, ownPorts)));
  }

  /** Name of the chain that logs what these entries match, and returns. */
  logChain(word: 'a' | 'd', entries: readonly Entry[], side: PeerSide, ownPorts = false): string {
    return this.byEntries(`l${word}${side}${ownPorts}`, entries, () =>
      this.chain(
        'l',
        entries.flatMap((entry) =>
          this.rules([entry], side, undefined, ownPorts).map(({ statements }) => ({
            statements: [...statements, ...logStatements(`weft ${word} ${entry.ruleId}`)],
            comment: `weft:${entry.ruleId}`,
          })),
        ),
      ),
    );
  }

  /** Guests with the very same entries have the same chain: found without writing its rules again. */
  private byEntries(kind: string, entries: readonly Entry[], make: () => string): string {
    let key = kind;
    for (const entry of entries) {
      let serial = this.serials.get(entry);
      if (serial === undefined) this.serials.set(entry, (serial = this.serials.size));
      key += `,${serial}`;
    }
    let name = this.chainsByEntries.get(key);
    if (name === undefined) this.chainsByEntries.set(key, (name = make()));
    return name;
  }

  /**
   * The fewest rules that match these entries: those of the same ports share their peers, those of the same peers their ports. Order does not matter, they all
   * have one verdict.
   */
  private rules(entries: readonly Entry[], side: PeerSide, verdict: NftVerdict | undefined, ownPorts: boolean): NftRule[] {
    const byPorts = new Map<string, { readonly ports: Ports; readonly peers: Peer[] }>();
    for (const { ports, peer } of entries) {
      const key = JSON.stringify(ports);
      const group = byPorts.get(key);
      if (group) group.peers.push(peer);
      else byPorts.set(key, { ports, peers: [peer] });
    }
    const byPeers = new Map<string, { readonly peer: readonly NftStatement[]; readonly ports: Ports[] }>();
    for (const { ports, peers } of byPorts.values()) {
      for (const peer of this.peerStatements(peers, side)) {
        const key = JSON.stringify(peer);
        const group = byPeers.get(key);
        if (group) group.ports.push(ports);
        else byPeers.set(key, { peer, ports: [ports] });
      }
    }
    const last = verdict ? [verdict] : [];
    const all = [...byPeers.values()].flatMap(({ peer, ports }) =>
      portStatements(mergePorts(ports), this.family, ownPorts).map((statements) => rule(...peer, ...statements, ...last)),
    );
    return sortedBy(all, (one) => JSON.stringify(one));
  }

  /** Name of the chain that jumps to `target` for these sources, and returns for the rest. */
  sourceChain(prefix: string, peers: readonly Peer[], target: string): string {
    const rules = this.peerStatements(peers, 'source').map((statements) => rule(...statements, jump(target)));
    return this.chain(
      prefix,
      sortedBy(rules, (one) => JSON.stringify(one)),
    );
  }

  /** One list of statements for each match that is needed; an empty one matches everything. */
  private peerStatements(peers: readonly Peer[], side: PeerSide): NftStatement[][] {
    if (peers.some((peer) => peer.kind === 'any')) return [[]];
    const { suffix, type } = words[this.family];
    const left = side === 'source' ? saddr(this.family) : daddr(this.family);
    const all: NftStatement[][] = [];
    if (peers.some((peer) => peer.kind === 'internet')) all.push([isNot(left, `@not_internet${suffix}`)]);
    for (const set of new Set(peers.flatMap((peer) => (peer.kind === 'domain' ? [`${peer.set}${suffix}`] : [])))) {
      all.push([isNot(left, `@not_internet${suffix}`), is(left, `@${this.filledLater(set, type)}`)]);
    }
    const prefixes = normalPrefixes(peers.flatMap((peer) => (peer.kind === 'prefix' ? [peer.prefix] : [])));
    const addresses = new Set<string>();
    for (const peer of peers) if (peer.kind === 'addresses') for (const address of peer.addresses) addresses.add(address);
    const exact = [...addresses];
    if (exact.length === 1) all.push([is(left, exact[0] ?? '')]);
    else if (exact.length > 1) all.push([is(left, `@${this.set(type, exact, false)}`)]);
    if (prefixes.length === 1) all.push([is(left, prefixExpr(prefixes[0] ?? ''))]);
    else if (prefixes.length > 1) all.push([is(left, `@${this.set(type, prefixes, true)}`)]);
    return all;
  }

  private filledLater(name: string, type: string): string {
    if (!this.parts.byContent.has(name)) this.parts.filledLater(name, type);
    this.parts.byContent.set(name, name);
    return name;
  }

  private set(type: string, texts: readonly string[], interval: boolean): string {
    const elements = interval ? texts.map(prefixExpr) : [...texts].sort();
    return this.once('s', JSON.stringify([type, elements]), (name) => this.parts.set(name, [type], elements, interval));
  }

  private chain(prefix: string, rules: readonly NftRule[]): string {
    return this.once(prefix, JSON.stringify(rules), (name) => this.parts.chain(name, rules));
  }

  private once(prefix: string, content: string, add: (name: string) => void): string {
    const key = `${prefix} ${content}`;
    let name = this.parts.byContent.get(key);
    if (name === undefined) {
      name = `${prefix}_${hash('sha1', content, 'hex').slice(0, 10)}`;
      this.parts.byContent.set(key, name);
      add(name);
    }
    return name;
  }
}

/** `limit rate 10/second burst 20 packets log prefix "weft a 1a2b3c4d" group 87` */
export function logStatements(prefix: string): NftStatement[] {
  return [{ limit: { rate: LOG_RATE, per: 'second', burst: 2 * LOG_RATE } }, { log: { prefix, group: LOG_GROUP } }];
}

/** Union of port lists, in one order: sctp, tcp, udp, icmp. */
function mergePorts(all: readonly Ports[]): Ports {
  const specs: PortSpec[] = [];
  const ranges = new Map<'tcp' | 'udp' | 'sctp', PortRange[]>();
  let icmp = false;
  for (const ports of all) {
    if (ports === 'any') return 'any';
    for (const spec of ports) {
      if (spec.protocol === 'icmp') icmp = true;
      else {
        const list = ranges.get(spec.protocol) ?? [];
        ranges.set(spec.protocol, list);
        list.push(...spec.ranges);
      }
    }
  }
  for (const protocol of ['sctp', 'tcp', 'udp'] as const) {
    const list = ranges.get(protocol);
    if (list) specs.push({ protocol, ranges: mergeRanges(list) });
  }
  return icmp ? [...specs, { protocol: 'icmp' }] : specs;
}

/** Sorted, and none overlapping or touching another: what an interval set of nft takes. */
function mergeRanges(ranges: readonly PortRange[]): PortRange[] {
  const merged: { from: number; to: number }[] = [];
  for (const { from, to } of [...ranges].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last && from <= last.to + 1) last.to = Math.max(last.to, to);
    else merged.push({ from, to });
  }
  return merged;
}

/** `tcp dport { 22, 80-90 }` for each protocol; one empty list for `any`. `ownPorts`: port 53 of the gateway is dnsmasq's own by then (NAT comes first). */
function portStatements(ports: Ports, family: Family, ownPorts: boolean): NftStatement[][] {
  if (ports === 'any') return [[]];
  return ports.flatMap((spec) => {
    if (spec.protocol === 'icmp') return [[is(l4proto, words[family].l4icmp)]];
    const dport = payload(spec.protocol, 'dport');
    const values = spec.ranges.map(({ from, to }): NftExpr => (from === to ? from : { range: [from, to] }));
    const dns = ownPorts && spec.protocol !== 'sctp' && spec.ranges.some(({ from, to }) => from <= 53 && 53 <= to);
    return [
      [is(dport, values.length === 1 ? (values[0] ?? 0) : anyOf(...values))],
      ...(dns ? [[has({ ct: { key: 'status' } }, 'dnat'), is(dport, WEFT_DNS_PORT)]] : []),
    ];
  });
}

/** Elements of the exact sets that stand for one entry at one address. */
export interface ExactElements {
  readonly ports: NftExpr[];
  readonly protocols: NftExpr[];
  readonly pairs: NftExpr[];
}

/**
 * Puts an entry with named sources into the exact sets, when it is small: (destination . source . protocol . port), (destination . source . protocol), (destination . source).
 * `limit` is the most elements it may take. False: it needs a chain.
 */
export function addExact(entry: Entry, address: string, family: Family, limit: number, into: ExactElements): boolean {
  const { peer, ports } = entry;
  if (peer.kind !== 'addresses') return false;
  let each = 1;
  if (ports !== 'any') {
    each = 0;
    for (const spec of ports) {
      if (spec.protocol === 'icmp') each++;
      else for (const { from, to } of spec.ranges) each += to - from + 1;
    }
  }
  if (each * peer.addresses.size > limit) return false;
  for (const source of peer.addresses) {
    if (ports === 'any') into.pairs.push({ concat: [address, source] });
    else {
      for (const spec of ports) {
        if (spec.protocol === 'icmp') into.protocols.push({ concat: [address, source, words[family].l4icmp] });
        else {
          for (const { from, to } of spec.ranges) {
            for (let port = from; port <= to; port++) into.ports.push({ concat: [address, source, spec.protocol, port] });
          }
        }
      }
    }
  }
  return true;
}
