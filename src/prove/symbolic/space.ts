/** {@link FlowSpace} over decision diagrams: the words of questions as sets, and sets as packets that a person can read. */
import type { Origin } from '../kernel-model.ts';
import type { SentPacket } from '../packet-model.ts';
import type { FlowSet, FlowSpace, PortSpan } from './flow-space.ts';
import type { Intervals, Span } from './intervals.ts';
import { fieldNames, joinSpans } from './layout.ts';
import type { FieldName } from './layout.ts';
import { addressNumber, ipText } from './numbers.ts';
import { withPorts } from '../../net/protocols.ts';
import { OTHER_MAC, originName, type Universe } from './universe.ts';

/** The walk's sets are those of this space: the brand only keeps handles of other things out. */
export const asFlows = (set: number): FlowSet => set as FlowSet;

/** Values that say something to a reader, the best first: one of them is shown where any would do. */
const readable: Readonly<Record<'dport' | 'sport' | 'protocol', readonly number[]>> = {
  dport: [443, 80, 22, 53, 8080, 25, 5432, 3306],
  sport: [40000],
  protocol: [6, 17, 1, 58],
};
const strangers = { 4: '198.51.100.7', 6: '2001:db8:5::7' } as const;

export class Space implements FlowSpace {
  readonly none = asFlows(0);
  readonly all: FlowSet;
  private readonly universe: Universe;
  private readonly groups = new Map<FieldName, number>();

  constructor(universe: Universe) {
    this.universe = universe;
    this.all = asFlows(universe.valid);
  }

  get family(): 4 | 6 {
    return this.universe.family;
  }

  and(...sets: readonly FlowSet[]): FlowSet {
    return asFlows(sets.reduce<number>((all, set) => this.universe.bdd.and(all, set), this.all));
  }

  or(...sets: readonly FlowSet[]): FlowSet {
    return asFlows(this.universe.bdd.union(sets));
  }

  not(set: FlowSet): FlowSet {
    return this.minus(this.all, set);
  }

  minus(a: FlowSet, b: FlowSet): FlowSet {
    return asFlows(this.universe.bdd.minus(a, b));
  }

  from(origins: Iterable<Origin>): FlowSet {
    const numbers = [...origins].flatMap((origin) => this.universe.originNumber.get(originName(origin)) ?? []);
    return this.within('origin', singles(numbers));
  }

  source(prefixes: Iterable<string>): FlowSet {
    return this.within('source', this.addresses(prefixes));
  }

  destination(prefixes: Iterable<string>): FlowSet {
    return this.within('destination', this.addresses(prefixes));
  }

  protocol(numbers: Iterable<number>): FlowSet {
    return this.within(
      'protocol',
      this.numbers(
        this.universe.protocols,
        [...numbers].map((number) => ({ from: number, to: number })),
      ),
    );
  }

  sport(spans: Iterable<PortSpan>): FlowSet {
    return this.within('sport', this.numbers(this.universe.ports, spans));
  }

  dport(spans: Iterable<PortSpan>): FlowSet {
    return this.within('dport', this.numbers(this.universe.ports, spans));
  }

  mac(macs: Iterable<string>): FlowSet {
    return this.within('mac', singles([...macs].map((mac) => this.universe.macNumber.get(mac) ?? 0)));
  }

  fromWithSource(pairs: Iterable<{ readonly origin: Origin; readonly mac?: string; readonly sources: readonly string[] }>): FlowSet {
    const { bdd, fields, originNumber, macNumber } = this.universe;
    const sets: { readonly origin: number; readonly set: number }[] = [];
    for (const { origin, mac, sources } of pairs) {
      const number = originNumber.get(originName(origin));
      // A machine that was left out has others that stand for it among the pairs.
      if (number === undefined) continue;
      const own = fields.source.within(this.addresses(sources));
      const said = mac === undefined ? own : bdd.and(fields.mac.is(macNumber.get(mac) ?? 0), own);
      sets.push({ origin: number, set: bdd.and(fields.origin.is(number), said) });
    }
    // Neighbours differ late, so that their union touches little.
    sets.sort((a, b) => a.origin - b.origin);
    return this.and(asFlows(bdd.union(sets.map(({ set }) => set))));
  }

  anySport(set: FlowSet, quantifier: 'some' | 'every'): FlowSet {
    const { bdd } = this.universe;
    const group = this.group('sport');
    if (quantifier === 'some') return this.and(asFlows(bdd.exists(group, set)));
    const ephemeral = this.sport([{ from: 1024, to: 65535 }]);
    // Of every port in question: nowhere is one that is not in the set.
    const missing = bdd.exists(group, bdd.minus(ephemeral, set));
    return this.minus(this.all, asFlows(missing));
  }

