/** A packet that goes against something is walked again by the concrete engine before anybody is shown it: where the two engines contradict each other nothing is decided. */
import { interpret } from '../concrete/interpret.ts';
import type { KernelModel } from '../kernel-model.ts';
import type { Fate } from '../packet-model.ts';
import type { Reachability } from '../symbolic/flow-space.ts';
import type { Finding } from './answer.ts';

/** The finding itself when the engines agree about its packet, sent honestly; else unknown, which says so. */
export function replayed(finding: Finding, model: KernelModel, reach: Pick<Reachability, 'fateOf'>): Finding {
  const shown = finding.sent ?? finding.flow;
  if (shown === undefined) return finding;
  // What is forged is forged for one engine only: under its own MAC both judge the same frame.
  const { mac: _, ...packet } = shown;
  const symbolic = reach.fateOf(packet);
  const story = interpret(model, packet);
  const concrete = isStray(story.fate, model) ? { delivered: 'no', answered: 'no' } : story;
  for (const what of ['delivered', 'answered'] as const) {
    if (!contradict(symbolic[what], concrete[what])) continue;
    const [all, one] = symbolic[what] === 'yes' ? ['is', 'is not'] : ['is not', 'is'];
    const because = `Weft's two engines disagree: to all packets at once it ${all} ${what}, step by step it ${one}; this is a fault of Weft, so please report it with the file`;
    const { vacuous: _vacuous, unknowns: _unknowns, ...rest } = finding;
    return { ...rest, verdict: 'unknown', because };
  }
  return finding;
}

/** For somebody's address and leaves for somewhere else, or for nobody on a bridge: it has not arrived rightfully. */
function isStray(fate: Fate, { stations, interfaces }: KernelModel): boolean {
  if ((fate.kind !== 'delivered' && fate.kind !== 'answered') || fate.at.kind !== 'outside') return false;
  const { at, arrives } = fate;
  return (
    stations.some(({ addresses }) => addresses.includes(arrives.destination)) ||
    interfaces.some(({ name, kind }) => kind === 'bridge' && name === at.interface)
  );
}

const contradict = (a: string, b: string): boolean => (a === 'yes' && b === 'no') || (a === 'no' && b === 'yes');
