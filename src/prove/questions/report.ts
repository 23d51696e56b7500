/** All that is proved of a host: both families together, in words. */
import type { ExpectEntry } from '../../config/model.ts';
import type { Fabric } from '../../fabric/model.ts';
import type { NftTable } from '../../hoststate/nft.ts';
import { TooManyNodes } from '../symbolic/bdd.ts';
import type { SentPacket } from '../packet-model.ts';
import { together, type Finding, type Verdict } from './answer.ts';
import { findingOf } from './expectations.ts';
import { lintsOf, type Lint } from './lints.ts';
import { narrowing, proofNames, proofSentences, proofsOf, type ProofName } from './proofs.ts';
import { replayed } from './replay.ts';
import { kindsIn, subjectsOf, type Case, type Subject } from './subject.ts';
import { becauseText, counterexampleText } from './words.ts';

export interface Answer {
  readonly verdict: Verdict;
  /** One packet that goes against it, and what becomes of it, in words. */
  readonly counterexample?: string;
  /** The same as data: as it is sent, and as it would arrive. */
  readonly packet?: { readonly sent: SentPacket; readonly arrives: SentPacket };
  readonly because?: string;
}

export interface ExpectationAnswer extends Answer {
  readonly text: string;
  /** Nothing of the fabric is meant by it. */
  readonly vacuous?: true;
  readonly entry: ExpectEntry;
}

export interface ProofAnswer extends Answer {
  readonly name: ProofName;
  /** What it says when it holds. */
  readonly text: string;
}

export interface ProofReport {
  readonly expectations: readonly ExpectationAnswer[];
  readonly proofs: readonly ProofAnswer[];
  /** Rules that do nothing; of a file with several hosts not looked for. */
  readonly lints: readonly Lint[];
}

export interface ReportOptions {
  /** Addresses that stand for those of the uplink which the file does not say. */
  readonly assumed?: readonly string[];
  /** Also look for rules that do nothing. */
  readonly lints?: true;
}

/** IPv4 and IPv6 of one host. */
export function proveModel(one: Case, options: ReportOptions = {}): ProofReport {
  const own = { ...one, model: { ...one.model, tables: one.model.tables.filter(isOwn) } };
  const alone = own.model.tables.length === one.model.tables.length;
  if (kindsIn(one) > MOST_KINDS) return undecided(one.fabric, TOO_MANY_KINDS);
  try {
    const families = ([4, 6] as const).map((family): BothWays => {
      const [whole, bare] = subjectsOf(alone ? [one] : [one, own], family);
      if (whole === undefined) throw new Error('nothing was analysed');
      return { whole, own: bare ?? whole };
    });
    return proveHost(families, options);
  } catch (error) {
    if (!(error instanceof TooManyNodes)) throw error;
    return undecided(one.fabric, 'this is more than Weft can prove at once');
  }
}

/** Beyond, a proof takes minutes. */
const MOST_KINDS = 1500;
const TOO_MANY_KINDS = 'so many guests of different kinds are more than Weft proves at once';

/** Of a file that is beyond any proof, as can be seen without compiling it: a guest that a rule names by itself is of a kind of its own. */
export function provedOfNothing(fabric: Fabric): ProofReport | undefined {
  const alone = new Set<string>();
  for (const rule of [...fabric.allow, ...fabric.block])
    for (const party of [...rule.from, ...rule.to]) {
      const [only, ...more] = party.kind === 'guests' ? party.endpoints : [];
      if (only !== undefined && more.length === 0) alone.add(only.guest);
    }
  return alone.size > MOST_KINDS ? undecided(fabric, TOO_MANY_KINDS) : undefined;
}

/** Of one family: the host as it is, and as it would be with Weft's own tables only. */
interface BothWays {
  readonly whole: Subject;
  readonly own: Subject;
}

const isOwn = ({ family, name }: Pick<NftTable, 'family' | 'name'>): boolean =>
  name === 'weft' && (family === 'inet' || family === 'bridge' || family === 'netdev');

function undecided({ expect }: Fabric, because: string): ProofReport {
  return {
    expectations: expect.map((entry) => ({ text: entry.text, entry, verdict: 'unknown', because })),
    proofs: proofNames.map((name) => ({ name, text: proofSentences[name], verdict: 'unknown', because })),
    lints: [],
  };
}

function proveHost(families: readonly BothWays[], { assumed = [], lints }: ReportOptions): ProofReport {
  const unsaid = new Set(assumed);
  const expect = families[0]?.whole.world.fabric.expect ?? [];
  const expectations = expect.map((entry): ExpectationAnswer => {
    const findings = families.map(({ whole }) => ({ subject: whole, finding: findingOf(entry, whole, unsaid) }));
    const { answer, vacuous } = answerOf(findings);
    return { text: entry.text, entry, ...answer, ...(vacuous ? { vacuous: true as const } : {}) };
  });
  // What the file says is held against Weft's own tables: what others' do besides has a proof and warnings of its own.
  const found = families.flatMap(({ whole, own }) => [
    ...proofsOf(own).map((one) => ({ ...one, subject: own })),
    { name: 'others-only-narrow' as const, finding: narrowing(whole, own), subject: whole },
  ]);
  const proofs = proofNames.map((name): ProofAnswer => {
    const findings = found.filter((one) => one.name === name);
    return { name, text: proofSentences[name], ...answerOf(findings).answer };
  });
  return { expectations, proofs, lints: lints === true ? lintsOf(families.map(({ whole }) => whole)) : [] };
}

/** Of several hosts: an expectation is about those that have its guests. */
export function joinReports(reports: readonly ProofReport[]): ProofReport {
  const [first] = reports;
  if (first === undefined || reports.length === 1) return first ?? { expectations: [], proofs: [], lints: [] };
  return {
    expectations: first.expectations.map((_, i) => worst(reports.flatMap(({ expectations }) => expectations[i] ?? []))),
    proofs: first.proofs.map((_, i) => worst(reports.flatMap(({ proofs }) => proofs[i] ?? []))),
    lints: [],
  };
}

function worst<T extends Answer & { readonly vacuous?: true }>(answers: readonly T[]): T {
  const found =
    answers.find(({ verdict }) => verdict === 'refuted') ??
    answers.find(({ verdict }) => verdict === 'unknown') ??
    answers.find(({ vacuous }) => vacuous === undefined) ??
    answers[0];
  if (found === undefined) throw new Error('no answer to choose from');
  return found;
}

function answerOf(findings: readonly { readonly subject: Subject; readonly finding: Finding }[]): {
  readonly answer: Answer;
  readonly vacuous: boolean;
} {
  const checked = findings.map(({ finding, subject }) => ({ subject, finding: replayed(finding, subject.world.model, subject.reach) }));
  const chosen = together(checked.map(({ finding }) => finding));
  const subject = checked.find(({ finding }) => finding === chosen)?.subject;
  const counterexample = subject && counterexampleText(chosen, subject);
  const because = becauseText(chosen);
  const { flow, sent } = chosen;
  return {
    answer: {
      verdict: chosen.verdict,
      ...(counterexample === undefined ? {} : { counterexample }),
      ...(flow === undefined ? {} : { packet: { sent: sent ?? flow, arrives: flow } }),
      ...(because === undefined ? {} : { because }),
    },
    vacuous: chosen.vacuous === true,
  };
}
