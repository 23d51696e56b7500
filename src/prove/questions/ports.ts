/** PORTS of the flow language as sets of flows, and back: which ports a set of flows has. */
import { normalPorts } from '../../config/flow-format.ts';
import type { PortRange, Ports, PortSpec } from '../../config/flow.ts';
import type { FlowSet, FlowSpace, PortSpan } from '../symbolic/flow-space.ts';

export const protocolNumbers = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;
const transports = ['tcp', 'udp', 'sctp'] as const;

/** ICMP in IPv4, ICMPv6 in IPv6. */
export const echo = (space: FlowSpace): FlowSet => space.protocol([space.family === 4 ? protocolNumbers.icmp : protocolNumbers.icmpv6]);

export function portsSet(space: FlowSpace, ports: Ports): FlowSet {
  if (ports === 'any') return space.all;
  return space.or(
    ...ports.map((spec) =>
      spec.protocol === 'icmp' ? echo(space) : space.and(space.protocol([protocolNumbers[spec.protocol]]), space.dport(spec.ranges)),
    ),
  );
}

/** To DHCP's ports. Guests speak DHCP as clients and under their own hardware address only, whoever they speak to. */
export function dhcpFlows(space: FlowSpace): FlowSet {
  const ports = [67, 68, 546, 547].map((port) => ({ from: port, to: port }));
  return space.and(space.protocol([protocolNumbers.udp]), space.dport(ports));
}

/** The ranges of a protocol that PORTS names. */
export function rangesOf(ports: Ports, protocol: (typeof transports)[number]): readonly PortSpan[] {
  if (ports === 'any') return [{ from: 0, to: 65535 }];
  return ports.flatMap((spec) => (spec.protocol === protocol ? spec.ranges : []));
}

/**
 * The ports at which some flow of the set arrives, in flow syntax. `edges`: where one port may differ from the next (constants of the space). `any` when it has flows of
 * protocols that are not named in PORTS either.
 */
export function portsOf(space: FlowSpace, set: FlowSet, edges: readonly PortSpan[]): Ports {
  const spans = elementary(edges);
  const specs: PortSpec[] = [];
  let rest = set;
  for (const protocol of transports) {
    const ofProtocol = space.protocol([protocolNumbers[protocol]]);
    const mine = space.and(set, ofProtocol);
    rest = space.minus(rest, ofProtocol);
    if (mine === space.none) continue;
    const ranges: PortRange[] = [];
    collect(space, mine, spans, 0, spans.length, ranges);
    specs.push({ protocol, ranges });
  }
  if (space.and(rest, echo(space)) !== space.none) specs.push({ protocol: 'icmp' });
  if (space.minus(rest, echo(space)) !== space.none) return 'any';
  return specs.length === 0 ? [] : normalPorts(specs);
}

/** Halves until a half has none, or is one span. */
function collect(space: FlowSpace, set: FlowSet, spans: readonly PortSpan[], from: number, to: number, found: PortRange[]): void {
  if (set === space.none) return;
  const [first, last] = [spans[from], spans[to - 1]];
  if (first === undefined || last === undefined) return;
  if (to - from === 1) {
    found.push({ from: first.from, to: first.to });
    return;
  }
  const middle = (from + to) >>> 1;
  const lower = space.dport([{ from: first.from, to: (spans[middle]?.from ?? 0) - 1 }]);
  collect(space, space.and(set, lower), spans, from, middle, found);
  collect(space, space.minus(set, lower), spans, middle, to, found);
}

/** All ports, cut wherever one of the spans begins or ends. */
export function elementary(spans: readonly PortSpan[]): PortSpan[] {
  const starts = [...new Set([0, ...spans.flatMap(({ from, to }) => [from, to + 1])])]
    .filter((port) => port <= 65535)
    .sort((a, b) => a - b);
  return starts.map((from, i) => ({ from, to: (starts[i + 1] ?? 65536) - 1 }));
}
