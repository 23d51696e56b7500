/** The work of `weft check`: the file, its lock, and what is proved of them, without root and without the kernel. */
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Fabric } from '../fabric/model.ts';
import type { CliContext } from './context.ts';
import { problemDocument } from './context.ts';
import type { LoadedFile } from './file.ts';
import { readFabric } from './file.ts';
import { chooseHost } from './host.ts';
import type { ProofReport } from '../prove/questions/report.ts';
import { expectationTable, isRefuted, proofDocument, proveFile, reportProofs } from './proof.ts';
import { phase } from './timing.ts';

/** Exit status 2 when the file or its lock has an error, 1 when something expected of it does not hold. */
export function runCheck(ctx: CliContext): void {
  phase('check');
  const loaded = readOrReport(ctx);
  phase('prove');
  const report = loaded && proveFile(loaded.fabric, hostsOf(loaded.fabric, ctx));
  if (loaded && report) reportProofs(report, loaded.config, ctx.report);
  phase('answer');
  ctx.showProblems();
  if (loaded === undefined) ctx.exitCode = 2;
  else if (report && isRefuted(report)) ctx.exitCode = 1;
  const ok = ctx.exitCode === 0;
  const proofs = report ? proofDocument(report) : { expectations: [], proofs: [] };
  ctx.answer({ ok, problems: ctx.problems.map(problemDocument), ...proofs }, () =>
    loaded === undefined || report === undefined ? verdict(ctx) : summary(loaded.path, loaded.fabric, report),
  );
}

/** All of them, unless one is named. */
const hostsOf = (fabric: Fabric, ctx: CliContext): readonly string[] =>
  ctx.options.host === undefined ? fabric.hosts.map(({ name }) => name) : [chooseHost(fabric, ctx)];

/** That there is no file is a problem like those in it: the document has the same shape. */
function readOrReport(ctx: CliContext): LoadedFile | undefined {
  try {
    const loaded = readFabric(ctx);
    if (loaded !== undefined && ctx.options.host !== undefined) chooseHost(loaded.fabric, ctx);
    return loaded;
  } catch (error) {
    if (!(error instanceof WeftError)) throw error;
    for (const diagnostic of error.diagnostics) ctx.report(diagnostic);
    return undefined;
  }
}

function verdict(ctx: CliContext): string {
  if (ctx.problems.every(({ span }) => span === undefined)) return '';
  const errors = ctx.problems.filter(({ severity }) => severity === 'error').length;
  ctx.err(`${errors} ${errors === 1 ? 'error' : 'errors'}.`);
  return '';
}

function summary(path: string, fabric: Fabric, report: ProofReport): string {
  const { hosts, networks, guests, allow, block, publish, expect } = fabric;
  const counts = [
    count(hosts.length, 'host'),
    count(networks.length, 'network'),
    count(guests.length, 'guest'),
    count(allow.length + block.length, 'rule'),
    ...(publish.length > 0 ? [`${publish.length} published`] : []),
    count(expect.length, 'expectation'),
  ];
  const refuted = isRefuted(report);
  const lines = [`${path} is ${refuted ? 'sound, but does not do what is expected of it' : 'fine'}: ${counts.join(', ')}.`];
  const held = report.proofs.filter((proof) => proof.verdict === 'proved').length;
  if (held === report.proofs.length)
    lines.push('Proved: its rules let through what they say and nothing else, and no guest can pass for another.');
  const expected = expectationTable(report);
  if (expected !== '') lines.push('', expected);
  return lines.join('\n');
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
