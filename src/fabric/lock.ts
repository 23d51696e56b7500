/**
 * weft.lock as text: JSON with sorted keys and a line for each guest, so that two people's changes merge and a diff shows who
 * got which address. Deterministic: the same lock is the same bytes. Described in docs/lock.md.
 */
import type { Report } from '../diagnostic/diagnostic.ts';
import { canonicalIp, parseIp } from '../net/ip.ts';
import type { Lock, LockedNic } from './model.ts';

const ABOUT = 'Written by weft apply, guest add and guest remove: the addresses and MACs it chose. Commit this file; do not edit it.';

/** The file's text, ending in a newline. Keys are sorted by code unit. */
export function formatLock(lock: Lock): string {
  const sorted = <T>(record: Readonly<Record<string, T>>): [string, T][] =>
    Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  const networks = sorted(lock.networks ?? {}).map(([name, { mac }]) => `    ${JSON.stringify(name)}: { "mac": ${JSON.stringify(mac)} }`);
  const guests = sorted(lock.guests).map(
    ([name, { nics }]) => `    ${JSON.stringify(name)}: { "nics": [${nics.map(formatNic).join(', ')}] }`,
  );
  const block = (lines: readonly string[]): string => (lines.length === 0 ? '{}' : `{\n${lines.join(',\n')}\n  }`);
  return `{
  "about": ${JSON.stringify(ABOUT)},
  "version": 1,
  "networks": ${block(networks)},
  "guests": ${block(guests)}
}
`;
}

function formatNic(nic: LockedNic): string {
  const fields = (['network', 'mac', 'inside', 'v4', 'v6', 'bootstrap'] as const).flatMap((field) =>
    nic[field] === undefined ? [] : [`${JSON.stringify(field)}: ${JSON.stringify(nic[field])}`],
  );
  return `{ ${fields.join(', ')} }`;
}

/** Reads what {@link formatLock} wrote. Reports `lock-unreadable`, and returns undefined, when it is anything else. */
export function readLock(text: string, path: string, report: Report): Lock | undefined {
  const damaged = (what: string, line = 1): undefined => {
    report({
      code: 'lock-unreadable',
      severity: 'error',
      message: `${what}; take the last good version of weft.lock from version control, or delete it to have addresses and MACs chosen anew.`,
      span: { file: path, line, column: 1, endColumn: 2 },
    });
    return undefined;
  };
  const conflict = text.split('\n').findIndex((line) => line.startsWith('<<<<<<< '));
  if (conflict >= 0) return damaged('the lock holds an unresolved merge conflict', conflict + 1);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    return damaged('the lock is damaged: it is not JSON', lineOf(text, cause));
  }
  if (!isRecord(value) || !isRecord(value['guests'])) return damaged('the lock is damaged: it has no `guests`');
  if (value['version'] !== 1)
    return damaged(
      `the lock has version ${JSON.stringify(value['version'] ?? null)} and this Weft reads version 1, so a newer one wrote it or it is damaged`,
    );
  const networks: [string, { mac: string }][] = [];
  for (const [name, entry] of Object.entries(isRecord(value['networks']) ? value['networks'] : {})) {
    if (!isRecord(entry) || !isMac(entry['mac'])) return damaged(`the lock is damaged at the network \`${name}\``, lineOfKey(text, name));
    networks.push([name, { mac: entry['mac'] }]);
  }
  const guests: [string, { nics: LockedNic[] }][] = [];
  for (const [name, entry] of Object.entries(value['guests'])) {
    const nics = isRecord(entry) && Array.isArray(entry['nics']) ? entry['nics'].map(readNic) : [undefined];
    const sound = nics.filter((nic) => nic !== undefined);
    if (sound.length !== nics.length) return damaged(`the lock is damaged at the guest \`${name}\``, lineOfKey(text, name));
    guests.push([name, { nics: sound }]);
  }
  return { version: 1, networks: Object.fromEntries(networks), guests: Object.fromEntries(guests) };
}

function readNic(value: unknown): LockedNic | undefined {
  if (!isRecord(value)) return undefined;
  const { network, mac, inside, v4, v6, bootstrap } = value;
  if (typeof network !== 'string' || !isMac(mac)) return undefined;
  if (inside !== undefined && typeof inside !== 'string') return undefined;
  if (v4 !== undefined && !isAddress(v4, 4)) return undefined;
  if (v6 !== undefined && !isAddress(v6, 6)) return undefined;
  if (bootstrap !== undefined && !isAddress(bootstrap, 4)) return undefined;
  return {
    network,
    mac,
    ...(inside !== undefined && { inside }),
    ...(v4 !== undefined && { v4 }),
    ...(v6 !== undefined && { v6 }),
    ...(bootstrap !== undefined && { bootstrap }),
  };
}

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
const isMac = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/.test(value);

/** Canonical only: addresses are compared as texts. */
function isAddress(value: unknown, family: 4 | 6): value is string {
  return typeof value === 'string' && parseIp(value)?.family === family && canonicalIp(value) === value;
}

/** V8 names the position in most messages of JSON.parse; without one, the end of the file (it was cut off). */
function lineOf(text: string, cause: unknown): number {
  const position = cause instanceof Error ? /at position (\d+)/.exec(cause.message)?.[1] : undefined;
  return text.slice(0, position === undefined ? text.length : Number(position)).split('\n').length;
}

function lineOfKey(text: string, key: string): number {
  const at = text.indexOf(`${JSON.stringify(key)}:`);
  return at < 0 ? 1 : text.slice(0, at).split('\n').length;
}
