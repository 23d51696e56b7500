/** A change of the compiler, which only a chunk of the bundle holds, makes another program of it. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildId } from './build-id.ts';

const root = join(import.meta.dirname, '../..');

test('another compiler is another program, as a bundle and as sources', () => {
  const copy = mkdtempSync(join(tmpdir(), 'weft-build-'));
  try {
    for (const part of ['src', 'scripts', 'package.json']) cpSync(join(root, part), join(copy, part), { recursive: true });
    symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
    const both = (): string[] => {
      execFileSync(process.execPath, [join(copy, 'scripts/build.ts')]);
      return [buildId(join(copy, 'dist')), buildId(join(copy, 'src/cli'))];
    };
    const [bundle, sources] = both();
    const path = join(copy, 'src/compile/nft-chains.ts');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replaceAll("'from_outside'", "'from_the_outside'"));
    const [otherBundle, otherSources] = both();
    assert.notEqual(otherBundle, bundle);
    assert.notEqual(otherSources, sources);
    // What does not change the program does not change the bundle.
    appendFileSync(path, '// a remark\n');
    assert.equal(both()[0], otherBundle);
  } finally {
    rmSync(copy, { recursive: true });
  }
});
