/**
 * nftables as typed data, shaped like libnftables' own JSON (man 5 libnftables-json), so that the compiler, the observer and
 * the prover share one vocabulary. The printer (nft-print.ts) writes nft text; the reader (nft-read.ts) takes `nft -j list ruleset`.
 * Everything Weft emits is in canonical form: what it prints and loads reads back equal.
 */

export type NftFamily = 'ip' | 'ip6' | 'inet' | 'arp' | 'bridge' | 'netdev';

export type NftExpr =
  | string
  | number
  | { readonly meta: { readonly key: string } }
  | { readonly payload: { readonly protocol: string; readonly field: string } }
  | { readonly payload: { readonly base: 'll' | 'nh' | 'th'; readonly offset: number; readonly len: number } }
  | { readonly ct: { readonly key: string; readonly family?: 'ip' | 'ip6'; readonly dir?: 'original' | 'reply' } }
  | { readonly fib: { readonly result: string; readonly flags: readonly string[] } }
  | { readonly rt: { readonly key: string; readonly family?: 'ip' | 'ip6' } }
  | { readonly concat: readonly NftExpr[] }
  | { readonly set: readonly NftExpr[] }
  | { readonly prefix: { readonly addr: string; readonly len: number } }
  | { readonly range: readonly [NftExpr, NftExpr] }
  | { readonly 'tcp option': { readonly name: string; readonly field: string } }
  | { readonly '&': readonly [NftExpr, NftExpr] }
  | { readonly '|': readonly NftExpr[] }
  /** `ip daddr . tcp dport map @m`: what a map of data holds for the key, as the target of a NAT. */
  | { readonly map: { readonly key: NftExpr; readonly data: NftExpr } }
  /** Read from a foreign ruleset and not understood; never emitted. */
  | { readonly unknown: unknown };

export type NftVerdict =
  | { readonly accept: null }
  | { readonly drop: null }
  | { readonly return: null }
  | { readonly continue: null }
  | { readonly jump: { readonly target: string } }
  | { readonly goto: { readonly target: string } };

export type NftMatchOp = '==' | '!=' | '<' | '>' | '<=' | '>=' | 'in';

export type NftStatement =
  /** `right` may be `'@set'`. `in` is the flag test (`ct state established`, `tcp flags syn`). */
  | { readonly match: { readonly op: NftMatchOp; readonly left: NftExpr; readonly right: NftExpr } }
  /** `data` is `'@map'` or an anonymous `{set: [[key, verdict], …]}`. */
  | { readonly vmap: { readonly key: NftExpr; readonly data: string | { readonly set: readonly (readonly [NftExpr, NftVerdict])[] } } }
  | NftVerdict
  | { readonly counter: null | { readonly packets: number; readonly bytes: number } }
  | { readonly log: { readonly prefix?: string; readonly group?: number; readonly snaplen?: number } }
  | { readonly limit: { readonly rate: number; readonly per: 'second' | 'minute' | 'hour' | 'day'; readonly burst?: number } }
  | { readonly masquerade: null | { readonly port?: NftExpr } }
  | { readonly snat: { readonly family?: 'ip' | 'ip6'; readonly addr: NftExpr; readonly port?: NftExpr } }
  | { readonly dnat: { readonly family?: 'ip' | 'ip6'; readonly addr?: NftExpr; readonly port?: NftExpr } }
  | { readonly redirect: { readonly port?: NftExpr } | null }
  /** `tcp option maxseg size set rt mtu`, `meta mark set 1`. */
  | { readonly mangle: { readonly key: NftExpr; readonly value: NftExpr } }
  | { readonly reject: null | { readonly type?: string; readonly expr?: NftExpr } }
  | { readonly notrack: null }
  /** Read from a foreign ruleset and not understood (xt, quota, …); never emitted. */
  | { readonly unknown: unknown };

export interface NftRule {
  readonly statements: readonly NftStatement[];
  /** At most 128 bytes. Weft puts the rule's id here: `weft:<id>`. */
  readonly comment?: string;
}

export interface NftChain {
  readonly name: string;
  /** Set for base chains. */
  readonly base?: {
    readonly type: 'filter' | 'nat' | 'route';
    readonly hook: 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting' | 'ingress' | 'egress';
    readonly priority: number;
    readonly policy: 'accept' | 'drop';
    /** netdev family: exactly one device in what Weft emits. */
    readonly devices?: readonly string[];
  };
  readonly rules: readonly NftRule[];
}

/** A type word of nft: `ipv4_addr`, `ifname`, `inet_service`, …; `typeof` keys are given as expressions. */
export type NftSetKey = { readonly types: readonly string[] } | { readonly typeof: readonly NftExpr[] };

export interface NftSet {
  readonly name: string;
  readonly key: NftSetKey;
  readonly flags: readonly ('interval' | 'constant' | 'dynamic' | 'timeout')[];
  /** The most elements it takes; more are refused. */
  readonly size?: number;
  /**
   * A concatenated key's element is `{concat: […]}`. Sorted (see `elementKey`), no duplicates. Of Weft's own sets with `timeout`, which the relay fills while the
   * host runs, always empty: what is in them is nobody's to compare (`kernel/opened.ts` reads it).
   */
  readonly elements: readonly NftExpr[];
}

/** A verdict map, or with `data` one of addresses, ports and the like. Elements sorted by key. */
export interface NftMap {
  readonly name: string;
  readonly key: NftSetKey;
  /** Type words of the values: `['ipv4_addr', 'inet_service']`. Undefined: verdicts. */
  readonly data?: readonly string[];
  readonly flags: readonly ('interval' | 'constant' | 'dynamic' | 'timeout')[];
  readonly elements: readonly NftMapElement[];
}

/** What a key leads to: a verdict, or a value of a map with `data`. */
export type NftMapElement = readonly [NftExpr, NftVerdict | NftExpr];

const VERDICTS: readonly string[] = ['accept', 'drop', 'return', 'continue', 'jump', 'goto'];

/** Verdicts share no key with expressions and other statements. */
export function isVerdict(value: NftVerdict | NftExpr | NftStatement): value is NftVerdict {
  return typeof value === 'object' && VERDICTS.some((word) => word in value);
}

export interface NftTable {
  readonly family: NftFamily;
  readonly name: string;
  /** Sorted by name. */
  readonly sets: readonly NftSet[];
  /** Sorted by name. */
  readonly maps: readonly NftMap[];
  /** Order matters to nobody but the printer, which declares all chains before their rules; sorted by name. */
  readonly chains: readonly NftChain[];
}
