/** The work of `weft check`. Expectations are `unknown` until the prover exists: `weft rehearse` decides them by packets. */
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Fabric } from '../fabric/model.ts';
import type { CliContext } from './context.ts';
import { problemDocument } from './context.ts';
import type { LoadedFile } from './file.ts';
import { readFabric } from './file.ts';
import { chooseHost } from './host.ts';
import { table } from './table.ts';
import { phase } from './timing.ts';

const because = 'not proved by check yet; weft rehearse decides it by packets';

/** Exit status 2 when the file or its lock has an error. */
export function runCheck(ctx: CliContext): void {
  phase('check');
  const loaded = readOrReport(ctx);
  phase('answer');
  ctx.showProblems();
  const ok = loaded !== undefined;
  if (!ok) ctx.exitCode = 2;
  const expectations = (loaded?.fabric.expect ?? []).map(({ text }) => ({ text, verdict: 'unknown', because }) as const);
  ctx.answer({ ok, problems: ctx.problems.map(problemDocument), expectations }, () =>
    loaded === undefined ? verdict(ctx) : summary(loaded.path, loaded.fabric),
  );
}

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

function summary(path: string, fabric: Fabric): string {
  const { hosts, networks, guests, allow, block, publish, expect } = fabric;
  const counts = [
    count(hosts.length, 'host'),
    count(networks.length, 'network'),
    count(guests.length, 'guest'),
    count(allow.length + block.length, 'rule'),
    ...(publish.length > 0 ? [`${publish.length} published`] : []),
    count(expect.length, 'expectation'),
  ];
  const lines = [`${path} is fine: ${counts.join(', ')}.`];
  if (expect.length > 0) {
    lines.push(
      '',
      table(
        ['EXPECTATION', 'VERDICT'],
        expect.map(({ text }) => [text, 'unknown']),
      ),
      '',
      `unknown: ${because}.`,
    );
  }
  return lines.join('\n');
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
