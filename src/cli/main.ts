/**
 * The entry. Answers `--version` before anything else is loaded (a bare `node -e 0` is the yardstick), then turns the compile cache
 * on and loads the rest.
 */
import module from 'node:module';
import { basename, join } from 'node:path';
import { version } from './version.ts';

const words = process.argv.slice(2);
const rest = words.filter((word) => word !== '--json');
if (rest.length === 1 && rest.every((word) => word === '--version' || word === '-V' || word === 'version')) {
  process.stdout.write(words.length === 1 ? `${version}\n` : `${JSON.stringify({ version }, undefined, 2)}\n`);
} else {
  // Only for the bundle: the sources, run as they are in tests, leave nothing behind.
  if (basename(import.meta.dirname) === 'dist') module.enableCompileCache(join(import.meta.dirname, '..', '.weft', 'compiled'));
  const { main } = await import('./program.ts');
  process.exitCode = await main(words);
}
