/**
 * Which program this is, more precisely than its version: what an earlier build has compiled may have to be compiled anew. Asked for by an apply only; `--version` need not
 * know it.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/**
 * Of the bundle the text of its entry: it names the chunks that it loads by their content, and that of the chunks these load (esbuild's `[hash]`). Sources, run as they are,
 * are known by their files' sizes and times.
 */
export function buildId(directory: string = import.meta.dirname): string {
  const hash = createHash('sha256');
  const entry = join(directory, 'main.js');
  if (existsSync(entry)) return hash.update(readFileSync(entry)).digest('hex');
  const root = basename(directory) === 'cli' ? dirname(directory) : directory;
  for (const path of readdirSync(root, { encoding: 'utf8', recursive: true }).toSorted()) {
    const { size, mtimeMs } = statSync(join(root, path));
    hash.update(`${path} ${size} ${mtimeMs}\n`);
  }
  return hash.digest('hex');
}
