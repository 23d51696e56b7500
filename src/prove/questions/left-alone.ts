/** What is neither from nor to a guest is none of Weft's business: the host's own connections, out and in. */
import { interpret } from '../concrete/interpret.ts';
import type { KernelModel } from '../kernel-model.ts';
import { WEFT_DNS_PORT } from '../../hoststate/ports.ts';
import { proved, type Finding } from './answer.ts';
import { protocolNumbers } from './ports.ts';
import type { Subject } from './subject.ts';

/** Weft's tables take nothing of it. What the host would not do without them either (another route back, a filter of the kernel's) is no fault of theirs. */
export function leftAlone({ reach, sides, world, meaning }: Subject): Finding {
  const { space } = reach;
  const gateways = world.gateways.filter((one) => !one.public).map(({ address }) => address);
  const inner = [...gateways, ...world.keptIn, ...world.unpeopled];
  const out = space.minus(space.and(sides.host, sides.toOutside), space.source(inner));
  const into = space.minus(space.and(sides.outsideRightful, sides.toHost), space.destination(inner));
  // Weft's name server is nobody's outside.
  const names = space.and(
    space.protocol([protocolNumbers.tcp, protocolNumbers.udp]),
    space.dport([{ from: WEFT_DNS_PORT, to: WEFT_DNS_PORT }]),
  );
  // What is published is a guest's, also while that is not there.
  const published = world.fabric.publish.flatMap(({ ports }) =>
    ports.map(({ protocol, first, last }) =>
      space.and(space.protocol([protocolNumbers[protocol]]), space.dport([{ from: first, to: last }])),
    ),
  );
  const others = space.or(meaning.taken, names, ...published);
  let missing = space.minus(space.or(out, space.minus(into, others)), reach.answered.may);
  const without: KernelModel = { ...world.model, tables: [] };
  for (let tries = 0; tries < MOST_TRIES && missing !== space.none; tries++) {
    const flow = space.pick(missing);
    if (flow === undefined) break;
    if (interpret(without, flow).answered === 'yes' && interpret(world.model, flow).answered === 'no')
      return { verdict: 'refuted', how: 'fails', flow, sent: flow };
    missing = space.minus(missing, space.only(flow));
  }
  return proved;
}

/** Of flows that fail without Weft's tables too, there may be many. */
const MOST_TRIES = 20;
