/**
 * The rehearsal: the file's fabric on a host of its own in throw-away namespaces, applied by the same code as a real host, then tried with
 * real packets. Runs inside the sandbox only (src/kernel/sandbox.ts), which takes everything away at the end.
 */
import type { Report } from '../diagnostic/diagnostic.ts';
import type { Fabric } from '../fabric/model.ts';
import { insideSandbox } from '../kernel/sandbox.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { ipBatch, makeBed, pointResolverOutside } from './bed.ts';
import { applyToTwin } from './apply-to-twin.ts';
import { attemptKey, casesOf } from './cases.ts';
import type { Attempt, Case } from './cases.ts';
import { trialOf } from './expectations.ts';
import type { ExpectationVerdict } from './expectations.ts';
import { placesOf } from './places.ts';
import { createProber } from './prober.ts';
import type { Probe, Prober, ProbeResult } from './prober.ts';
import { planTwin } from './twin-fabric.ts';

export interface RehearsalRequest {
  readonly fabric: Fabric;
  readonly host: string;
  /** Absolute path of the file, for the apply's record. Its lock is not written. */
  readonly file: string;
  /** After the apply and before the probes, with the host's kernel: tests break the twin here. */
  readonly beforeProbing?: (host: Kernel) => Promise<void>;
}

export interface RehearsedCase extends Case {
  readonly result: ProbeResult;
  /** Allowed: an answer or a refusal came back. Forbidden: nothing arrived. */
  readonly ok: boolean;
}

export interface Rehearsal {
  /** Everything as expected and no expectation refuted. */
  readonly ok: boolean;
  readonly cases: readonly RehearsedCase[];
  readonly expectations: readonly ExpectationVerdict[];
  /** Pairs the rules speak of; guests of the host and how many took part. */
  readonly possible: number;
  readonly guests: { readonly total: number; readonly taken: number };
  /** Rules of the file, how many of them were tried with at least one pair, and how many could not be because nobody answers for their domain names here. */
  readonly rules: { readonly total: number; readonly tried: number; readonly byName: number };
}

/** A second look at what surprised is given this long: a busy machine must not look like a dropped packet. */
const patientMs = 2500;

/** Undefined when a problem of severity error was reported. Throws WeftError when the apply fails. */
export async function rehearse(
  kernel: Kernel,
  request: RehearsalRequest,
  report: Report,
  progress: (text: string) => void,
): Promise<Rehearsal | undefined> {
  if (!insideSandbox()) throw new Error('A rehearsal runs inside the sandbox only.');
  const plan = planTwin(request.fabric, request.host);
  progress('Building the host and the outer world …');
  // `@` cannot begin the name of a fabric, so no guest's namespace is called like this.
  const bed = await makeBed(kernel, '@', [plan.bedHost]);
  const prober = createProber(kernel);
  try {
    pointResolverOutside(plan.bedHost.gateways?.[0] ?? '');
    progress('Applying the file …');
    const expect = await applyToTwin(bed.host('host').kernel, { ...request, fabric: plan.fabric }, report, progress);
    if (expect === undefined) return undefined;
    await addInsideAddresses(plan.fabric, kernel);
    await request.beforeProbing?.(bed.host('host').kernel);

    const places = placesOf(plan, bed.host('host').path, bed.outer.path);
    const { cases, possible, rules, rulesTried } = casesOf(plan.fabric, places, expect);
    const trials = plan.fabric.expect.map((entry) => trialOf(entry, plan.fabric, places));
    const attempts = new Map([...cases, ...trials.flatMap((trial) => trial.attempts)].map((attempt) => [attemptKey(attempt), attempt]));
    progress(`Trying ${attempts.size} connections${trials.length > 0 ? ', those for the expectations included' : ''} …`);
    const wanted = (attempt: Attempt): boolean => expect(attempt);
    const results = await tryAll(prober, [...attempts.values()], wanted);
    const resultOf = (attempt: Attempt): ProbeResult =>
      results.get(attemptKey(attempt)) ?? { delivered: false, answered: false, refused: false, ms: 0 };

    const rehearsed = cases.map((one): RehearsedCase => ({
      ...one,
      result: resultOf(one),
      ok: isAsExpected(one.expected, one.to.namespace, resultOf(one)),
    }));
    const expectations = trials.map((trial) => trial.judge(trial.attempts.map((attempt) => ({ attempt, result: resultOf(attempt) }))));
    const ok = rehearsed.every((one) => one.ok) && expectations.every(({ verdict }) => verdict !== 'refuted');
    return {
      ok,
      cases: rehearsed,
      expectations,
      possible,
      guests: { total: places.total, taken: places.taken },
      rules: {
        total: rules,
        tried: rulesTried,
        byName: plan.fabric.allow.filter(({ to }) => to.every(({ kind }) => kind === 'domain')).length,
      },
    };
  } finally {
    await prober.close();
  }
}

