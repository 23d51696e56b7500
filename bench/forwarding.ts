/**
 * `npm run bench:forwarding [-- --rounds N --seconds N --small]`: what a packet between two guests costs on the host, by how much the host has to look after. Every round measures every layout once,
 * so that what else the machine does meets all alike, and shares are medians of each round's own. Writes tables to standard output and bench/forwarding.json.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { table } from '../src/cli/table.ts';
import { median } from './command.ts';
import { bare, filterBridged, type Layout, version, withScript, withWeft } from './layouts.ts';
import { onStage, root, weft } from './stage.ts';
import { Traffic } from './traffic.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '15' },
    seconds: { type: 'string', default: '0.3' },
    small: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
/** `--small` is for trying the benchmark itself. */
const sizes = values.small ? [10, 100] : [10, 100, 1000, 10_000];
const scripts = values.small ? [100, 1000] : [1000, 10_000];

const what = ['packets', 'connects', 'throughput'] as const;
type What = (typeof what)[number];
const units: Readonly<Record<What, string>> = { packets: 'PACKETS/S', connects: 'CONNECTS/S', throughput: 'GBIT/S' };
/** By title; one figure a round, in the rounds' order. */
type Figures = ReadonlyMap<string, Readonly<Record<What, number[]>>>;

interface Row {
  readonly title: string;
  readonly layout: Layout;
  readonly traffic: Traffic;
  readonly bridgesFiltered: boolean;
}

const titles = {
  bare: 'no rules at all',
  tracking: 'connection tracking alone',
  weft: (guests: number) => `Weft, ${guests} guests, ${guests * 10} rules`,
  filtered: (guests: number) => `Weft, ${guests} guests, with br_netfilter`,
  script: (rules: number) => `iptables script, ${rules} rules`,
};
const small = sizes[0] ?? 0;
const large = sizes.at(-1) ?? 0;

await onStage(['scripts/packages', 'scripts/packages-bench'], everything);

async function everything(): Promise<void> {
  mkdirSync('/run/bench', { recursive: true });
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const rows: Row[] = [];
  const make = async (title: string, layout: () => Layout): Promise<Row> => {
    say(`setting up: ${title}`);
    const made = layout();
    const row = { title, layout: made, traffic: await Traffic.open(made), bridgesFiltered: false };
    rows.push(row);
    return row;
  };
  await make(titles.bare, () => bare('bare'));
  await make(titles.tracking, () => withScript('tracking', 0));
  for (const guests of sizes) {
    const row = await make(titles.weft(guests), () => withWeft(`weft${guests}`, guests, weft));
    if (guests === small || guests === large) rows.push({ ...row, title: titles.filtered(guests), bridgesFiltered: true });
  }
  for (const rules of scripts) await make(titles.script(rules), () => withScript(`script${rules}`, rules));

  const figures: Figures = new Map(rows.map(({ title }) => [title, { packets: [], connects: [], throughput: [] }]));
  for (let round = 1; round <= rounds; round++) {
    for (const kind of what) {
      for (const { title, layout, traffic, bridgesFiltered } of rows) {
        filterBridged(layout, bridgesFiltered);
        const figure = await traffic[kind](seconds);
        if (!(figure > 0)) throw new Error(`${title}: no ${kind}`);
        figures.get(title)?.[kind].push(figure);
      }
    }
    say(`round ${round} of ${rounds}`);
  }
  for (const traffic of new Set(rows.map((row) => row.traffic))) traffic.close();
  print(figures);
}

/** The median of what the one has of the other's in the same round. */
function share(figures: Figures, kind: What, one: string, other: string): number {
  const base = figures.get(other)?.[kind] ?? [];
  return median((figures.get(one)?.[kind] ?? []).map((value, round) => value / (base[round] ?? Number.NaN)));
}

function print(figures: Figures): void {
  const number = (value: number): string => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en'));
  const percent = (value: number): string => `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`;
  const own = titles.weft(small);
  console.log(
    table(
      ['HOST', ...what.flatMap((kind) => [units[kind], `OF ${small} GUESTS`])],
      [...figures].map(([title, all]) => [
        title,
        ...what.flatMap((kind) => [number(median(all[kind])), percent(share(figures, kind, title, own))]),
      ]),
    ),
  );
  const flat = [titles.weft, titles.filtered].map((title) =>
    Object.fromEntries(what.map((kind) => [kind, share(figures, kind, title(large), title(small))])),
  );
  console.log(`\nWeft at ${large} guests, of its own at ${small} (aim: 90 %):`);
  for (const [i, shares] of flat.entries()) {
    const text = Object.entries(shares).map(([kind, value]) => `${kind} ${percent(value)}`);
    console.log(`${['plain', 'both with br_netfilter'][i]}: ${text.join(', ')}`);
  }
  const against = scripts.map((rules) => {
    const guests = sizes.find((size) => size * 10 === rules) ?? small;
    const script = titles.script(rules);
    const packets = (title: string): number => share(figures, 'packets', title, script);
    return { rules, guests, weft: packets(titles.weft(guests)), tracking: packets(titles.tracking), ceiling: packets(titles.bare) };
  });
  console.log(
    '\nSmall packets, times those of the linear script of as many rules (aim: 50 at 1000). No rule set can have more than no rules at all:',
  );
  console.log(
    table(
      ['RULES', 'WEFT', 'CONNECTION TRACKING ALONE', 'NO RULES AT ALL', 'WEFT HAS OF THAT'],
      against.map((one) => [
        String(one.rules),
        ...[one.weft, one.tracking, one.ceiling].map((times) => times.toFixed(1)),
        percent(one.weft / one.ceiling),
      ]),
    ),
  );
  const machine = { kernel: version(), cpu: cpus()[0]?.model ?? '', cpus: cpus().length };
  const report = { date: new Date().toISOString(), ...machine, flat, against, figures: Object.fromEntries(figures) };
  writeFileSync(join(root, 'bench/forwarding.json'), `${JSON.stringify(report, undefined, 2)}\n`);
}
