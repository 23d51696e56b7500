/**
 * What is open and until when. Remembered here, because an answer valid for a shorter time must not close what another resolver's cache still gives out, and because
 * whoever empties the sets (`nft flush ruleset`) does not empty those caches.
 */
import type { OpenedAddress } from '../kernel/opened.ts';

/** Puts addresses into their sets in one transaction; resolves to what was said against it. */
export type WriteOpened = (addresses: readonly OpenedAddress[]) => Promise<string | undefined>;

/** More names and addresses than this are looked through for those whose time is over. */
const SWEPT_ABOVE = 1000;

interface Waiting {
  readonly addresses: readonly OpenedAddress[];
  readonly done: (problem: string | undefined) => void;
}

export class Openings {
  private readonly write: WriteOpened;
  private readonly now: () => number;
  /** `SET ADDRESS` to the second in which it goes. */
  private readonly until = new Map<string, number>();
  private waiting: Waiting[] = [];
  private writing = false;

  /** `now`: seconds of any clock that only goes forward. */
  constructor(write: WriteOpened, now: () => number = () => performance.now() / 1000) {
    this.write = write;
    this.now = now;
  }

  /** Opens each address for at least so long. Resolves once it is open; to what went wrong, else to undefined. */
  open(addresses: readonly OpenedAddress[]): Promise<string | undefined> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    this.waiting.push({ addresses, done: resolve });
    void this.writeWaiting();
    return promise;
  }

  /** What was found in the kernel. */
  remember(addresses: readonly OpenedAddress[]): void {
    for (const { set, address, seconds } of addresses) this.until.set(`${set} ${address}`, this.now() + seconds);
  }

  /** Puts all that is still open into those of the sets that there are now, and forgets the rest. */
  async refill(sets: ReadonlySet<string>): Promise<string | undefined> {
    const left: OpenedAddress[] = [];
    for (const [key, until] of this.until) {
      const [set = '', address = ''] = key.split(' ');
      this.until.delete(key);
      if (until > this.now() && sets.has(set)) left.push({ set, address, seconds: until - this.now() });
    }
    const problems = await Promise.all([...Map.groupBy(left, ({ set }) => set).values()].map((same) => this.open(same)));
    return problems.find((problem) => problem !== undefined);
  }

  /** One transaction at a time, with all that came meanwhile. */
  private async writeWaiting(): Promise<void> {
    if (this.writing) return;
    this.writing = true;
    for (let batch = this.take(); batch.length > 0; batch = this.take()) {
      const problem = await this.writeLonger(batch);
      if (problem === undefined || batch.length === 1) for (const { done } of batch) done(problem);
      // A set that is full or gone must not spoil the others.
      else for (const one of batch) one.done(await this.writeLonger([one]));
    }
    this.writing = false;
  }

  private take(): Waiting[] {
    const batch = this.waiting;
    this.waiting = [];
    return batch;
  }

  private async writeLonger(batch: readonly Waiting[]): Promise<string | undefined> {
    const longest = new Map<string, OpenedAddress>();
    for (const one of batch.flatMap(({ addresses }) => addresses)) {
      const key = `${one.set} ${one.address}`;
      const known = Math.max(this.until.get(key) ?? 0, this.now() + (longest.get(key)?.seconds ?? 0));
      if (this.now() + one.seconds > known) longest.set(key, one);
    }
    if (longest.size === 0) return undefined;
    const from = this.now();
    const problem = await this.write([...longest.values()]).catch((error: unknown) => String(error));
    if (problem !== undefined) return problem;
    if (this.until.size > SWEPT_ABOVE) for (const [key, until] of this.until) if (until < from) this.until.delete(key);
    for (const [key, { seconds }] of longest) this.until.set(key, from + seconds);
    return undefined;
  }
}