  pick(set: FlowSet): SentPacket | undefined {
    const { bdd, fields, ports, protocols, addresses, family } = this.universe;
    let chosen: number = this.and(set);
    if (chosen === 0) return undefined;
    const prefer = (candidate: number): boolean => {
      const better = bdd.and(chosen, candidate);
      if (better !== 0) chosen = better;
      return better !== 0;
    };
    for (const number of readable.protocol) if (prefer(fields.protocol.is(protocols.at(BigInt(number))))) break;
    for (const number of readable.dport) if (prefer(fields.dport.is(ports.at(BigInt(number))))) break;
    for (const number of readable.sport) prefer(fields.sport.is(ports.at(BigInt(number))));
    const stranger = addresses.at(addressNumber(family, strangers[family]) ?? 0n);
    for (const field of [fields.source, fields.destination]) prefer(field.is(stranger));
    const bits = new Map<number, boolean>();
    for (let node = chosen; !bdd.isTerminal(node);) {
      const up = bdd.low(node) === 0;
      bits.set(bdd.level(node), up);
      node = up ? bdd.high(node) : bdd.low(node);
    }
    const value = (name: FieldName): number => fields[name].valueOf(bits);
    const address = (index: number): string => {
      const known = addressNumber(family, strangers[family]) ?? 0n;
      const inside = addresses.first(index) <= known && known <= addresses.final(index);
      return ipText(family, inside ? known : addresses.first(index));
    };
    const port = (index: number, wanted: readonly number[]): number => {
      const known = wanted.find((one) => ports.first(index) <= BigInt(one) && BigInt(one) <= ports.final(index));
      return known ?? Number(ports.first(index));
    };
    const protocolIndex = value('protocol');
    const protocol = readable.protocol.find((one) => protocols.at(BigInt(one)) === protocolIndex) ?? Number(protocols.first(protocolIndex));
    const origin = this.universe.origins[value('origin')] ?? '';
    const mac = this.universe.macs[value('mac')];
    return {
      origin: origin === '' ? { kind: 'host' } : { kind: 'interface', name: origin },
      ...(mac === undefined || mac === OTHER_MAC || origin === '' ? {} : { mac }),
      source: address(value('source')),
      destination: address(value('destination')),
      protocol,
      ...(withPorts.includes(protocol) ? { sport: port(value('sport'), readable.sport), dport: port(value('dport'), readable.dport) } : {}),
    };
  }

  contains(set: FlowSet, flow: SentPacket): boolean {
    const { bdd } = this.universe;
    return bdd.and(set, this.only(flow)) !== 0;
  }

  /** The flows of the same intervals as this one; whatever it does not say may be anything. */
  only(flow: SentPacket): FlowSet {
    const { bdd, fields, addresses, ports, protocols, family, originNumber, macNumber, standIns } = this.universe;
    const standIn = (name: string): string => standIns.get(name)?.[0] ?? name;
    const origin = originNumber.get(standIn(originName(flow.origin)));
    const source = addressNumber(family, standIn(flow.source));
    // Two of a kind are not one.
    const same = flow.source !== flow.destination && standIn(flow.source) === standIn(flow.destination);
    const destination = addressNumber(
      family,
      same ? (standIns.get(flow.destination)?.[1] ?? standIns.get(flow.source)?.[1] ?? flow.destination) : standIn(flow.destination),
    );
    if (origin === undefined || source === undefined || destination === undefined) return this.none;
    const parts = [
      fields.origin.is(origin),
      fields.source.is(addresses.at(source)),
      fields.destination.is(addresses.at(destination)),
      fields.protocol.is(protocols.at(BigInt(flow.protocol))),
      flow.sport === undefined ? 1 : fields.sport.is(ports.at(BigInt(flow.sport))),
      flow.dport === undefined ? 1 : fields.dport.is(ports.at(BigInt(flow.dport))),
      flow.mac === undefined ? 1 : fields.mac.is(macNumber.get(standIn(flow.mac)) ?? 0),
    ];
    return this.and(asFlows(parts.reduce((set, part) => bdd.and(set, part), 1)));
  }

  /** Quantified away: the set for some value of the field. */
  without(name: FieldName, set: number): number {
    return this.universe.bdd.exists(this.group(name), set);
  }

  private group(name: FieldName): number {
    const known = this.groups.get(name) ?? this.universe.bdd.group(this.universe.fields[name].levels);
    this.groups.set(name, known);
    return known;
  }

  private within(name: FieldName, spans: readonly Span[]): FlowSet {
    return this.and(asFlows(this.universe.fields[name].within(spans)));
  }

  /** A machine that was left out is spoken of together with those that stand for it, or the question would tell apart what the space does not. */
  private addresses(prefixes: Iterable<string>): readonly Span[] {
    const { standIns } = this.universe;
    const all = [...prefixes];
    const there = all.filter((text) => !standIns.has(text));
    if (there.length < all.length) {
      const named = new Set(there);
      for (const text of all) {
        const [one, other] = standIns.get(text) ?? [text, text];
        if (!named.has(one) || !named.has(other)) throw new Error(`${text} is asked about without ${one} and ${other}, which are like it`);
      }
    }
    return joinSpans(there.flatMap((text) => this.universe.addressSpan(text) ?? []));
  }

  private numbers(table: Intervals, spans: Iterable<PortSpan>): readonly Span[] {
    return joinSpans([...spans].map(({ from, to }) => table.span(BigInt(from), BigInt(to))));
  }
}

const singles = (numbers: readonly number[]): readonly Span[] => joinSpans(numbers.map((number) => ({ from: number, to: number })));

export const packetFields = fieldNames;
