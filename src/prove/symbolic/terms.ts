/**
 * The left side of a match: which value of the packet it asks for, as a slot, and of which packets there is such a value (a payload load past the packet, or a `ct`
 * key without a connection, breaks the rule off). Undefined: not modelled.
 */
import type { NftExpr } from '../../hoststate/nft.ts';
import type { Env, Slot } from './env.ts';
import { absent, constant, inParts, notKnown, withinSpans } from './env.ts';
import { protocolNumber, TCP, withPorts } from '../../net/protocols.ts';
import type { Routing } from './routing.ts';
import type { Universe } from './universe.ts';

export type Term = { readonly present: number } & (
  | { readonly domain: 'address' | 'port' | 'protocol' | 'number'; readonly slot: Slot<number> }
  /** Interfaces, MACs (lower case), and words as `ipv4`, `local`. */
  | { readonly domain: 'interface' | 'mac' | 'word'; readonly slot: Slot<string> }
  /** Words of a bit mask that are set; those in `free` may be. */
  | { readonly domain: 'flags'; readonly flags: readonly string[]; readonly free: readonly string[] }
  | { readonly domain: 'concat'; readonly parts: readonly Term[] }
);

export interface Asking {
  readonly universe: Universe;
  readonly routing: Routing;
  /** The family of the table that asks. */
  readonly table: 'ip' | 'ip6' | 'inet' | 'bridge' | 'netdev' | 'arp';
  readonly env: Env;
}

export function termOf(expr: NftExpr, asking: Asking): Term | undefined {
  if (typeof expr !== 'object') return undefined;
  if ('concat' in expr) {
    const parts = expr.concat.map((part) => termOf(part, asking));
    const known = parts.filter((part) => part !== undefined);
    if (known.length < parts.length) return undefined;
    return { domain: 'concat', parts: known, present: known.reduce((set, part) => asking.universe.bdd.and(set, part.present), 1) };
  }
  if ('meta' in expr) return metaTerm(expr.meta.key, asking);
  if ('payload' in expr) {
    const { payload } = expr;
    return 'protocol' in payload
      ? fieldTerm(payload.protocol, payload.field, asking)
      : rawTerm(payload.base, payload.offset, payload.len, asking);
  }
  if ('ct' in expr) return ctTerm(expr.ct, asking);
  if ('fib' in expr) return fibTerm(expr.fib.result, expr.fib.flags, asking);
  if ('&' in expr) return masked(termOf(expr['&'][0], asking), expr['&'][1]);
  return undefined;
}

const always = (slot: Slot<string>, domain: 'interface' | 'mac' | 'word'): Term => ({
  domain,
  slot,
  present: slot.kind === 'absent' ? 0 : 1,
});

function metaTerm(key: string, { env, universe }: Asking): Term | undefined {
  switch (key) {
    case 'iifname':
    case 'iif':
      // A hook without such an interface has an empty name there, which `!=` matches.
      return { domain: 'interface', slot: env.iif.kind === 'absent' ? constant('') : env.iif, present: 1 };
    case 'oifname':
    case 'oif':
      return { domain: 'interface', slot: env.oif.kind === 'absent' ? constant('') : env.oif, present: 1 };
    case 'l4proto':
      return { domain: 'protocol', slot: env.protocol, present: 1 };
    case 'nfproto':
      return always(constant(universe.family === 4 ? 'ipv4' : 'ipv6'), 'word');
    case 'protocol':
      return always(constant(universe.family === 4 ? 'ip' : 'ip6'), 'word');
    case 'mark':
      return { domain: 'number', slot: env.mark === undefined ? notKnown : constant(env.mark), present: 1 };
    default:
      return undefined;
  }
}

function fieldTerm(protocol: string, field: string, asking: Asking): Term | undefined {
  const { env, universe } = asking;
  switch (protocol) {
    case 'ip':
    case 'ip6': {
      const present = (protocol === 'ip') === (universe.family === 4) ? 1 : 0;
      if (field === 'saddr' || field === 'daddr')
        return { domain: 'address', slot: field === 'saddr' ? env.source : env.destination, present };
      if (field === 'protocol' || field === 'nexthdr') return { domain: 'protocol', slot: env.protocol, present };
      if (field === 'version') return { domain: 'number', slot: constant(universe.family), present };
      return present === 0 ? { domain: 'number', slot: absent, present } : undefined;
    }
    case 'th':
    case 'tcp':
    case 'udp':
    case 'sctp':
    case 'dccp':
    case 'udplite':
      return transportTerm(protocol, field, asking);
    case 'icmp':
    case 'icmpv6': {
      const present = universe.family === (protocol === 'icmp' ? 4 : 6) ? carrying([protocol === 'icmp' ? 1 : 58], asking) : 0;
      // What begins a flow of ICMP is an echo request, and what answers it a reply.
      if (field === 'type') return { domain: 'word', slot: constant(env.reply ? 'echo-reply' : 'echo-request'), present };
      if (field === 'code') return { domain: 'number', slot: constant(0), present };
      return undefined;
    }
    case 'ether':
      if (asking.table === 'ip' || asking.table === 'ip6' || env.mac.kind === 'absent') return { domain: 'mac', slot: absent, present: 0 };
      if (field === 'saddr') return { domain: 'mac', slot: env.mac, present: 1 };
      if (field === 'type') return always(constant(universe.family === 4 ? 'ip' : 'ip6'), 'word');
      return undefined;
    case 'arp':
    case 'vlan':
    // No packet that is asked about has a routing header.
    case 'rt':
      return { domain: 'number', slot: absent, present: 0 };
    default:
      return undefined;
  }
}

