/** `expect:` decided for one host and one family (design.md section 2): each kind as sets of flows that must not be there, or must be answered. */
import type { FlowExpr, Ports } from '../../config/flow.ts';
import type { ExpectEntry } from '../../config/model.ts';
import type { Party } from '../../fabric/model.ts';
import { resolveFlow } from '../../fabric/resolve.ts';
import { WEFT_DNS_PORT } from '../../hoststate/ports.ts';
import type { FlowSet } from '../symbolic/flow-space.ts';
import { every, none, proved, together, type Finding } from './answer.ts';
import { familyOf } from './endpoints.ts';
import { dhcpFlows, portsSet, protocolNumbers, rangesOf } from './ports.ts';
import type { Subject } from './subject.ts';

/** `assumed`: addresses that stand for those of the uplink which the file does not say: nothing is proved by them. */
export function findingOf(entry: ExpectEntry, subject: Subject, assumed: ReadonlySet<string> = new Set()): Finding {
  switch (entry.kind) {
    case 'can':
      return asked(entry.flow, subject, ({ rightful }) => can(rightful, entry.flow.ports, subject));
    case 'cannot':
      return asked(entry.flow, subject, ({ possible }) => none(subject.reach, withoutLeases(possible, entry.flow.ports, subject)));
    case 'only':
    case 'only-strict':
      return only(entry.flow, subject, entry.kind === 'only-strict');
    case 'via':
      return asked(entry.flow, subject, (flows) => via(flows.possible, entry.through, subject));
    case 'seen-as':
      if (familyOf(entry.address) !== subject.family) return vacuous;
      return asked(entry.flow, subject, (flows) =>
        seenAs(subject.reach.space.minus(flows.possible, subject.sides.bootstrap), entry.address, subject, assumed),
      );
    case 'isolated':
      return isolated(entry.network, subject);
    case 'exposed':
      return exposed(entry.flows, subject);
  }
}

const vacuous: Finding = { verdict: 'proved', vacuous: true };

function can(rightful: FlowSet, ports: Ports, subject: Subject): Finding {
  const { space } = subject.reach;
  // Of DHCP guests speak with nobody but Weft: who asks for everything does not mean that.
  const meant = ports === 'any' ? space.minus(rightful, dhcpFlows(space)) : rightful;
  const { byRouter } = subject.meaning;
  const byOthers = space.and(meant, byRouter);
  const own = every(subject.reach, byPublishedWay(space.minus(meant, byRouter), subject));
  if (byOthers === space.none) return own;
  // What cannot arrive whichever way it takes is refuted all the same.
  const lost = every(subject.reach, space.minus(byOthers, subject.reach.delivered.may));
  return together([own, lost, { verdict: 'unknown', because: 'it goes by the router of an outer network, of which Weft knows nothing' }]);
}

/** From outside a guest behind NAT is reached by what is published for it: then one of its addresses, in one family, is enough. */
function byPublishedWay(flows: FlowSet, { sides, world, meaning }: Subject): FlowSet {
  const { space } = sides;
  const hidden = space.and(flows, sides.outside, sides.to(sides.endpoints.filter(({ network }) => network.kind === 'nat')));
  if (hidden === space.none) return flows;
  const doors = Map.groupBy(world.fabric.publish, ({ to }) => to.guest);
  const others = sides.endpoints.filter((endpoint) => {
    const published = doors.get(endpoint.guest) ?? [];
    const here = space.and(hidden, sides.to([endpoint]));
    const ofItsPorts = published.flatMap(({ ports }) =>
      ports.map(({ protocol, first, last, target }) =>
        portsSet(space, [{ protocol, ranges: [{ from: target, to: target + last - first }] }]),
      ),
    );
    const byThisAddress = space.or(...published.map((one) => meaning.publishSet(one)));
    return space.and(here, space.or(...ofItsPorts)) !== space.none && space.and(here, byThisAddress) === space.none;
  });
  return space.minus(flows, space.and(hidden, sides.to(others)));
}

interface AskedFlows {
  /** Everything that the parties could send each other under their own addresses. */
  readonly possible: FlowSet;
  /** Of it, what honest networks bring, to addresses at which there is somebody. */
  readonly rightful: FlowSet;
}

interface ResolvedFlow {
  readonly from: readonly Party[];
  readonly to: readonly Party[];
  readonly ports: Ports;
}

function resolved(expr: FlowExpr, { world }: Subject): ResolvedFlow {
  const sides = resolveFlow(world.fabric, expr, undefined, () => undefined);
  return { from: sides?.from ?? [], to: sides?.to ?? [], ports: expr.ports };
}

function asked(expr: FlowExpr, subject: Subject, judge: (flows: AskedFlows) => Finding): Finding {
  const flow = resolved(expr, subject);
  const { space, honest, toSomebody } = subject.sides;
  const possible = flowsFrom(subject.sides.sources(flow.from), flow, subject);
  const rightful = space.minus(space.and(possible, honest, toSomebody), subject.sides.bootstrap);
  return possible === space.none ? vacuous : judge({ possible, rightful });
}

/** Every guest has its address from its host, whatever is forbidden; who asks for everything does not mean that. */
const withoutLeases = (flows: FlowSet, ports: Ports, { sides, meaning }: Subject): FlowSet =>
  ports === 'any' ? sides.space.minus(flows, meaning.leases) : flows;

