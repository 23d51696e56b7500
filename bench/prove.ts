/**
 * `npm run bench:prove [-- --runs N --small]`: what proofs cost, each in a process of its own, beside an empty Node in the same run. Writes a table to standard output and
 * bench/prove.json. `prove.ts foreign SHAPE RULES` and `prove.ts file FILE` are its measurements.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { proveFile } from '../src/cli/proof.ts';
import { table } from '../src/cli/table.ts';
import { checkFile } from '../src/fabric/check-file.ts';
import { analyse } from '../src/prove/symbolic/analyse.ts';
import { type Measured, measure, median } from './command.ts';
import { foreignHost, type ForeignShape } from './foreign-rules.ts';
import { generateGroups } from './generate-groups.ts';
import { root, weft } from './stage.ts';

const { values, positionals } = parseArgs({
  options: { runs: { type: 'string', default: '3' }, small: { type: 'boolean', default: false } },
  allowPositionals: true,
});

interface Row {
  readonly name: string;
  readonly ms: number[];
  readonly mb: number[];
  /** Of the processor, where it is known. */
  readonly cpu: number[];
  readonly targetMs?: number;
  readonly targetMb?: number;
}

const [mode, ...rest] = positionals;
if (mode === 'foreign') proveForeign(rest[0] === 'flat' ? 'flat' : 'zones', Number(rest[1]));
else if (mode === 'file') proveOne(rest[0] ?? '');
else await everything();

function proveForeign(shape: ForeignShape, rules: number): void {
  const model = foreignHost(shape, rules);
  timed(() => {
    for (const family of [4, 6] as const) {
      const { delivered, space } = analyse(model, family, { prefixes: [], ports: [], protocols: [], macs: [] });
      if (delivered.must === space.none || delivered.must === space.all) throw new Error('nothing was proved');
    }
  });
}

/** Compiling it is part of the proof; reading it is not. */
function proveOne(file: string): void {
  const { fabric } = checkFile(file);
  if (fabric === undefined) throw new Error(`${file} is wrong`);
  timed(() => {
    const { proofs } = proveFile(fabric, ['host']);
    const open = proofs.filter(({ verdict }) => verdict !== 'proved');
    if (proofs.length === 0 || open.length > 0) throw new Error(open.map(({ name, verdict }) => `${name} ${verdict}`).join());
  });
}

/** Prints milliseconds on the wall and of the processor, as the commands do (WEFT_TIMING). */
function timed(work: () => void): void {
  const [started, used] = [performance.now(), process.cpuUsage()];
  work();
  const { user, system } = process.cpuUsage(used);
  const lines = [`prove ${performance.now() - started}`, `cpu ${(user + system) / 1000}`, `peak-rss ${process.resourceUsage().maxRSS}`];
  process.stderr.write(lines.map((line) => `timing ${line}\n`).join(''));
}

async function everything(): Promise<void> {
  const runs = Number(values.runs);
  const scale = values.small ? 0.02 : 1;
  const at = (count: number): number => Math.round(count * scale);
  const directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
  const file = join(directory, 'weft.yaml');
  const guests = at(10_000);
  const base = generateGroups({ guests, groups: at(300), rules: at(2000) });
  const changed = base.replace('allow:\n', 'allow:\n  - role1 -> role2 tcp/9\n');
  const rows: Row[] = [];
  const row = (name: string, targetMs?: number, targetMb?: number): Row => {
    const made: Row = {
      name,
      ms: [],
      mb: [],
      cpu: [],
      ...(targetMs === undefined ? {} : { targetMs }),
      ...(targetMb === undefined ? {} : { targetMb }),
    };
    rows.push(made);
    return made;
  };
  const what = `${guests} guests in ${at(300)} groups, ${at(2000)} rules`;
  const empty = row('node -e 0');
  const explained = row('explain of one flow, a file of 2 guests', 300);
  const explainedOfMany = row(`explain of one flow, ${what}`, 300);
  const cold = row(`proof of ${what}, both families`, 3000, 500);
  const again = row('the same after one change (nothing is kept from the last time)', 100);
  const zones = row(`proof of ${at(6000)} foreign rules, in chains by interface`, 2000);
  const flat = row(`proof of ${at(6000)} foreign rules, all in one chain`, 2000);
  const take = ({ name, ms, mb, cpu }: Row, { status, err, phases, ownMb, ms: whole }: Measured): void => {
    // 1: what was asked about is not delivered.
    if (status !== 0 && status !== 1) throw new Error(err.slice(-2000));
    const spent = phases['cpu'];
    ms.push(spent === undefined ? whole : (phases['prove'] ?? whole));
    if (ownMb !== undefined) mb.push(ownMb);
    if (spent !== undefined) cpu.push(spent);
    process.stderr.write(`${name}: ${(ms.at(-1) ?? 0).toFixed(0)} ms\n`);
  };
  const own = (...args: readonly string[]): Promise<Measured> => measure([process.execPath, import.meta.filename, ...args]);
  const small = join(directory, 'small.yaml');
  writeFileSync(
    small,
    'name: small\nnetworks:\n  a: { kind: nat, subnet: 10.1.0.0/24 }\nguests: { g0: a, g1: a }\nallow: [g0 -> g1 tcp/80]\n',
  );
  // Builds what has changed.
  await measure([weft, '--version']);
  try {
    for (let run = 0; run < runs; run++) {
      writeFileSync(file, base);
      take(empty, await measure([process.execPath, '-e', '0']));
      take(explained, await measure([weft, 'explain', 'g0 -> g1 tcp/80', '-f', small]));
      take(explainedOfMany, await measure([weft, 'explain', 'g0 -> g1 tcp/80', '-f', file]));
      take(cold, await own('file', file));
      writeFileSync(file, changed);
      take(again, await own('file', file));
      take(zones, await own('foreign', 'zones', String(at(6000))));
      take(flat, await own('foreign', 'flat', String(at(6000))));
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
  print(rows, median(empty.ms));
}

function print(rows: readonly Row[], empty: number): void {
  const number = (value: number | undefined, unit: string): string =>
    value === undefined || Number.isNaN(value) ? '' : `${value.toFixed(0)} ${unit}`;
  const results = rows.map(({ name, ms, mb, cpu, targetMs, targetMb }) => {
    const [time, memory] = [median(ms), mb.length === 0 ? undefined : Math.max(...mb)];
    const met = targetMs === undefined ? undefined : time <= targetMs && (targetMb === undefined || (memory ?? 0) <= targetMb);
    return {
      name,
      ms: time,
      cpuMs: cpu.length === 0 ? undefined : median(cpu),
      mb: memory,
      targetMs,
      targetMb,
      met,
      timesNode: time / empty,
    };
  });
  console.log(
    table(
      ['WHAT', 'MEDIAN', 'PROCESSOR', "TIMES NODE'S START", 'MEMORY', 'AIM', 'MET'],
      results.map(({ name, ms, cpuMs, mb, targetMs, targetMb, met, timesNode }) => [
        name,
        number(ms, 'ms'),
        number(cpuMs, 'ms'),
        timesNode.toFixed(1),
        number(mb, 'MB'),
        [number(targetMs, 'ms'), number(targetMb, 'MB')].filter((text) => text !== '').join(', '),
        met === undefined ? '' : met ? 'yes' : 'NO',
      ]),
    ),
  );
  const machine = { node: process.versions.node, kernel: release(), cpu: cpus()[0]?.model ?? '', cpus: cpus().length };
  writeFileSync(join(root, 'bench/prove.json'), `${JSON.stringify({ date: new Date().toISOString(), machine, results }, undefined, 2)}\n`);
}
