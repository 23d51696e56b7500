/**
 * Published ports and questions for names lead where the file says when they are asked for as it says. Flows are known by their destination after translation, so that
 * a port which is translated from another one than it should be is not seen in them: here packets are sent to what is in the file, one by one.
 */
import { WEFT_DNS_PORT } from '../../hoststate/ports.ts';
import { interpret } from '../concrete/interpret.ts';
import type { SentPacket } from '../packet-model.ts';
import type { FlowSet } from '../symbolic/flow-space.ts';
import { proved, type Finding } from './answer.ts';
import { familyOf } from './endpoints.ts';
import { protocolNumbers } from './ports.ts';
import type { Subject } from './subject.ts';

export function translatedAsAsked(subject: Subject): Finding {
  for (const { asked, becomes } of [...publishedDoors(subject), ...nameServers(subject), ...neighbours(subject)]) {
    const { fate, answered } = interpret(subject.world.model, asked);
    const arrives = fate.kind === 'answered' || fate.kind === 'delivered' ? fate.arrives : undefined;
    const astray =
      arrives !== undefined &&
      (arrives.destination !== becomes.destination || arrives.dport !== becomes.dport || arrives.source !== becomes.source);
    if (answered === 'no' || astray) return { verdict: 'refuted', how: 'fails', flow: becomes, sent: asked };
  }
  return proved;
}

interface Door {
  readonly asked: SentPacket;
  readonly becomes: SentPacket;
}

/** Of a long range its ends and some between. */
const MOST_PORTS = 32;

function publishedDoors(subject: Subject): Door[] {
  const { reach, world, family } = subject;
  const { space } = reach;
  const inner = world.gateways.filter((one) => !one.public).map(({ address }) => address);
  const own = world.hostAddresses.filter((address) => familyOf(address) === family && !inner.includes(address));
  return world.fabric.publish
    .filter((one) => one.host === world.host && (one.address === undefined || familyOf(one.address) === family))
    .flatMap((one) => {
      const users = usersOf(subject, subject.meaning.publishSet(one));
      const addresses = one.address === undefined ? own.slice(0, 2) : [one.address];
      return one.ports.flatMap(({ protocol, first, last, target }) => {
        const range = { from: target, to: target + last - first };
        const at = space.and(space.protocol([protocolNumbers[protocol]]), space.dport([range]));
        return users.flatMap((some) => {
          const flow = space.pick(space.and(some, at));
          if (flow === undefined) return [];
          return offsetsOf(last - first + 1).flatMap((offset) => {
            const becomes = { ...flow, dport: target + offset };
            if (!space.contains(subject.meaning.required, becomes)) return [];
            return addresses.map((destination): Door => ({ asked: { ...becomes, destination, dport: first + offset }, becomes }));
          });
        });
      });
    });
}

function offsetsOf(length: number): number[] {
  const step = Math.max(1, Math.floor(length / MOST_PORTS));
  return [...new Set([...Array(Math.min(length, MOST_PORTS)).keys()].map((i) => i * step).concat(length - 1))];
}

/** Of those who may, somebody of each sort. */
const usersOf = ({ reach, sides, meaning }: Subject, flows: FlowSet): FlowSet[] => {
  const { space } = reach;
  return [sides.outside, sides.guests].map((side) => space.and(meaning.required, flows, side)).filter((set) => set !== space.none);
};

function nameServers({ reach, world, sides, meaning, family }: Subject): Door[] {
  const { space } = reach;
  return world.gateways
    .filter(({ address, network }) => familyOf(address) === family && network.kind !== 'bridged')
    .flatMap(({ address, answers, network }) =>
      (['tcp', 'udp'] as const).flatMap((protocol) => {
        const to = space.and(
          space.destination([answers]),
          space.protocol([protocolNumbers[protocol]]),
          space.dport([{ from: WEFT_DNS_PORT, to: WEFT_DNS_PORT }]),
        );
        const own = sides.endpoints.filter((endpoint) => endpoint.network === network);
        const becomes = space.pick(space.and(meaning.required, sides.from(own), to));
        const asking = (flow: SentPacket): Door => ({ asked: { ...flow, destination: address, dport: 53 }, becomes: flow });
        // The host's own programs ask as well.
        const self: SentPacket = {
          origin: { kind: 'host' },
          source: address,
          destination: answers,
          protocol: protocolNumbers[protocol],
          sport: 40000,
          dport: WEFT_DNS_PORT,
        };
        return [
          ...(becomes === undefined ? [] : [asking(becomes)]),
          ...(network.kind !== 'routed' && network.fromHost === 'allow' ? [asking(self)] : []),
        ];
      }),
    );
}

/** Guests see each other, and are seen by the host, under their own addresses; on an outer network (kind bridged) private ones are not. */
function neighbours({ reach, world, sides, meaning }: Subject): Door[] {
  const { space } = reach;
  const published = world.fabric.publish.map((one) => meaning.publishSet(one));
  const direct = space.minus(space.and(meaning.required, space.or(sides.guests, sides.host)), space.or(meaning.housekeeping, ...published));
  const inside = world.networks.filter(({ kind }) => kind !== 'bridged');
  const insiders = sides.to(sides.endpoints.filter(({ network }) => network.kind !== 'bridged'));
  return inside.flatMap((network) => {
    const own = sides.endpoints.filter((endpoint) => endpoint.network === network);
    const [from, to] = [sides.from(own), sides.to(own)];
    const ways = [
      space.and(from, to),
      space.minus(space.and(from, insiders), to),
      space.and(from, sides.toHost),
      space.and(sides.host, to),
    ];
    return ways.flatMap((way): Door[] => {
      const flow = space.pick(space.and(way, direct));
      return flow === undefined ? [] : [{ asked: flow, becomes: flow }];
    });
  });
}
