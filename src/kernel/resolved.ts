/**
 * Makes the guests' names known to the host itself where systemd-resolved runs: a routing domain on each bridge
 * (resolvectl(1), systemd.network(5) "Domains="). Elsewhere nothing is touched; docs/names.md says what a person can do there.
 */
import { existsSync, statSync } from 'node:fs';
import type { DnsmasqService } from '../hoststate/model.ts';
import type { Kernel } from './kernel.ts';
import { hasProgram } from './programs.ts';

export type ResolvedLink = NonNullable<DnsmasqService['resolved']>;

export interface ResolvedOptions {
  /** Where systemd-resolved keeps its sockets while it runs. */
  readonly runtimeDirectory?: string;
  /** The network namespace it lives in; default: that of process 1. */
  readonly namespace?: string;
  /** Whether a program is there. */
  readonly installed?: (program: string) => boolean;
}

/**
 * `resolvectl dns LINK …`, `domain LINK …`, `default-route LINK no`, and no LLMNR and mDNS there. Resolves to whether it was done:
 * false without systemd-resolved, in another network namespace than its own (it would take the link's name for one of the host's),
 * or when it refuses; the guests' own names do not depend on it.
 */
export async function setResolved(kernel: Kernel, wanted: ResolvedLink, options: ResolvedOptions = {}): Promise<boolean> {
  if (!isReachable(kernel, options)) return false;
  for (const args of [
    ['dns', wanted.link, ...wanted.servers],
    ['domain', wanted.link, ...wanted.domains],
    ['default-route', wanted.link, 'no'],
    ['llmnr', wanted.link, 'no'],
    ['mdns', wanted.link, 'no'],
  ])
    if ((await kernel.tryRun('resolvectl', args)).status !== 0) return false;
  return true;
}

/** `resolvectl revert LINK`: as if never set. A link that is gone took its settings along. */
export async function clearResolved(kernel: Kernel, link: string, options: ResolvedOptions = {}): Promise<boolean> {
  if (!isReachable(kernel, options)) return false;
  return (await kernel.tryRun('resolvectl', ['revert', link])).status === 0;
}

function isReachable(kernel: Kernel, options: ResolvedOptions): boolean {
  const directory = options.runtimeDirectory ?? '/run/systemd/resolve';
  return (
    existsSync(`${directory}/io.systemd.Resolve`) &&
    isSameNamespace(kernel.netns ?? '/proc/self/ns/net', options.namespace ?? '/proc/1/ns/net') &&
    (options.installed ?? hasProgram)('resolvectl')
  );
}

function isSameNamespace(left: string, right: string): boolean {
  try {
    return statSync(left).ino === statSync(right).ino;
  } catch {
    return false;
  }
}
