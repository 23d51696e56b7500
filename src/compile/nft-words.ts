/** The nft words the compiler writes its rules with: small constructors over the types of `hoststate/nft.ts`, in the forms that read back equal. */
import type { NftChain, NftExpr, NftMap, NftMapElement, NftRule, NftSet, NftStatement, NftTable, NftVerdict } from '../hoststate/nft.ts';
import { sortElements } from '../hoststate/nft-normal-expression.ts';
import type { Family } from '../net/ip.ts';
import { sortedBy } from './local-nics.ts';

export const families: readonly Family[] = [4, 6];

export const accept: NftVerdict = { accept: null };
export const drop: NftVerdict = { drop: null };
export const jump = (target: string): NftVerdict => ({ jump: { target } });
export const goTo = (target: string): NftVerdict => ({ goto: { target } });

export const meta = (key: string): NftExpr => ({ meta: { key } });
export const payload = (protocol: string, field: string): NftExpr => ({ payload: { protocol, field } });
export const raw = (offset: number, len: number): NftExpr => ({ payload: { base: 'th', offset, len } });
export const concat = (...parts: readonly NftExpr[]): NftExpr => ({ concat: parts });

export const iifname = meta('iifname');
export const oifname = meta('oifname');
export const l4proto = meta('l4proto');
export const thDport = payload('th', 'dport');
/** The destination was translated. */
export const translated: NftStatement = { match: { op: 'in', left: { ct: { key: 'status' } }, right: 'dnat' } };

/** The words that differ between the families. */
export const words = {
  4: { suffix: '4', ip: 'ip', nfproto: 'ipv4', type: 'ipv4_addr', icmp: 'icmp', l4icmp: 'icmp' },
  6: { suffix: '6', ip: 'ip6', nfproto: 'ipv6', type: 'ipv6_addr', icmp: 'icmpv6', l4icmp: 'ipv6-icmp' },
} as const satisfies Record<Family, object>;
export const saddr = (family: Family): NftExpr => payload(words[family].ip, 'saddr');
export const daddr = (family: Family): NftExpr => payload(words[family].ip, 'daddr');

export const is = (left: NftExpr, right: NftExpr): NftStatement => ({ match: { op: '==', left, right } });
export const isNot = (left: NftExpr, right: NftExpr): NftStatement => ({ match: { op: '!=', left, right } });
export const has = (left: NftExpr, right: NftExpr): NftStatement => ({ match: { op: 'in', left, right } });
export const anyOf = (...values: readonly NftExpr[]): NftExpr => ({ set: sortElements(values, (value) => value) });
export const vmap = (key: NftExpr, data: string | readonly (readonly [NftExpr, NftVerdict])[]): NftStatement => ({
  vmap: { key, data: typeof data === 'string' ? `@${data}` : { set: sortElements(data, ([value]) => value) } },
});
export const rule = (...statements: readonly NftStatement[]): NftRule => ({ statements });

/** `10.0.0.0/8` as nft's JSON has it; a prefix of full length is an address. */
export function prefixExpr(text: string): NftExpr {
  const slash = text.indexOf('/');
  if (slash < 0) return text;
  const addr = text.slice(0, slash);
  const len = Number(text.slice(slash + 1));
  return len === (addr.includes(':') ? 128 : 32) ? addr : { prefix: { addr, len } };
}

/** Addresses that one name may have at a time, which no honest name has. */
const FILLED_AT_MOST = 4096;

/** Collects the sets, maps and chains of one table; empty sets and maps are left out, so no rule may name one that was not added. */
export class TableParts {
  readonly sets: NftSet[] = [];
  readonly maps: NftMap[] = [];
  readonly chains: NftChain[] = [];
  /** Names of sets and chains that are named by their content, by that content: each is there once, whoever asks for it. */
  readonly byContent = new Map<string, string>();

  /** Weft's table of that family, its parts in the order in which nft lists them. */
  table(family: NftTable['family']): NftTable {
    const sorted = <T extends { readonly name: string }>(parts: readonly T[]): readonly T[] => sortedBy(parts, ({ name }) => name);
    return { family, name: 'weft', sets: sorted(this.sets), maps: sorted(this.maps), chains: sorted(this.chains) };
  }

  /** Adds a set with its elements in canonical order and without duplicates; false, and nothing added, when there are none. */
  set(name: string, types: readonly string[], elements: readonly NftExpr[], interval = false): boolean {
    if (elements.length === 0) return false;
    this.sets.push({ name, key: { types }, flags: interval ? ['interval'] : [], elements: sortElements(elements, (element) => element) });
    return true;
  }

  /** Adds a set whose elements come while the host runs, and go by themselves. */
  filledLater(name: string, type: string): void {
    this.sets.push({ name, key: { types: [type] }, flags: ['timeout'], size: FILLED_AT_MOST, elements: [] });
  }

  /** As {@link TableParts.set}, for a set whose key has raw payload fields. */
  setOf(name: string, key: readonly NftExpr[], elements: readonly NftExpr[]): boolean {
    if (elements.length === 0) return false;
    this.sets.push({ name, key: { typeof: key }, flags: [], elements: sortElements(elements, (element) => element) });
    return true;
  }

  /** Adds a verdict map; false when it would be empty. */
  map(name: string, types: string | readonly string[], elements: readonly NftMapElement[], interval = false): boolean {
    return this.dataMap(name, typeof types === 'string' ? [types] : types, undefined, elements, interval);
  }

  /** Adds a map to values of these types; false when it would be empty. */
  dataMap(
    name: string,
    types: readonly string[],
    data: readonly string[] | undefined,
    elements: readonly NftMapElement[],
    interval = false,
  ): boolean {
    if (elements.length === 0) return false;
    const sorted = sortElements(elements, ([key]) => key);
    this.maps.push({ name, key: { types }, ...(data ? { data } : {}), flags: interval ? ['interval'] : [], elements: sorted });
    return true;
  }

  chain(name: string, rules: readonly NftRule[], base?: NftChain['base']): void {
    this.chains.push({ name, ...(base ? { base } : {}), rules });
  }
}
