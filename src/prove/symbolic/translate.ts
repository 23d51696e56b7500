/**
 * NAT as a change of situation: the packets stay as they were sent, and from here on an address or port is a constant. Translations are chosen once a connection;
 * replies are undone by the walk.
 */
import type { NftExpr, NftStatement, NftTable } from '../../hoststate/nft.ts';
import { isVerdict } from '../../hoststate/nft.ts';
import { ownMap } from '../../hoststate/nft-own-map.ts';
import { parseIp } from '../../net/ip.ts';
import type { KernelModel } from '../kernel-model.ts';
import type { Hook } from './chain.ts';
import type { Env, Slot, State } from './env.ts';
import { constant, having, notKnown, valuesOf, withinSpans } from './env.ts';
import type { Span } from './intervals.ts';
import type { Matcher } from './matching.ts';
import { addressNumber } from './numbers.ts';
import type { Asking } from './terms.ts';
import type { Universe } from './universe.ts';

export interface Translated {
  readonly translated: readonly State[];
  /** The statement does not apply to them: the rule breaks off. */
  readonly untouched: readonly State[];
}

/** New values; undefined: as it is. */
interface Target {
  readonly address?: Slot<number>;
  readonly port?: Slot<number>;
}

export class Translator {
  private readonly universe: Universe;
  /** Addresses of each interface, as their numbers, with their subnets; what has none is not in it. */
  private readonly own: ReadonlyMap<string, readonly { readonly address: number; readonly subnet: Span }[]>;
  /** Gateways by each interface. */
  private readonly nextHops: ReadonlyMap<string, readonly number[]>;
  /** Addresses that an interface without one may borrow. */
  private readonly lent: readonly number[];

  constructor(universe: Universe, model: KernelModel) {
    this.universe = universe;
    const { family, addresses } = universe;
    this.own = new Map(
      model.interfaces.flatMap(({ name, addresses: texts }) => {
        const own = texts.flatMap((text) => {
          const number = /^(fe80|127\.|::1\/)/.test(text) ? undefined : addressNumber(family, text);
          const subnet = universe.addressSpan(text);
          return number === undefined || subnet === undefined ? [] : [{ address: addresses.at(number), subnet }];
        });
        return own.length === 0 ? [] : [[name, own] as const];
      }),
    );
    const hops = new Map<string, number[]>();
    for (const { link, via } of model.routes) {
      const number = link === undefined || via === undefined ? undefined : addressNumber(family, via);
      if (link !== undefined && number !== undefined) hops.set(link, [...(hops.get(link) ?? []), addresses.at(number)]);
    }
    this.nextHops = hops;
    this.lent = [
      ...new Set(model.interfaces.flatMap(({ name, up }) => (up ? (this.own.get(name) ?? []) : [])).map(({ address }) => address)),
    ];
  }

  translate(statement: NftStatement, state: State, hook: Hook, table: NftTable, matcher: Matcher, asking: Asking): Translated {
    if ('masquerade' in statement) return this.masquerade(state);
    if ('redirect' in statement) return this.redirect(state, hook, statement.redirect?.port);
    if ('snat' in statement) {
      const { family, addr, port } = statement.snat;
      return this.byTargets(state, 'source', family, { addr, ...(port === undefined ? {} : { port }) }, table, matcher, asking);
    }
    if ('dnat' in statement) {
      const { family, addr, port } = statement.dnat;
      const to = { ...(addr === undefined ? {} : { addr }), ...(port === undefined ? {} : { port }) };
      return this.byTargets(state, 'destination', family, to, table, matcher, asking);
    }
    return { translated: [state], untouched: [] };
  }

  /**
   * To an address of the way out: the one in the subnet of the next hop, else the first. Without one it is another interface's, which one depends on the order in
   * which they were made (inet_select_addr, ipv6_dev_get_saddr); where there is none at all, the packet is dropped (nf_nat_masquerade.c).
   */
  private masquerade(state: State): Translated {
    const { bdd, fields } = this.universe;
    const { oif } = state.env;
    const names = valuesOf(oif);
    if (!names) return { translated: [set(state.env, 'source', { address: notKnown }, state.set)], untouched: [] };
    const translated: State[] = [];
    for (const name of names) {
      let rest = bdd.and(state.set, having(bdd, fields, oif, name));
      const own = this.own.get(name) ?? [];
      for (const { address, subnet } of own.length > 1 ? own : []) {
        const here = bdd.and(rest, withinSpans(bdd, fields, state.env.destination, [subnet]) ?? 0);
        rest = bdd.minus(rest, here);
        if (here !== 0) translated.push(set(state.env, 'source', { address: constant(address) }, here));
      }
      if (rest === 0) continue;
      const towards = this.nextHops.get(name) ?? [];
      const fit = towards.map((hop) => (own.find(({ subnet }) => subnet.from <= hop && hop <= subnet.to) ?? own[0])?.address);
      const choices = own.length === 0 ? this.lent : [...new Set([...fit, ...(fit.length === 0 ? [own[0]?.address] : [])])];
      for (const [i, address] of choices.entries()) {
        const here = i === choices.length - 1 ? rest : bdd.and(rest, this.borrows(name, i));
        rest = bdd.minus(rest, here);
        if (here !== 0 && address !== undefined) translated.push(set(state.env, 'source', { address: constant(address) }, here));
      }
    }
    return { translated, untouched: [] };
  }

