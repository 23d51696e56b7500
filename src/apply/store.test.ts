/** What root writes into a person's directory stays that person's. */
import assert from 'node:assert/strict';
import { chownSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { replaceFile } from './store.ts';

test("root's files in a person's directory belong to that person", { skip: process.getuid?.() !== 0 }, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-store-'));
  try {
    chownSync(directory, 65534, 65533);
    const made = join(directory, 'weft.lock');
    await replaceFile(made, 'one', 0o644);
    assert.deepEqual([statSync(made).uid, statSync(made).gid, readFileSync(made, 'utf8')], [65534, 65533, 'one']);
    const kept = join(directory, 'kept');
    writeFileSync(kept, '');
    chownSync(kept, 1234, 0);
    await replaceFile(kept, 'two', 0o644);
    assert.deepEqual([statSync(kept).uid, statSync(kept).gid, readFileSync(kept, 'utf8')], [1234, 0, 'two']);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
