/** What is proved, for people and for JSON: expectations as a table and as problems at their lines, Weft's own proofs as a sentence. */
import type { SessionAnswer } from '../apply/session-stays.ts';
import { assumedFacts } from '../compile/assumed-facts.ts';
import { compileHost } from '../compile/host.ts';
import type { ConfigFile } from '../config/model.ts';
import type { Diagnostic, Report } from '../diagnostic/diagnostic.ts';
import type { Fabric } from '../fabric/model.ts';
import { assumedOuterWorld } from '../fabric/outer-world.ts';
import type { KernelModel } from '../prove/kernel-model.ts';
import { bridgedGuests } from '../prove/model/bridged-guests.ts';
import { modelOf } from '../prove/model/model-of.ts';
import type { Lint } from '../prove/questions/lints.ts';
import { joinReports, proveModel, provedOfNothing, type ExpectationAnswer, type ProofReport } from '../prove/questions/report.ts';
import { table } from './table.ts';

/** From the file alone: its hosts as they would be, with every container attached. */
export function proveFile(fabric: Fabric, hosts: readonly string[]): ProofReport {
  const nothing = provedOfNothing(fabric);
  if (nothing) return nothing;
  return joinReports(
    hosts.map((host) =>
      proveModel({ fabric, host, model: wantedModel(fabric, host) }, { assumed: assumedOuterWorld(fabric, host).assumed, lints: true }),
    ),
  );
}

/** A host as the file wants it, with every container attached: one that is attached later has the same rules. */
export function wantedModel(fabric: Fabric, host: string): KernelModel {
  const containers = fabric.guests.filter(({ kind }) => kind === 'container');
  const attachments = new Map(containers.map(({ name }) => [name, `/run/netns/${name}`]));
  const facts = assumedFacts(fabric, host);
  const state = compileHost(fabric, host, facts, { attachments, services: () => [] });
  return modelOf(state, facts, { bridgedGuests: bridgedGuests(fabric, host) });
}

/** An error for each expectation and proof that is refuted; warnings for those that say nothing. `config`: for the places in the file. */
export function reportProofs({ expectations, proofs, lints }: ProofReport, config: ConfigFile | undefined, report: Report): void {
  const place = ({ entry }: ExpectationAnswer): Pick<Diagnostic, 'span'> => (config === undefined ? {} : { span: config.span(entry.path) });
  for (const answer of expectations) {
    const { text, verdict, counterexample, because, vacuous } = answer;
    if (verdict === 'refuted') {
      const message = `\`${text}\` does not hold${counterexample === undefined ? '' : `: ${counterexample}`}; change the rules or the expectation.`;
      report({ code: 'expectation-refuted', severity: 'error', message, ...place(answer) });
    } else if (vacuous === true) {
      const message = `\`${text}\` says nothing: ${because ?? 'nobody here is meant by it'}; take it out, or name somebody who is there.`;
      report({ code: 'expectation-vacuous', severity: 'warning', message, ...place(answer) });
    }
  }
  for (const lint of lints) report(lintProblem(lint));
  const [reason] = proofs.map(({ because }) => because);
  if (reason !== undefined && proofs.every(({ verdict, because }) => verdict === 'unknown' && because === reason)) {
    report({ code: 'proof-unknown', severity: 'warning', message: `nothing is proved of what this file lets through: ${reason}.` });
    return;
  }
  for (const { text, verdict, counterexample, because } of proofs) {
    if (verdict === 'proved') continue;
    const details = [counterexample, because].filter((one) => one !== undefined).join('; ');
    const shown = details === '' ? '' : `: ${details}`;
    if (verdict === 'refuted') {
      const message = `it does not hold that ${text}${shown}; this is not for the file to mend, so please report it with the file.`;
      report({ code: 'proof-refuted', severity: 'error', message });
    } else report({ code: 'proof-unknown', severity: 'warning', message: `it is not proved that ${text}${shown}.` });
  }
}

/** An error when the person who asks would be locked out. */
export function reportSession({ text, verdict, counterexample, because }: SessionAnswer, report: Report): void {
  if (verdict === 'unknown') {
    report({ code: 'proof-unknown', severity: 'warning', message: `it is not proved that ${text}: ${because ?? ''}.` });
  } else if (verdict === 'refuted') {
    const remedy =
      'change the file so that it is let in, or apply from the console; `sudo env SSH_CONNECTION= weft apply` does it all the same';
    report({ code: 'session-cut', severity: 'error', message: `it does not hold that ${text}: ${counterexample ?? ''}; ${remedy}.` });
  }
}

const why: Readonly<Record<Lint['kind'], string>> = {
  never: 'no packet that Weft decides about can match it',
  blocked: 'all of it is blocked',
  covered: 'other rules say all of it already',
  default: 'all of it is allowed by default (`egress`, `from-host`)',
};

function lintProblem({ rule, kind, by }: Lint): Diagnostic {
  const names = by.map(({ text, span }) => `\`${text}\` (line ${span.line})`).join(', ');
  const message = `\`${rule.text}\` under \`${rule.action}\` does nothing: ${why[kind]}${names === '' ? '' : ` by ${names}`}; take it out, or say what is meant.`;
  return { code: 'rule-without-effect', severity: 'warning', message, span: rule.span };
}

export const isRefuted = ({ expectations, proofs }: ProofReport): boolean =>
  [...expectations, ...proofs].some(({ verdict }) => verdict === 'refuted');

/** The parts of a JSON answer. */
export function proofDocument({ expectations, proofs }: ProofReport): {
  readonly expectations: readonly object[];
  readonly proofs: readonly object[];
} {
  return { expectations: expectations.map((answer) => ({ ...answer, entry: undefined })), proofs };
}

/** Empty when nothing is expected. */
export function expectationTable({ expectations }: ProofReport): string {
  if (expectations.length === 0) return '';
  const lines = [
    table(
      ['EXPECTATION', 'VERDICT'],
      expectations.map(({ text, verdict }) => [text, verdict]),
    ),
  ];
  const unknown = expectations.filter(({ verdict }) => verdict === 'unknown');
  for (const { text, counterexample, because } of unknown)
    lines.push('', `unknown: ${text}: ${[counterexample, because].filter((one) => one !== undefined).join('; ')}.`);
  return lines.join('\n');
}
