/**
 * Where the time of a command goes: with WEFT_TIMING=1 each phase is a line on standard error when the command ends. `npm run bench`
 * reads these lines; without the variable this costs nothing.
 */
const enabled = process.env['WEFT_TIMING'] === '1';
const phases: { name: string; since: number }[] = [{ name: 'start', since: 0 }];

/** Ends the running phase and begins the one called `name` (a word: `observe`, `compile`, `nft`). */
export function phase(name: string): void {
  if (enabled) phases.push({ name, since: performance.now() });
}

/** Lines `timing NAME MILLISECONDS`, then `timing peak-rss KILOBYTES` of this process; empty unless asked for. Phases of one name add up. */
export function timingLines(): readonly string[] {
  if (!enabled) return [];
  const total = new Map<string, number>();
  for (const [index, { name, since }] of phases.entries()) {
    const until = phases[index + 1]?.since ?? performance.now();
    total.set(name, (total.get(name) ?? 0) + until - since);
  }
  return [...[...total].map(([name, ms]) => `timing ${name} ${ms.toFixed(1)}`), `timing peak-rss ${process.resourceUsage().maxRSS}`];
}
