/**
 * Recorded packets as lines for a person: who, whom, what, and the line of the file that decided it.
 */
import type { LogRecord } from './read.ts';

export interface LogNames {
  /** By rule id. A rule that is not in the file any more is shown by its id. */
  readonly rules: ReadonlyMap<string, { readonly file: string; readonly line: number; readonly text: string }>;
  /** By address: the guest's name. */
  readonly guests: ReadonlyMap<string, string>;
  /** What a guest sent to a port of the host before it was translated: dnsmasq's own to 53. */
  readonly hostPorts: ReadonlyMap<number, number>;
}

/**
 * One line a packet, in the order given:
 *
 *     2026-11-21 09:35:12.123 accepted web -> db tcp/5432 (weft.yaml:40: web -> db tcp/5432)
 *     2026-11-21 09:35:13.004 dropped  web -> 192.0.2.7 udp/53 (no rule allows it)
 *
 * @param guest only packets from or to the guest of this name, without regard to case.
 */
export function formatLog(records: readonly LogRecord[], names: LogNames, guest?: string): readonly string[] {
  return selectGuest(records, names, guest).map((record) => {
    const who = (address: string): string => names.guests.get(address) ?? address;
    const port = portOf(record, names);
    const ports = port === undefined ? record.protocol : `${record.protocol}/${port}`;
    return `${localTime(record.time)} ${record.verdict.padEnd(8)} ${who(record.src)} -> ${who(record.dst)} ${ports} (${because(record, names)})`;
  });
}

/** The destination port as the file says it. */
export function portOf({ dst, dport }: LogRecord, names: LogNames): number | undefined {
  return dport === undefined || names.guests.has(dst) ? dport : (names.hostPorts.get(dport) ?? dport);
}

/** The packets from or to one guest; all of them without one. */
export function selectGuest(records: readonly LogRecord[], names: LogNames, guest?: string): readonly LogRecord[] {
  if (guest === undefined) return records;
  const wanted = guest.toLowerCase();
  const isGuest = (address: string): boolean => names.guests.get(address)?.toLowerCase() === wanted;
  return records.filter((record) => isGuest(record.src) || isGuest(record.dst));
}

function because(record: LogRecord, names: LogNames): string {
  if (record.ruleId === undefined) return record.verdict === 'dropped' ? 'no rule allows it' : 'by default';
  const rule = names.rules.get(record.ruleId);
  return rule ? `${rule.file}:${rule.line}: ${rule.text}` : `rule ${record.ruleId}, no longer in the file`;
}

/** `2026-11-21 09:35:12.123`, local time. */
function localTime(time: number): string {
  const date = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const clock = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${clock}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
