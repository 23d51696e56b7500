/**
 * Many kernel settings at once: in Weft's own namespace by plain file access, in another one by a single shell inside it,
 * because a process per setting would cost a millisecond each, and a host has several settings per bridge and port.
 */
import type { Kernel } from './kernel.ts';
import { sysctlPath } from './open.ts';

/** Writes in the given order; the first one refused throws WeftError `program-failed` naming it, and the rest is not written. */
export async function writeSysctls(kernel: Kernel, entries: readonly { readonly key: string; readonly value: string }[]): Promise<void> {
  if (kernel.netns === undefined) {
    for (const { key, value } of entries) await kernel.writeSysctl(key, value);
    return;
  }
  if (entries.length === 0) return;
  const script = 'while read -r path value; do echo "$value" > "$path" || { echo "$path = $value" >&2; exit 1; }; done';
  await kernel.run('sh', ['-c', script], { input: entries.map(({ key, value }) => `${sysctlPath(key)} ${value}\n`).join('') });
}

/** Values by key; a setting that does not exist is left out. */
export async function readSysctls(kernel: Kernel, keys: readonly string[]): Promise<Map<string, string>> {
  const values = new Map<string, string>();
  if (kernel.netns === undefined) {
    for (const key of keys) {
      const value = await kernel.readSysctl(key);
      if (value !== undefined) values.set(key, value);
    }
    return values;
  }
  if (keys.length === 0) return values;
  // One grep reads them all; xargs exits 123 when grep missed one (a shell's `read` would get one byte of each: sysctl files end after the first read).
  const result = await kernel.tryRun('xargs', ['-r', 'grep', '-sHZ', ''], { input: keys.map((key) => `${sysctlPath(key)}\n`).join('') });
  for (const line of result.stdout.split('\n')) {
    const end = line.indexOf('\0');
    if (end > 0) values.set(line.slice('/proc/sys/'.length, end), line.slice(end + 1));
  }
  return values;
}
