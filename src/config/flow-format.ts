/**
 * The canonical text of flows: what `parseFlow` reads back to the same value. One spelling per meaning, so that rule ids,
 * answers of `matrix` and plans do not depend on how somebody wrote a rule.
 */
import type { FlowExpr, PartyExpr, PortRange, PortSpec, Ports } from './flow.ts';

/** `web,10.0.0.0/24 -> db tcp/80,443`; `any` ports are left out. */
export function formatFlow(from: readonly PartyExpr[], to: readonly PartyExpr[], ports: Ports): FlowExpr['text'] {
  const flow = `${from.map(formatParty).join(',')} -> ${to.map(formatParty).join(',')}`;
  return ports === 'any' ? flow : `${flow} ${formatPorts(ports)}`;
}

/** Without the root's dot it would be read as `guest.network`. */
const MAY_BE_NIC = /^[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*$/;

/** `web.internal`, `role=db`, `10.0.0.5` (a prefix of full length is an address), `internet`. */
export function formatParty(party: PartyExpr): string {
  switch (party.kind) {
    case 'name':
      return party.nic === undefined ? party.name : `${party.name}.${party.nic}`;
    case 'label':
      return `${party.key}=${party.value}`;
    case 'prefix':
      return party.prefix.replace(party.prefix.includes(':') ? /\/128$/ : /\/32$/, '');
    case 'domain':
      return MAY_BE_NIC.test(party.domain) ? `${party.domain}.` : party.domain;
    case 'host':
    case 'any':
    case 'internet':
      return party.kind;
  }
}

/** `tcp/80,443 udp/1000-2000 icmp`; `any`. */
export function formatPorts(ports: Ports): string {
  if (ports === 'any') return 'any';
  return normalPorts(ports)
    .map((spec) => (spec.protocol === 'icmp' ? 'icmp' : `${spec.protocol}/${spec.ranges.map(formatRange).join(',')}`))
    .join(' ');
}

const formatRange = (range: PortRange): string => (range.from === range.to ? String(range.from) : `${range.from}-${range.to}`);

const ORDER = ['tcp', 'udp', 'sctp', 'icmp'] as const;

/** Each protocol once, in fixed order, its ranges sorted and merged (80,81 becomes 80-81). */
export function normalPorts(specs: readonly PortSpec[]): readonly PortSpec[] {
  if (specs.length === 1 && specs[0] && (specs[0].protocol === 'icmp' || specs[0].ranges.length === 1)) return specs;
  const normal: PortSpec[] = [];
  for (const protocol of ORDER) {
    const same = specs.filter((spec) => spec.protocol === protocol);
    if (same.length === 0) continue;
    if (protocol === 'icmp') normal.push({ protocol });
    else normal.push({ protocol, ranges: mergeRanges(same.flatMap((spec) => (spec.protocol === 'icmp' ? [] : spec.ranges))) });
  }
  return normal;
}

function mergeRanges(ranges: readonly PortRange[]): readonly PortRange[] {
  const merged: { from: number; to: number }[] = [];
  for (const range of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last && range.from <= last.to + 1) last.to = Math.max(last.to, range.to);
    else merged.push({ from: range.from, to: range.to });
  }
  return merged;
}
