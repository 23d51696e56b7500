/** `weft rehearse`: builds the whole fabric in throw-away namespaces, applies the file there and tries it with real packets. */
import { existsSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { WeftError } from '../../diagnostic/diagnostic.ts';
import type { Rehearsal } from '../../twin/rehearse.ts';
import type { Register } from '../command.ts';
import { examples, group } from '../command.ts';
import type { CliContext, ExitCode } from '../context.ts';

export const register: Register = (program, ctx) => {
  const command = program
    .command('rehearse')
    .helpGroup(group.file)
    .description('try the file with real packets on a throw-away copy of host, outer world and guests; needs no root, touches nothing');
  examples(command, 'weft rehearse -f examples/quickstart/weft.yaml', 'weft rehearse --json');
  command.action(async () => {
    const { insideSandbox } = await import('../../kernel/sandbox.ts');
    await (insideSandbox() ? rehearseHere(ctx) : rehearseInSandbox(ctx));
  });
};

/** Starts this same command line again, inside. */
async function rehearseInSandbox(ctx: CliContext): Promise<void> {
  const { runInSandbox } = await import('../../kernel/sandbox.ts');
  refuseHidden(resolve(ctx.io.cwd, ctx.configPath()));
  const status = await runInSandbox([process.execPath, ...process.execArgv, ...process.argv.slice(1)]);
  if (isExitCode(status)) {
    ctx.answered = true;
    ctx.exitCode = status;
  } else {
    ctx.exitCode = 2;
    ctx.report({
      code: 'rehearsal-failed',
      severity: 'error',
      message: 'the rehearsal was interrupted; nothing of it is left: run it again',
    });
  }
}

/** The sandbox has a /run of its own, in which this file would not be there. */
function refuseHidden(file: string): void {
  const real = existsSync(file) ? realpathSync(file) : file;
  if (!real.startsWith('/run/')) return;
  const message = `${real} lies under /run, which a rehearsal replaces with an empty one: copy the file and its lock to another directory`;
  throw new WeftError(2, [{ code: 'rehearsal-failed', severity: 'error', message }]);
}

function isExitCode(status: number): status is ExitCode {
  return status >= 0 && status <= 5;
}

async function rehearseHere(ctx: CliContext): Promise<void> {
  const { loadRequest } = await import('../change.ts');
  const { rehearse } = await import('../../twin/rehearse.ts');
  const { openKernel } = await import('../../kernel/open.ts');
  const began = performance.now();
  const request = loadRequest(ctx);
  const rehearsal = await rehearse(openKernel(), request, ctx.report, (text) => ctx.err(text));
  ctx.stopOnErrors(2);
  if (rehearsal === undefined) return;
  const { table } = await import('../table.ts');
  ctx.answer(
    document(rehearsal),
    () =>
      `${table(['FROM', 'TO', 'PORT', 'EXPECTED', 'GOT', 'OK'], rows(rehearsal))}\n${verdicts(rehearsal)}\n${summary(rehearsal, performance.now() - began)}`,
  );
  if (!rehearsal.ok) ctx.exitCode = 1;
}

type RehearsedCase = Rehearsal['cases'][number];

function got({ result }: RehearsedCase): 'answered' | 'refused' | 'arrived' | 'dropped' {
  if (result.answered) return 'answered';
  if (result.refused) return 'refused';
  return result.delivered ? 'arrived' : 'dropped';
}

const portText = ({ protocol, port, dial }: RehearsedCase): string => (port === undefined ? protocol : `${protocol}/${dial?.port ?? port}`);
const targetText = ({ to, dial }: RehearsedCase): string => (dial ? `${to.label} (published)` : to.label);

function document({ ok, cases, expectations, possible, guests, rules }: Rehearsal): object {
  return {
    ok,
    probes: cases.map((one) => ({
      from: one.from.label,
      to: one.to.label,
      protocol: one.protocol,
      ...(one.port === undefined ? {} : { port: one.dial?.port ?? one.port }),
      source: one.from.address,
      destination: one.dial?.address ?? one.to.address,
      expected: one.expected ? 'allowed' : 'dropped',
      got: got(one),
      ok: one.ok,
      because: one.because,
      ...(one.result.seenSource === undefined ? {} : { seenAs: one.result.seenSource }),
    })),
    expectations,
    extent: {
      pairs: possible,
      rules: rules.total,
      rulesTried: rules.tried,
      rulesByName: rules.byName,
      guests: guests.total,
      guestsTried: guests.taken,
    },
  };
}

/** Families that behave alike share a row. */
function rows({ cases }: Rehearsal): string[][] {
  const byWho = Map.groupBy(cases, (one) => `${one.from.label}\0${targetText(one)}\0${portText(one)}`);
  return [...byWho.values()].flatMap((same) => {
    const byOutcome = Map.groupBy(same, (one) => `${one.expected} ${got(one)}`);
    return [...byOutcome.values()].flatMap(([one]) => {
      if (!one) return [];
      const family = byOutcome.size > 1 ? ` (IPv${one.from.family})` : '';
      return [
        [one.from.label, targetText(one), `${portText(one)}${family}`, one.expected ? 'allowed' : 'dropped', got(one), one.ok ? '✓' : '✗'],
      ];
    });
  });
}

const marks = { proved: '✓', refuted: '✗', unknown: '?' } as const;

function verdicts({ expectations }: Rehearsal): string {
  return expectations
    .map(({ text, verdict, counterexample, because }) => {
      const detail = counterexample ?? (verdict === 'unknown' ? because : undefined);
      return `${marks[verdict]} ${text}${detail === undefined ? '' : `\n    ${detail}`}`;
    })
    .map((line) => `${line}\n`)
    .join('');
}

function summary({ cases, expectations, guests, rules }: Rehearsal, ms: number): string {
  if (cases.length === 0)
    return `Nothing to try: no guest of this host has an address. Nothing is left of it. (${(ms / 1000).toFixed(1)} s)`;
  const wrong = cases.filter(({ ok }) => !ok).length;
  const held = expectations.filter(({ verdict }) => verdict === 'proved').length;
  const connections =
    wrong === 0
      ? `${cases.length} connections tried, all as the file says`
      : `${wrong} of ${cases.length} connections went against the file`;
  const expected = expectations.length === 0 ? '' : `; ${held} of ${expectations.length} expectations hold`;
  const byName = rules.byName > 0 ? ` (${rules.byName} with domain names left out: nobody answers for them here)` : '';
  const some = rules.tried < rules.total ? `; ${rules.tried} of ${rules.total} rules tried${byName}` : '';
  const sampled = `${some}${guests.taken < guests.total ? `; ${guests.taken} of ${guests.total} guests took part` : ''}`;
  return `${connections}${expected}${sampled}. Nothing is left of it. (${(ms / 1000).toFixed(1)} s)`;
}
