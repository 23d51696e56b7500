/**
 * The rules that look a packet up in the policy, and the sets, maps and chains they need: exact sets for what names one guest and one port, verdict maps
 * to chains of shared content for the rest. A lookup that would find nothing is left out.
 */
import type { NftExpr, NftRule, NftVerdict } from '../hoststate/nft.ts';
import type { Family } from '../net/ip.ts';
import { addExact, ContentChains, type ExactElements, type PeerSide } from './nft-content.ts';
import {
  accept,
  daddr,
  drop,
  families,
  is,
  jump,
  l4proto,
  payload,
  prefixExpr,
  rule,
  saddr,
  type TableParts,
  thDport,
  vmap,
  words,
} from './nft-words.ts';
import type { Endpoint, Entry, HostPolicy, Layer } from './policy-model.ts';

/** An entry takes at most so many elements of the exact sets at one address; larger ones are chains. */
const EXACT_LIMIT = 8;

/** Rules that look a packet up, per place, layer and family; a place without any has none. */
export interface Lookups {
  readonly forward: Readonly<Record<Layer, Readonly<Record<Family, readonly NftRule[]>>>>;
  readonly input: Readonly<Record<Layer, LocalLookups>>;
  readonly output: Readonly<Record<Layer, LocalLookups>>;
}

/** To and from the host itself, where defaults allow some of it: what is logged is logged before these. */
interface LocalLookups {
  readonly logs: readonly NftRule[];
  readonly verdicts: readonly NftRule[];
}

interface MapElements {
  readonly verdicts: [string, NftVerdict][];
  readonly logs: [string, NftVerdict][];
}

/** Fills `parts` with what the lookups need, and returns them. */
export function policyLookups(policy: HostPolicy, parts: TableParts): Lookups {
  const local = (): { logs: NftRule[]; verdicts: NftRule[] } => ({ logs: [], verdicts: [] });
  const lookups = {
    forward: { block: { 4: [] as NftRule[], 6: [] as NftRule[] }, allow: { 4: [] as NftRule[], 6: [] as NftRule[] } },
    input: { block: local(), allow: local() },
    output: { block: local(), allow: local() },
  };
  for (const family of families) {
    const chains = new ContentChains(parts, family);
    const endpoints = [...policy.endpoints.values()].filter((endpoint) => endpoint.family === family);
    for (const layer of ['block', 'allow'] as const) {
      const printer = new LayerPrinter(parts, chains, family, layer);
      lookups.forward[layer][family] = printer.forward(endpoints);
      for (const [place, found] of [
        [lookups.input, printer.input(endpoints)],
        [lookups.output, printer.output(endpoints)],
      ] as const) {
        place[layer].logs.push(...found.logs);
        place[layer].verdicts.push(...found.verdicts);
      }
    }
  }
  return lookups;
}

/** Sets, maps and lookups of one layer (block or allow) in one family. */
class LayerPrinter {
  private readonly parts: TableParts;
  private readonly chains: ContentChains;
  private readonly family: Family;
  private readonly layer: Layer;
  private readonly verdict: NftVerdict;

  constructor(parts: TableParts, chains: ContentChains, family: Family, layer: Layer) {
    this.parts = parts;
    this.chains = chains;
    this.family = family;
    this.layer = layer;
    this.verdict = layer === 'block' ? drop : accept;
  }

