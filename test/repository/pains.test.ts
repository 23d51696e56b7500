/** docs/pains.md names tests that there are, and says of each pain where it is shown or that it is not yet. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';

const docs = join(import.meta.dirname, '../../docs');
const rows = readFileSync(join(docs, 'pains.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| \d+ /.test(line));

test('docs/pains.md has the twenty, in order', () => {
  assert.deepEqual(
    rows.map((row) => Number(/^\| (\d+)/.exec(row)?.[1])),
    Array.from({ length: 20 }, (_, i) => i + 1),
  );
});

test('each is shown by a test of that name, or said to be open', () => {
  for (const row of rows) {
    const shown = [...row.matchAll(/\[([^\]]+)\]\(([^)]+\.test\.ts)\)/g)];
    if (shown.length === 0) assert.match(row, /Not yet: /, row);
    for (const [, title = '', path = ''] of shown) {
      const file = join(docs, path);
      assert.ok(existsSync(file), path);
      assert.ok(readFileSync(file, 'utf8').includes(title), `${path} has no test \`${title}\``);
    }
  }
});
