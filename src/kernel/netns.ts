/**
 * Which network namespace a path means, and which are there.
 */
import { readdir, stat } from 'node:fs/promises';

/** Device and inode of a namespace file (namespaces(7)): equal for two paths of one namespace. Undefined when there is none at the path. */
export async function namespaceIdentity(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    return undefined;
  }
}

/**
 * Whether a process lives in the namespace of that {@link namespaceIdentity}, or a name under /run/netns holds it, as far as can be seen from here. Looks
 * at every process: for the rare question only.
 */
export async function isNamespaceAlive(identity: string): Promise<boolean> {
  const names = await readdir('/run/netns').catch(() => []);
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const path of [...names.map((name) => `/run/netns/${name}`), ...pids.map((pid) => `/proc/${pid}/ns/net`)]) {
    if ((await namespaceIdentity(path)) === identity) return true;
  }
  return false;
}
