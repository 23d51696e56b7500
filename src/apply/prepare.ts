/**
 * Everything between a fabric and a plan on a live host: facts, compile, observation, collisions with what is not Weft's. Changes nothing.
 */
import { existsSync } from 'node:fs';
import { hostProblems } from '../compile/problems.ts';
import type { Diagnostic, Report } from '../diagnostic/diagnostic.ts';
import type { Fabric } from '../fabric/model.ts';
import type { HostState } from '../hoststate/model.ts';
import { isOwnLink } from '../hoststate/observe-links.ts';
import type { NftTable } from '../hoststate/nft.ts';
import type { Observation } from '../kernel/observe.ts';
import { existingLinks } from '../kernel/links.ts';
import { sshConnection } from '../kernel/login-session.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { routingRules } from '../kernel/routing-rules.ts';
import { sameJson } from '../plan/keyed.ts';
import { planChanges } from '../plan/plan.ts';
import type { Plan } from '../plan/steps.ts';
import { liveAttachments } from './attachments.ts';
import { hostFacts } from './facts.ts';
import { flowsOfPlan, type FlowsOfPlan } from './flows.ts';
import { foreignWarnings, touchesGuests } from './foreign.ts';
import { foreignInterfaces } from './foreign-interface.ts';
import { managedInterfaces, otherManagers } from './managed.ts';
import { lookInside, observeHost, ownPart } from './observation.ts';
import { proveModel, type ProofReport } from '../prove/questions/report.ts';
import { modelOfRecord, surroundings } from './proof.ts';
import { buildRecord, policyOf } from './record.ts';
import { rulesByInterface } from './rules-by-interface.ts';
import type { AppliedRecord, Originals } from './store.ts';
import { sessionStays, type SessionAnswer } from './session-stays.ts';
import { uncuttable } from './uncut.ts';
import type { ApplyContext } from './context.ts';

export interface PlanRequest {
  readonly fabric: Fabric;
  readonly host: string;
  /** Absolute path of weft.yaml; weft.lock lies beside it. */
  readonly file: string;
  readonly lockFile: string;
}

export interface PreparedPlan {
  readonly record: AppliedRecord;
  readonly before: AppliedRecord | undefined;
  readonly observed: HostState;
  readonly plan: Plan;
  /** What it opens and closes; worked out when it is first asked for. */
  readonly reach: () => FlowsOfPlan;
  /** The record stood for the observation. */
  readonly stands: boolean;
  /** Other tables filter what is forwarded, or translate what comes in. */
  readonly foreign: boolean;
  /** What is proved of the wanted state on this host; worked out when it is first asked for. */
  readonly proof: () => ProofReport;
  /** Whether whoever is logged in by ssh stays so; undefined when nobody is, or nothing is to be lost. */
  readonly session: () => SessionAnswer | undefined;
}

/**
 * Undefined when a problem of severity error was reported; nothing was touched then. `stands`: the kernel is as the last apply left it and no
 * foreign table filters, so that the record is the observation (design.md 5.2).
 */
