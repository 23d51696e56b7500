/** What of the ports between two parties is open. */
import { formatPorts, normalPorts } from '../../config/flow-format.ts';
import type { PortRange, Ports, PortSpec } from '../../config/flow.ts';
import type { FlowSet } from '../symbolic/flow-space.ts';
import { dhcpFlows, echo, portsOf, protocolNumbers, rangesOf } from './ports.ts';
import type { Subject } from './subject.ts';

export interface Doors {
  readonly open: Ports;
  /** `open` is `any`: ports at which nobody of the one side gets to anybody of the other. */
  readonly shut: readonly PortSpec[];
}

/** Of these flows the ports. DHCP is not spoken of; what is asked at port 53 is meant as such. */
export function doorsOf(flows: FlowSet, { sides, constants, meaning }: Subject): Doors {
  const { space } = sides;
  const questions = space.and(flows, meaning.questions);
  const plain = space.minus(flows, space.or(dhcpFlows(space), meaning.questions));
  const open = portsOf(space, plain, constants.ports);
  const dns = portsOf(space, questions, constants.ports);
  const at53 = dns === 'any' ? [] : dns.map((spec): PortSpec => (spec.protocol === 'icmp' ? spec : { ...spec, ranges: [port53] }));
  if (open !== 'any') return { open: [...open, ...at53], shut: [] };
  const shut = (['tcp', 'udp', 'sctp'] as const).flatMap((protocol): PortSpec[] => {
    const own = portsOf(space, space.and(plain, space.protocol([protocolNumbers[protocol]])), constants.ports);
    const known = [...rangesOf(own, protocol), ...(protocol === 'udp' ? DHCP : [])];
    const ranges = gaps(known);
    return ranges.length === 0 ? [] : [{ protocol, ranges }];
  });
  return { open, shut: space.and(plain, echo(space)) === space.none ? [...shut, { protocol: 'icmp' }] : shut };
}

const DHCP: readonly PortRange[] = [
  { from: 67, to: 68 },
  { from: 546, to: 547 },
];

/** The ports that are in none of the ranges. */
function gaps(ranges: readonly PortRange[]): PortRange[] {
  const found: PortRange[] = [];
  let next = 0;
  for (const { from, to } of ranges.toSorted((a, b) => a.from - b.from)) {
    if (from > next) found.push({ from: next, to: from - 1 });
    next = Math.max(next, to + 1);
  }
  return next <= 65535 ? [...found, { from: next, to: 65535 }] : found;
}

const port53 = { from: 53, to: 53 };

/** Of both families, in flow syntax: `tcp/80,443`, `udp/53`; or `any`, and what is not: `but udp/53`. */
export function doorTexts(all: readonly Doors[]): string[] {
  const any = all.filter(({ open }) => open === 'any');
  if (any.length === 0) {
    const specs = all.flatMap(({ open }) => (open === 'any' ? [] : open));
    return specs.length === 0 ? [] : formatPorts(normalPorts(specs)).split(' ');
  }
  const [first] = any;
  const shut = any.length === 1 && first !== undefined && first.shut.length > 0 ? formatPorts(first.shut).split(' ') : [];
  return ['any', ...shut.map((text) => `but ${text}`)];
}
