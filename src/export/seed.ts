/**
 * A NoCloud seed as an image: an ISO 9660 file system labelled `cidata`, which cloud-init finds on any disk or CD-ROM drive of the guest. Made by
 * genisoimage(1): one small package, where a FAT file system takes two (dosfstools, mtools).
 */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { hasProgram } from '../kernel/programs.ts';
import type { ExportedFile } from './file.ts';

const program = 'genisoimage';

/** Writes the image beside `path` first and then in its place. Throws WeftError `program-missing`, `program-failed`, or the error of the file system. */
export async function writeSeedImage(kernel: Kernel, path: string, files: readonly ExportedFile[]): Promise<void> {
  if (!hasProgram(program)) {
    const message = `${program}, which writes the seed image, is not installed: install it with: apt install genisoimage; or write the files with --directory DIR.`;
    throw new WeftError(2, [{ code: 'program-missing', severity: 'error', message }]);
  }
  const directory = await mkdtemp(join(dirname(path), '.weft-seed-'));
  try {
    for (const { name, content } of files) await writeFile(join(directory, name), content);
    const image = join(directory, 'image');
    // Joliet and Rock Ridge both: lower-case names with dashes are neither's alone on every system.
    await kernel.run(program, [
      '-quiet',
      '-output',
      image,
      '-volid',
      'cidata',
      '-joliet',
      '-rock',
      ...files.map(({ name }) => join(directory, name)),
    ]);
    await rename(image, path);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}
