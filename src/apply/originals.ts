/**
 * Host-wide kernel settings as they were before Weft, so that they can be put back. A value is written down before the setting is
 * changed, and put back only while it still is what Weft made it: another program's later choice stays.
 */
import { WEFT_LINK_GROUP, type Sysctl } from '../hoststate/model.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { linksOfGroup } from '../kernel/links.ts';
import { readSysctls, writeSysctls } from '../kernel/sysctls.ts';
import type { Originals, Store } from './store.ts';

/**
 * Settings whose change changes others (Documentation/networking/ip-sysctl.rst: writing ip_forward or all.forwarding sets every
 * interface's and the default).
 */
const familiesByKey: Readonly<Record<string, 'ipv4' | 'ipv6'>> = {
  'net/ipv4/ip_forward': 'ipv4',
  'net/ipv4/conf/all/forwarding': 'ipv4',
  'net/ipv6/conf/all/forwarding': 'ipv6',
};

/**
 * Writes down those host-wide settings that are right already, before anything is changed: should somebody change one later, and Weft mend it, that is not how it
 * was before Weft.
 */
export async function rememberRight(kernel: Kernel, store: Store, wanted: readonly Sysctl[]): Promise<void> {
  const originals = (await store.read('originals')) ?? {};
  const unknown = wanted.filter(({ key, link }) => link === undefined && originals[key] === undefined);
  const current = await readSysctls(
    kernel,
    unknown.map(({ key }) => key),
  );
  const right = unknown
    .filter(({ key, value }) => current.get(key) === value)
    .map(({ key, value }) => [key, { value, set: value }] as const);
  if (right.length > 0) await store.write('originals', { ...originals, ...Object.fromEntries(right) });
}

/** Sets settings in order, writing down first what host-wide ones were. A setting that already has its value is not touched. */
export async function setHostSysctls(kernel: Kernel, store: Store, entries: readonly Sysctl[]): Promise<void> {
  const originals: Record<string, Originals[string]> = { ...(await store.read('originals')) };
  const hostWide = entries.filter(({ key, link }) => link === undefined && originals[key] === undefined);
  let added = false;
  for (const { key, value } of entries) {
    const original = originals[key];
    if (original === undefined || original.set === value) continue;
    originals[key] = { ...original, set: value };
    added = true;
  }
  if (hostWide.length > 0 || added) {
    const current = await readSysctls(
      kernel,
      hostWide.map(({ key }) => key),
    );
    for (const { key, value } of hostWide) {
      const before = current.get(key);
      if (before === undefined || before === value) continue;
      const family = familiesByKey[key];
      const also = family === undefined ? undefined : await forwardingOf(kernel, family);
      originals[key] = also === undefined ? { value: before, set: value } : { value: before, set: value, also };
      added = true;
    }
    if (added) await store.write('originals', originals);
  }
  await writeSysctls(kernel, entries);
}

async function forwardingOf(kernel: Kernel, family: 'ipv4' | 'ipv6'): Promise<Record<string, string>> {
  const own = new Set(await linksOfGroup(kernel, WEFT_LINK_GROUP));
  const links = (await kernel.run('ls', [`/proc/sys/net/${family}/conf`]))
    .split('\n')
    .filter((name) => name !== '' && name !== 'all' && !own.has(name));
  return Object.fromEntries(
    await readSysctls(
      kernel,
      links.map((link) => `net/${family}/conf/${link}/forwarding`),
    ),
  );
}

/** Puts settings back, in the order given, and forgets them. One that somebody else has changed since, or whose interface is gone, is left. */
export async function restoreSysctls(
  kernel: Kernel,
  store: Store,
  keys: readonly string[],
  verbose?: (line: string) => void,
): Promise<void> {
  const originals: Record<string, Originals[string]> = { ...(await store.read('originals')) };
  for (const key of keys) {
    const original = originals[key];
    if (original === undefined) continue;
    const current = await kernel.readSysctl(key);
    if (current === original.set) {
      const present = await readSysctls(kernel, Object.keys(original.also ?? {}));
      const also = Object.entries(original.also ?? {}).filter(([name]) => present.has(name));
      verbose?.(`sysctl -w ${key.replaceAll('/', '.')}=${original.value}`);
      await writeSysctls(kernel, [{ key, value: original.value }]);
      const changed = await readSysctls(
        kernel,
        also.map(([name]) => name),
      );
      await writeSysctls(
        kernel,
        also.filter(([name, value]) => changed.get(name) !== value).map(([name, value]) => ({ key: name, value })),
      );
    }
    delete originals[key];
  }
  if (Object.keys(originals).length === 0) await store.remove('originals');
  else await store.write('originals', originals);
}
