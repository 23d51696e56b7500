/** What the proofs say of mutants: refuted with a packet, or the flows in which they differ from what was compiled. */
import { isDeepStrictEqual } from 'node:util';
import type { KernelModel } from '../../../src/prove/kernel-model.ts';
import type { SentPacket } from '../../../src/prove/packet-model.ts';
import { interpret, type Story } from '../../../src/prove/concrete/interpret.ts';
import type { Finding } from '../../../src/prove/questions/answer.ts';
import { proofsOf, type ProofName } from '../../../src/prove/questions/proofs.ts';
import { subjectsOf, type Case, type Subject } from '../../../src/prove/questions/subject.ts';
import type { FlowSet, Tri } from '../../../src/prove/symbolic/flow-space.ts';

export type Judgement =
  | { readonly kind: 'refuted'; readonly proof: ProofName; readonly evidence: Evidence }
  /** The host does not know its guest: no packet tells, as it would ask for it. */
  | { readonly kind: 'refuted'; readonly proof: ProofName; readonly evidence?: undefined; readonly because: string }
  | { readonly kind: 'unknown'; readonly proof: ProofName }
  /** No set of flows is another one. */
  | { readonly kind: 'same' }
  /** They are, in flows of this sort only. */
  | { readonly kind: 'beyond'; readonly flows: string }
  | { readonly kind: 'different'; readonly flow: SentPacket | undefined };

/** `enters`: it gets past the guards. `passes`: it arrives as `flow`. `fails`: it does not arrive as `flow`, or its answer not back. `leaves`: it is seen outside as `seenAs`. */
export interface Evidence {
  readonly how: 'enters' | 'passes' | 'fails' | 'leaves';
  readonly sent: SentPacket;
  readonly flow: SentPacket;
  readonly seenAs?: string;
}

/** Several in one space are many times faster than each by itself. */
const TOGETHER = 12;

export function judge(original: Case, mutants: readonly KernelModel[]): Judgement[] {
  const found: Judgement[] = [];
  for (let at = 0; at < mutants.length; at += TOGETHER) {
    const cases = mutants.slice(at, at + TOGETHER).map((model): Case => ({ ...original, model }));
    const families = ([4, 6] as const).map((family) => subjectsOf([original, ...cases], family));
    for (const i of cases.keys()) {
      const both = families.flatMap(([first, ...rest]) => {
        const mutant = rest[i];
        return first && mutant ? [{ first, mutant }] : [];
      });
      found.push(judgeOne(both));
    }
  }
  return found;
}

interface Pair {
  readonly first: Subject;
  readonly mutant: Subject;
}

function judgeOne(pairs: readonly Pair[]): Judgement {
  const findings = pairs.flatMap((pair) => proofsOf(pair.mutant).map((one) => ({ ...one, pair })));
  const refuted = findings.filter(({ finding }) => finding.verdict === 'refuted');
  // A guest that is lost has no rightful source any more, which is but a consequence.
  for (const { name, finding, pair } of refuted.toSorted((x, y) => lost(y.name) - lost(x.name))) {
    const evidence = evidenceOf(name, finding, pair) ?? lostGuest(pair);
    if (evidence) return { kind: 'refuted', proof: name, evidence };
  }
  const [silent] = refuted;
  if (silent) return { kind: 'refuted', proof: silent.name, because: silent.finding.because ?? '' };
  const unknown = findings.find(({ finding }) => finding.verdict === 'unknown');
  if (unknown) return { kind: 'unknown', proof: unknown.name };
  const differences = pairs.map(difference);
  return (
    differences.find(({ kind }) => kind === 'different') ??
    differences.find(({ kind }) => kind === 'beyond') ??
    differences[0] ?? { kind: 'same' }
  );
}

const lost = (name: ProofName): number => (name === 'guests-are-found' ? 1 : 0);