/** From these senders to the flow's targets, without those of a machine to itself. What is asked at a gateway's port 53 is meant as what it becomes. */
function flowsFrom(senders: FlowSet, { to, ports }: Pick<ResolvedFlow, 'to' | 'ports'>, { sides, world }: Subject): FlowSet {
  const { space } = sides;
  const plain = space.and(senders, sides.destinations(to), portsSet(space, ports));
  const meant = to.flatMap((party) => sides.endpointsOf(party));
  const everybody = to.some(({ kind }) => kind !== 'guests');
  const itself = everybody ? sides.toItself() : sides.toItself(meant);
  const protocols = (['tcp', 'udp'] as const).filter((word) => rangesOf(ports, word).some((range) => range.from <= 53 && 53 <= range.to));
  const questions = world.gateways
    .filter(({ address }) => familyOf(address) === space.family && protocols.length > 0)
    .map(({ network, address, answers }) => {
      const there = space.destination([address]);
      if (space.and(sides.destinations(to), there) === space.none) return space.none;
      const guests = sides.from(sides.endpoints.filter((endpoint) => endpoint.network === network));
      return space.and(
        senders,
        guests,
        space.destination([answers]),
        space.protocol(protocols.map((word) => protocolNumbers[word])),
        space.dport([{ from: WEFT_DNS_PORT, to: WEFT_DNS_PORT }]),
      );
    });
  const asked53 = space.and(
    plain,
    space.destination(world.gateways.map(({ address }) => address)),
    sides.guests,
    space.dport([{ from: 53, to: 53 }]),
    space.protocol([protocolNumbers.tcp, protocolNumbers.udp]),
  );
  const answered = space.or(...questions);
  return space.or(space.minus(plain, space.or(itself, answered === space.none ? space.none : asked53)), answered);
}

/** Nobody else gets there: guests, outer addresses, other hosts; the guests' own host under `strict`. */
function only(expr: FlowExpr, subject: Subject, strict: boolean): Finding {
  const { sides, reach } = subject;
  const { space } = sides;
  const flow = resolved(expr, subject);
  if (sides.destinations(flow.to) === space.none) return vacuous;
  const all = space.or(sides.guests, sides.outside, strict ? sides.host : space.none);
  const others = space.minus(all, sides.sources(flow.from));
  return none(reach, withoutLeases(flowsFrom(others, flow, subject), flow.ports, subject));
}

/** Paths through other hosts need links; until there are, what leaves this host leaves by this host. */
function via(flows: FlowSet, through: string, { world, reach }: Subject): Finding {
  const { space, delivered } = reach;
  const here = through.toLowerCase() === world.host.toLowerCase();
  if (!here) return none(reach, flows);
  return space.and(flows, delivered.may) === space.none ? { ...vacuous, because: 'nothing of it is delivered' } : proved;
}

function seenAs(flows: FlowSet, address: string, { sides, reach }: Subject, assumed: ReadonlySet<string>): Finding {
  const { space, delivered, exits } = reach;
  if (space.and(flows, delivered.may) === space.none) return { ...vacuous, because: 'nothing of it is delivered' };
  const otherwise = space.minus(flows, space.source([address]));
  const stays = space.and(otherwise, space.or(sides.toHost, sides.toGuests));
  const leaving = exits.map((exit): Finding => {
    if (exit.seenAs === address) return proved;
    const finding = none(reach, exit.seenAs === undefined ? otherwise : flows, exit.flows, 'leaves');
    if (finding.verdict === 'proved') return finding;
    const seen = exit.seenAs ?? finding.flow?.source;
    if (seen !== undefined && assumed.has(seen))
      return {
        verdict: 'unknown',
        because: 'the file does not say which addresses the uplink has, so only `plan` and `apply`, which see them, can tell',
      };
    return { ...finding, ...(seen === undefined ? {} : { seenAs: seen }) };
  });
  return together([none(reach, stays, delivered, 'leaves'), ...leaving]);
}

/** Nothing in or out but its own host. */
function isolated(name: string, { sides, reach }: Subject): Finding {
  const { space } = sides;
  const own = sides.endpoints.filter(({ network }) => network.name.toLowerCase() === name.toLowerCase());
  if (own.length === 0) return vacuous;
  const from = sides.from(own);
  const out = space.minus(from, space.or(sides.toHost, sides.to(own)));
  const into = space.minus(space.and(space.or(sides.guests, sides.outside), sides.to(own)), from);
  return none(reach, space.or(out, into));
}

/** From the internet, and from whoever else is named, guests are reached by these and by nothing else. The host's own services are not Weft's. */
function exposed(list: readonly FlowExpr[], subject: Subject): Finding {
  const { sides, reach } = subject;
  const { space } = sides;
  const flows = list.map((expr) => {
    const flow = resolved(expr, subject);
    return flowsFrom(sides.sources(flow.from), flow, subject);
  });
  const named = space.or(...flows);
  const internet = sides.source({ kind: 'internet', text: 'internet' });
  const senders = list.map((expr) => sides.sources(resolved(expr, subject).from));
  const others = space.minus(space.and(space.or(internet, ...senders), sides.outside, sides.toGuests), named);
  const rightful = space.minus(space.and(named, sides.honest, sides.toSomebody), sides.bootstrap);
  return together([none(reach, others), every(reach, byPublishedWay(rightful, subject))]);
}
