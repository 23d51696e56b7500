/** The work of `weft explain`: one packet of the flow for each family, walked through the host as the file wants it, as it is, or as it was captured. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { formatParty, formatPorts, parseFlow } from '../config/flow-parser.ts';
import type { FlowExpr } from '../config/flow.ts';
import type { HostPolicy } from '../compile/policy-model.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Fabric, Party } from '../fabric/model.ts';
import { resolveFlow } from '../fabric/resolve.ts';
import { blockers, interpret, type Story } from '../prove/concrete/interpret.ts';
import type { DecidedBy } from '../prove/packet-model.ts';
import type { CliContext } from './context.ts';
import { adviceFor, type Advice } from './explain/advice.ts';
import { documentOf, textOf } from './explain/answer.ts';
import { decidedBy, type Decided } from './explain/decided.ts';
import type { Traced } from './explain/trace.ts';
import { endsOf, questionOf, wantedOf, type Question, type Scene } from './explain/ends.ts';
import { loadFabric } from './file.ts';
import { chooseHost } from './host.ts';
import { assumedPolicy, desiredModel, seenModel, type StateOptions } from './host-model.ts';

export interface ExplainOptions extends StateOptions {
  /** Also send the packet, and ask the kernel. */
  readonly trace?: boolean;
}

export type Verdict = 'accepted' | 'dropped' | 'unknown';

/** The answer for one packet. */
export interface Explained {
  readonly question: Question;
  readonly story: Story;
  readonly verdict: Verdict;
  /** In the order in which the packet, or its answer, meets them. */
  readonly blockers: readonly DecidedBy[];
  readonly decided: Decided;
  readonly advice?: Advice;
  readonly trace?: Traced;
}

/** Exit status 0 when all families are accepted, 1 when one is not. */
export async function runExplain(ctx: CliContext, text: string, options: ExplainOptions): Promise<void> {
  if (options.live === true && options.state !== undefined) throw refused('--live and --state exclude each other: name one');
  if (options.trace === true && options.live !== true) throw refused('--trace is of this host as it is now: add --live');
  const flow = flowOf(text);
  const fabric = fabricOf(ctx, options);
  const sides = sidesOf(ctx, fabric, flow);
  const host = hostOfFlow(ctx, fabric, sides.from, sides.to);
  const policy = assumedPolicy(fabric, host);
  const model =
    options.live === true || options.state !== undefined ? await seenModel(ctx, options, fabric, host) : desiredModel(fabric, host, policy);
  const scene: Scene = { fabric, host, model };
  const { questions, of } = questionsOf(scene, sides, flow);
  if (questions.length === 0)
    throw refused(
      `\`${flow.text}\` is no packet on ${host}: the two sides have no addresses of one family there, or there is no way from the first`,
    );
  const answers: Explained[] = [];
  for (const question of questions) {
    const answer = explained(scene, policy, flow, question);
    answers.push(options.trace === true ? { ...answer, trace: await tracedNow(ctx, fabric, answer) } : answer);
  }
  ctx.exitCode = answers.every(({ verdict }) => verdict === 'accepted') ? 0 : 1;
  const whole = { flow: flow.text, host, missing: model.missing, of };
  ctx.answer(documentOf(whole, answers), () => textOf(whole, answers));
}

async function tracedNow(ctx: CliContext, fabric: Fabric, answer: Explained): Promise<Traced> {
  const { traced } = await import('./explain/trace.ts');
  return traced(fabric, ctx.options.stateDir, answer);
}

function explained({ fabric, host, model }: Scene, policy: HostPolicy, flow: FlowExpr, question: Question): Explained {
  const story = interpret(model, question.packet);
  const astray = strayed(question, story);
  const verdict = astray ? 'dropped' : story.fate.kind === 'answered' ? 'accepted' : story.fate.kind === 'unknown' ? 'unknown' : 'dropped';
  const found = astray ? [astray] : verdict === 'dropped' ? blockers(model, question.packet) : [];
  const decided = decidedBy(fabric, policy, question, story);
  const [by] = found;
  const asked = {
    decided,
    parties: `${partiesOf(flow.from)} -> ${partiesOf(flow.to)}`,
    ports: flow.ports === 'any' ? 'any' : formatPorts(flow.ports),
  };
  const advice = by && adviceFor(fabric, host, question, { by, ...asked });
  return { question, story, verdict, blockers: found, decided, ...(advice ? { advice } : {}) };
}

