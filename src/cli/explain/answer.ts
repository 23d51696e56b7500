/** The answer of `weft explain` as a document (design.md, stable) and as text. */
import type { Step } from '../../prove/concrete/interpret.ts';
import { protocolName } from '../../net/protocols.ts';
import type { DecidedBy, SentPacket } from '../../prove/packet-model.ts';
import type { Explained, Verdict } from '../explain.ts';
import { table } from '../table.ts';
import { decidingStep } from './decided.ts';
import type { Traced } from './trace.ts';

export interface Whole {
  readonly flow: string;
  readonly host: string;
  /** Parts of the host that could not be read. */
  readonly missing: readonly string[];
  /** Combinations of parties, ports and families. */
  readonly of: number;
}

/** The worst of all families counts, and its packet stands on top. */
export function documentOf({ flow, host, missing, of }: Whole, answers: readonly Explained[]): object {
  const documents = answers.map(oneDocument);
  const worst =
    documents.find(({ verdict }) => verdict === 'dropped') ?? documents.find(({ verdict }) => verdict === 'unknown') ?? documents[0];
  return { flow, host, ...worst, combinations: of, ...(missing.length > 0 ? { missing } : {}), families: documents };
}

interface OneDocument {
  readonly verdict: Verdict;
  readonly [key: string]: unknown;
}

function oneDocument(explained: Explained): OneDocument {
  const { question, story, verdict, blockers, decided, advice, trace } = explained;
  const { fate } = story;
  const source = sourceOf(explained);
  const deciding = decidingStep(story.steps);
  const step = (one: Step): object => ({
    where: one.where,
    rule: one.rule,
    ...(one === deciding && source ? { source } : {}),
    effect: one.effect,
  });
  return {
    verdict,
    family: question.family,
    from: question.from.name,
    to: question.to.name,
    packet: packetDocument(question.packet),
    ...('arrives' in fate ? { arrives: { at: fate.at, packet: packetDocument(fate.arrives) } } : {}),
    steps: story.steps.map(step),
    ...(story.reply ? { reply: story.reply.map(step) } : {}),
    ...(decided.rule ? { decidedBy: { action: decided.rule.action, rule: decided.rule.text, ...source } } : {}),
    blockers: blockers.map(blockerDocument),
    ...(fate.kind === 'unknown' ? { because: fate.because.map(blockerDocument) } : {}),
    ...(trace ? { trace } : {}),
    ...(advice ? { advice: { text: advice.text, ...(advice.lines ? { lines: advice.lines } : {}) } } : {}),
  };
}

function sourceOf({ decided }: Explained): { readonly file: string; readonly line: number } | undefined {
  return decided.rule && { file: decided.rule.span.file, line: decided.rule.span.line };
}

function packetDocument({ origin, mac, source, destination, protocol, sport, dport }: SentPacket): object {
  return {
    from: origin.kind === 'host' ? 'host' : origin.name,
    ...(mac === undefined ? {} : { mac }),
    source,
    destination,
    protocol: protocolName(protocol),
    ...(sport === undefined ? {} : { sport }),
    ...(dport === undefined ? {} : { dport }),
  };
}

const blockerDocument = (by: DecidedBy): object =>
  'what' in by ? { where: 'host', rule: by.what } : { where: `${by.family} ${by.table} ${by.chain}`, rule: by.rule };

export function textOf({ flow, host, missing, of }: Whole, answers: readonly Explained[]): string {
  const lines: string[] = [];
  for (const answer of answers) lines.push(...oneText(flow, answer), '');
  if (of > answers.length)
    lines.push(`One of each family is shown; \`${flow}\` means ${of} combinations of guests, addresses and ports on ${host}.`);
  if (missing.length > 0) lines.push(`Could not be read, so what depends on it is unknown: ${missing.join(', ')}.`);
  return lines.join('\n').trimEnd();
}