  /** What is logged is logged first, whichever rule then decides: all of one layer give one verdict. */
  forward(endpoints: readonly Endpoint[]): NftRule[] {
    const { family, layer, parts } = this;
    const { suffix, type } = words[family];
    const exact: ExactElements = { ports: [], protocols: [], pairs: [] };
    const from: MapElements = { verdicts: [], logs: [] };
    const to: MapElements = { verdicts: [], logs: [] };
    for (const endpoint of endpoints) {
      const entries = endpoint[layer].from;
      const rest = entries.filter((entry) => !addExact(entry, endpoint.address, family, EXACT_LIMIT, exact));
      this.point(endpoint.address, rest, entries, 'source', false, from);
      this.point(endpoint.address, endpoint[layer].to, endpoint[layer].to, 'destination', false, to);
    }
    const source = saddr(family);
    const destination = daddr(family);
    const hash = (name: string, types: readonly string[], key: readonly NftExpr[], elements: readonly NftExpr[]): NftRule[] =>
      parts.set(`${layer}_${name}${suffix}`, types, elements)
        ? [rule(is({ concat: key }, `@${layer}_${name}${suffix}`), this.verdict)]
        : [];
    return [
      ...this.lookup(`log_to${suffix}`, type, destination, from.logs),
      ...this.lookup(`log_from${suffix}`, type, source, to.logs),
      ...hash('port', [type, type, 'inet_proto', 'inet_service'], [destination, source, l4proto, thDport], exact.ports),
      ...hash('protocol', [type, type, 'inet_proto'], [destination, source, l4proto], exact.protocols),
      ...hash('pair', [type, type], [destination, source], exact.pairs),
      ...this.lookup(`to${suffix}`, type, destination, from.verdicts),
      ...this.lookup(`from${suffix}`, type, source, to.verdicts),
    ];
  }

  /** Guests to the host. A guest's link-local addresses are known by its MAC, which `guard` has checked. */
  input(endpoints: readonly Endpoint[]): LocalLookups {
    const { suffix, type } = words[this.family];
    const own: MapElements = { verdicts: [], logs: [] };
    const local: MapElements = { verdicts: [], logs: [] };
    for (const endpoint of endpoints) {
      const entries = endpoint[this.layer].toHost;
      this.point(endpoint.address, entries, entries, 'destination', true, own);
      if (endpoint.linkLocal !== undefined) this.point(endpoint.mac, entries, entries, 'destination', true, local);
    }
    const source = saddr(this.family);
    const linkLocal = is(source, prefixExpr('fe80::/10'));
    const mac = payload('ether', 'saddr');
    return {
      logs: [
        ...this.lookup(`host_log_from${suffix}`, type, source, own.logs),
        ...this.lookup('host_log_from_mac', 'ether_addr', mac, local.logs, [linkLocal]),
      ],
      verdicts: [
        ...this.lookup(`host_from${suffix}`, type, source, own.verdicts),
        ...this.lookup('host_from_mac', 'ether_addr', mac, local.verdicts, [linkLocal]),
      ],
    };
  }

  /** The host to guests. */
  output(endpoints: readonly Endpoint[]): LocalLookups {
    const { suffix, type } = words[this.family];
    const own: MapElements = { verdicts: [], logs: [] };
    for (const endpoint of endpoints) {
      const entries = endpoint[this.layer].fromHost;
      this.point(endpoint.address, entries, entries, 'source', false, own);
      if (endpoint.linkLocal !== undefined) this.point(endpoint.linkLocal, entries, entries, 'source', false, own);
    }
    const destination = daddr(this.family);
    return {
      logs: this.lookup(`host_log_to${suffix}`, type, destination, own.logs),
      verdicts: this.lookup(`host_to${suffix}`, type, destination, own.verdicts),
    };
  }

  private point(
    key: string,
    entries: readonly Entry[],
    logs: readonly Entry[],
    side: PeerSide,
    ownPorts: boolean,
    into: MapElements,
  ): void {
    const { chains, layer } = this;
    if (entries.length > 0) {
      into.verdicts.push([key, jump(chains.verdictChain(layer === 'block' ? 'b' : 'a', entries, side, this.verdict, ownPorts))]);
    }
    if (!logs.some((entry) => entry.log)) return;
    const logged = logs.filter((entry) => entry.log);
    into.logs.push([key, jump(chains.logChain(layer === 'block' ? 'd' : 'a', logged, side, ownPorts))]);
  }

  private lookup(
    name: string,
    type: string,
    key: NftExpr,
    elements: MapElements['verdicts'],
    before: readonly ReturnType<typeof is>[] = [],
  ): NftRule[] {
    const full = `${this.layer}_${name}`;
    return this.parts.map(full, type, elements) ? [rule(...before, vmap(key, full))] : [];
  }
}
