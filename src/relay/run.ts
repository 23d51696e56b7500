/**
 * The relay's life: reads its configuration, takes over what is open already, answers until it is ended, and does the first two again on SIGHUP. Without it the names of
 * the rules do not resolve on the networks concerned, and nothing more opens.
 */
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { RelayConfig, RelayListener } from '../hoststate/model.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { readOpened, writeOpened } from '../kernel/opened.ts';
import { relayMark, relayMarkPath } from '../kernel/relay.ts';
import { writeWhole } from '../kernel/service-files.ts';
import { answerTo } from './answer.ts';
import { listen } from './listen.ts';
import { matcherOf, type Matcher } from './matching.ts';
import { Openings } from './openings.ts';

/** What goes wrong again and again is told so often, in milliseconds. */
const TOLD_EVERY_MS = 10_000;

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
  private listening: { readonly listener: RelayListener; readonly close: () => void }[] = [];
  private current: { readonly config: RelayConfig; readonly matching: Matcher } | undefined;

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
    if (!this.current) this.openings.remember((await readOpened(this.kernel)).map((one) => ({ ...one, seconds: one.seconds + 1 })));
    const sets = new Set(config.domains.flatMap(({ set4, set6 }) => [set4, set6].filter((set) => set !== undefined)));
    const problem = await this.openings.refill(sets);
    if (problem !== undefined) this.log(`What was open cannot be opened again: ${problem}`);
    this.current = { config, matching: matcherOf(config.domains) };
    await this.listenAt(config.listeners);
    writeWhole(relayMarkPath(this.configFile), `${relayMark(text)}\n`);
  }

  close(): void {
    for (const { close } of this.listening) close();
  }

  private async listenAt(wanted: readonly RelayListener[]): Promise<void> {
    const stays = this.listening.filter(({ listener }) => wanted.some((one) => isDeepStrictEqual(one, listener)));
    for (const old of this.listening) if (!stays.includes(old)) old.close();
    this.listening = stays;
    for (const listener of wanted) {
      if (stays.some((one) => isDeepStrictEqual(one.listener, listener))) continue;
      const close = await listen(listener, async (query, at, transport) => {
        if (!this.current) return undefined;
        return answerTo(query, at, transport, { ...this.current, openings: this.openings, log: this.log });
      });
      this.listening.push({ listener, close });
    }
  }
}

/** Says each thing at most every ten seconds, with the time before it. */
function seldom(log: (line: string) => void): (line: string) => void {
  let last = -Infinity;
  return (line) => {
    if (performance.now() - last < TOLD_EVERY_MS) return;
    last = performance.now();
    log(`${new Date().toISOString()} ${line}`);
  };
}
