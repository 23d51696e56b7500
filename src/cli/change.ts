/**
 * What all commands that plan or change this host share: the fabric from the file, the session with the kernel, and a plan in words.
 */
import { existsSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { openSession } from '../apply/session.ts';
import type { PreparedPlan, PlanRequest } from '../apply/prepare.ts';
import type { ApplyContext } from '../apply/context.ts';
import { LOCK_FILE } from '../fabric/check-file.ts';
import type { Change } from '../plan/steps.ts';
import type { CliContext } from './context.ts';
import { loadFabric } from './file.ts';
import type { ConfigFile } from '../config/model.ts';
import { chooseHost } from './host.ts';
import { expectationTable, isRefuted, proofDocument, reportProofs, reportSession } from './proof.ts';

/** Reads the file and chooses the host. Ends the command (exit 2) on any error in the file. */
export function loadRequest(ctx: CliContext): PlanRequest & { readonly config: ConfigFile } {
  const { path, fabric, config } = loadFabric(ctx);
  const file = resolve(ctx.io.cwd, path);
  return { fabric, config, host: chooseHost(fabric, ctx), file, lockFile: lockFileOf(file) };
}

/** Shows what of the plan's proof does not hold; true when something does not, and exit status 1 is the answer. */
export function showProof(ctx: CliContext, { proof, session }: PreparedPlan, config: ConfigFile): boolean {
  reportProofs(proof(), config, ctx.report);
  const stays = session();
  if (stays !== undefined) reportSession(stays, ctx.report);
  ctx.showProblems();
  const refuted = isRefuted(proof()) || stays?.verdict === 'refuted';
  if (refuted) ctx.exitCode = 1;
  return refuted;
}

/** weft.lock lies beside the file itself, also when it is named by a link. */
export const lockFileOf = (file: string): string => resolve(existsSync(file) ? realpathSync(file) : file, '..', LOCK_FILE);

/** The kernel of this namespace and the state directory of the options. Progress goes to standard error. */
export function sessionOf(
  ctx: CliContext,
  options: { readonly verbose?: boolean; readonly quiet?: boolean; readonly stage?: ApplyContext['stage'] } = {},
): ApplyContext {
  const { stateDir, runDir } = ctx.options;
  return openSession({
    directories: { state: stateDir, run: runDir },
    ...(options.stage === undefined ? {} : { stage: options.stage }),
    progress: options.quiet === true ? () => undefined : (text) => ctx.err(text),
    ...(options.verbose === true ? { verbose: (line: string) => ctx.err(`+ ${line}`) } : {}),
  });
}

/** The stable JSON of a plan. */
export function planDocument(prepared: PreparedPlan): object {
  const { expectations, proofs } = proofDocument(prepared.proof());
  const session = prepared.session();
  return {
    changes: prepared.plan.changes,
    reachability: reachabilityOf(prepared.reach()),
    expectations,
    proofs: session === undefined ? proofs : [...proofs, session],
  };
}

/** Flows are as they are after NAT; `published` and `withdrawn` have the entries of the file. */
function reachabilityOf({ opened, closed, published, withdrawn, by }: ReturnType<PreparedPlan['reach']>): object {
  const texts = (all: typeof published): string[] => all.map(({ text }) => text);
  const flows = (all: typeof published): string[] => all.map(({ flow }) => flow);
  return {
    opened: [...opened, ...flows(published)],
    closed: [...closed, ...flows(withdrawn)],
    published: texts(published),
    withdrawn: texts(withdrawn),
    by,
  };
}

const signs = { create: '+', update: '~', delete: '-' } as const;
/** More lines of one kind than this are counted, not listed. */
const LISTED = 12;
const LISTED_ELEMENTS = 3;

/** A plan for people, before or after it was made true: what is made, changed and removed by kind, then what opens and closes. */
export function planText({ plan, reach: flows, proof }: PreparedPlan, applied = false): string {
  const expected = expectationTable(proof());
  const shown = applied || expected === '' ? [] : ['', expected];
  if (plan.changes.length === 0) return ['Nothing to change: this host is as the file says.', ...shown].join('\n');
  const lines: string[] = [];
  const byKind = Map.groupBy(plan.changes, (change) => `${change.action} ${change.kind}`);
  for (const changes of byKind.values()) {
    // Elements of sets mean little to people; what they open and close is said below.
    const listed = changes[0]?.kind === 'element' ? LISTED_ELEMENTS : LISTED;
    const told = changes.length > listed ? changes.slice(0, listed - 1) : changes;
    for (const change of told) lines.push(changeLine(change));
    const rest = changes.length - told.length;
    const first = changes[0];
    if (rest > 0 && first) lines.push(`  ${signs[first.action]} … ${rest} more ${first.kind} changes (all of them: weft plan --json)`);
  }
  const reach = flows();
  for (const [verb, texts, what] of [
    ['opens', reach.opened, 'flows'],
    ['closes', reach.closed, 'flows'],
    ['publishes', reach.published.map(({ text }) => text), 'ports'],
    ['withdraws', reach.withdrawn.map(({ text }) => text), 'ports'],
  ] as const) {
    for (const text of texts.slice(0, LISTED)) lines.push(`  ${verb.padEnd(7)} ${text}`);
    if (texts.length > LISTED) lines.push(`  ${verb.padEnd(7)} … ${texts.length - LISTED} more ${what}`);
  }
  if (reach.by === 'rules' && reach.opened.length + reach.closed.length > 0)
    lines.push('  (What opens and closes is told by the rules of the file: so many guests are more than Weft works out by proof here.)');
  const count = (action: Change['action']): number => plan.changes.filter((change) => change.action === action).length;
  lines.push(
    applied
      ? `Applied: ${count('create')} made, ${count('update')} changed, ${count('delete')} removed.`
      : `Plan: ${count('create')} to make, ${count('update')} to change, ${count('delete')} to remove.`,
  );
  return [...lines, ...shown].join('\n');
}

function changeLine({ action, kind, name, before, after }: Change): string {
  const value = kind === 'sysctl' ? settingChange(before, after) : kind === 'element' ? ` ${briefly(after ?? before)}` : '';
  return `  ${signs[action]} ${kind} ${name}${value}`;
}

function settingChange(before: unknown, after: unknown): string {
  const value = (entry: unknown): string => (typeof entry === 'object' && entry !== null && 'value' in entry ? String(entry.value) : '?');
  if (after === undefined) return ' back to what it was';
  return before === undefined ? ` = ${value(after)}` : ` ${value(before)} → ${value(after)}`;
}

function briefly(element: unknown): string {
  const text = JSON.stringify(element) ?? '';
  const plain = text.replaceAll(/[{}"]|concat:|\[|\]/g, '').replaceAll(',', ' . ');
  return plain.length > 80 ? `${plain.slice(0, 79)}…` : plain;
}
