/**
 * Which connections a rehearsal tries, and what the file says of each: every rule at its ports and at a neighbouring port, and samples of
 * what nobody mentioned (guest to host, guest to internet, internet to guest, guest to guest).
 */
import type { Ports, PortSpec } from '../config/flow.ts';
import type { Fabric, Party, Rule } from '../fabric/model.ts';
import type { Place, Places } from './places.ts';
import type { ProbeProtocol } from './prober.ts';
import { directAttempts, publishedAttempts } from './published.ts';

export interface Attempt {
  readonly from: Place;
  readonly to: Place;
  readonly protocol: ProbeProtocol;
  /** Undefined for ICMP. */
  readonly port?: number;
  /** Where it is sent, when that is published at the host and translated to `to` and `port`. */
  readonly dial?: { readonly address: string; readonly port: number };
}

/** What the compiled policy says of one attempt. */
export type Expect = (attempt: Attempt) => boolean;

export interface Case extends Attempt {
  readonly expected: boolean;
  /** The rule's text, or why it is tried without one. */
  readonly because: string;
}

export interface CaseList {
  readonly cases: readonly Case[];
  /** Combinations the file's rules make, before sampling. */
  readonly possible: number;
  /** Rules there are, and how many of them at least one case stands for. */
  readonly rules: number;
  readonly rulesTried: number;
}

export interface Door {
  readonly protocol: ProbeProtocol;
  readonly port?: number;
}

/** Pairs of addresses tried for one rule; the rest of a big rule is sampled away. */
const pairsPerRule = 8;
/** Addresses of one party that are paired with those of another one. */
const placesPerParty = 24;
const casesAtMost = 2000;

export function casesOf(fabric: Fabric, places: Places, expect: Expect): CaseList {
  const cases = new Map<string, { readonly one: Case; readonly order: number }>();
  const rules = [...fabric.allow, ...fabric.block];
  const add = (attempt: Attempt, because: string, order: number = Number.MAX_SAFE_INTEGER): void => {
    const key = attemptKey(attempt);
    if (!cases.has(key) && cases.size < casesAtMost) cases.set(key, { one: { ...attempt, expected: expect(attempt), because }, order });
  };
  const pairsOfRules = rules.map((rule) => pairsOf(rule.from, rule.to, places));
  // First one pair of each family for every rule, so that the last rule of a long file is tried as well; then more of each.
  for (const choose of [firstOfEachFamily, (pairs: readonly Pair[]) => spread(pairs, pairsPerRule)]) {
    for (const [index, rule] of rules.entries()) {
      for (const [from, to] of choose(pairsOfRules[index] ?? []))
        for (const door of doorsOf(rule.ports, true)) add({ from, to, ...door }, rule.text, index);
    }
  }
  for (const [index, one] of fabric.publish.entries()) {
    for (const attempt of publishedAttempts(one, fabric, places)) add(attempt, one.text, rules.length + index);
    for (const attempt of directAttempts(one, places)) add(attempt, `${one.text}: not without the translation`, rules.length + index);
  }
  const tried = new Set([...cases.values()].map(({ one }) => one.because));
  const perNetwork = new Map<string, number>();
  for (const place of places.guests) {
    const key = `${place.network} ${place.family}`;
    const seen = perNetwork.get(key) ?? 0;
    perNetwork.set(key, seen + 1);
    // Two guests of each network and family speak for the others.
    if (seen >= 2) continue;
    const gateway = places.gatewayOf(place);
    if (gateway && places.meet(place, gateway)) {
      add({ from: place, to: gateway, protocol: 'icmp' }, 'guest to its gateway');
      add({ from: place, to: gateway, protocol: 'tcp', port: 22 }, 'guest to the host');
      add({ from: gateway, to: place, protocol: 'tcp', port: 22 }, 'host to guest');
    }
    for (const outside of places.outside.filter((one) => places.meet(place, one))) {
      add({ from: place, to: outside, protocol: 'tcp', port: 443 }, 'guest to the internet');
      add({ from: outside, to: place, protocol: 'tcp', port: 22 }, 'internet to guest');
    }
    const next = places.guests.find((other) => other.guest !== place.guest && places.meet(place, other));
    if (next) add({ from: place, to: next, protocol: 'tcp', port: 22 }, 'guest to guest');
  }
  return {
    cases: [...cases.values()].sort((a, b) => a.order - b.order).map(({ one }) => one),
    possible: rules.reduce((sum, rule) => sum + sizeOf(rule), 0),
    rules: rules.length + fabric.publish.length,
    rulesTried:
      rules.filter((rule, index) => tried.has(rule.text) || alreadyTried(rule, pairsOfRules[index] ?? [])).length +
      fabric.publish.filter(({ text }) => tried.has(text)).length,
  };

  /** By a rule before it that says the same of the same places. */
  function alreadyTried(rule: Rule, pairs: readonly Pair[]): boolean {
    return pairs.some(([from, to]) => doorsOf(rule.ports, false).some((door) => cases.has(attemptKey({ from, to, ...door }))));
  }
}

