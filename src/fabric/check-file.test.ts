import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { after, test } from 'node:test';
import { checkFile } from './check-file.ts';
import { formatLock } from './lock.ts';

const directory = mkdtempSync(join(tmpdir(), 'weft-check-'));
after(() => rmSync(directory, { recursive: true, force: true }));

function write(name: string, files: Record<string, string>): string {
  const folder = join(directory, name);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of Object.entries(files)) writeFileSync(join(folder, file), text);
  return join(folder, 'weft.yaml');
}

const GOOD = 'networks: { lab: { kind: nat, subnet: 10.0.0.0/24 } }\nguests: { a: lab, b: lab }\n';

test('a file without a lock, then with the lock it came to', () => {
  const path = write('good', { 'weft.yaml': GOOD });
  const first = checkFile(path);
  assert.deepEqual(first.diagnostics, []);
  assert.equal(first.lock, undefined);
  assert.deepEqual([first.fabric?.name, first.fabric?.guests[1]?.nics[0]?.v4], ['good', '10.0.0.3']);
  assert.ok(first.fabric);
  write('good', { 'weft.yaml': GOOD.replace('a: lab, b', 'b'), 'weft.lock': formatLock(first.fabric.lock) });
  const second = checkFile(path);
  assert.deepEqual(second.lock, first.fabric.lock);
  assert.deepEqual(
    second.fabric?.guests.map((g) => [g.name, g.nics[0]?.v4]),
    [['b', '10.0.0.3']],
  );
});

test('a damaged lock stops it, and the problems of the file are still told, in the order of the file', () => {
  const path = write('damaged', {
    'weft.yaml': `${GOOD}allow: [x -> b]\nblock: [y -> b]\n`,
    'weft.lock': '{',
  });
  const { fabric, config, diagnostics } = checkFile(relative(process.cwd(), path));
  assert.equal(fabric, undefined);
  assert.ok(config);
  assert.deepEqual(
    diagnostics.map((d) => [d.span?.file, d.span?.line, d.code]),
    [
      [join(relative(process.cwd(), path), '..', 'weft.lock'), 1, 'lock-unreadable'],
      [relative(process.cwd(), path), 3, 'unknown-party'],
      [relative(process.cwd(), path), 4, 'unknown-party'],
    ],
  );
  const onlyLock = write('damaged2', { 'weft.yaml': GOOD, 'weft.lock': '{' });
  assert.equal(checkFile(onlyLock).fabric, undefined);
});

test('a lock that is a directory, a file that is not there', () => {
  const path = write('odd', { 'weft.yaml': GOOD });
  mkdirSync(join(directory, 'odd', 'weft.lock'));
  assert.deepEqual(
    checkFile(path).diagnostics.map((d) => [d.code, d.message]),
    [['lock-unreadable', 'the lock cannot be read (EISDIR); check its permissions.']],
  );
  assert.deepEqual(
    checkFile(join(directory, 'none', 'weft.yaml')).diagnostics.map((d) => d.code),
    ['file-not-found'],
  );
});