function evidenceOf(name: ProofName, { flow, sent, how, seenAs }: Finding, { first, mutant }: Pair): Evidence | undefined {
  if (flow === undefined) return undefined;
  // Of all MACs that are nobody's, one.
  if (name === 'no-forged-source') return { how: 'enters', sent: { ...flow, mac: flow.mac ?? '02:00:00:99:99:99' }, flow };
  if (name === 'no-loop') {
    const { fate } = interpret(mutant.world.model, sent ?? flow);
    return { how: 'leaves', sent: sent ?? flow, flow, ...('arrives' in fate ? { seenAs: fate.arrives.source } : {}) };
  }
  // What does not arrive is sent as it would have to.
  const asked = [sent, first.reach.sentAs(first.reach.space.only(flow)), flow].find(
    (one) => how !== 'fails' || (one && interpret(first.world.model, one).answered === 'yes'),
  );
  return { how: how ?? 'passes', sent: asked ?? flow, flow, ...(seenAs === undefined ? {} : { seenAs }) };
}

/** What was to reach a guest, or its answer to come back from there, and does not. */
function lostGuest({ first, mutant }: Pair): Evidence | undefined {
  const { space } = first.reach;
  for (const endpoint of first.sides.endpoints) {
    for (const side of [first.sides.to([endpoint]), first.sides.from([endpoint])]) {
      const flow = space.pick(space.and(first.meaning.required, side));
      if (flow === undefined) continue;
      const sent = first.reach.sentAs(space.and(first.meaning.required, space.only(flow))) ?? flow;
      if (isLost(interpret(mutant.world.model, sent), interpret(first.world.model, sent))) return { how: 'fails', sent, flow };
    }
  }
  return undefined;
}

/** It arrives nowhere, or elsewhere, or its answer does not come back. */
export function isLost(now: Story, before: Story): boolean {
  if (now.answered === 'no') return before.answered === 'yes';
  const place = ({ fate }: Story): unknown =>
    'arrives' in fate ? [fate.at, fate.arrives.source, fate.arrives.destination, fate.arrives.dport] : undefined;
  return !isDeepStrictEqual(place(now), place(before));
}

/** Of what a proof says nothing by its own account (docs/proofs.md), in the order in which a difference is named. */
function difference({ first, mutant }: Pair): Judgement {
  const { space } = first.reach;
  const [a, b] = [first.reach, mutant.reach];
  const unlike = (x: FlowSet, y: FlowSet): FlowSet => space.or(space.minus(x, y), space.minus(y, x));
  const tri = (x: Tri, y: Tri): FlowSet => space.or(unlike(x.must, y.must), unlike(x.may, y.may));
  const exits = new Map<string, [Tri?, Tri?]>();
  for (const [i, { exits: list }] of [a, b].entries())
    for (const { interface: link, seenAs, flows } of list) {
      const key = `${link} ${seenAs ?? ''}`;
      const known = exits.get(key) ?? [];
      known[i] = flows;
      exits.set(key, known);
    }
  const nothing: Tri = { must: space.none, may: space.none };
  let rest = space.or(
    tri(a.delivered, b.delivered),
    tri(a.answered, b.answered),
    tri(a.entered, b.entered),
    ...[...exits.values()].map(([x = nothing, y = nothing]) => tri(x, y)),
  );
  if (rest === space.none) return { kind: 'same' };
  const { world, sides } = first;
  const ports = [67, 68, 546, 547].map((port) => ({ from: port, to: port }));
  const udp = space.protocol([17]);
  const nobody = [...world.never, '0.0.0.0/32', '::/128', 'fe80::/10', 'ff00::/8', '127.0.0.0/8', '::1/128', '224.0.0.0/3'];
  const sorts: readonly (readonly [string, FlowSet])[] = [
    ['DHCP', space.and(udp, space.or(space.dport(ports), space.sport(ports)))],
    ['link-local, multicast or no address', space.or(space.source(nobody), space.destination(nobody))],
    ['from a machine to itself', space.or(sides.toItself(), space.and(sides.host, sides.toHost))],
    ['under an address of the host from outside', space.and(space.from(world.outer), space.source(world.hostAddresses))],
    [
      'neither from nor to a guest or the host',
      space.minus(space.from(world.outer), space.or(sides.toHost, sides.toGuests, space.destination(world.inside))),
    ],
  ];
  const names: string[] = [];
  for (const [name, set] of sorts) {
    if (space.and(rest, set) !== space.none) names.push(name);
    rest = space.minus(rest, set);
  }
  if (rest === space.none) return { kind: 'beyond', flows: names.join(', ') };
  return { kind: 'different', flow: space.pick(rest) };
}
