/**
 * A few bytes that are equal while nobody has touched what an apply left in the kernel: the ruleset's generation, Weft's links with their
 * addresses and neighbours, the host-wide settings, the services. Flags of bridge ports and static forwarding entries take the kernel longer to tell
 * (0.6 s for 10,000 ports): `status` and `apply --full` look at them.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readGeneration } from '../kernel/generation.ts';
import { observeServices } from '../kernel/services.ts';
import type { FactsWanted } from '../kernel/facts.ts';
import { readSysctls } from '../kernel/sysctls.ts';
import { WEFT_LINK_GROUP, WEFT_PROTOCOL, type Address } from '../hoststate/model.ts';
import { readAddresses } from '../hoststate/observe-addresses.ts';
import { runJson } from '../kernel/json.ts';
import type { Kernel } from '../kernel/kernel.ts';
import type { ApplyContext } from './context.ts';

export interface Watched {
  /** What the facts were read with. */
  readonly facts: FactsWanted;
  readonly sysctls: readonly string[];
  readonly services: readonly string[];
  /** Names under /run/netns of guests that Weft made. */
  readonly namespaces: readonly string[];
}

/** Undefined where it cannot be told cheaply (see {@link readGeneration}): then everything has to be read. */
export async function kernelFingerprint(context: ApplyContext, watched: Watched): Promise<string | undefined> {
  const { kernel, directories } = context;
  const group = String(WEFT_LINK_GROUP);
  const [generation, links, addresses, neighbors, proxies, routes4, routes6, sysctls, given] = await Promise.all([
    readGeneration(kernel),
    kernel.run('ip', ['-o', 'link', 'show', 'group', group]),
    kernel.run('ip', ['-o', 'addr', 'show', 'group', group]),
    kernel.run('ip', ['neigh', 'show', 'nud', 'permanent']),
    kernel.run('ip', ['neigh', 'show', 'proxy']),
    kernel.run('ip', ['-4', 'route', 'show', 'proto', String(WEFT_PROTOCOL)]),
    kernel.run('ip', ['-6', 'route', 'show', 'proto', String(WEFT_PROTOCOL)]),
    readSysctls(kernel, watched.sysctls),
    addressesOf(kernel, watched.facts.given ?? []),
  ]);
  if (generation === undefined) return undefined;
  const services = observeServices(directories, kernel);
  const alive = services.filter((service) => service.alive && service.service !== undefined).map((service) => service.name);
  if (watched.namespaces.some((name) => !existsSync(`/run/netns/${name}`))) return undefined;
  if (watched.services.some((name) => !alive.includes(name))) return undefined;
  const seen = [
    generation,
    linkLines(links),
    addresses.replaceAll(/valid_lft.*|scope.*/g, ''),
    neighbors,
    proxies,
    `${routes4}${routes6}`.replaceAll(/ linkdown| dead/g, ''),
    given,
    [...sysctls],
    services.map((observed) => observed.service),
  ];
  return createHash('sha256').update(JSON.stringify(seen)).digest('hex');
}

/** What Weft sets of a link, without what comes and goes with a VM or container on its other end (carrier, queue, peer's index). */
function linkLines(text: string): string {
  return text.replaceAll(/NO-CARRIER,|,LOWER_UP|,M-DOWN|qdisc \S+ |state \S+ |link-netns\S* \S+|@\S+:/g, '');
}

/** Those of `given` that are there. */
async function addressesOf(kernel: Kernel, given: readonly Address[]): Promise<readonly Address[]> {
  if (given.length === 0) return [];
  const seen = readAddresses(await runJson(kernel, 'ip', ['-j', 'addr', 'show']));
  return given.filter(({ link, address }) => seen.some((entry) => entry.link === link && entry.address === address));
}
