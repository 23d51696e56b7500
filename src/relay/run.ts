/**
 * The relay's life: reads its configuration, takes over what is open already, answers until it is ended, and does the first two again on SIGHUP. Without it the names of
 * the rules do not resolve on the networks concerned, and nothing more opens.
 */
import { readFileSync } from 'node:fs';
import type { RelayConfig, RelayListener } from '../hoststate/model.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { readOpened, writeOpened } from '../kernel/opened.ts';
import { relayMark, relayMarkPath } from '../kernel/relay.ts';
import { writeWhole } from '../kernel/service-files.ts';
import { answerTo, type Relay } from './answer.ts';
import { listen } from './listen.ts';
import { matcherOf } from './matching.ts';
import { Openings } from './openings.ts';

/** What goes wrong again and again is told so often, in milliseconds, and so many times: the log lies in memory. */
const TOLD_EVERY_MS = 10_000;
const TOLD_AT_MOST = 2000;

/** Resolves on SIGTERM. Throws when it cannot begin: an address is taken, the configuration is not there. */
export async function runRelay(kernel: Kernel, configFile: string, log: (line: string) => void): Promise<void> {
  const relay = new RunningRelay(kernel, configFile, seldom(log));
  const ended = Promise.withResolvers<void>();
  let loading: Promise<void> = relay.load();
  await loading;
  process.on('SIGTERM', () => ended.resolve());
  process.on('SIGHUP', () => {
    loading = loading.then(() => relay.load()).catch((error: unknown) => log(`The configuration cannot be read again: ${String(error)}`));
  });
  await ended.promise;
  relay.close();
}

class RunningRelay {
  private readonly kernel: Kernel;
  private readonly configFile: string;
  private readonly log: (line: string) => void;
  private readonly openings: Openings;
  /** By `ADDRESS PORT`: how to stop listening there. */
  private readonly listening = new Map<string, () => void>();
  /** By `ADDRESS PORT`: how to answer there; undefined until the first configuration is read. */
  private answering: ReadonlyMap<string, Relay> | undefined;

  constructor(kernel: Kernel, configFile: string, log: (line: string) => void) {
    this.kernel = kernel;
    this.configFile = configFile;
    this.log = log;
    this.openings = new Openings((addresses) => writeOpened(kernel, addresses));
  }

  async load(): Promise<void> {
    const text = readFileSync(this.configFile, 'utf8');
    // Written by kernel/relay.ts.
    const config = JSON.parse(text) as RelayConfig;
    // Rounded down by nft: a second more is at most a second too long in here, and never shortens what is there.
    if (!this.answering) this.openings.remember((await readOpened(this.kernel)).map((one) => ({ ...one, seconds: one.seconds + 1 })));
    const domains = config.listeners.flatMap((listener) => listener.domains);
    const sets = new Set(domains.flatMap(({ set4, set6 }) => [set4, set6].filter((set) => set !== undefined)));
    const problem = await this.openings.refill(sets);
    if (problem !== undefined) this.log(`What was open cannot be opened again: ${problem}`);
    this.answering = new Map(
      config.listeners.map((listener) => [
        placeOf(listener),
        { config, upstream: listener.upstream, matching: matcherOf(listener.domains), openings: this.openings, log: this.log },
      ]),
    );
    await this.listenAt(config.listeners);
    writeWhole(relayMarkPath(this.configFile), `${relayMark(text)}\n`);
  }

  close(): void {
    for (const close of this.listening.values()) close();
  }

  private async listenAt(wanted: readonly RelayListener[]): Promise<void> {
    const places = new Set(wanted.map(placeOf));
    for (const [place, close] of this.listening) {
      if (places.has(place)) continue;
      close();
      this.listening.delete(place);
    }
    for (const listener of wanted) {
      const place = placeOf(listener);
      if (this.listening.has(place)) continue;
      const close = await listen(listener.address, listener.port, async (query, transport) => {
        const relay = this.answering?.get(place);
        return relay && answerTo(query, transport, relay);
      });
      this.listening.set(place, close);
    }
  }
}

const placeOf = ({ address, port }: RelayListener): string => `${address} ${port}`;

/** Says no more than one thing in ten seconds, with the time before it. */
function seldom(log: (line: string) => void): (line: string) => void {
  let last = -Infinity;
  let told = 0;
  return (line) => {
    if (performance.now() - last < TOLD_EVERY_MS || ++told > TOLD_AT_MOST) return;
    last = performance.now();
    log(`${new Date().toISOString()} ${line}`);
  };
}