/** It arrives, but not at the guest that was asked about: what is published for some is the host's own port for all others. */
function strayed({ to, publish }: Question, { fate }: Story): DecidedBy | undefined {
  if (to.kind !== 'guest' || (fate.kind !== 'answered' && fate.kind !== 'delivered')) return undefined;
  const { at } = fate;
  if (at.kind === 'station' && at.port === to.port) return undefined;
  const where =
    at.kind === 'host' ? 'ends at the host itself' : at.kind === 'station' ? `ends at port ${at.port}` : `leaves by ${at.interface}`;
  const limited = publish?.from ? `: it is published for ${publish.from.map(({ text }) => text).join(', ')} only` : '';
  return { what: `the packet does not get to ${to.name} but ${where}${limited}` };
}

const partiesOf = (parties: FlowExpr['from']): string => parties.map(formatParty).join(', ');

function flowOf(text: string): FlowExpr {
  const problems: string[] = [];
  const flow = parseFlow(text, ({ message }) => void problems.push(message));
  if (flow && problems.length === 0) return flow;
  throw new WeftError(
    2,
    problems.map((message) => ({ code: 'bad-flow', severity: 'error', message: `\`${text}\`: ${message}` })),
  );
}

/** A host can be asked about without a file; names mean nothing then. */
function fabricOf(ctx: CliContext, { live, state }: ExplainOptions): Fabric {
  const { file } = ctx.options;
  const there = file !== undefined || ['weft.yaml', '/etc/weft/weft.yaml'].some((path) => existsSync(resolve(ctx.io.cwd, path)));
  if (there || (live !== true && state === undefined)) return loadFabric(ctx).fabric;
  const host = { name: ctx.options.host ?? 'host', addresses: [] };
  return {
    name: 'none',
    domain: 'weft.internal',
    hosts: [host],
    networks: [],
    guests: [],
    allow: [],
    block: [],
    publish: [],
    expect: [],
    lock: { version: 1, guests: {} },
    groups: [],
  };
}

interface Sides {
  readonly from: readonly Party[];
  readonly to: readonly Party[];
}

function sidesOf(ctx: CliContext, fabric: Fabric, flow: FlowExpr): Sides {
  const sides = resolveFlow(fabric, flow, undefined, ctx.report);
  ctx.stopOnErrors(2);
  if (!sides) throw new Error('a flow that does not resolve has an error');
  return sides;
}

/** The one the flow begins at, or ends at; in doubt this machine. */
function hostOfFlow(ctx: CliContext, fabric: Fabric, from: readonly Party[], to: readonly Party[]): string {
  if (ctx.options.host === undefined && fabric.hosts.length > 1) {
    for (const party of [...from, ...to]) {
      if (party.kind === 'named-host') return party.host;
      const [endpoint] = party.kind === 'guests' ? party.endpoints : [];
      const found = fabric.guests.find(({ name }) => name === endpoint?.guest)?.host;
      if (found !== undefined) return found;
    }
  }
  return chooseHost(fabric, ctx);
}

/** The first combination of each family; `of`: how many there are in all. */
function questionsOf(scene: Scene, { from, to }: Sides, flow: FlowExpr): { readonly questions: readonly Question[]; readonly of: number } {
  const senders = from.flatMap((party) => endsOf(party, scene));
  const receivers = to.flatMap((party) => endsOf(party, scene));
  let of = 0;
  const questions: Question[] = [];
  for (const family of [4, 6] as const) {
    const wanted = wantedOf(flow.ports, family);
    let first: Question | undefined;
    for (const sender of senders) {
      for (const receiver of receivers) {
        if (!mayMeet(sender.addresses[family], sender.kind) || !mayMeet(receiver.addresses[family], receiver.kind)) continue;
        if (sender.kind === 'guest' && sender.port === receiver.port && senders.length + receivers.length > 2) continue;
        of += wanted.length;
        for (const one of wanted) first ??= questionOf(scene, sender, receiver, family, one);
      }
    }
    if (first) questions.push(first);
  }
  return { questions, of };
}

const mayMeet = (address: string | undefined, kind: string): boolean => address !== undefined || kind === 'host';

const refused = (message: string): WeftError => new WeftError(2, [{ code: 'usage', severity: 'error', message }]);
