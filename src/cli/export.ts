/** The work of `weft export`: which guest, whether it can be exported, and where the files go. Reads no kernel and needs no root. */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { DiagnosticCode } from '../diagnostic/codes.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { emptyUserData, seedFiles } from '../export/cloud-init.ts';
import type { ExportedFile } from '../export/file.ts';
import { exporters, formats, forVmOnly, type Format } from '../export/format.ts';
import { guestNetwork, isPointToPoint, type GuestNetwork } from '../export/guest-network.ts';
import { writeSeedImage } from '../export/seed.ts';
import { didYouMean } from '../fabric/did-you-mean.ts';
import type { Guest } from '../fabric/model.ts';
import { openKernel } from '../kernel/open.ts';
import type { CliContext } from './context.ts';
import { loadFabric, type LoadedFile } from './file.ts';
import { chooseHost } from './host.ts';

export interface ExportOptions {
  readonly directory?: string;
  readonly seed?: string;
  readonly userData?: string;
}

/** Throws WeftError (exit 2): `usage`, `unknown-guest`, `not-exportable`, `file-unreadable`, and those of {@link writeSeedImage}. */
export async function runExport(ctx: CliContext, formatWord: string, guestWord: string, options: ExportOptions): Promise<void> {
  const format = formatOf(formatWord);
  checkOptions(format, options);
  const loaded = loadFabric(ctx);
  // Not used for anything but its error: the file says which host a guest lives on.
  if (ctx.options.host !== undefined) chooseHost(loaded.fabric, ctx);
  const guest = guestOf(loaded, guestWord);
  refuseWhatHasNoExport(guest, format);
  const network = guestNetwork(loaded.fabric, guest);
  const files = await filesOf(ctx, format, network, options);
  if (!isLocked(loaded, guest))
    ctx.err(`${guest.name} is not in weft.lock as it is now: \`weft apply\` writes it, and until then its addresses may still change.`);
  if (format === 'cloud-init' && network.nics.some(isPointToPoint))
    ctx.err(
      `${guest.name} has a gateway outside its own prefix: cloud-init sets that up where the guest's image has netplan. Elsewhere use \`weft export networkd\` or \`weft export ifupdown\`.`,
    );
  await put(ctx, { format, network, files, options });
}

function formatOf(word: string): Format {
  const format = formats.find((name) => name === word);
  if (format === undefined) throw refused('usage', `\`${word}\` is no format that guests are exported to${didYouMean(word, formats)}`);
  return format;
}

function checkOptions(format: Format, { directory, seed, userData: file }: ExportOptions): void {
  if (seed !== undefined && format !== 'cloud-init')
    throw refused('usage', `--seed is for \`weft export cloud-init\`: ${format} has no seed image`);
  if (seed !== undefined && directory !== undefined)
    throw refused('usage', '--seed and --directory both say where to write: give one of them');
  if (file === undefined) return;
  if (format !== 'cloud-init') throw refused('usage', `--user-data is for \`weft export cloud-init\`: ${format} has none`);
  if (seed === undefined && directory === undefined)
    throw refused('usage', '--user-data is one of the files of a seed: say where to with --seed IMAGE or --directory DIR');
}

function guestOf({ fabric, path }: LoadedFile, word: string): Guest {
  const guest = fabric.guests.find(({ name }) => name.toLowerCase() === word.toLowerCase());
  if (guest !== undefined) return guest;
  const names = fabric.guests.map(({ name }) => name);
  throw refused('unknown-guest', `${path} has no guest \`${word}\`${didYouMean(word, names)}`);
}

function refuseWhatHasNoExport({ name, kind, inside, nics }: Guest, format: Format): void {
  if (inside !== undefined) {
    const addresses = nics.flatMap(({ v4, v6 }) => [v4, v6].filter((address) => address !== undefined)).join(' and ');
    const how = `export ${inside}, and give \`${name}\` its address ${addresses} inside ${inside}`;
    throw refused('not-exportable', `\`${name}\` lies inside \`${inside}\` and has no network card of its own: ${how}`);
  }
  if (nics.length === 0) throw refused('not-exportable', `\`${name}\` has \`network: none\`: there is nothing to export`);
  if (kind === 'namespace')
    throw refused('not-exportable', `\`${name}\` is a namespace: Weft makes it and sets its addresses, routes and resolver itself`);
  if (kind === 'container' && forVmOnly.has(format))
    throw refused(
      'not-exportable',
      `\`${name}\` is a container, and ${format} takes the TAP of a virtual machine: say \`kind: vm\`, or connect the container with \`weft attach ${name}\``,
    );
}

/** Standard output is for the network alone; what is written somewhere is a whole seed. */
async function filesOf(ctx: CliContext, format: Format, network: GuestNetwork, options: ExportOptions): Promise<readonly ExportedFile[]> {
  const isSeed = format === 'cloud-init' && (options.seed ?? options.directory) !== undefined;
  return isSeed ? seedFiles(network, await userData(ctx, options.userData)) : exporters[format](network);
}

/** True when an apply, or an edit by `weft guest`, has fixed what is exported. */
function isLocked({ fabric, lock }: LoadedFile, guest: Guest): boolean {
  const key = guest.name.toLowerCase();
  return isDeepStrictEqual(lock?.guests[key], fabric.lock.guests[key]);
}

async function userData(ctx: CliContext, file: string | undefined): Promise<string> {
  if (file === undefined) return emptyUserData;
  try {
    return await readFile(resolve(ctx.io.cwd, file), 'utf8');
  } catch (cause) {
    throw refused('file-unreadable', `${file} cannot be read (${codeOf(cause)}): name a file with the user data`);
  }
}

interface Export {
  readonly format: Format;
  readonly network: GuestNetwork;
  readonly files: readonly ExportedFile[];
  readonly options: ExportOptions;
}

async function put(ctx: CliContext, { format, network, files, options: { directory, seed } }: Export): Promise<void> {
  const document = { format, guest: network.guest, files };
  const target = seed ?? directory;
  if (target === undefined) {
    ctx.answer(document, () =>
      files
        .map(({ content }) => content)
        .join('\n')
        .trimEnd(),
    );
    return;
  }
  const path = resolve(ctx.io.cwd, target);
  try {
    if (seed === undefined) await writeFiles(path, files);
    else await writeSeedImage(openKernel(), path, files);
  } catch (cause) {
    if (cause instanceof WeftError) throw cause;
    throw refused('file-unreadable', `${target} cannot be written (${codeOf(cause)}): check the directory and its permissions`);
  }
  const written = seed === undefined ? files.map(({ name }) => join(target, name)) : [seed];
  ctx.answer({ ...document, written }, () => `Wrote ${written.join(', ')}.`);
}

async function writeFiles(directory: string, files: readonly ExportedFile[]): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const { name, content } of files) await writeFile(join(directory, name), content);
}

function refused(code: DiagnosticCode, message: string): WeftError {
  return new WeftError(2, [{ code, severity: 'error', message }]);
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
}
