/**
 * Starts and reloads the relay (`src/relay/`), a program of Weft's own. It says what it has read by writing it down, so that no resolver sends it a
 * question before it knows the name.
 */
import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { RelayService } from '../hoststate/model.ts';
import type { Kernel } from './kernel.ts';
import { identify, isAlive, signal, until } from './processes.ts';
import type { ProcessIdentity } from './processes.ts';
import { configPath, makeDirectory, pidPath, readIfThere, serviceDir, writeWhole } from './service-files.ts';
import type { ServiceDirs } from './service-files.ts';

/** Its configuration as the file that it reads. */
export const relayText = (service: RelayService): string => `${JSON.stringify(service.config, undefined, 2)}\n`;

/** Beside its configuration: what {@link relayMark} says of the one it goes by. */
export const relayMarkPath = (configFile: string): string => `${configFile}.loaded`;
export const relayMark = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Beside the sources as they are, or in the bundle. */
const program = join(import.meta.dirname, basename(import.meta.dirname) === 'dist' ? 'relay.js' : '../relay/main.ts');

/** A loaded machine takes seconds to start a process. */
const PATIENCE_MS = 20_000;

/** Resolves when it listens and has put what was open before into its sets. Throws WeftError with its own words. */
export async function startRelay(kernel: Kernel, service: RelayService, dirs: ServiceDirs): Promise<ProcessIdentity> {
  const config = configPath(dirs, service.name);
  const logFile = join(serviceDir(dirs, service.name), 'log');
  makeDirectory(serviceDir(dirs, service.name));
  for (const path of [logFile, relayMarkPath(config)]) rmSync(path, { force: true });
  writeWhole(config, relayText(service));
  // It reads packets of strangers: of root's powers it keeps those to change rules and to read files, and gets no other.
  const limits = ['--bounding-set', '-all,+net_admin,+dac_read_search', '--inh-caps', '-all', '--no-new-privs', '--'];
  const args = [...limits, process.execPath, program, config];
  const pid = await kernel.startDetached('setpriv', args, { logFile });
  writeWhole(pidPath(dirs, service.name), `${pid}\n`);
  await until(() => !isAlive(pid) || hasRead(service, config), PATIENCE_MS);
  const identity = identify(pid, config);
  if (identity !== undefined && hasRead(service, config)) return identity;
  const said = readIfThere(logFile)?.trim().split('\n').at(-1);
  throw notStarted(service, said || 'it said nothing');
}

/** Gives it the configuration, equal or not, and waits until it goes by it; false when it does not. */
export async function reloadRelay(service: RelayService, running: ProcessIdentity, dirs: ServiceDirs): Promise<boolean> {
  const config = configPath(dirs, service.name);
  rmSync(relayMarkPath(config), { force: true });
  writeWhole(config, relayText(service));
  if (!signal(running, config, 'SIGHUP')) return false;
  return until(() => hasRead(service, config), PATIENCE_MS);
}

function notStarted({ config }: RelayService, said: string): WeftError {
  const port = config.listeners[0]?.port ?? 0;
  if (said.includes('EADDRINUSE')) {
    const mend = `stop that program, or let it listen on its own addresses only (\`ss -lnptu sport = :${port}\` shows it)`;
    const message = `another program holds port ${port}, which the relay that opens domain names needs; ${mend}`;
    return new WeftError(2, [{ code: 'port-in-use', severity: 'error', message }]);
  }
  const message = `The relay that opens domain names does not start: ${said}`;
  return new WeftError(2, [{ code: 'program-failed', severity: 'error', message }]);
}

const hasRead = (service: RelayService, config: string): boolean =>
  readIfThere(relayMarkPath(config))?.trim() === relayMark(relayText(service));