const firstOfEachFamily = (pairs: readonly Pair[]): readonly Pair[] =>
  ([4, 6] as const).flatMap((family) => {
    const first = pairs.find(([from]) => from.family === family);
    return first ? [first] : [];
  });

export function attemptKey({ from, to, protocol, port, dial }: Attempt): string {
  const by = dial ? ` ${dial.address} ${dial.port}` : '';
  return `${from.namespace} ${from.address} ${to.namespace} ${to.address} ${protocol} ${port ?? ''}${by}`;
}

export type Pair = readonly [from: Place, to: Place];

/** Pairs of addresses that a packet can be sent between; of big parties a sample. */
export function pairsOf(from: readonly Party[], to: readonly Party[], places: Places): readonly Pair[] {
  const pairs: Pair[] = [];
  for (const left of from) {
    for (const right of to) {
      // The host's address depends on who is on the other side, so guests are resolved first.
      const targets = isHost(right) ? [undefined] : spread(places.of(right, undefined), placesPerParty);
      for (const target of targets) {
        for (const source of spread(places.of(left, target), placesPerParty)) {
          for (const place of target === undefined ? places.of(right, source) : [target]) {
            if (places.meet(source, place)) pairs.push([source, place]);
          }
        }
      }
    }
  }
  return pairs;
}

const isHost = (party: Party): boolean => party.kind === 'host' || party.kind === 'named-host';

/** Ports to try: the ends of up to three ranges of each protocol and, with `neighbour`, one port beside them that the rule does not name. */
export function doorsOf(ports: Ports, neighbour: boolean): readonly Door[] {
  if (ports === 'any') return [{ protocol: 'tcp', port: 22 }, { protocol: 'udp', port: 4000 }, { protocol: 'icmp' }];
  const doors = ports.flatMap((spec) => doorsOfSpec(spec, neighbour));
  const onlyIcmp = ports.every((spec) => spec.protocol === 'icmp');
  return neighbour && onlyIcmp ? [...doors, { protocol: 'tcp', port: 22 }] : doors;
}

/** SCTP is left out: nothing here speaks it without a kernel module that is rarely there. */
function doorsOfSpec(spec: PortSpec, neighbour: boolean): readonly Door[] {
  if (spec.protocol === 'icmp') return [{ protocol: 'icmp' }];
  const { protocol, ranges } = spec;
  if (protocol === 'sctp') return [];
  const inside = (port: number): boolean => ranges.some((range) => port >= range.from && port <= range.to);
  const ends = ranges.slice(0, 3).flatMap((range) => [...new Set([range.from, range.to])]);
  const beside = [...ends.map((port) => port + 1), ...ends.map((port) => port - 1)].find(
    (port) => port > 0 && port < 65536 && !inside(port),
  );
  return [...ends, ...(neighbour && beside !== undefined ? [beside] : [])].map((port) => ({ protocol, port }));
}

/** At most `count` items, evenly over the whole list, the first and the last among them. */
export function spread<T>(items: readonly T[], count: number): readonly T[] {
  if (items.length <= count) return items;
  return Array.from({ length: count }, (_, index) => items[Math.round((index * (items.length - 1)) / (count - 1))]).flatMap((item) =>
    item === undefined ? [] : [item],
  );
}

/** How many pairs of parties' members a rule speaks of. */
function sizeOf(rule: Rule): number {
  const size = (parties: readonly Party[]): number =>
    parties.reduce((sum, party) => sum + (party.kind === 'guests' ? party.endpoints.length : 1), 0);
  return size(rule.from) * size(rule.to);
}
