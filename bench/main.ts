/**
 * `npm run bench [-- --runs N --small --only startup|thousand|tenthousand|byhand]`: whole commands on generated files, in a machine of its own (private network, mounts and processes), with what
 * was aimed at beside what was measured. Writes a table to standard output and bench/results.json.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../src/cli/table.ts';
import { type Measured, measure, median } from './command.ts';
import { generate } from './generate.ts';
import { onStage, root, uplink, weft } from './stage.ts';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '5' }, small: { type: 'boolean', default: false }, only: { type: 'string' } },
});
const runs = Number(values.runs);
/** `--small` is for trying the benchmark itself. */
const scale = values.small ? 0.02 : 1;

interface Row {
  readonly name: string;
  readonly target?: { readonly ms?: number; readonly mb?: number };
  readonly samples: Measured[];
}
const rows: Row[] = [];

await onStage([], everything);

async function everything(): Promise<void> {
  execFileSync('ip', ['-batch', '-'], { input: uplink, stdio: ['pipe', 'inherit', 'inherit'] });
  mkdirSync('/run/bench');
  process.chdir('/run/bench');
  process.env['WEFT_STATE_DIR'] = '/run/bench/state';
  process.env['WEFT_RUN_DIR'] = '/run/bench/run';

  const parts = { startup: startUp, thousand, tenthousand: tenThousand, byhand: byHand };
  for (const [name, part] of Object.entries(parts)) if (values.only === undefined || values.only === name) await part();
  print();
}

/** Start-up against an empty Node, in pairs. */
async function startUp(): Promise<void> {
  const bare = row('node -e 0');
  const version = row('weft --version');
  for (let i = 0; i < 20 * Math.min(1, scale * 10); i++) {
    bare.samples.push(await measure([process.execPath, '-e', '0']));
    version.samples.push(await measure([weft, '--version']));
  }
}

async function thousand(): Promise<void> {
  const guests = Math.round(1000 * scale);
  writeFileSync('small.yaml', generate({ guests, rulesEach: 10, networks: 1 }));
  const what = `${guests} guests, 10 rules each`;
  const fromNothing = row(`apply of ${what}, from nothing`, { ms: 2000 });
  const again = row('the same apply again', { ms: 400 });
  const full = row('the same with --full');
  const status = row('status');
  const destroy = row('destroy', { ms: 2000 });
  for (let i = 0; i < runs; i++) {
    const memory = i === runs - 1;
    await take(fromNothing, ['apply', '--yes', '-f', 'small.yaml'], memory);
    await take(again, ['apply', '--yes', '-f', 'small.yaml'], memory);
    await take(full, ['apply', '--yes', '--full', '-f', 'small.yaml'], memory);
    await take(status, ['status'], memory);
    await take(destroy, ['destroy', '--yes'], memory);
  }
}

async function tenThousand(): Promise<void> {
  const guests = Math.round(10_000 * scale);
  const shape = { rulesEach: 1, networks: 10 };
  const base = generate({ guests, ...shape });
  writeFileSync('large.yaml', base);
  const check = row(`check of ${guests} guests, 10 networks, a rule each`, { ms: 2000, mb: 400 });
  for (let i = 0; i < runs; i++) await take(check, ['check', '-f', 'large.yaml'], i === runs - 1);
  writeFileSync('heavy.yaml', generate({ guests, rulesEach: 10, networks: 10 }));
  const heavy = row(`check of ${guests} guests, 10 rules each`);
  for (let i = 0; i < Math.min(runs, 3); i++) await take(heavy, ['check', '-f', 'heavy.yaml'], i === runs - 1);

  const first = row(`apply of ${guests} guests, 10 networks, from nothing`);
  await take(first, ['apply', '--yes', '-f', 'large.yaml'], false);
  const more = row(`one guest more at ${guests}`, { ms: 150 });
  const less = row(`one guest less at ${guests}`, { ms: 150 });
  const one = base.replace('groups:\n', '  extra: net3\ngroups:\n').replace('allow:\n', 'allow:\n  - extra -> role1 tcp/5432\n');
  for (let i = 0; i < runs; i++) {
    writeFileSync('large.yaml', one);
    await take(more, ['apply', '--yes', '-f', 'large.yaml'], i === runs - 1);
    writeFileSync('large.yaml', base);
    await take(less, ['apply', '--yes', '-f', 'large.yaml'], i === runs - 1);
  }
  const destroy = row(`destroy of ${guests} guests`);
  await take(destroy, ['destroy', '--yes'], false);
}

