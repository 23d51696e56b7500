/**
 * What Weft remembers between commands, as files in the state directory:
 *
 *   applied.json      the record of the last apply: the host state, its policy, where its rules stand in the file
 *   applied.new.json  the record an apply under way works towards; renamed over applied.json when it has succeeded
 *   previous.json     the record before the last apply, for `rollback`
 *   digest.json       a few bytes by which an apply of the same inputs on an untouched host is recognised
 *   journal.json      an apply under way, or one that waits for `confirm`; absent otherwise
 *   originals.json    host-wide kernel settings as they were before Weft
 *   place.json        which boot, network namespace and run directory all this is about
 *
 * Every file is replaced by rename and synced, so that a power cut leaves the old or the new one.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { access, constants, mkdir, open, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Fabric } from '../fabric/model.ts';
import type { HostFacts, HostState } from '../hoststate/model.ts';
import type { BootTime } from '../kernel/clock.ts';
import { ofToday, type StoredRecord } from './earlier-records.ts';
import type { Watched } from './fingerprint.ts';
import type { Listed } from './readback.ts';

export interface Directories {
  /** Default /var/lib/weft. */
  readonly state: string;
  /** Default /run/weft. */
  readonly run: string;
}

/** Held by the run that changes the host; see src/kernel/lock.ts. */
export const lockPath = (directories: Directories): string => join(directories.run, 'lock');

export interface AppliedRecord {
  readonly version: 1;
  /** ISO 8601, UTC. */
  readonly appliedAt: string;
  /** What was asked for, and what was known of the host: policy and rule sources are compiled from these when needed. */
  readonly fabric: Fabric;
  readonly facts: HostFacts;
  readonly state: HostState;
  /** Which container stands behind which port, by guest. */
  readonly attachments: Attachments;
  /** weft.lock as it belongs to this record. */
  readonly lock: { readonly path: string; readonly text: string };
  /** Absolute path of the fabric's file. */
  readonly file: string;
  /** What nft lists in other words than it was given, as it listed after this apply: what lists equal later holds what was written. */
  readonly listed: Listed;
}

export interface Digest extends Watched {
  /** Hash of everything the host state was computed from: file, lock, host, Weft's own program. */
  readonly inputs: string;
  /** Fingerprint of the running kernel as the apply left it. */
  readonly kernel: string;
  /** Other tables filter what is forwarded, or translate what comes in: they have to be read again for their warnings. */
  readonly foreign: boolean;
}

/** A host-wide setting before Weft; `also` are settings that change with it (ip_forward changes every interface's forwarding). */
export type Originals = Readonly<
  Record<string, { readonly value: string; readonly set: string; readonly also?: Readonly<Record<string, string>> }>
>;

export interface Journal {
  readonly version: 1;
  readonly id: string;
  readonly startedAt: string;
  /**
   * `changing`: steps are being made; undo goes to applied.json. `committing`: all steps are made, only files are left to rename; goes forward.
   * `pending`: done, waits for `confirm`; undo goes to previous.json.
   */
  readonly phase: 'changing' | 'committing' | 'pending';
  readonly command: string;
  /** Number of steps begun; for messages. */
  readonly step: number;
  readonly steps: number;
  /** Links and namespaces that were not there when the apply began, so that what bears these names is its work. */
  readonly claimedLinks: readonly string[];
  readonly claimedNamespaces: readonly string[];
  /** How long somebody has to confirm; absent: nobody has to. */
  readonly confirmMs?: number;
  /** Until when, for people: milliseconds since the epoch; and by the clock that counts. */
  readonly confirmBefore?: number;
  readonly deadline?: BootTime;
  /** It is being taken back: whatever the phase and the deadline, the next command goes on with that. */
  readonly undoing?: true;
  /** weft.lock before the apply; `text` is absent when there was none. */
  readonly lockFile?: { readonly path: string; readonly text?: string };
  /** There was no record before: undo ends with nothing of Weft's left. */
  readonly first: boolean;
  /** `rollback` goes past this change: attaching a container is no new policy. */
  readonly keepPrevious: boolean;
  /** False: the goal of this transaction is to own nothing (`destroy`). */
  readonly hasGoal: boolean;
}

export interface Place {
  /** /proc/sys/kernel/random/boot_id */
  readonly boot: string;
  /** Device and inode of the network namespace. */
  readonly netns: string;
  readonly run: string;
}

export interface Attachment {
  /** Path of the network namespace. */
  readonly netns: string;
  /** Device and inode of that namespace: a recycled pid is not the same container. */
  readonly identity: string;
}

export type Attachments = Readonly<Record<string, Attachment>>;

const files = {
  applied: 'applied.json',
  next: 'applied.new.json',
  previous: 'previous.json',
  digest: 'digest.json',
  journal: 'journal.json',
  originals: 'originals.json',
  place: 'place.json',
} as const;

