/**
 * The traffic of one layout, ready to run at a word: servers that wait, and a sender of small packets that is stopped (SIGSTOP) but for its turn. So a turn is short, and many layouts are measured in turn many
 * times. Senders and servers have real-time priority (sched(7)): what else the machine does takes next to nothing of their time.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { connectsProgram, type Layout, ports } from './layouts.ts';

/** Time for what a process begins with, and for packets to get going, milliseconds. */
const STARTS = 500;
const FLOWS = 50;
const urgent = ['chrt', '--fifo', '50'] as const;

export class Traffic {
  private readonly layout: Layout;
  private readonly sender: ChildProcess;
  private readonly servers: readonly ChildProcess[];

  private constructor(layout: Layout) {
    const { name, from, to, fromAddress, toAddress, mac, nextHop } = layout;
    this.layout = layout;
    const packet = `{ eth(sa=${mac}, da=${nextHop}), ipv4(ttl=64, sa=${fromAddress}, da=${toAddress}), udp(sp=4444, dp=${ports.packets}), fill('x', 22) }`;
    writeFileSync(`/run/bench/${name}.packet`, `${packet}\n`);
    this.sender = start(from, ['trafgen', '--dev', 'eth0', '--conf', `/run/bench/${name}.packet`, '--cpus', '1', '--no-sock-mem']);
    this.servers = [
      start(to, [process.execPath, connectsProgram, 'serve', String(ports.connects)]),
      start(to, ['iperf3', '-s', '-p', String(ports.throughput)]),
    ];
  }

  static async open(layout: Layout): Promise<Traffic> {
    const traffic = new Traffic(layout);
    await sleep(STARTS);
    signal(traffic.sender, 'SIGSTOP');
    return traffic;
  }

  /** One flow of 64-byte UDP packets as fast as one processor sends and forwards them, one way (to connection tracking each is a new one); packets a second, counted where they arrive. */
  async packets(seconds: number): Promise<number> {
    signal(this.sender, 'SIGCONT');
    await sleep(FLOWS);
    const before = this.received();
    const began = performance.now();
    await sleep(seconds * 1000);
    const count = this.received() - before;
    const elapsed = (performance.now() - began) / 1000;
    signal(this.sender, 'SIGSTOP');
    await sleep(FLOWS);
    return count / elapsed;
  }

  /** TCP connections a second that are opened, answered with a byte and closed, 32 at a time. */
  async connects(seconds: number): Promise<number> {
    const { from, toAddress } = this.layout;
    const argv = [process.execPath, connectsProgram, 'ask', toAddress, String(ports.connects), String(seconds)];
    return Number(await output(from, argv)) / seconds;
  }

  /** Gbit/s of one TCP connection. */
  async throughput(seconds: number): Promise<number> {
    const { from, toAddress } = this.layout;
    const text = await output(from, ['iperf3', '-J', '-c', toAddress, '-p', String(ports.throughput), '-t', String(Math.ceil(seconds))]);
    const report = JSON.parse(text) as { readonly end?: { readonly sum_received?: { readonly bits_per_second?: number } } };
    return (report.end?.sum_received?.bits_per_second ?? 0) / 1e9;
  }

  close(): void {
    for (const child of [this.sender, ...this.servers]) signal(child, 'SIGKILL');
  }

  /** Packets that the receiver's interface has taken in so far; read by way of a server, which is in its namespace. */
  private received(): number {
    const text = readFileSync(`/proc/${this.servers[0]?.pid}/net/dev`, 'utf8');
    return Number(/eth0:\s*\d+\s+(\d+)/.exec(text)?.[1] ?? 0);
  }
}

/** In a process group of its own: trafgen sends in a process that it forks, and that would go on without it. */
function start(namespace: string, argv: readonly string[]): ChildProcess {
  return spawn('nsenter', [`--net=${namespace}`, ...urgent, ...argv], { stdio: 'ignore', detached: true });
}

function signal({ pid }: ChildProcess, name: NodeJS.Signals): void {
  if (pid === undefined) throw new Error('A program of the benchmark did not start.');
  process.kill(-pid, name);
}

async function output(namespace: string, argv: readonly string[]): Promise<string> {
  const child = spawn('nsenter', [`--net=${namespace}`, ...urgent, ...argv], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  await new Promise((resolve) => child.on('close', resolve));
  return text;
}