/** The same kind of ports and rules with a process per command: cost per guest against Weft's. */
async function byHand(): Promise<void> {
  const n = String(Math.round(40 * Math.min(1, scale * 10)));
  const script = join(import.meta.dirname, 'by-hand.sh');
  const up = row(`by hand, a process per command: ${n} guests, 10 rules each`);
  const down = row(`by hand: removing them`);
  for (let i = 0; i < Math.min(runs, 3); i++) {
    up.samples.push(await measure([script, n]));
    down.samples.push(await measure([script, n, 'down']));
  }
}

function row(name: string, target?: Row['target']): Row {
  const made: Row = { name, samples: [], ...(target === undefined ? {} : { target }) };
  rows.push(made);
  return made;
}

/** The run that looks at memory is slower and counts for memory only (unless it is the only one). */
async function take(into: Row, args: readonly string[], memory: boolean): Promise<void> {
  const measured = await measure([weft, ...args], { memory });
  if (measured.status !== 0) throw new Error(`weft ${args.join(' ')} ended with ${measured.status}: ${measured.err.slice(-2000)}`);
  into.samples.push(measured);
  process.stderr.write(`${into.name}: ${measured.ms.toFixed(0)} ms\n`);
}

interface Result {
  readonly name: string;
  readonly ms: number;
  readonly ownMb: number | undefined;
  readonly treeMb: number | undefined;
  readonly targetMs: number | undefined;
  readonly targetMb: number | undefined;
  readonly met: boolean | undefined;
  readonly phases: Readonly<Record<string, number>>;
  readonly samples: readonly number[];
}

function resultOf({ name, target, samples }: Row): Result {
  const timed = samples.filter(({ treeMb }) => treeMb === undefined);
  const counted = timed.length > 0 ? timed : samples;
  const ms = median(counted.map((sample) => sample.ms));
  const peak = (all: readonly (number | undefined)[]): number | undefined => {
    const known = all.filter((value) => value !== undefined);
    return known.length === 0 ? undefined : Math.max(...known);
  };
  const ownMb = peak(samples.map((sample) => sample.ownMb));
  const treeMb = peak(samples.map((sample) => sample.treeMb));
  const slow = target?.ms !== undefined && ms > target.ms;
  const fat = target?.mb !== undefined && (treeMb ?? ownMb ?? 0) > target.mb;
  const phases: Record<string, number> = {};
  for (const phase of new Set(counted.flatMap((sample) => Object.keys(sample.phases))))
    phases[phase] = median(counted.map((sample) => sample.phases[phase] ?? 0));
  return {
    name,
    ms,
    ownMb,
    treeMb,
    targetMs: target?.ms,
    targetMb: target?.mb,
    met: target === undefined ? undefined : !slow && !fat,
    phases,
    samples: counted.map((sample) => sample.ms),
  };
}

function print(): void {
  const results = rows.map(resultOf);
  const number = (value: number | undefined, unit: string): string =>
    value === undefined ? '' : `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
  console.log(
    table(
      ['COMMAND', 'MEDIAN', 'MEMORY', 'TARGET', 'MET', 'WHERE THE TIME GOES (ms)'],
      results.map(({ name, ms, ownMb, treeMb, targetMs, targetMb, met, phases }) => [
        name,
        number(ms, 'ms'),
        number(treeMb ?? ownMb, 'MB'),
        [number(targetMs, 'ms'), number(targetMb, 'MB')].filter((text) => text !== '').join(', '),
        met === undefined ? '' : met ? 'yes' : 'NO',
        Object.entries(phases)
          .filter(([, phaseMs]) => phaseMs >= 1)
          .map(([phase, phaseMs]) => `${phase} ${phaseMs.toFixed(0)}`)
          .join(', '),
      ]),
    ),
  );
  const ms = (start: string): number => results.find(({ name }) => name.startsWith(start))?.ms ?? Number.NaN;
  const perGuest = (start: string): number =>
    ms(start) / Number(/(\d+) guests/.exec(results.find(({ name }) => name.startsWith(start))?.name ?? '')?.[1]);
  const ratios = {
    'weft --version / node -e 0': ms('weft --version') / ms('node -e 0'),
    'apply from nothing / by hand, per guest': perGuest('apply of') / perGuest('by hand, a'),
  };
  for (const [name, ratio] of Object.entries(ratios)) if (!Number.isNaN(ratio)) console.log(`${name}: ${ratio.toFixed(2)}`);
  const machine = { node: process.versions.node, kernel: release(), cpu: cpus()[0]?.model ?? '', cpus: cpus().length };
  writeFileSync(
    join(root, 'bench/results.json'),
    `${JSON.stringify({ date: new Date().toISOString(), machine, ratios, results }, undefined, 2)}\n`,
  );
}
