/**
 * The directories of running services: `<run>/services/<name>/` with what the program reads and a record of what it was given, and
 * `<run>/names/hosts`, the names all of them share. Files are replaced whole (written beside, then renamed), so that a program
 * which reads at the wrong moment sees the old or the new one.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { DnsmasqService, Service } from '../hoststate/model.ts';
import type { ProcessIdentity } from './processes.ts';

export interface ServiceDirs {
  /** `/run/weft`. */
  readonly run: string;
  /** `/var/lib/weft`. */
  readonly state: string;
}

/** What a service's process was started with and last told to read. Absent while that is being changed: then nobody can be sure. */
export interface ServiceRecord {
  readonly service: Omit<DnsmasqService, 'names' | 'files'> | Exclude<Service, DnsmasqService>;
  /** The files (not their content) under the service's directory. */
  readonly files: readonly string[];
  /** SHA-256 of the shared names it was told. */
  readonly names: string;
  readonly process: ProcessIdentity;
}

export const serviceDir = (dirs: ServiceDirs, name: string): string => join(dirs.run, 'services', name);
export const namesDir = (dirs: ServiceDirs): string => join(dirs.run, 'names');
export const configPath = (dirs: ServiceDirs, name: string): string =>
  join(serviceDir(dirs, name), name === 'relay' ? 'relay.json' : 'dnsmasq.conf');
export const pidPath = (dirs: ServiceDirs, name: string): string => join(serviceDir(dirs, name), 'pid');
const recordPath = (dirs: ServiceDirs, name: string): string => join(serviceDir(dirs, name), 'service.json');

/** The configuration with its placeholders replaced. */
export function renderConfig(service: DnsmasqService, dirs: ServiceDirs): string {
  return service.config.replaceAll('@DIR@', serviceDir(dirs, service.name)).replaceAll('@NAMES@', namesDir(dirs));
}

/** Writes a file readable by all, whole or not at all; false when it had that content already. */
export function writeWhole(path: string, content: string): boolean {
  if (readIfThere(path) === content) return false;
  const directory = dirname(path);
  makeDirectory(directory);
  const temporary = join(directory, `.new-${process.pid}-${counter++}`);
  writeFileSync(temporary, content);
  chmodSync(temporary, 0o644);
  renameSync(temporary, path);
  return true;
}
let counter = 0;

/** Directories that an unprivileged dnsmasq can enter, whatever the umask is. Existing ones are left as they are. */
export function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path, { recursive: true });
  chmodSync(path, 0o755);
}

/** True when every user can enter the directory: all above it too. */
export function isOpenToAll(path: string): boolean {
  if ((statSync(path).mode & 0o001) === 0) return false;
  return dirname(path) === path || isOpenToAll(dirname(path));
}

export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

export function readRecord(dirs: ServiceDirs, name: string): ServiceRecord | undefined {
  const text = readIfThere(recordPath(dirs, name));
  if (text === undefined) return undefined;
  try {
    // Written by writeRecord below; a file cut short by a crash does not parse.
    return JSON.parse(text) as ServiceRecord;
  } catch {
    return undefined;
  }
}

export function writeRecord(dirs: ServiceDirs, name: string, record: ServiceRecord): void {
  writeWhole(recordPath(dirs, name), `${JSON.stringify(record)}\n`);
}

export function removeRecord(dirs: ServiceDirs, name: string): void {
  rmSync(recordPath(dirs, name), { force: true });
}

/** Names of the services that have a directory, sorted. */
export function listServices(dirs: ServiceDirs): readonly string[] {
  try {
    return readdirSync(join(dirs.run, 'services'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch {
    return [];
  }
}

/** Removes a service's directory, and with the last one what they shared. */
export function removeServiceFiles(dirs: ServiceDirs, name: string): void {
  rmSync(serviceDir(dirs, name), { recursive: true, force: true });
  if (listServices(dirs).length > 0) return;
  try {
    rmdirSync(join(dirs.run, 'services'));
  } catch {
    // Not there, or another service is just being started.
    if (existsSync(join(dirs.run, 'services'))) return;
  }
  rmSync(namesDir(dirs), { recursive: true, force: true });
}
