/**
 * Wrong files and the exact words each gets: syntax.txt has, for each case, the file and what is printed. `node
 * test/bad-files/syntax.test.ts --write` writes what is printed now into the table, to be read over before it is committed.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { parseConfig } from '../../src/config/read.ts';
import type { Diagnostic } from '../../src/diagnostic/diagnostic.ts';
import { renderAll } from '../../src/diagnostic/render.ts';

interface Case {
  readonly title: string;
  readonly text: string;
  readonly says: string;
}

const table = new URL('./syntax.txt', import.meta.url);

/** `=== TITLE`, the file, `--- says`, what is printed. */
function readCases(): Case[] {
  return readFileSync(table, 'utf8')
    .split(/^=== /m)
    .slice(1)
    .map((part) => {
      const [head = '', says = ''] = part.split(/^--- says\n/m);
      const end = head.indexOf('\n');
      return { title: head.slice(0, end), text: head.slice(end + 1), says: says.trimEnd() };
    });
}

function printed(text: string): string {
  const found: Diagnostic[] = [];
  const config = parseConfig('weft.yaml', '/etc/weft', text, (problem) => found.push(problem));
  assert.equal(config, undefined, 'a wrong file has no model');
  assert.ok(found.every((problem) => problem.severity === 'error' && problem.span !== undefined));
  return renderAll(found, new Map([['weft.yaml', text]]), { color: false });
}

const cases = readCases();

if (process.argv.includes('--write')) {
  const entries = cases.map(({ title, text }) => `=== ${title}\n${text}--- says\n${printed(text)}\n`);
  writeFileSync(table, entries.join('\n'));
} else {
  for (const { title, text, says } of cases) test(title, () => assert.equal(printed(text), says));
  test('the table is not empty', () => assert.ok(cases.length >= 60));
}