function carrying(protocols: readonly number[], { universe, env }: Asking): number {
  const spans = protocols.map((number) => universe.protocols.span(BigInt(number), BigInt(number))).sort((a, b) => a.from - b.from);
  return withinSpans(universe.bdd, universe.fields, env.protocol, spans) ?? 0;
}

function transportTerm(protocol: string, field: string, asking: Asking): Term | undefined {
  const { env } = asking;
  const number = protocolNumber(protocol);
  const present = carrying(protocol === 'th' || number === undefined ? withPorts : [number], asking);
  if (field === 'sport') return { domain: 'port', slot: env.sport, present };
  if (field === 'dport') return { domain: 'port', slot: env.dport, present };
  // The first packet of a connection, and what answers it.
  if (number === TCP && field === 'flags') return { domain: 'flags', flags: env.reply ? ['syn', 'ack'] : ['syn'], free: [], present };
  return undefined;
}

/** Offset and length in bits (RFC 791, 8200). */
const places4: Readonly<Record<string, string>> = { '72,8': 'protocol', '96,32': 'saddr', '128,32': 'daddr' };
const places6: Readonly<Record<string, string>> = { '48,8': 'nexthdr', '64,128': 'saddr', '192,128': 'daddr' };

/** Addresses and ports by their place, and the hardware address that a DHCP client says it has, which for an honest one is its MAC (RFC 2131). */
function rawTerm(base: string, offset: number, length: number, asking: Asking): Term | undefined {
  if (base === 'nh') {
    const [protocol, places] = asking.universe.family === 4 ? (['ip', places4] as const) : (['ip6', places6] as const);
    const field = places[`${offset},${length}`];
    return field === undefined ? undefined : fieldTerm(protocol, field, asking);
  }
  if (base !== 'th') return undefined;
  if (length === 16 && offset === 0) return transportTerm('th', 'sport', asking);
  if (length === 16 && offset === 16) return transportTerm('th', 'dport', asking);
  if (length === 48 && offset === 288 && asking.env.mac.kind !== 'unknown')
    return { domain: 'mac', slot: asking.env.mac, present: carrying([17], asking) };
  return undefined;
}

function ctTerm({ key, dir }: { readonly key: string; readonly dir?: 'original' | 'reply' }, { env, universe }: Asking): Term | undefined {
  const tracked = env.tracking === 'new' || env.tracking === 'established' ? 1 : 0;
  switch (key) {
    case 'state': {
      // nft_ct.c: a packet without an entry is invalid, unless it is left untracked.
      const state = env.tracking === 'none' ? 'invalid' : env.tracking;
      return { domain: 'flags', flags: [state], free: [], present: 1 };
    }
    case 'status': {
      const flags = [...(env.dnat ? ['dnat'] : []), ...(env.snat ? ['snat'] : []), ...(env.reply ? ['seen-reply', 'confirmed'] : [])];
      return { domain: 'flags', flags, free: env.reply ? ['assured'] : [], present: tracked };
    }
    case 'direction':
      return { domain: 'word', slot: constant(env.reply ? 'reply' : 'original'), present: tracked };
    case 'mark':
      return { domain: 'number', slot: env.ctMark === undefined ? notKnown : constant(env.ctMark), present: tracked };
    case 'l3proto':
      return { domain: 'word', slot: constant(universe.family === 4 ? 'ipv4' : 'ipv6'), present: tracked };
    case 'protocol':
      return { domain: 'protocol', slot: env.protocol, present: tracked };
    default:
      break;
  }
  if (dir !== 'original') return undefined;
  switch (key) {
    case 'saddr':
      return { domain: 'address', slot: env.original.source, present: tracked };
    case 'daddr':
      return { domain: 'address', slot: env.original.destination, present: tracked };
    case 'proto-src':
      return { domain: 'port', slot: env.original.sport, present: tracked };
    case 'proto-dst':
      return { domain: 'port', slot: env.original.dport, present: tracked };
    default:
      return undefined;
  }
}

function fibTerm(result: string, flags: readonly string[], { env, routing, universe }: Asking): Term | undefined {
  const [flag, ...more] = flags;
  if (result === 'type' && more.length === 0 && (flag === 'daddr' || flag === 'saddr'))
    return { domain: 'word', slot: routing.kindOf(flag === 'daddr' ? env.destination : env.source), present: 1 };
  if ((result === 'oif' || result === 'oifname') && flag === 'saddr' && flags.includes('iif')) {
    const mark = flags.includes('mark') ? env.mark : 0;
    const reached = routing.reachedBy({ destination: env.source, source: env.destination, iif: env.iif, mark });
    if (reached === undefined) return undefined;
    return {
      domain: 'word',
      slot: inParts(
        new Map([
          [REACHED, reached],
          ['missing', universe.bdd.not(reached)],
        ]),
      ),
      present: 1,
    };
  }
  return undefined;
}

/** That `fib saddr . iif oif` finds an interface, whichever. */
export const REACHED = '(reached)';

function masked(term: Term | undefined, mask: NftExpr): Term | undefined {
  if (!term) return undefined;
  if (term.domain === 'number' && typeof mask === 'number' && term.slot.kind === 'const')
    return { ...term, slot: constant((term.slot.value & mask) >>> 0) };
  if (term.domain !== 'flags') return undefined;
  const words = flagWords(mask);
  return (
    words && { ...term, flags: term.flags.filter((flag) => words.includes(flag)), free: term.free.filter((flag) => words.includes(flag)) }
  );
}

export function flagWords(expr: NftExpr): readonly string[] | undefined {
  if (expr === 0) return [];
  const words: readonly NftExpr[] = typeof expr === 'object' && '|' in expr ? expr['|'] : [expr];
  return words.every((word) => typeof word === 'string') ? words : undefined;
}
