/**
 * Bundles src/ into dist/ with esbuild: a small entry and chunks that heavy commands load when they are used. A Weft that runs while this
 * happens goes on: chunks are named by content, each file is replaced whole, and chunks of earlier bundles stay for an hour.
 */
import { build, type Plugin } from 'esbuild';
import { mkdir, readdir, rename, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');
const keepMs = 3_600_000;

/** Puts a file in place whole, so that no reader sees half of it. */
async function place(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}`;
  await writeFile(temporary, content);
  await rename(temporary, path);
}

/** dns-packet is CommonJS and requires `buffer`, which an ES module has no `require` for: an import in its place. */
const bufferOfNode: Plugin = {
  name: 'buffer-of-node',
  setup(plugin) {
    plugin.onResolve({ filter: /^buffer$/ }, () => ({ path: 'buffer', namespace: 'buffer-of-node' }));
    plugin.onLoad({ filter: /.*/, namespace: 'buffer-of-node' }, () => ({ contents: "export { Buffer } from 'node:buffer';" }));
  },
};

// Sources changed while esbuild reads them are newer than this moment, and bundled again next time.
const started = new Date();
const result = await build({
  absWorkingDir: root,
  entryPoints: { main: 'src/cli/main.ts', relay: 'src/relay/main.ts' },
  outdir: 'dist',
  bundle: true,
  splitting: true,
  format: 'esm',
  // Not `node`: packages then give their ES modules, which need no `require` and drop what is unused.
  platform: 'neutral',
  external: ['node:*'],
  plugins: [bufferOfNode],
  target: 'node24',
  chunkNames: 'chunk-[hash]',
  minifySyntax: true,
  minifyWhitespace: true,
  write: false,
  logLevel: 'warning',
}).catch(() => undefined);
if (result === undefined) process.exit(1);

await mkdir(dist, { recursive: true });
const current = new Set<string>();
const isEntry = (path: string): boolean => ['main.js', 'relay.js'].includes(basename(path));
for (const file of result.outputFiles.toSorted((a, b) => Number(isEntry(a.path)) - Number(isEntry(b.path)))) {
  current.add(basename(file.path));
  await place(file.path, file.contents);
}
for (const name of await readdir(dist)) {
  const path = join(dist, name);
  if (name.startsWith('chunk-') && !current.has(name) && started.getTime() - (await stat(path)).mtimeMs > keepMs) await unlink(path);
}
await place(join(dist, 'package.json'), '{"type":"module"}\n');
await place(join(dist, 'stamp'), '');
await utimes(join(dist, 'stamp'), started, started);
