/**
 * A physical interface joins a bridge and leaves it again, and the host goes on by the one or the other. The host's own addresses and routes move in one `ip -batch` of some
 * milliseconds that runs to its end also when Weft is killed in the middle: half of it would leave the host without a route.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { handoverLines, type LinkView } from '../hoststate/handover-lines.ts';
import { isRecord, text } from '../hoststate/nft-json.ts';
import { WEFT_PROTOCOL } from '../hoststate/model.ts';
import { runJson } from './json.ts';
import type { Kernel } from './kernel.ts';
import { writeSysctls } from './sysctls.ts';
import { endHold, keepTranslated, type Move } from './translated.ts';

export interface Handover {
  readonly interface: string;
  readonly bridge: string;
}

export interface HandoverOptions {
  /** Where the script and its lock lie while it runs. */
  readonly directory: string;
  /** Keys of settings that the bridge has of its own and does not take over. */
  readonly ownSettings?: ReadonlySet<string>;
  readonly verbose?: ((line: string) => void) | undefined;
}

/** The interface joins the bridge, which takes over what hangs on it. May be run again, also after one that stopped half-way. */
export async function enslave(kernel: Kernel, { interface: name, bridge }: Handover, options: HandoverOptions): Promise<void> {
  await takeOverSettings(kernel, name, bridge, options.ownSettings ?? new Set());
  const mode = await addressGeneration(kernel, name);
  const view = await viewOf(kernel, name);
  const lines = handoverLines(view, await viewOf(kernel, bridge), [
    // At boot nobody else may have brought it up.
    `link set dev ${name} up`,
    `link set dev ${name} master ${bridge}`,
  ]);
  // After the addresses: a bridge that makes its own link-local address finds the interface's there.
  const all = mode === 'eui64' ? [...lines, `link set dev ${bridge} addrgenmode eui64`] : lines;
  await runThrough(kernel, all, { addresses: addressesOn(view), links: [name, bridge] }, options);
}

/** What hangs on the bridge, Weft's own routes excepted, goes back to the interface, which leaves. */
export async function release(kernel: Kernel, { interface: name, bridge }: Handover, options: HandoverOptions): Promise<void> {
  const view = await viewOf(kernel, bridge);
  const foreign = { ...view, routes: view.routes.filter((line) => !line.includes(` proto ${WEFT_PROTOCOL} `)) };
  const lines = handoverLines(foreign, await viewOf(kernel, name), [`link set dev ${name} nomaster`]);
  // Else the bridge would make its link-local address anew.
  const all = [`link set dev ${bridge} addrgenmode none`, ...lines];
  await runThrough(kernel, all, { addresses: addressesOn(view), links: [bridge, name] }, options);
}

const LOCK = 'handover.lock';
const SCRIPT = 'handover-';
/** Some ten routes take a millisecond; a full table of the internet some seconds. */
const timeoutMs = 120_000;

/** Waits for a handover that outlived the Weft that began it, and keeps one from beginning that has not yet. To be called with Weft's lock, before anything is looked at. */
export async function settleHandovers(kernel: Kernel, directory: string): Promise<void> {
  const lock = join(directory, LOCK);
  if (!existsSync(lock)) return;
  const scripts = (await readdir(directory)).filter((name) => name.startsWith(SCRIPT)).map((name) => join(directory, name));
  await kernel.run('flock', [lock, 'rm', '-f', ...scripts, lock], { timeoutMs });
  await endHold(kernel);
}

/** No `-force`: a line that fails ends it, and what is there then still carries the host, on both links. */
async function runThrough(kernel: Kernel, lines: readonly string[], move: Move, { directory, verbose }: HandoverOptions): Promise<void> {
  await mkdir(directory, { recursive: true });
  await settleHandovers(kernel, directory);
  const script = join(directory, `${SCRIPT}${randomUUID()}`);
  const lock = join(directory, LOCK);
  const log = `${script}.log`;
  await writeFile(script, `${lines.join('\n')}\n`, { mode: 0o600 });
  await writeFile(lock, '', { mode: 0o600 });
  try {
    // Output to a file: a pipe to a Weft that was killed would end it with SIGPIPE.
    const args = [lock, 'sh', '-c', 'exec ip -batch "$0" >"$0.log" 2>&1', script];
    let status = -1;
    const run = async (): Promise<void> => {
      for (const line of lines) verbose?.(`ip ${line}`);
      ({ status } = await kernel.tryRun('flock', args, { timeoutMs }));
    };
    await keepTranslated(kernel, move, run, verbose);
    if (status === 0) return;
    const said = readFileSync(log, 'utf8').trim();
    const line = /:(\d+)\s*$/.exec(said)?.[1];
    const which = line === undefined ? '' : ` at \`ip ${lines[Number(line) - 1] ?? ''}\``;
    const message = `Moving the host's addresses and routes between an interface and its bridge failed${which}: ${said.slice(0, 2000)}`;
    throw new WeftError(2, [{ code: 'program-failed', severity: 'error', message }]);
  } finally {
    for (const path of [script, log, lock]) await rm(path, { force: true });
  }
}

