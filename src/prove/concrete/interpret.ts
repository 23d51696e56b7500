/**
 * One packet through one host, step by step, in the kernel's order: the concrete engine of the prover. It shares nothing with the symbolic one but
 * the model, so that the two can be held against each other, and against real packets.
 */
import type { Destination, KernelModel, Origin } from '../kernel-model.ts';
import type { DecidedBy, Fate, SentPacket } from '../packet-model.ts';
import { flightOf, NOBODY, replyTo, type Flight } from './flight.ts';
import { hostOf, type Host } from './host.ts';
import { travel, type End } from './journey.ts';
import { chosenBySender } from './layer2.ts';
import type { Spared } from './chain.ts';
import { isRule, placeKey, stepsOf, unique, type Step, type World } from './world.ts';
import type { Tri } from './tri.ts';

export type { Spot, Step } from './world.ts';

export interface Story {
  readonly fate: Fate;
  /** Arrives at its destination; `maybe` where it depends on what is not known, also while {@link fate} cannot say more than unknown. */
  readonly delivered: Tri;
  readonly answered: Tri;
  /** Of the packet; where several courses are possible, of the last one. */
  readonly steps: readonly Step[];
  /** Of the answer, when the packet arrives. */
  readonly reply?: readonly Step[];
  /** Why a delivered packet is not answered. */
  readonly unanswered?: DecidedBy;
}

/** What becomes of the packet, and of the answer of whoever gets it. */
export function interpret(model: KernelModel, packet: SentPacket): Story {
  return interpretSparing(model, packet, new Set());
}

/**
 * All that drops the packet: after each drop it goes on as if that rule had not been there, on the way back too. Ends where something other than a rule refuses it.
 * Empty when the packet is answered, or its fate is not known.
 */
export function blockers(model: KernelModel, packet: SentPacket): readonly DecidedBy[] {
  const found: DecidedBy[] = [];
  const spared = new Set<string>();
  for (;;) {
    const { fate, unanswered } = interpretSparing(model, packet, spared);
    const by = fate.kind === 'dropped' ? fate.by : fate.kind === 'delivered' ? unanswered : undefined;
    if (!by || spared.has(placeKey(by))) return found;
    found.push(by);
    if (!isRule(by)) return found;
    spared.add(placeKey(by));
  }
}

/** One course of things from the first packet to the answer. */
interface Course {
  readonly end: End;
  readonly replies: readonly { readonly end: End; readonly home: boolean }[];
}

function interpretSparing(model: KernelModel, packet: SentPacket, spared: Spared): Story {
  const host = hostOf(model);
  const world: World = { flight: flightOf(packet, frame(host, packet.origin, packet)), trail: undefined, doubts: [] };
  const courses = travel(host, packet.origin, world, spared).map((end): Course => ({ end, replies: replies(host, packet, end, spared) }));
  const fates = courses.map((course) => fateOf(course, packet));
  const delivered = all(courses.map(({ end }): Tri => (end.kind === 'arrived' ? 'yes' : end.kind === 'dropped' ? 'no' : 'maybe')));
  const answered = all(courses.map(answeredIn));
  const last = courses.at(-1);
  const back = last?.replies.at(-1);
  return {
    fate: agreed(courses, fates),
    delivered,
    answered,
    steps: last ? stepsOf(last.end.world) : [],
    ...(back ? { reply: stepsOf(back.end.world) } : {}),
    ...(back && !back.home && back.end.kind !== 'lost' ? { unanswered: unansweredBecause(back.end) } : {}),
  };
}

function replies(host: Host, packet: SentPacket, end: End, spared: Spared): Course['replies'] {
  if (end.kind !== 'arrived') return [];
  const origin: Origin =
    end.at.kind === 'host' ? { kind: 'host' } : { kind: 'interface', name: end.at.kind === 'station' ? end.at.port : end.at.interface };
  const swapped = replyTo(end.world.flight, undefined);
  if (!swapped || swapped.source === undefined) return [{ end: { kind: 'lost', world: end.world }, home: false }];
  const { source, destination } = swapped;
  // It would take its own packet for forged, and answer itself.
  if (
    end.at.kind === 'station' &&
    host.stationsAt(end.at.port).some(({ addresses }) => addresses.includes(source) && addresses.includes(destination))
  )
    return [
      {
        end: {
          kind: 'dropped',
          by: { what: `${source} and ${destination} are one machine, which does not answer to the host` },
          world: end.world,
        },
        home: false,
      },
    ];
  const flight: Flight = { ...swapped, ether: frame(host, origin, { source, destination }) };
  return travel(host, origin, { flight, trail: undefined, doubts: end.world.doubts }, spared).map((back) => ({
    end: back,
    home: back.kind === 'arrived' && isHome(back.at, back.world.flight, packet),
  }));
}

