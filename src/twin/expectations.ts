/**
 * Expectations decided by packets: each becomes connections to try, and a judgement of what came of them. What one host's packets cannot
 * decide (`via`, `exposed`) stays unknown.
 */
import type { ExpectEntry } from '../config/model.ts';
import type { FlowExpr, Ports } from '../config/flow.ts';
import type { Fabric, Party, Publish, Rule } from '../fabric/model.ts';
import { resolveFlow } from '../fabric/resolve.ts';
import type { Attempt, Door } from './cases.ts';
import { doorsOf, pairsOf, spread } from './cases.ts';
import type { Place, Places } from './places.ts';
import { dialledFrom } from './published.ts';
import type { ProbeResult } from './prober.ts';

export interface ExpectationVerdict {
  readonly text: string;
  readonly verdict: 'proved' | 'refuted' | 'unknown';
  /** One connection that went against it, in flow syntax, and what happened. */
  readonly counterexample?: string;
  readonly because?: string;
}

export interface Tried {
  readonly attempt: Attempt;
  readonly result: ProbeResult;
}

export interface ExpectationTrial {
  readonly text: string;
  readonly attempts: readonly Attempt[];
  readonly judge: (tried: readonly Tried[]) => ExpectationVerdict;
}

/** Connections tried for one expectation at most. */
const attemptsPerExpectation = 60;

export function trialOf(entry: ExpectEntry, fabric: Fabric, places: Places): ExpectationTrial {
  const { text } = entry;
  const unknown = (because: string): ExpectationTrial => ({ text, attempts: [], judge: () => ({ text, verdict: 'unknown', because }) });
  switch (entry.kind) {
    case 'can':
    case 'cannot':
    case 'seen-as': {
      const sides = resolveFlow(fabric, entry.flow, undefined, () => undefined);
      const pairs = sides ? pairsOf(sides.from, sides.to, places) : [];
      if (pairs.length === 0) return unknown('no pair of addresses in the twin stands for it');
      if (entry.kind !== 'seen-as') {
        const wanted = entry.kind === 'can';
        // "Not at all" is tried at the ports that somebody is let in at.
        const doors = (to: Place): readonly Door[] =>
          !wanted && entry.flow.ports === 'any' ? doorsTowards(to, fabric, places) : doorsOf(entry.flow.ports, false);
        const attempts = pairs.flatMap(([from, to]) => {
          const direct = combine([[from, to]], doors(to));
          const published = dialledFrom(from, to, fabric, places, (protocol, port) => inPorts(entry.flow.ports, protocol, port));
          // From outside a guest is reached by what is published for it, where something is.
          if (wanted && from.kind === 'outside' && published.length > 0) return published;
          return wanted ? direct : [...direct, ...published];
        });
        return trial(text, attempts, (one) => verdictOf(wanted, one));
      }
      const family = entry.address.includes(':') ? 6 : 4;
      const doors =
        entry.flow.ports === 'any'
          ? [{ protocol: 'tcp' as const, port: 443 }]
          : doorsOf(entry.flow.ports, false).filter((door) => door.protocol !== 'icmp');
      const attempts = combine(
        pairs.filter(([from]) => from.family === family),
        doors,
      );
      return trial(text, attempts, ({ result }) => seenAs(entry.address, result));
    }
    case 'only':
    case 'only-strict':
      return (
        onlyTrial(entry.text, entry.flow, entry.kind === 'only-strict', fabric, places) ??
        unknown('no address in the twin stands for its target')
      );
    case 'isolated':
      return trial(text, isolatedAttempts(entry.network, places), (one) => verdictOf(false, one));
    case 'via':
      return unknown('paths through other hosts are not rehearsed yet');
    case 'exposed':
      return unknown('every port of every address cannot be tried by packets; the prover decides it');
  }
}

/** Undefined: as it should be. Else what went wrong. */
function verdictOf(wanted: boolean, { result }: Tried): string | undefined {
  if (wanted)
    return result.answered || result.refused ? undefined : result.delivered ? 'it arrived, but no answer came back' : 'nothing came back';
  if (!result.delivered) return undefined;
  return result.answered ? 'it was answered' : 'it arrived';
}

function seenAs(address: string, result: ProbeResult): string | undefined {
  if (!result.answered) return 'nothing came back';
  return result.seenSource === address ? undefined : `it was seen as ${result.seenSource ?? 'nobody'}`;
}

