/**
 * Who changed Weft's rules, as nftables tells: each change raises the ruleset's generation and names a process. What a look has found at a generation was done by
 * those up to it, whenever their events arrive; what comes later is the mending itself, or the next one's doing.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Culprit, RulesChange } from '../kernel/follow.ts';

export interface Culprits {
  /** `concerns`: it is a change of Weft's tables. */
  heard(change: RulesChange, concerns: boolean): void;
  /** Those up to this generation (kernel/generation.ts), the last one last; then they are forgotten. Waits a little for events that are still on their way. */
  upTo(generation: string | undefined): Promise<readonly Culprit[]>;
  /** What was done up to this generation has turned out to be no drift. */
  forget(generation: string | undefined): void;
}

const PATIENCE_MS = 500;

export function createCulprits(): Culprits {
  let known: { readonly by: Culprit; readonly generation: number }[] = [];
  let last = 0;
  const number = (generation: string | undefined): number =>
    generation === undefined ? Number.POSITIVE_INFINITY : Number(generation.split(' ')[0]);
  const forget = (generation: string | undefined): void => {
    known = known.filter((culprit) => culprit.generation > number(generation));
  };
  return {
    heard({ generation, by }, concerns) {
      last = generation;
      if (concerns) known.push({ by, generation });
    },
    async upTo(generation) {
      const limit = number(generation);
      for (const end = performance.now() + PATIENCE_MS; Number.isFinite(limit) && last < limit && performance.now() < end;) await sleep(10);
      const found = known.filter((culprit) => culprit.generation <= limit).map(({ by }) => by);
      forget(generation);
      return found;
    },
    forget,
  };
}
