/**
 * Starts, reloads and stops the programs that go on after Weft ends. Every operation looks at what really runs first, so that it can be
 * repeated: starting twice gives one process, and a start after a crash in the middle of anything mends it.
 */
import { createHash } from 'node:crypto';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { DnsmasqService, Service } from '../hoststate/model.ts';
import type { Kernel } from './kernel.ts';
import { identifyByFile, isInNamespace, listensOnUdp, signal, terminate, until } from './processes.ts';
import type { ProcessIdentity } from './processes.ts';
import { recorderArgument, removeRecordings, startRecorder } from './recorder.ts';
import { relayText, reloadRelay, startRelay } from './relay.ts';
import { clearResolved, setResolved } from './resolved.ts';
import {
  configPath,
  isOpenToAll,
  listServices,
  makeDirectory,
  namesDir,
  pidPath,
  readIfThere,
  readRecord,
  removeRecord,
  removeServiceFiles,
  renderConfig,
  serviceDir,
  writeRecord,
  writeWhole,
} from './service-files.ts';
import type { ServiceDirs, ServiceRecord } from './service-files.ts';

export type { ServiceDirs } from './service-files.ts';

export interface ObservedService {
  readonly name: string;
  /** Its process runs (and in the kernel's namespace, when one was given). */
  readonly alive: boolean;
  /**
   * What it was given, with the files as they now are on disk: equal to the desired service when nothing has to be done.
   * Undefined when that is not certain, because a start or reload was interrupted or the configuration was edited: start it again.
   */
  readonly service: Service | undefined;
}

/**
 * Makes the service run as given, whatever is there now: starts it, or reloads or restarts a running one that differs. Resolves when it
 * listens. Throws WeftError `program-failed` with the program's own message; then nothing of it is left.
 */
export async function startService(kernel: Kernel, service: Service, dirs: ServiceDirs): Promise<void> {
  if (service.kind === 'dnsmasq') {
    writeWhole(join(namesDir(dirs), 'hosts'), service.names);
    if (!(await adopt(kernel, service, dirs))) await startAfresh(kernel, service, dirs);
    if (service.resolved) await setResolved(kernel, service.resolved);
  } else if (!(await adopt(kernel, service, dirs))) await startAfresh(kernel, service, dirs);
}

/** Several at once, side by side. All are tried; throws the diagnostics of all that failed. */
export async function startServices(kernel: Kernel, services: readonly Service[], dirs: ServiceDirs): Promise<void> {
  await together(services.map((service) => startService(kernel, service, dirs)));
}

/** From one to the other, with the least that does it: nothing, a reload (SIGHUP) or a restart. */
export async function reloadService(kernel: Kernel, before: Service, after: Service, dirs: ServiceDirs): Promise<void> {
  if (before.name !== after.name) await stopService(kernel, before.name, dirs);
  await startService(kernel, after, dirs);
}

/** Ends the process and removes every file of the service, recordings included. A service that is not there is fine. */
export async function stopService(kernel: Kernel, name: string, dirs: ServiceDirs): Promise<void> {
  const record = readRecord(dirs, name);
  const running = findProcess(dirs, name);
  removeRecord(dirs, name);
  if (running) await terminate(running, argumentOf(dirs, name));
  if (name === 'recorder') removeRecordings(dirs);
  removeServiceFiles(dirs, name);
  if (record?.service.kind === 'dnsmasq' && record.service.resolved) await clearResolved(kernel, record.service.resolved.link);
}

/** `dead`: it was started here and its process does not run any more (or not in the kernel's namespace). */
export function serviceStatus(kernel: Kernel, name: string, dirs: ServiceDirs): 'running' | 'dead' | 'absent' {
  if (!existsSync(serviceDir(dirs, name))) return 'absent';
  const running = findProcess(dirs, name);
  return running !== undefined && isInNamespace(running.pid, kernel.netns) ? 'running' : 'dead';
}

/** What runs, sorted by name. With `kernel`, a process in another network namespace counts as dead. */
export function observeServices(dirs: ServiceDirs, kernel?: Kernel): readonly ObservedService[] {
  const names = readNames(dirs);
  return listServices(dirs).map((name) => {
    const running = findProcess(dirs, name);
    const alive = running !== undefined && (kernel === undefined || isInNamespace(running.pid, kernel.netns));
    return { name, alive, service: observedService(dirs, name, names, running) };
  });
}