type FileName = keyof typeof files;

interface Contents {
  readonly applied: AppliedRecord;
  readonly next: AppliedRecord;
  readonly previous: AppliedRecord;
  readonly digest: Digest;
  readonly journal: Journal;
  readonly originals: Originals;
  readonly place: Place;
}

/** The state directory's files, typed. Reading a missing file gives undefined; a damaged one is an error that names it. */
export interface Store {
  readonly directory: string;
  read<K extends FileName>(name: K): Promise<Contents[K] | undefined>;
  write<K extends FileName>(name: K, content: Contents[K]): Promise<void>;
  remove(name: FileName): Promise<void>;
  /** Renames one file over another; when the first does not exist the second is removed. */
  move(from: FileName, to: FileName): Promise<void>;
  exists(name: FileName): boolean;
  /** Removes what a write that was interrupted has left. To be called with the lock held. */
  sweep(): Promise<void>;
  /** Removes the directory when nothing of anybody is left in it. */
  close(): Promise<void>;
}

export function openStore(directory: string): Store {
  const path = (name: FileName): string => join(directory, files[name]);
  return {
    directory,
    async read(name) {
      const text = await readFileIfThere(path(name));
      if (text === undefined) return undefined;
      try {
        const content: unknown = JSON.parse(text);
        return (records.has(name) ? unpacked(content as StoredRecord) : content) as Contents[typeof name];
      } catch (cause) {
        throw new WeftError(
          2,
          [
            {
              code: 'foreign-state',
              severity: 'error',
              message: `${path(name)} is damaged and cannot be read; move it away and run the command again to have Weft look at the kernel itself`,
            },
          ],
          cause,
        );
      }
    },
    async write(name, content) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      await replaceFile(path(name), JSON.stringify(packed(content)));
    },
    async remove(name) {
      await rm(path(name), { force: true });
    },
    async move(from, to) {
      if (existsSync(path(from))) await rename(path(from), path(to));
      else await rm(path(to), { force: true });
      await syncDirectory(directory);
    },
    exists: (name) => existsSync(path(name)),
    async sweep() {
      const names = await readdir(directory).catch(() => []);
      for (const name of names) if (/^[a-z.]+\.json\.[0-9a-f]{8}\.tmp$/.test(name)) await rm(join(directory, name), { force: true });
    },
    async close() {
      await this.sweep();
      await rmdir(directory).catch(() => undefined);
    },
  };
}

const records: ReadonlySet<FileName> = new Set(['applied', 'next', 'previous']);

const isRecord = (content: Contents[FileName]): content is AppliedRecord => 'fabric' in content;

/** All services of a host have the same `names`, megabytes in a large fabric: they are written once. */
function packed(content: Contents[FileName]): unknown {
  if (!isRecord(content)) return content;
  const texts = new Set(content.state.services.flatMap((service) => (service.kind === 'dnsmasq' ? [service.names] : [])));
  const [names] = texts;
  return names === undefined || texts.size > 1 ? content : { ...content, names, state: withNames(content.state, '') };
}

function unpacked(stored: StoredRecord & { readonly names?: string }): AppliedRecord {
  const { names, ...rest } = stored;
  const record = ofToday(rest);
  return names === undefined ? record : { ...record, state: withNames(record.state, names) };
}

const withNames = (state: HostState, names: string): HostState => ({
  ...state,
  services: state.services.map((service) => (service.kind === 'dnsmasq' ? { ...service, names } : service)),
});

/** A file's text, or undefined when there is no such file. */
export async function readFileIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

export const isMissing = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');

/**
 * Writes beside, syncs, renames: after a power cut there is the old file or the new one. What root writes belongs to whom it belonged before, a
 * new file to the owner of its directory: `sudo weft apply` must not leave a weft.lock in a person's directory that is not that person's.
 */
export async function replaceFile(path: string, text: string, mode = 0o600): Promise<void> {
  const temporary = `${path}.${randomUUID().slice(0, 8)}.tmp`;
  try {
    const handle = await open(temporary, 'w', mode);
    try {
      await handle.writeFile(text);
      if (process.getuid?.() === 0) {
        const { uid, gid } = await stat(path).catch(() => stat(dirname(path)));
        if (uid !== 0 || gid !== 0) await handle.chown(uid, gid);
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Throws WeftError (exit 2) when a file at `path` could not be written: better told before the host is changed than after. */
export async function refuseUnwritable(path: string): Promise<void> {
  try {
    await access(dirname(path), constants.W_OK);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    const message = `${path} cannot be written (${why}); nothing was changed. Weft keeps the guests' addresses there: make its directory writable`;
    throw new WeftError(2, [{ code: 'apply-failed', severity: 'error', message }], cause);
  }
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
