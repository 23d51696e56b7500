/**
 * Lengths of time on the command line: `60s`, `5m`, `1h`, or bare seconds.
 */
import { WeftError } from '../diagnostic/diagnostic.ts';

const units: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds; at least a second, at most a day. Throws WeftError `usage` (exit 2). */
export function parseDuration(text: string, option: string): number {
  const match = /^(\d+)(s|m|h)?$/.exec(text);
  const ms = match ? Number(match[1]) * (units[match[2] ?? 's'] ?? 1000) : Number.NaN;
  if (ms >= 1000 && ms <= 86_400_000) return ms;
  throw new WeftError(2, [
    { code: 'usage', severity: 'error', message: `${option} takes a length of time between 1s and 24h, such as 60s or 5m, not "${text}"` },
  ]);
}

/** `60 s`, `5 min`. */
export const durationText = (ms: number): string => (ms % 60_000 === 0 ? `${ms / 60_000} min` : `${Math.round(ms / 1000)} s`);