/** `server` is who answered: an answer from somebody else than the target is none. */
export function isAsExpected(expected: boolean, target: string, { answered, refused, delivered, server }: ProbeResult): boolean {
  if (!expected) return !delivered;
  return refused || (answered && (server === undefined || server === target));
}

async function tryAll(
  prober: Prober,
  attempts: readonly Attempt[],
  expect: (attempt: Attempt) => boolean,
): Promise<Map<string, ProbeResult>> {
  const results = new Map<string, ProbeResult>();
  const run = async (some: readonly Attempt[], timeoutMs: number | undefined, width: number): Promise<void> => {
    const waves = wavesOf(some, namespacesAtOnce);
    for (const wave of waves) {
      if (waves.length > 1) await prober.keepOnly(new Set(wave.flatMap(namespacesOf)));
      await runWave(wave, timeoutMs, width);
    }
  };
  const runWave = async (some: readonly Attempt[], timeoutMs: number | undefined, width: number): Promise<void> => {
    const probes = await prober.probeAll(
      some.map((attempt) => probeOf(attempt, timeoutMs)),
      width,
    );
    some.forEach((attempt, index) => {
      const probe = probes[index];
      if (probe) results.set(attemptKey(attempt), attempt.dial ? withoutHostsRefusal(probe) : probe);
    });
  };
  await run(attempts, undefined, 64);
  const slowest = Math.max(0, ...[...results.values()].filter(({ answered }) => answered).map(({ ms }) => ms));
  const doubtful = attempts.filter((attempt) => {
    const result = results.get(attemptKey(attempt));
    if (result === undefined) return true;
    // Where answers take this long, silence within the usual time says little.
    return !isAsExpected(expect(attempt), attempt.to.namespace, result) || (!result.answered && slowest > 400);
  });
  await run(doubtful, patientMs, 16);
  return results;
}

/** At a published port somebody listens behind it: a refusal is the host's, which has not translated. */
const withoutHostsRefusal = (probe: ProbeResult): ProbeResult => (probe.refused ? { ...probe, refused: false, delivered: false } : probe);

/** Agents alive at once: each is a process of some 15 MB of its own. */
const namespacesAtOnce = 48;

const namespacesOf = ({ from, to }: Attempt): string[] => [from.namespace, to.namespace];

/** The attempts in groups that need at most `limit` namespaces each; a new group begins with those that share what is there already. */
export function wavesOf(attempts: readonly Attempt[], limit: number): readonly (readonly Attempt[])[] {
  const waves: Attempt[][] = [];
  let left: readonly Attempt[] = attempts;
  while (left.length > 0) {
    const namespaces = new Set<string>();
    const wave: Attempt[] = [];
    const rest: Attempt[] = [];
    for (const attempt of left) {
      const missing = namespacesOf(attempt).filter((namespace) => !namespaces.has(namespace));
      if (wave.length > 0 && namespaces.size + missing.length > limit) rest.push(attempt);
      else {
        for (const namespace of missing) namespaces.add(namespace);
        wave.push(attempt);
      }
    }
    waves.push(wave);
    left = rest;
  }
  return waves;
}

function probeOf({ from, to, protocol, port, dial }: Attempt, timeoutMs: number | undefined): Probe {
  return {
    from: from.namespace,
    source: from.address,
    to: dial?.address ?? to.address,
    at: to.namespace,
    protocol,
    ...(port === undefined ? {} : dial ? { port: dial.port, listenPort: port, listenAddress: to.address } : { port }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
}

/** `inside` addresses are configured by whoever runs the outer guest; in the twin that is us. */
async function addInsideAddresses(fabric: Fabric, kernel: Kernel): Promise<void> {
  for (const guest of fabric.guests) {
    const outer = guest.inside === undefined ? undefined : fabric.guests.find((one) => one.name === guest.inside);
    if (outer?.namespace === undefined) continue;
    const lines = guest.nics.flatMap(({ name, v4, v6 }) => [
      ...(v4 === undefined ? [] : [`addr add ${v4}/32 dev ${name}`]),
      ...(v6 === undefined ? [] : [`addr add ${v6}/128 dev ${name} nodad`]),
    ]);
    await ipBatch(kernel.at(`/run/netns/${outer.namespace}`), lines);
  }
}