  private borrows(name: string, i: number): number {
    return this.universe.unknown(`masquerading at ${name} borrows ${i}`, {
      what: `masquerading at ${name}, which has no address: which interface lends one`,
    });
  }

  /** To the host itself: the address of the interface it came in by, or the loopback address for its own packets (nf_nat_redirect.c). */
  private redirect(state: State, hook: Hook, port: NftExpr | undefined): Translated {
    const { bdd, fields, family, addresses } = this.universe;
    const toPort = port === undefined ? {} : { port: this.port(port) };
    if (hook === 'output') {
      const loopback = addressNumber(family, family === 4 ? '127.0.0.1' : '::1') ?? 0n;
      return {
        translated: [set(state.env, 'destination', { address: constant(addresses.at(loopback)), ...toPort }, state.set)],
        untouched: [],
      };
    }
    const names = valuesOf(state.env.iif);
    if (!names) return { translated: [set(state.env, 'destination', { address: notKnown, ...toPort }, state.set)], untouched: [] };
    const translated: State[] = [];
    for (const name of names) {
      const [first] = this.own.get(name) ?? [];
      if (!first) continue;
      const { address } = first;
      const here = bdd.and(state.set, having(bdd, fields, state.env.iif, name));
      if (here !== 0) translated.push(set(state.env, 'destination', { address: constant(address), ...toPort }, here));
    }
    return { translated, untouched: [] };
  }

  private byTargets(
    state: State,
    side: 'source' | 'destination',
    family: 'ip' | 'ip6' | undefined,
    { addr, port }: { readonly addr?: NftExpr; readonly port?: NftExpr },
    table: NftTable,
    matcher: Matcher,
    asking: Asking,
  ): Translated {
    const { bdd } = this.universe;
    // `dnat ip to …` in a table of both families means IPv4 packets.
    if (family !== undefined && (family === 'ip') !== (this.universe.family === 4)) return { translated: [], untouched: [state] };
    const toPort = port === undefined ? {} : { port: this.port(port) };
    if (addr !== undefined && typeof addr === 'object' && 'map' in addr) {
      const { key, data } = addr.map;
      const pairs = typeof data === 'string' ? data : ownMap(data);
      const found = pairs === undefined ? undefined : matcher.lookup(key, pairs, table, asking);
      if (!found) return { translated: [set(state.env, side, { address: notKnown, ...toPort }, state.set)], untouched: [] };
      const translated: State[] = [];
      let rest = state.set;
      for (const { value, set: hit } of found) {
        const here = bdd.and(rest, hit);
        if (here === 0 || isVerdict(value)) continue;
        rest = bdd.minus(rest, here);
        translated.push(...this.changed({ ...state, set: here }, side, { ...this.target(value), ...toPort }));
      }
      return { translated, untouched: rest === 0 ? [] : [{ ...state, set: rest }] };
    }
    const target = { ...(addr === undefined ? {} : this.target(addr)), ...toPort };
    const foreign = typeof addr === 'string' && parseIp(addr) !== undefined && addressNumber(this.universe.family, addr) === undefined;
    return foreign ? { translated: [], untouched: [state] } : { translated: this.changed(state, side, target), untouched: [] };
  }

  /** Where source or destination are so already, nothing is translated, and `ct status` does not say so (nf_nat_core.c: nf_nat_setup_info()). */
  private changed(state: State, side: 'source' | 'destination', target: Target): readonly State[] {
    const { bdd, fields } = this.universe;
    const [address, port] = side === 'source' ? [state.env.source, state.env.sport] : [state.env.destination, state.env.dport];
    const already = (slot: Slot<number>, wanted: Slot<number> | undefined): number => {
      if (wanted === undefined) return 1;
      return wanted.kind === 'const' ? (withinSpans(bdd, fields, slot, [{ from: wanted.value, to: wanted.value }]) ?? 0) : 0;
    };
    const same = bdd.and(state.set, bdd.and(already(address, target.address), already(port, target.port)));
    const other = bdd.minus(state.set, same);
    return [...(same === 0 ? [] : [{ ...state, set: same }]), ...(other === 0 ? [] : [set(state.env, side, target, other)])];
  }

  /** An address, or with its port: `10.0.0.1 . 80`. */
  private target(value: NftExpr): Target {
    if (typeof value === 'object' && 'concat' in value) {
      const [address, port] = value.concat;
      return {
        address: address === undefined ? notKnown : this.address(address),
        ...(port === undefined ? {} : { port: this.port(port) }),
      };
    }
    return { address: this.address(value) };
  }

  private address(value: NftExpr): Slot<number> {
    const number = typeof value === 'string' ? addressNumber(this.universe.family, value) : undefined;
    return number === undefined ? notKnown : constant(this.universe.addresses.at(number));
  }

  private port(value: NftExpr): Slot<number> {
    return typeof value === 'number' ? constant(this.universe.ports.at(BigInt(value))) : notKnown;
  }
}

function set(env: Env, side: 'source' | 'destination', { address, port }: Target, packets: number): State {
  return {
    set: packets,
    env:
      side === 'source'
        ? { ...env, source: address ?? env.source, sport: port ?? env.sport, snat: true }
        : { ...env, destination: address ?? env.destination, dport: port ?? env.dport, dnat: true },
  };
}
