/**
 * The session that the person at the terminal is logged in through: a new connection like it that is answered now has to be answered all through the change, or somebody locks
 * themselves out. Decided by the concrete engine on the states on the way (docs/proofs.md).
 */
import type { HostFacts, HostState } from '../hoststate/model.ts';
import { formatIp, parseIp } from '../net/ip.ts';
import { interpret } from '../prove/concrete/interpret.ts';
import type { KernelModel, Origin } from '../prove/kernel-model.ts';
import type { DecidedBy, SentPacket } from '../prove/packet-model.ts';
import { bridgedGuests } from '../prove/model/bridged-guests.ts';
import { modelOf } from '../prove/model/model-of.ts';
import type { Surroundings } from '../prove/model/surroundings.ts';
import type { Verdict } from '../prove/questions/answer.ts';
import { printablePlace } from '../prove/questions/place-words.ts';
import type { Fabric } from '../fabric/model.ts';
import { statesOnTheWay } from './on-the-way.ts';

export interface SessionAnswer {
  readonly name: 'session-stays';
  readonly text: string;
  readonly verdict: Verdict;
  readonly counterexample?: string;
  readonly because?: string;
}

/** A model and when it is so. */
export interface SessionMoment {
  readonly when: string;
  readonly model: KernelModel;
}

/** What is there, and what is to be. */
export interface SessionChange {
  readonly before: HostState;
  readonly after: HostState;
  readonly facts: HostFacts;
  readonly fabric: Fabric;
  readonly around: Surroundings;
}

/** `session`: SSH_CONNECTION of sshd(8). Undefined when nobody is logged in that way, when nothing changes, or when such a connection is not answered now either. */
export function sessionStays(session: string | undefined, change: SessionChange): SessionAnswer | undefined {
  if (session === undefined) return undefined;
  const { before, after, facts, fabric, around } = change;
  const guests = bridgedGuests(fabric, after.host);
  const model = (state: HostState): KernelModel => modelOf(state, facts, { around, bridgedGuests: guests });
  const moments = statesOnTheWay(before, after);
  if (moments.length === 0) return undefined;
  return sessionThrough(
    session,
    model(before),
    moments.map(({ when, state }) => ({ when, model: model(state) })),
  );
}

/** The same of models. */
export function sessionThrough(session: string, now: KernelModel, later: readonly SessionMoment[]): SessionAnswer | undefined {
  const packets = packetsOf(session, now).map((packet) => ({ packet, answered: interpret(now, packet).answered }));
  const certain = packets.filter(({ answered }) => answered === 'yes');
  const asked = certain.length > 0 ? certain : packets.filter(({ answered }) => answered === 'maybe');
  const [first] = asked;
  if (first === undefined) return undefined;
  const { source, destination, dport } = first.packet;
  const text = `a new connection like your own, ${source} -> ${destination} tcp/${dport}, is answered all through the change`;
  const answer = { name: 'session-stays', text } as const;
  let doubt: SessionAnswer | undefined;
  for (const { when, model } of later) {
    for (const { packet, answered } of asked) {
      const story = interpret(model, packet);
      if (story.answered === 'yes') continue;
      const by = story.fate.kind === 'dropped' ? [story.fate.by] : story.fate.kind === 'unknown' ? story.fate.because : [story.unanswered];
      const because = reason(by);
      if (answered === 'yes' && story.answered === 'no') {
        const counterexample = `${when} it gets no answer any more${because === undefined ? '' : `: ${because} stops it`}`;
        return { ...answer, verdict: 'refuted', counterexample };
      }
      doubt ??= { ...answer, verdict: 'unknown', because: `${when} it depends on ${because ?? 'what is not known of this host'}` };
    }
  }
  return doubt ?? { ...answer, verdict: 'proved' };
}

function reason(by: readonly (DecidedBy | undefined)[]): string | undefined {
  const told = by.flatMap((one) => (one === undefined ? [] : [printablePlace(one)]));
  return told.length === 0 ? undefined : told.slice(0, 3).join(', ');
}

/** The connection's first packet, by each way that it may come in by: only by the right one is it answered. */
function packetsOf(session: string, model: KernelModel): readonly SentPacket[] {
  const [from = '', sport = '', to = '', dport = ''] = session.split(' ');
  const [client, server] = [parseIp(from), parseIp(to)];
  // Link-local ones (`fe80::1%eth0`) are not modelled.
  if (client?.family === undefined || client.family !== server?.family || !isPort(sport) || !isPort(dport)) return [];
  const packet = {
    source: formatIp(client),
    destination: formatIp(server),
    protocol: 6,
    sport: Number(sport),
    dport: Number(dport),
  };
  return originsOf(packet.source, model).map((origin) => ({ ...packet, origin }));
}

const isPort = (text: string): boolean => /^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65536;

function originsOf(source: string, { interfaces, stations }: KernelModel): readonly Origin[] {
  if (interfaces.some(({ addresses }) => addresses.some((address) => address.startsWith(`${source}/`)))) return [{ kind: 'host' }];
  const own = stations.filter(({ addresses }) => addresses.includes(source));
  if (own.length > 0) return own.map(({ port }) => ({ kind: 'interface', name: port }));
  const taken = new Set(stations.map(({ port }) => port));
  return interfaces
    .filter(({ name, kind, up }) => up && kind !== 'loopback' && kind !== 'bridge' && !taken.has(name))
    .map(({ name }) => ({ kind: 'interface', name }));
}
