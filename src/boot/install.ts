/**
 * Puts the boot units in place and takes them away again: files under /etc/systemd/system and the links by which targets want them, the very ones
 * `systemctl enable` would make. A unit of that name which Weft has not written is never touched.
 */
import { existsSync } from 'node:fs';
import { lstat, mkdir, readFile, readlink, rename, rm, rmdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { UNIT_MARK, unitNames, WATCH, type Unit } from './units.ts';

const DIRECTORY = '/etc/systemd/system';
/** Targets whose `.wants` directories may hold a link of ours. */
const targets = ['sysinit.target', 'multi-user.target'] as const;

export interface UnitPlace {
  /** `/`, or the root of an image or another system. */
  readonly root: string;
  /** Undefined for another root: nothing there runs. */
  readonly kernel: Kernel | undefined;
}

/** Paths, each as it is within the root. */
export interface Installed {
  readonly written: readonly string[];
  readonly removed: readonly string[];
  /** systemd runs here, knows of them now, and has started them. */
  readonly active: boolean;
}

/** Writes the units, removes those of Weft's that are not among them. Throws WeftError (exit 2) and changes nothing when a name is taken or there is no systemd. */
export async function installUnits(place: UnitPlace, units: readonly Unit[]): Promise<Installed> {
  if (place.kernel !== undefined && !existsSync('/run/systemd/system') && !existsSync(DIRECTORY)) {
    const message =
      'this host does not run systemd, whose units would bring the networks back at boot: have its own init run `weft restore --early` before the network comes up and `weft restore` after it, or name the root of another system with --root';
    throw new WeftError(2, [{ code: 'feature-missing', severity: 'error', message }]);
  }
  for (const { name } of units) {
    const path = join(DIRECTORY, name);
    const there = await readIfThere(join(place.root, path));
    if (there === undefined || isOurs(there)) continue;
    const message = `${path} is there already, and Weft has not written it; nothing was changed. Move it away and try again`;
    throw new WeftError(2, [{ code: 'name-in-use', severity: 'error', message }]);
  }
  const wanted = new Set(units.map((unit) => unit.name));
  const removed = await removeUnits(
    place,
    unitNames.filter((name) => !wanted.has(name)),
  );
  const written: string[] = [];
  for (const { name, text, wantedBy } of units) {
    const path = join(DIRECTORY, name);
    if (await writeIfOther(join(place.root, path), text)) written.push(path);
    const link = join(DIRECTORY, `${wantedBy}.wants`, name);
    if (await linkIfOther(join(place.root, link), path)) written.push(link);
  }
  return { written, removed, active: await tellSystemd(place, [...wanted], written.length + removed.length > 0) };
}

/** Removes exactly what {@link installUnits} has put there. */
export async function uninstallUnits(place: UnitPlace): Promise<Installed> {
  const removed = await removeUnits(place, unitNames);
  return { written: [], removed, active: await tellSystemd(place, [], removed.length > 0) };
}

/** Names of Weft's units that are installed. */
export async function installedUnits(root: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of unitNames) {
    const text = await readIfThere(join(root, DIRECTORY, name));
    if (text !== undefined && isOurs(text)) found.push(name);
  }
  return found;
}

async function removeUnits({ root, kernel }: UnitPlace, names: readonly string[]): Promise<string[]> {
  const removed: string[] = [];
  for (const name of names) {
    const path = join(DIRECTORY, name);
    const text = await readIfThere(join(root, path));
    if (text !== undefined && !isOurs(text)) continue;
    // The others only remember that they have run; what they started stays.
    if (name === WATCH && text !== undefined && kernel !== undefined && systemdRuns()) await kernel.tryRun('systemctl', ['stop', name]);
    for (const target of targets) {
      const link = join(DIRECTORY, `${target}.wants`, name);
      if ((await linkTarget(join(root, link))) !== path) continue;
      await rm(join(root, link));
      await rmdir(dirname(join(root, link))).catch(() => undefined);
      removed.push(link);
    }
    if (text === undefined) continue;
    await rm(join(root, path));
    removed.push(path);
  }
  return removed;
}

async function tellSystemd({ kernel }: UnitPlace, start: readonly string[], changed: boolean): Promise<boolean> {
  if (kernel === undefined || !systemdRuns()) return false;
  if (changed) await kernel.run('systemctl', ['daemon-reload']);
  // Started now, they change nothing, and are there when nftables.service is restarted.
  if (start.length > 0) await kernel.run('systemctl', [changed ? 'restart' : 'start', ...start], { timeoutMs: 300_000 });
  return true;
}

/** sd_booted(3) */
const systemdRuns = (): boolean => existsSync('/run/systemd/system');

const isOurs = (text: string): boolean => text.startsWith(`${UNIT_MARK}\n`);

async function writeIfOther(path: string, text: string): Promise<boolean> {
  if ((await readIfThere(path)) === text) return false;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, text, { mode: 0o644 });
  await rename(`${path}.new`, path);
  return true;
}

async function linkIfOther(path: string, target: string): Promise<boolean> {
  if ((await linkTarget(path)) === target) return false;
  await mkdir(dirname(path), { recursive: true });
  if ((await lstat(path).catch(() => undefined)) !== undefined) await rm(path);
  await symlink(target, path);
  return true;
}

const linkTarget = (path: string): Promise<string | undefined> => readlink(path).catch(() => undefined);
const readIfThere = (path: string): Promise<string | undefined> => readFile(path, 'utf8').catch(() => undefined);