function observedService(dirs: ServiceDirs, name: string, names: string, running: ProcessIdentity | undefined): Service | undefined {
  const record = readRecord(dirs, name);
  if (!record || (running && running.started !== record.process.started)) return undefined;
  if (record.service.kind === 'recorder') return record.service;
  if (record.service.kind === 'relay')
    return readIfThere(configPath(dirs, name)) === relayText(record.service) ? record.service : undefined;
  const files: Record<string, string> = {};
  for (const path of record.files) files[path] = readIfThere(join(serviceDir(dirs, name), path)) ?? '';
  const { kind, network, config, resolved } = record.service;
  // The file is shared: that it has the wanted names does not mean that this process has read them.
  const told = hashOf(names) === record.names ? names : '';
  const service = { kind, name, network, config, files, names: told, ...(resolved === undefined ? {} : { resolved }) };
  return readIfThere(configPath(dirs, name)) === renderConfig(service, dirs) ? service : undefined;
}

/** SHA-256. All services of a host have the same long text, so the last answer is kept. */
function hashOf(text: string): string {
  if (lastHashed?.text !== text) lastHashed = { text, hash: createHash('sha256').update(text).digest('hex') };
  return lastHashed.hash;
}
let lastHashed: { readonly text: string; readonly hash: string } | undefined;

function readNames(dirs: ServiceDirs): string {
  return readIfThere(join(namesDir(dirs), 'hosts')) ?? '';
}

/** Takes over a process that already runs: true when it now serves what is wanted, false when it has to be started anew. */
async function adopt(kernel: Kernel, service: Service, dirs: ServiceDirs): Promise<boolean> {
  const running = findProcess(dirs, service.name);
  if (!running || !isInNamespace(running.pid, kernel.netns)) return false;
  const record = readRecord(dirs, service.name);
  const now = observedService(dirs, service.name, readNames(dirs), running);
  if (!record || !now) return false;
  if (service.kind === 'relay') {
    // Also where nothing differs: the rules may have been made anew, and it fills their sets again.
    removeRecord(dirs, service.name);
    if (!(await reloadRelay(service, running, dirs))) return false;
    writeRecord(dirs, service.name, recordOf(service, running));
    return true;
  }
  if (service.kind === 'recorder' || now.kind !== 'dnsmasq') return isDeepStrictEqual(now, service);
  if (now.config !== service.config || losesReservation(now, service)) return false;
  if (now.names !== service.names || !isDeepStrictEqual(now.files, service.files)) {
    // Without a record until the signal is sent: a crash in between is seen as "not certain".
    removeRecord(dirs, service.name);
    writeFiles(service, record.files, dirs);
    if (!signal(running, argumentOf(dirs, service.name), 'SIGHUP')) return false;
  }
  writeRecord(dirs, service.name, recordOf(service, running));
  return true;
}

async function startAfresh(kernel: Kernel, service: Service, dirs: ServiceDirs): Promise<void> {
  const running = findProcess(dirs, service.name);
  const earlier = readRecord(dirs, service.name)?.files ?? [];
  removeRecord(dirs, service.name);
  if (running) await terminate(running, argumentOf(dirs, service.name));
  try {
    writeRecord(dirs, service.name, recordOf(service, await startProcess(kernel, service, earlier, dirs)));
  } catch (error) {
    const left = findProcess(dirs, service.name);
    if (left) await terminate(left, argumentOf(dirs, service.name));
    removeServiceFiles(dirs, service.name);
    throw error;
  }
}

async function startProcess(kernel: Kernel, service: Service, earlier: readonly string[], dirs: ServiceDirs): Promise<ProcessIdentity> {
  switch (service.kind) {
    case 'dnsmasq':
      return startDnsmasq(kernel, service, earlier, dirs);
    case 'recorder':
      return startRecorder(kernel, service, dirs);
    case 'relay':
      return startRelay(kernel, service, dirs);
  }
}

/** dnsmasq itself goes to the background when it is ready and says why it cannot otherwise; so its exit is the answer. */
async function startDnsmasq(
  kernel: Kernel,
  service: DnsmasqService,
  earlier: readonly string[],
  dirs: ServiceDirs,
): Promise<ProcessIdentity> {
  const directory = serviceDir(dirs, service.name);
  makeDirectory(directory);
  rmSync(pidPath(dirs, service.name), { force: true });
  writeFiles(service, earlier, dirs);
  writeWhole(configPath(dirs, service.name), renderConfig(service, dirs));
  const args = [argumentOf(dirs, service.name), ...identityArguments(directory)];
  const result = await kernel.tryRun('dnsmasq', args, { timeoutMs: 15_000 });
  if (result.status !== 0) throw notStarted(service, result.stderr.trim() || `exit status ${result.status}`);
  let identity: ProcessIdentity | undefined;
  await until(() => (identity = findProcess(dirs, service.name)) !== undefined, 2000);
  const started = identity;
  if (!started) throw notStarted(service, 'it ended at once');
  // IPv6 alone is not waited for: an address of a bridge without ports may stay tentative, and dnsmasq follows by itself.
  const dnsPort = dnsPortOf(service);
  const mustListen = service.resolved?.servers.some((server) => !server.includes(':')) ?? false;
  if (mustListen && !(await until(() => listensOnUdp(started.pid, dnsPort), 3000)))
    throw notStarted(service, `it answers on no address of ${service.resolved?.link ?? 'the bridge'}; is the bridge there and up?`);
  return started;
}

