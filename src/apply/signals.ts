/**
 * Ctrl-C, a closed terminal or a service manager's stop in the middle of a change must not leave half of it: while a change is made these signals are
 * only noted, the change asks between two steps and goes back in order. Commands run in sessions of their own (kernel/open.ts), so the
 * terminal's Ctrl-C does not reach them either.
 */

const ending = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export type HeldSignal = (typeof ending)[number];

export interface HeldSignals {
  /** The first that came since. */
  readonly received: () => HeldSignal | undefined;
  /** They end the program again, as always. */
  release(): void;
  /** As `release`, but not before a person could be told how the change ended: a second Ctrl-C must not cut that off. */
  releaseOnceTold(): void;
}

const tellingMs = 5000;

/** Takes note of signals instead of ending, until released. May be nested: all holders see a signal. */
export function holdSignals(): HeldSignals {
  let first: HeldSignal | undefined;
  const listeners = ending.map((name) => [name, (): void => void (first ??= name)] as const);
  for (const [name, listener] of listeners) process.on(name, listener);
  const release = (): void => {
    for (const [name, listener] of listeners) process.off(name, listener);
  };
  return { received: () => first, release, releaseOnceTold: () => void setTimeout(release, tellingMs).unref() };
}