/** The frame an honest sender makes; `mac` is what it says it is. */
function frame(
  host: Host,
  origin: Origin,
  packet: { readonly mac?: string; readonly source: string; readonly destination: string },
): Flight['ether'] {
  if (origin.kind === 'host') return undefined;
  const port = host.interface(origin.name);
  if (!port || port.kind === 'wireguard' || port.kind === 'loopback') return undefined;
  const stations = host.stationsAt(origin.name);
  const sender = stations.find(({ addresses }) => addresses.includes(packet.source)) ?? stations[0];
  const way = chosenBySender(host, port, packet.destination);
  const receiver = way.kind === 'across' ? way.station?.mac : (port.portOf ? host.interface(port.portOf.bridge) : port)?.mac;
  return { source: packet.mac ?? sender?.mac ?? NOBODY, destination: receiver ?? NOBODY };
}

/** The answer comes to where the flow began, from whom it was sent to. */
function isHome(at: Destination, flight: Flight, { origin, source, destination, sport, dport }: SentPacket): boolean {
  const there =
    origin.kind === 'host'
      ? at.kind === 'host'
      : (at.kind === 'station' && at.port === origin.name) || (at.kind === 'outside' && at.interface === origin.name);
  return there && flight.source === destination && flight.destination === source && flight.sport === dport && flight.dport === sport;
}

function answeredIn({ end, replies: back }: Course): Tri {
  if (end.kind === 'dropped') return 'no';
  if (end.kind === 'lost') return 'maybe';
  return all(back.map((one): Tri => (one.home ? 'yes' : one.end.kind === 'lost' ? 'maybe' : 'no')));
}

/** What is so in all courses. */
function all(values: readonly Tri[]): Tri {
  const [first = 'no'] = values;
  return values.every((value) => value === first) ? first : 'maybe';
}

function fateOf(course: Course, packet: SentPacket): Fate {
  const { end } = course;
  if (end.kind === 'dropped') return { kind: 'dropped', by: end.by };
  const answer = answeredIn(course);
  if (end.kind === 'lost' || answer === 'maybe') return { kind: 'unknown', because: [] };
  return { kind: answer === 'yes' ? 'answered' : 'delivered', at: end.at, arrives: asSent(end.world.flight, packet) };
}

/** The fate of all courses when it is the same; of several drops the last, which no doubt leads past. */
function agreed(courses: readonly Course[], fates: readonly Fate[]): Fate {
  const last = fates.at(-1);
  const key = (fate: Fate): string => (fate.kind === 'answered' || fate.kind === 'delivered' ? JSON.stringify(fate) : fate.kind);
  if (last && last.kind !== 'unknown' && fates.every((fate) => key(fate) === key(last))) return last;
  const doubts = courses.flatMap(({ end, replies: back }) => [...end.world.doubts, ...back.flatMap((one) => one.end.world.doubts)]);
  return { kind: 'unknown', because: unique(doubts.map(withoutIndex)) };
}

const withoutIndex = (place: DecidedBy): DecidedBy => {
  if (!isRule(place)) return place;
  const { family, table, chain, rule } = place;
  return { family, table, chain, rule };
};

function unansweredBecause(end: Exclude<End, { kind: 'lost' }>): DecidedBy {
  if (end.kind === 'dropped') return end.by;
  const { source, destination } = end.world.flight;
  return {
    what: `the answer, from ${source} to ${destination}, does not come to where the packet came from, or not from the address that was asked`,
  };
}

function asSent(flight: Flight, packet: SentPacket): SentPacket {
  return {
    origin: packet.origin,
    ...(flight.ether && flight.ether.source !== NOBODY ? { mac: flight.ether.source } : {}),
    source: flight.source ?? packet.source,
    destination: flight.destination,
    protocol: flight.protocol,
    ...(flight.sport === undefined ? {} : { sport: flight.sport }),
    ...(flight.dport === undefined ? {} : { dport: flight.dport }),
  };
}