/**
 * As which user dnsmasq runs: its own where there is one and it can reach its files; root where it cannot; and without any change of
 * identity in a user namespace, where no other user exists (and setgroups(2) is refused).
 */
function identityArguments(directory: string): readonly string[] {
  if (!/^\s*0\s+0\s+4294967295\s*$/.test(readIfThere('/proc/self/uid_map') ?? '')) return ['--user=', '--group='];
  if (!isOpenToAll(directory)) return ['--user=root'];
  return /^dnsmasq:/m.test(readIfThere('/etc/passwd') ?? '') ? ['--user=dnsmasq'] : [];
}

function writeFiles(service: DnsmasqService, earlier: readonly string[], dirs: ServiceDirs): void {
  const directory = serviceDir(dirs, service.name);
  for (const path of earlier) if (!(path in service.files)) rmSync(join(directory, path), { force: true });
  for (const [path, content] of Object.entries(service.files)) writeWhole(join(directory, path), content);
}

/**
 * dnsmasq keeps a lease until it runs out, and with it the guest's name and the address, which nobody else then gets. So a reservation
 * that goes or changes needs a process without leases (it is told of them again as guests renew); a new one does not.
 */
function losesReservation(before: DnsmasqService, after: DnsmasqService): boolean {
  const kept = new Set(linesOf(after));
  return linesOf(before).some((line) => !kept.has(line));
}

function linesOf(service: DnsmasqService): readonly string[] {
  return (service.files['dhcp-hosts'] ?? '').split('\n');
}

function recordOf(service: Service, process: ProcessIdentity): ServiceRecord {
  if (service.kind !== 'dnsmasq') return { service, files: [], names: '', process };
  const { names, files, ...rest } = service;
  return { service: rest, files: Object.keys(files), names: hashOf(names), process };
}

function findProcess(dirs: ServiceDirs, name: string): ProcessIdentity | undefined {
  return identifyByFile(pidPath(dirs, name), argumentOf(dirs, name));
}

/** The argument that tells the service's process from all others. */
function argumentOf(dirs: ServiceDirs, name: string): string {
  if (name === 'recorder') return recorderArgument(dirs);
  return name === 'relay' ? configPath(dirs, name) : `--conf-file=${configPath(dirs, name)}`;
}

function dnsPortOf(service: DnsmasqService): number {
  return Number(/^port=(\d+)$/m.exec(service.config)?.[1] ?? 53);
}

function notStarted(service: DnsmasqService, said: string): WeftError {
  if (/address already in use/i.test(said)) {
    // It binds its DHCP sockets to the bridge, so there only a socket of everybody's on port 67 or 547 is in the way.
    const port = /DHCPv6/.test(said) ? 547 : /DHCP/.test(said) ? 67 : dnsPortOf(service);
    const taken = `another program holds port ${port}, which the DHCP and DNS server of network ${service.network} needs on its bridge`;
    const mend = `stop that program, or let it listen on its own addresses only (\`ss -lnptu sport = :${port}\` shows it)`;
    return new WeftError(2, [{ code: 'port-in-use', severity: 'error', message: `${taken}; ${mend}` }]);
  }
  const message = `The DHCP and DNS server of network ${service.network} does not start: ${said.replace(/^\s*dnsmasq: /, '')}`;
  return new WeftError(2, [{ code: 'program-failed', severity: 'error', message }]);
}

async function together(tasks: readonly Promise<void>[]): Promise<void> {
  const failures = (await Promise.allSettled(tasks))
    .filter((result) => result.status === 'rejected')
    .map((result): unknown => result.reason);
  if (failures.length === 0) return;
  const diagnostics = failures.flatMap((failure) => (failure instanceof WeftError ? failure.diagnostics : []));
  const foreign = failures.find((failure) => !(failure instanceof WeftError));
  throw foreign ?? new WeftError(2, diagnostics, failures[0]);
}
