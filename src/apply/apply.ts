/**
 * Carries a prepared plan out, and remembers what made it, so that the same apply on an untouched host is recognised in some
 * milliseconds, without reading the file's meaning or the ruleset (design.md 5.2).
 */
import { createHash } from 'node:crypto';
import type { HostFacts } from '../hoststate/model.ts';
import { readFacts } from '../kernel/facts.ts';
import { moduleSign } from '../kernel/modules.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { canonicalJson } from '../plan/keyed.ts';
import { kernelFingerprint } from './fingerprint.ts';
import { factsWanted } from './facts.ts';
import type { PreparedPlan } from './prepare.ts';
import { readFileIfThere, replaceFile } from './store.ts';
import type { ApplyContext } from './context.ts';
import { transact, type Goal, type Outcome } from './transaction.ts';

/** Throws as {@link transact}. A plan without steps still records what the file now says, e.g. where its rules stand. */
export async function applyPlan(
  context: ApplyContext,
  prepared: PreparedPlan,
  options: Pick<Goal, 'command' | 'confirmMs'>,
): Promise<Outcome> {
  const { record, before, plan, stands } = prepared;
  if (plan.steps.length > 0) {
    await tryRules(context, plan.check);
    // Where nft lists something in other words than it was given, what is new has to be looked at.
    const asGiven = Object.keys(before?.listed ?? {}).length === 0;
    return transact(context, { ...options, record, stands: stands && asGiven }, plan);
  }
  const { listed } = before ?? record;
  try {
    await context.store.remove('digest');
    await context.store.write('applied', { ...record, appliedAt: before?.appliedAt ?? record.appliedAt, listed });
    if ((await readFileIfThere(record.lock.path)) !== record.lock.text) await replaceFile(record.lock.path, record.lock.text, 0o644);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `What the file now says cannot be written down (${why}); nothing on this host had to be changed.`;
    throw new WeftError(2, [{ code: 'apply-failed', severity: 'error', message }], cause);
  }
  return { id: '', cut: 0 };
}

/** What an apply is made from; the same inputs on the same host give the same host state. */
export interface Inputs {
  /** Absolute paths. */
  readonly file: string;
  readonly lockFile: string;
  /** `--host`, if given. */
  readonly host: string | undefined;
  /** Which program Weft is: another build may compile the same file to something else. */
  readonly build: string;
}

/** Has nft look at the rules without loading them. Throws WeftError (exit 2): nothing was touched. */
async function tryRules({ kernel }: ApplyContext, text: string): Promise<void> {
  if (text === '') return;
  const { status, stderr } = await kernel.tryRun('nft', ['-c', '-f', '-'], { input: text, timeoutMs: 300_000 });
  if (status === 0) return;
  const message = `this kernel or its nft refuses the rules (nft -c: ${stderr.trim().split('\n')[0] ?? ''}); nothing was changed. Weft needs Linux 5.10 and nftables 1.0.6 or newer`;
  throw new WeftError(2, [{ code: 'feature-missing', severity: 'error', message }]);
}

export interface Recognised {
  /** The file, the lock, the host's facts and Weft's program are those of the last apply. */
  readonly inputs: boolean;
  /** Nobody has touched the ruleset, Weft's links, settings or services since: the record stands for the observation. */
  readonly kernel: boolean;
  /** Other tables filter what is forwarded. */
  readonly foreign: boolean;
}

/** Compares with what the last apply remembered; in some ten milliseconds, without reading the file's meaning or the ruleset. */
export async function recognise(context: ApplyContext, inputs: Inputs): Promise<Recognised> {
  const digest = await context.store.read('digest');
  if (digest?.facts === undefined) return unrecognised;
  const [facts, kernel] = await Promise.all([readFacts(context.kernel, digest.facts), kernelFingerprint(context, digest)]);
  return {
    inputs: (await digestOf(inputs, facts)) === digest.inputs,
    kernel: kernel !== undefined && kernel === digest.kernel,
    foreign: digest.foreign,
  };
}

export const unrecognised: Recognised = { inputs: false, kernel: false, foreign: false };

/** Remembers the inputs of an apply that has succeeded, with the kernel as it now is. Should that fail, the next apply only takes longer. */
export async function rememberUnchanged(context: ApplyContext, inputs: Inputs, prepared: PreparedPlan): Promise<void> {
  await remember(context, inputs, prepared).catch(() => context.store.remove('digest').catch(() => undefined));
}

async function remember(context: ApplyContext, inputs: Inputs, prepared: PreparedPlan): Promise<void> {
  const { fabric, state } = prepared.record;
  const watched = {
    facts: factsWanted(fabric, state.host, state),
    foreign: prepared.foreign,
    sysctls: [
      ...state.sysctls.filter((entry) => entry.link === undefined).map((entry) => entry.key),
      ...state.modules.map((module) => moduleSign[module]),
    ],
    services: state.services.map((service) => service.name),
    namespaces: state.guests.flatMap((guest) => (guest.netns.kind === 'made' ? [guest.netns.namespace] : [])),
  };
  const kernel = await kernelFingerprint(context, watched);
  if (kernel === undefined) return;
  await context.store.write('digest', { ...watched, inputs: await digestOf(inputs, prepared.record.facts), kernel });
}

async function digestOf(inputs: Inputs, facts: HostFacts): Promise<string> {
  const [file, lock] = await Promise.all([readFileIfThere(inputs.file), readFileIfThere(inputs.lockFile)]);
  // Forwarding and accept_ra as they are now are Weft's own doing.
  const { uplink, interfaces, routes } = facts;
  return createHash('sha256')
    .update(canonicalJson([inputs.build, inputs.file, inputs.host ?? null, file ?? null, lock ?? null, uplink ?? null, interfaces, routes]))
    .digest('hex');
}