export async function preparePlan(
  context: ApplyContext,
  request: PlanRequest,
  report: Report,
  { stands = false }: { readonly stands?: boolean } = {},
): Promise<PreparedPlan | undefined> {
  const { store, kernel } = context;
  let failed = false;
  const tell = (diagnostic: Diagnostic): void => {
    failed ||= diagnostic.severity === 'error';
    report(diagnostic);
  };
  const originals = (await store.read('originals')) ?? {};
  const before = await store.read('applied');
  const facts = await hostFacts(kernel, request, originals, before);
  for (const problem of hostProblems(request.fabric, request.host, facts)) tell(problem);
  for (const problem of await unknownUsers(kernel, request)) tell(problem);
  for (const problem of await egressProblems(kernel, request)) tell(problem);
  if (failed) return undefined;
  if (facts.uplink?.managed) for (const problem of await otherManagers(kernel, facts.uplink.name)) tell(problem);

  const attachments = await liveAttachments(before?.attachments ?? {});
  const record = buildRecord({ ...request, facts, attachments });
  const joining = record.state.enslaved.filter((entry) => !before?.state.enslaved.some((old) => sameJson(old, entry)));
  const seen =
    stands && before !== undefined && joining.length === 0
      ? await standingFor(kernel, before, record)
      : await look(context, originals, before, record);
  for (const problem of namesInUse(seen.foreignLinks, record.state, before)) tell(problem);
  if (failed) return undefined;
  const arriving = joining.filter((entry) => !seen.observed.enslaved.some((old) => sameJson(old, entry)));
  for (const problem of await managedInterfaces(kernel, arriving)) tell(problem);
  for (const problem of foreignInterfaces(seen.foreign, arriving, facts, sshConnection())) tell(problem);
  if (arriving.length > 0) for (const problem of rulesByInterface(await routingRules(kernel), arriving)) tell(problem);
  if (failed) return undefined;
  for (const warning of await foreignWarnings(context, seen.foreign, record)) tell(warning);
  const around = await surroundings(kernel, facts, seen.foreign, seen.observation);
  if (before !== undefined) for (const warning of uncuttable(before.fabric, record.fabric, () => policyOf(record))) tell(warning);
  return {
    record,
    before,
    observed: seen.observed,
    plan: planChanges(seen.observed, record.state),
    reach: once(() => flowsOfPlan(before, record, around)),
    stands: stands && before !== undefined,
    foreign: touchesGuests(seen.foreign),
    proof: once(() => proveModel({ fabric: request.fabric, host: request.host, model: modelOfRecord(record, around) })),
    session: once(() =>
      sessionStays(sshConnection(), {
        before: seen.observed,
        after: record.state,
        facts,
        fabric: request.fabric,
        around,
      }),
    ),
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}

interface Seen {
  readonly observed: HostState;
  /** Names of links that are not Weft's; of those that stand, only as far as a new link is to be called so. */
  readonly foreignLinks: readonly string[];
  readonly foreign: readonly NftTable[];
  /** Undefined where the record stands for it. */
  readonly observation?: Observation;
}

async function look(context: ApplyContext, originals: Originals, before: AppliedRecord | undefined, record: AppliedRecord): Promise<Seen> {
  const records = before === undefined ? [] : [before];
  const seen = await observeHost(context.kernel, record.state, originals, records);
  return {
    observed: await lookInside(context, ownPart(context, seen, record.state, records)),
    foreignLinks: seen.links.filter((link) => !isOwnLink(link)).map((link) => link.name),
    foreign: seen.foreign,
    observation: seen,
  };
}

async function standingFor(kernel: Kernel, before: AppliedRecord, record: AppliedRecord): Promise<Seen> {
  const there = new Set(before.state.links.map((link) => link.name));
  const fresh = record.state.links.map((link) => link.name).filter((name) => !there.has(name));
  const taken = await existingLinks(kernel, fresh);
  return { observed: before.state, foreignLinks: taken, foreign: [] };
}

/** A link or namespace of a wanted name that Weft has not made is somebody else's: it is not taken over. */
function namesInUse(foreignLinks: readonly string[], wanted: HostState, before: AppliedRecord | undefined): Diagnostic[] {
  const foreign = new Set(foreignLinks);
  const own = new Set(before?.state.guests.flatMap((guest) => (guest.netns.kind === 'made' ? [guest.netns.namespace] : [])));
  const problem = (message: string): Diagnostic => ({ code: 'name-in-use', severity: 'error', message });
  return [
    ...wanted.links
      .filter((link) => foreign.has(link.name))
      .map((link) =>
        problem(
          `this host already has an interface called ${link.name}, which Weft did not make; rename the ${link.kind === 'bridge' ? 'network' : 'guest'} or remove the interface`,
        ),
      ),
    ...wanted.guests.flatMap((guest) =>
      guest.netns.kind === 'made' && !own.has(guest.netns.namespace) && existsSync(`/run/netns/${guest.netns.namespace}`)
        ? [
            problem(
              `this host already has a network namespace called ${guest.netns.namespace}, which Weft did not make; rename the guest ${guest.guest} or remove the namespace (ip netns del ${guest.netns.namespace})`,
            ),
          ]
        : [],
    ),
  ];
}

/** netdev egress came with Linux 5.16; where it is left out of a newer kernel, `nft -c` says so. */
async function egressProblems(kernel: Kernel, { fabric, host }: PlanRequest): Promise<Diagnostic[]> {
  if (fabric.hosts.find(({ name }) => name === host)?.macs === undefined) return [];
  const release = (await kernel.readSysctl('kernel/osrelease')) ?? '';
  const [major = 0, minor = 0] = release.split('.').map(Number);
  if (major > 5 || (major === 5 && minor >= 16)) return [];
  const message = `\`macs\` under the host \`${host}\` needs Linux 5.16 or newer (netdev egress), and this is ${release.trim()}; update the kernel, or leave \`macs\` out.`;
  return [{ code: 'feature-missing', severity: 'error', message }];
}

async function unknownUsers(kernel: Kernel, { fabric, host }: PlanRequest): Promise<Diagnostic[]> {
  const problems: Diagnostic[] = [];
  const known = new Map<string, boolean>();
  for (const guest of fabric.guests) {
    if (guest.user === undefined || guest.host !== host) continue;
    // A number would be listed as the name it belongs to, and never be equal.
    if (!known.has(guest.user))
      known.set(guest.user, !/^\d+$/.test(guest.user) && (await kernel.tryRun('id', ['-u', '--', guest.user])).status === 0);
    if (known.get(guest.user) === true) continue;
    problems.push({
      code: 'user-unknown',
      severity: 'error',
      message: `this host has no user called ${guest.user}, who is to own the port of ${guest.name}; create the user or change \`user:\``,
      span: guest.span,
    });
  }
  return problems;
}
