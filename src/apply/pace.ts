/**
 * How often `watch` may act. Where another program sets the same thing again and again, mending at full speed would be a war that costs the machine, and
 * giving up would leave it open: so it goes on, ever more slowly, and says so. Times are milliseconds of any clock that only goes forward.
 */

/** The same thing mended more often than this within a minute is a fight. */
const FIGHT = 10;
const MINUTE = 60_000;
const FIRST_PAUSE = 5000;
const LONGEST_PAUSE = 60_000;
/** After this long without a fight or a failure all is forgiven. */
const CALM = 5 * MINUTE;

export interface Pace {
  /** Takes note of what was mended now. Returns what is fought over, and how long to wait before the next time; undefined: go on. */
  mended(things: readonly string[], now: number): { readonly things: readonly string[]; readonly pauseMs: number } | undefined;
  /** Takes note of a failure. Returns how long to wait. */
  failed(now: number): number;
}

export function createPace(): Pace {
  const times = new Map<string, number[]>();
  let pauseMs = 0;
  let last = Number.NEGATIVE_INFINITY;
  const longer = (now: number): number => {
    if (now - last > CALM) pauseMs = 0;
    last = now;
    pauseMs = Math.min(LONGEST_PAUSE, pauseMs === 0 ? FIRST_PAUSE : pauseMs * 2);
    return pauseMs;
  };
  return {
    mended(things, now) {
      const fought: string[] = [];
      for (const thing of new Set(things)) {
        const recent = [...(times.get(thing) ?? []).filter((time) => now - time < MINUTE), now];
        times.set(thing, recent);
        if (recent.length > FIGHT) fought.push(thing);
      }
      for (const [thing, all] of times) if (all.every((time) => now - time >= MINUTE)) times.delete(thing);
      return fought.length === 0 ? undefined : { things: fought, pauseMs: longer(now) };
    },
    failed: longer,
  };
}

/** How long to wait with looking after an event: a little, for more to come; longer where the last looks found nothing, for guests can make events too. */
export const lookDelay = (fruitless: number): number => Math.min(100 * 2 ** Math.max(0, fruitless - 3), 2000);
