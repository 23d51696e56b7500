/**
 * `npm run bench:forwarding [-- --rounds N --seconds N --small]`: what a packet between two guests costs on the host, by how much the host has to look after. Every round
 * measures every layout once, so that what else the machine does meets all alike; the table shows medians, and shares of Weft's own figure at 10 guests.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { table } from '../src/cli/table.ts';
import { median } from './command.ts';
import { bare, connectsProgram, ports, received, version, withScript, withWeft, type Layout } from './layouts.ts';
import { onStage, root, weft } from './stage.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    small: { type: 'boolean', default: false },
  },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);
/** `--small` is for trying the benchmark itself. */
const sizes = values.small ? [10, 100] : [10, 1000, 10_000];
const scripts = values.small ? [100] : [1000, 10_000];

const what = ['packets/s', 'connects/s', 'Gbit/s'] as const;
type Figures = Record<(typeof what)[number], number[]>;

await onStage(['scripts/packages', 'scripts/packages-bench'], everything);

async function everything(): Promise<void> {
  mkdirSync('/run/bench', { recursive: true });
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const layouts: Layout[] = [];
  const make = (title: string, layout: () => Layout): void => {
    say(`setting up: ${title}`);
    layouts.push({ ...layout(), name: title });
  };
  make('no rules at all', () => bare('bare'));
  make('connection tracking alone', () => withScript('tracking', 0));
  for (const guests of sizes) make(`Weft, ${guests} guests, ${guests * 10} rules`, () => withWeft(`weft${guests}`, guests, weft));
  for (const rules of scripts) make(`iptables script, ${rules} rules`, () => withScript(`script${rules}`, rules));

  const figures = new Map(layouts.map((layout): [string, Figures] => [layout.name, { 'packets/s': [], 'connects/s': [], 'Gbit/s': [] }]));
  for (let round = 1; round <= rounds; round++) {
    for (const layout of layouts) {
      const own = figures.get(layout.name);
      own?.['packets/s'].push(await packets(layout));
      own?.['connects/s'].push(await connects(layout));
      own?.['Gbit/s'].push(await throughput(layout));
    }
    say(`round ${round} of ${rounds}`);
  }
  print(figures);
}

/** One flow of 64-byte UDP packets as fast as they go, one way; counted where they arrive. */
async function packets({ from, to, fromAddress, toAddress, mac, nextHop }: Layout): Promise<number> {
  const packet = `{ eth(sa=${mac}, da=${nextHop}), ipv4(ttl=64, sa=${fromAddress}, da=${toAddress}), udp(sp=4444, dp=${ports.packets}), fill('x', 22) }`;
  writeFileSync('/run/bench/packet', `${packet}\n`);
  const sender = start(from, ['trafgen', '--dev', 'eth0', '--conf', '/run/bench/packet', '--cpus', '1', '--no-sock-mem']);
  await sleep(300);
  const before = received(to);
  const began = performance.now();
  await sleep(seconds * 1000);
  const count = received(to) - before;
  const elapsed = (performance.now() - began) / 1000;
  await stop(sender);
  return count / elapsed;
}

async function connects({ from, to, toAddress }: Layout): Promise<number> {
  const server = start(to, [process.execPath, connectsProgram, 'serve', String(ports.connects)]);
  await sleep(300);
  const answered = Number(
    await output(from, [process.execPath, connectsProgram, 'ask', toAddress, String(ports.connects), String(seconds)]),
  );
  await stop(server);
  return answered / seconds;
}

async function throughput({ from, to, toAddress }: Layout): Promise<number> {
  const server = start(to, ['iperf3', '-s', '-1', '-p', String(ports.throughput)]);
  await sleep(300);
  const text = await output(from, ['iperf3', '-J', '-c', toAddress, '-p', String(ports.throughput), '-t', String(seconds)]);
  await stop(server);
  const report = JSON.parse(text) as { readonly end?: { readonly sum_received?: { readonly bits_per_second?: number } } };
  return (report.end?.sum_received?.bits_per_second ?? 0) / 1e9;
}

function start(namespace: string, argv: readonly string[]): ChildProcess {
  return spawn('nsenter', [`--net=${namespace}`, ...argv], { stdio: 'ignore' });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.on('close', resolve));
  child.kill('SIGKILL');
  await ended;
}

async function output(namespace: string, argv: readonly string[]): Promise<string> {
  const child = spawn('nsenter', [`--net=${namespace}`, ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await new Promise((resolve) => child.on('close', resolve));
  return text;
}

function print(figures: ReadonlyMap<string, Figures>): void {
  const medians = [...figures].map(([name, own]) => ({ name, values: what.map((one) => median(own[one])) }));
  const own = medians.find(({ name }) => name.startsWith('Weft, 10 '))?.values ?? [];
  const share = (value: number, i: number): string =>
    `${((value / (own[i] ?? Number.NaN)) * 100).toFixed(value / (own[i] ?? 1) < 0.1 ? 1 : 0)} %`;
  const number = (value: number): string => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en'));
  console.log(
    table(
      ['HOST', ...what.flatMap((one) => [one.toUpperCase(), 'OF 10 GUESTS'])],
      medians.map(({ name, values: row }) => [name, ...row.flatMap((value, i) => [number(value), share(value, i)])]),
    ),
  );
  writeFileSync(
    join(root, 'bench/forwarding.json'),
    `${JSON.stringify({ date: new Date().toISOString(), kernel: version(), cpu: cpus()[0]?.model ?? '', cpus: cpus().length, figures: Object.fromEntries(figures) }, undefined, 2)}\n`,
  );
}
