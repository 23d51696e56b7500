/** The pages keep to the code: every diagnostic code has its entry in docs/errors.md, is used by the sources, no entry is of a code that is gone;
 * links lead somewhere, and the README shows the real quickstart. */
import assert from 'node:assert/strict';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'node:test';
import { parse } from 'yaml';
import { main } from '../../src/cli/program.ts';
import { diagnosticCodes } from '../../src/diagnostic/codes.ts';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8');
const entries = page.split(/^### /m).slice(1);

test('docs/errors.md has exactly the codes, each once and with a text', () => {
  const names = entries.map((entry) => entry.split('\n')[0] ?? '');
  assert.deepEqual(names.toSorted(), [...diagnosticCodes].toSorted());
  for (const entry of entries) assert.match(entry, /\n.{20,}/, entry);
});

test('each code is used in src/', () => {
  const sources = globSync('src/**/*.ts', { cwd: root })
    .filter((path) => !path.endsWith('.test.ts') && path !== 'src/diagnostic/codes.ts')
    .map((path) => readFileSync(join(root, path), 'utf8'))
    .join('\n');
  assert.deepEqual(
    diagnosticCodes.filter((code) => !sources.includes(`'${code}'`)),
    [],
  );
});

test('README, CONTRIBUTING and docs link to nothing that is not there', () => {
  for (const path of ['README.md', 'CONTRIBUTING.md', ...globSync('docs/*.md', { cwd: root })]) {
    const text = readFileSync(join(root, path), 'utf8');
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:|#)([^)#]+)[^)]*\)/g)) {
      assert.ok(existsSync(join(root, dirname(path), target)), `${path} links to ${target}`);
    }
  }
});

test('the quickstart in the README is the one in examples/', () => {
  const shown = /```yaml\n# examples\/quickstart\/weft\.yaml\n([\s\S]*?)```/.exec(readFileSync(join(root, 'README.md'), 'utf8'))?.[1] ?? '';
  const file = readFileSync(join(root, 'examples/quickstart/weft.yaml'), 'utf8');
  const plain = (text: string): unknown => parse(text);
  assert.deepEqual(plain(shown), plain(file));
});

test('docs/commands.md has every command and every global option', async () => {
  let help = '';
  const none = (): void => undefined;
  await main(['--help'], {
    out: (text) => (help += text),
    err: none,
    env: {},
    cwd: '/',
    color: { out: false, err: false },
    interactive: false,
    columns: undefined,
  });
  const text = readFileSync(join(root, 'docs/commands.md'), 'utf8');
  const commands = [...help.matchAll(/^ {2}([a-z]+)(?: |$)/gm)].map(([, name = '']) => name).filter((name) => name !== 'help');
  assert.ok(commands.length >= 15, help);
  for (const name of commands) assert.match(text, new RegExp(`\\*\\*\`weft ${name}\\b`));
  for (const [option] of help.matchAll(/--(?!help|version)[a-z-]+/g)) assert.ok(text.includes(option), option);
});