function trial(text: string, attempts: readonly Attempt[], wrong: (tried: Tried) => string | undefined): ExpectationTrial {
  const sampled = spread(attempts, attemptsPerExpectation);
  const extent = sampled.length < attempts.length ? ` (${sampled.length} of ${attempts.length} tried)` : '';
  return {
    text,
    attempts: sampled,
    judge: (tried) => {
      if (tried.length === 0) return { text, verdict: 'unknown', because: 'nothing in the twin stands for it' };
      for (const one of tried) {
        const what = wrong(one);
        if (what !== undefined) return { text, verdict: 'refuted', counterexample: `${attemptText(one.attempt)}: ${what}` };
      }
      return { text, verdict: 'proved', because: `by packets${extent}` };
    },
  };
}

/** Nobody but FROM reaches TO: everybody else is tried at the flow's ports; without ports, at those that rules towards TO name. */
function onlyTrial(text: string, flow: FlowExpr, strict: boolean, fabric: Fabric, places: Places): ExpectationTrial | undefined {
  const sides = resolveFlow(fabric, flow, undefined, () => undefined);
  if (!sides) return undefined;
  const targets = sides.to.flatMap((party) => places.of(party, undefined));
  if (targets.length === 0) return undefined;
  const attempts: Attempt[] = [];
  for (const to of targets) {
    const allowed = new Set(sides.from.flatMap((party) => places.of(party, to)).map(({ address }) => address));
    const host = strict ? [places.gatewayOf(to) ?? []].flat() : [];
    const others = [...places.guests, ...places.outside, ...host].filter((from) => places.meet(from, to) && !allowed.has(from.address));
    const doors = flow.ports === 'any' ? doorsTowards(to, fabric, places) : doorsOf(flow.ports, false);
    attempts.push(
      ...combine(
        others.map((from) => [from, to] as const),
        doors,
      ),
      ...others.flatMap((from) => dialledFrom(from, to, fabric, places, (protocol, port) => inPorts(flow.ports, protocol, port))),
    );
  }
  return trial(text, attempts, (one) => verdictOf(false, one));
}

const inPorts = (ports: Ports, protocol: 'tcp' | 'udp', port: number): boolean =>
  ports === 'any' || ports.some((spec) => spec.protocol === protocol && spec.ranges.some(({ from, to }) => from <= port && port <= to));

/** Ports that any rule or published port opens at this address, and a few that none may. */
function doorsTowards(to: Place, fabric: Fabric, places: Places): readonly Door[] {
  const speaksOf = (rule: Rule): boolean =>
    rule.to.some((party: Party) => places.of(party, undefined).some(({ address }) => address === to.address));
  const leadsTo = ({ to: end }: Publish): boolean =>
    places.of({ kind: 'guests', text: end.guest, endpoints: [end] }, undefined).some(({ address }) => address === to.address);
  const published = fabric.publish
    .filter(leadsTo)
    .map((one): Ports =>
      one.ports.map(({ protocol, first, last, target }) => ({ protocol, ranges: [{ from: target, to: target + last - first }] })),
    );
  const ports: readonly Ports[] = ['any', ...fabric.allow.filter(speaksOf).map((rule) => rule.ports), ...published];
  const doors = new Map(ports.flatMap((one) => doorsOf(one, false)).map((door) => [`${door.protocol} ${door.port ?? ''}`, door]));
  return [...doors.values()];
}

/** Nothing in or out but its own host: to and from the internet and one guest of every other network. */
function isolatedAttempts(network: string, places: Places): readonly Attempt[] {
  const same = (place: Place): boolean => place.network?.toLowerCase() === network.toLowerCase();
  const inside = places.guests.filter(same).slice(0, 4);
  const strangers = new Map(places.guests.filter((place) => !same(place)).map((place) => [`${place.network} ${place.family}`, place]));
  const pairs = inside.flatMap((place) =>
    [...strangers.values(), ...places.outside]
      .filter((other) => places.meet(place, other))
      .flatMap((other) => [[place, other] as const, [other, place] as const]),
  );
  return combine(pairs, doorsOf('any', false));
}

function combine(pairs: readonly (readonly [Place, Place])[], doors: readonly Door[]): readonly Attempt[] {
  return pairs.flatMap(([from, to]) => doors.map((door) => ({ from, to, ...door })));
}

/** `web -> db tcp/5432`, with the family where it matters to a reader. */
export function attemptText({ from, to, protocol, port, dial }: Attempt): string {
  const by = dial ? `, by ${dial.address} ${protocol}/${dial.port}` : '';
  return `${from.label} -> ${to.label} ${protocol}${port === undefined ? '' : `/${port}`} (IPv${from.family}${by})`;
}