const addressesOn = ({ addresses }: LinkView): ReadonlySet<string> =>
  new Set((Array.isArray(addresses) ? addresses : []).filter(isRecord).map((address) => text(address['local'])));

async function viewOf(kernel: Kernel, name: string): Promise<LinkView> {
  const [addresses, routes4, routes6, neighbors, proxies] = await Promise.all([
    runJson(kernel, 'ip', ['-j', 'addr', 'show', 'dev', name]),
    kernel.run('ip', ['-o', '-d', '-4', 'route', 'show', 'table', 'all']),
    kernel.run('ip', ['-o', '-d', '-6', 'route', 'show', 'table', 'all']),
    runJson(kernel, 'ip', ['-j', 'neigh', 'show', 'dev', name]),
    runJson(kernel, 'ip', ['-j', 'neigh', 'show', 'proxy', 'dev', name]),
  ]);
  const [link] = Array.isArray(addresses) ? addresses.filter(isRecord).filter(({ ifname }) => ifname === name) : [];
  return {
    name,
    addresses: link?.['addr_info'] ?? [],
    // What belongs to an address itself comes and goes with it.
    routes: `${routes4}\n${routes6}`
      .split('\n')
      .filter((line) => line.startsWith('unicast ') && `${line.replaceAll('\\', ' ')} `.includes(` dev ${name} `)),
    neighbors,
    proxies,
  };
}

async function addressGeneration(kernel: Kernel, name: string): Promise<string> {
  const links = await runJson(kernel, 'ip', ['-j', '-d', 'link', 'show', 'dev', name]);
  const [link] = Array.isArray(links) ? links.filter(isRecord) : [];
  return text(link?.['inet6_addr_gen_mode']);
}

/** Settings that are the link's nature and not somebody's choice, or are given another way. */
const notTaken = /\/(mtu|addr_gen_mode|tag|stable_secret|retrans_time|base_reachable_time)$/;

/** An enslaved interface's own settings do not count any more: the bridge has to behave as it did (rp_filter, accept_ra, arp_ignore, …). */
async function takeOverSettings(kernel: Kernel, from: string, to: string, own: ReadonlySet<string>): Promise<void> {
  const [old, now] = await Promise.all([from, to].map((name) => linkSettings(kernel, name)));
  const entries = [...(old ?? [])]
    .filter(([leaf, value]) => !notTaken.test(leaf) && now?.get(leaf) !== undefined && now.get(leaf) !== value)
    // Setting `forwarding` changes what others mean.
    .sort(([a], [b]) => Number(b.endsWith('/forwarding')) - Number(a.endsWith('/forwarding')))
    .map(([leaf, value]) => ({ key: leaf.replace('/@/', `/${to}/`), value }))
    .filter(({ key }) => !own.has(key));
  await writeSysctls(kernel, entries);
}

/** `net/ipv4/conf/@/rp_filter` to its value. */
async function linkSettings(kernel: Kernel, name: string): Promise<Map<string, string>> {
  const script = 'for d in ipv4/conf ipv6/conf ipv4/neigh ipv6/neigh; do grep -s . /proc/sys/net/$d/"$0"/*; done; exit 0';
  const lines = (await kernel.run('sh', ['-c', script, name])).split('\n');
  return new Map(
    lines.flatMap((line): [string, string][] => {
      const [, kind, leaf, value] = /^\/proc\/sys\/(net\/ipv[46]\/(?:conf|neigh))\/[^/]*\/([a-z0-9_]+):(.*)$/.exec(line) ?? [];
      return kind === undefined || leaf === undefined || value === undefined ? [] : [[`${kind}/@/${leaf}`, value]];
    }),
  );
}