function oneText(flow: string, explained: Explained): string[] {
  const { question, story, verdict, blockers, decided, advice } = explained;
  const { fate } = story;
  const lines = [`${flow}: ${verdict} (IPv${question.family})`, `  ${packetText(question.packet)}`];
  if (question.publish) lines.push(`  published: ${question.publish.text} (${question.publish.span.file}:${question.publish.span.line})`);
  lines.push(...indented(stepsTable(story.steps, explained)));
  if (fate.kind === 'answered' || fate.kind === 'delivered') {
    const at =
      fate.at.kind === 'host'
        ? 'the host itself'
        : fate.at.kind === 'station'
          ? `port ${fate.at.port}`
          : `the outer network, by ${fate.at.interface}`;
    const changed = packetText(fate.arrives) !== packetText(question.packet);
    lines.push(`  arrives at ${at}${changed ? ` as ${ends(fate.arrives)}` : ''}`);
    lines.push(fate.kind === 'answered' ? '  and the answer comes back.' : '  but the answer does not come back:');
    if (fate.kind === 'delivered') lines.push(...indented(stepsTable(story.reply ?? [], undefined)));
  }
  if (decided.rule && verdict === 'accepted')
    lines.push(`  Decided by ${decided.rule.action}: ${decided.rule.text} (${decided.rule.span.file}:${decided.rule.span.line}).`);
  else if (verdict === 'accepted' && decided.judgement.ruleId !== undefined)
    lines.push(`  Decided by a default: ${decided.judgement.ruleId}.`);
  if (fate.kind === 'unknown')
    lines.push('  It depends on what Weft does not understand or know:', ...fate.because.map((by) => `    ${blockerText(by)}`));
  const [first, ...more] = blockers;
  if (first)
    lines.push(
      `  ${'what' in first ? 'Not delivered:' : 'Dropped by'} ${blockerText(first)}`,
      ...more.map((by) => `  and, without that, by ${blockerText(by)}`),
    );
  if (explained.trace) lines.push(...traceText(explained.trace));
  if (advice) lines.push(`  ${advice.text}`, ...(advice.lines ?? []).map((line) => `    ${line}`));
  return lines;
}

function traceText({ lines, difference }: Traced): string[] {
  const rows = lines.map(({ family, table: name, chain, rule, verdict }) => [
    `${family} ${name} ${chain}`,
    shortened(rule ?? 'policy'),
    verdict,
  ]);
  const shown =
    rows.length === 0 ? [] : ["  The kernel's own trace of a real packet:", ...indented(table(['WHERE', 'RULE', 'VERDICT'], rows))];
  return [
    ...shown,
    difference === undefined ? '  The two agree.' : `  The two do NOT agree: ${difference}. Please report it with \`weft capture\`.`,
  ];
}

const indented = (text: string): string[] => (text === '' ? [] : text.split('\n').map((line) => `    ${line}`));

/** Longer rules are shortened: the document has them whole. */
const WIDEST = 90;
const shortened = (rule: string): string => (rule.length > WIDEST ? `${rule.slice(0, WIDEST - 1)}…` : rule);

function stepsTable(steps: readonly Step[], explained: Explained | undefined): string {
  if (steps.length === 0) return '';
  const deciding = explained && decidingStep(steps);
  const source = explained && sourceOf(explained);
  const rows = steps.map((step) => [
    step.where,
    shortened(step.rule),
    step.effect,
    step === deciding && source ? `${source.file}:${source.line}` : '',
  ]);
  return table(['WHERE', 'RULE', 'EFFECT', 'LINE'], rows);
}

const blockerText = (by: DecidedBy): string =>
  'what' in by ? by.what : `${by.family} ${by.table} ${by.chain}: ${by.rule === 'policy' ? 'its policy' : by.rule}`;

function packetText(packet: SentPacket): string {
  const { origin } = packet;
  return `${ends(packet)}, ${origin.kind === 'host' ? 'from the host' : `in by ${origin.name}`}`;
}

function ends({ source, destination, protocol, sport, dport }: SentPacket): string {
  const end = (address: string, port: number | undefined): string =>
    port === undefined ? address : address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
  return `${protocolName(protocol)} ${end(source, sport)} -> ${end(destination, dport)}`;
}
