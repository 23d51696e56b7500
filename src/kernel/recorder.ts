/**
 * The recorder: a tcpdump that keeps what `log` rules send to the nflog group in a ring of capture files, so that `weft logs` can
 * show it later and no daemon of Weft's own has to run.
 */
import { mkdirSync, readFileSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { RecorderService } from '../hoststate/model.ts';
import type { Kernel } from './kernel.ts';
import { identify, until } from './processes.ts';
import type { ProcessIdentity } from './processes.ts';
import { makeDirectory, pidPath, serviceDir, writeWhole } from './service-files.ts';
import type { ServiceDirs } from './service-files.ts';

/** Where the capture files are. `before/` in it holds those of the process before this one. */
export const recordingsDir = (dirs: Pick<ServiceDirs, 'state'>): string => join(dirs.state, 'recorder');
/** The argument by which the recorder's process is known as ours. */
export const recorderArgument = (dirs: Pick<ServiceDirs, 'state'>): string => join(recordingsDir(dirs), 'packets');

/**
 * Not smaller: libpcap 1.10 makes its receive buffer only a little larger than this, while the kernel hands over several packets at a
 * time; what does not fit comes out as garbage. How much of each packet is kept is for the rule to say (`log … snaplen`).
 */
const SNAPLEN = 65_535;
/** 5 files of 4,000,000 bytes, and as many in `before/`; some 80,000 packets each at `snaplen 128`. */
const RING = ['-C', '4', '-W', '5'] as const;

/** Starts `tcpdump -i nflog:87 -w …` and waits until it listens. Throws WeftError with tcpdump's own message. */
export async function startRecorder(kernel: Kernel, service: RecorderService, dirs: ServiceDirs): Promise<ProcessIdentity> {
  const directory = serviceDir(dirs, service.name);
  const log = join(directory, 'log');
  makeDirectory(directory);
  rmSync(log, { force: true });
  // A new tcpdump starts its ring with the first file again and would overwrite the newest packets.
  keepEarlier(recordingsDir(dirs));
  const files = recorderArgument(dirs);
  const options = ['-n', '-U', '-s', String(SNAPLEN), '-Z', 'root', ...RING, '-w', files];
  const pid = await kernel.startDetached('tcpdump', ['-i', `nflog:${service.group}`, ...options], { logFile: log });
  let identity: ProcessIdentity | undefined;
  const listens = await until(() => {
    identity = identify(pid, files);
    return readLog(log).includes('listening on') || (identity === undefined && readLog(log) !== '');
  }, 5000);
  identity = identify(pid, files);
  if (!listens || identity === undefined) {
    const said = readLog(log).trim().split('\n').at(-1);
    throw new WeftError(2, [
      {
        code: 'program-failed',
        severity: 'error',
        message: `The recorder of logged packets (tcpdump) does not start: ${said || 'it said nothing'}.`,
      },
    ]);
  }
  writeWhole(pidPath(dirs, service.name), `${pid}\n`);
  return identity;
}

/** Removes all recordings. */
export function removeRecordings(dirs: Pick<ServiceDirs, 'state'>): void {
  rmSync(recordingsDir(dirs), { recursive: true, force: true });
}

function keepEarlier(directory: string): void {
  const before = join(directory, 'before');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const files = readdirSync(directory).filter((name) => name !== 'before');
  if (files.length === 0) return;
  rmSync(before, { recursive: true, force: true });
  mkdirSync(before, { mode: 0o700 });
  for (const name of files) renameSync(join(directory, name), join(before, name));
}

function readLog(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
