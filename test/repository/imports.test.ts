/** The import rules between folders are read from docs/architecture.md, catch what they forbid, and hold. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { readTable, violations } from '../../scripts/check-imports.ts';

const root = join(import.meta.dirname, '../..');
const table = readTable(readFileSync(join(root, 'docs/architecture.md'), 'utf8'));

test('every folder of src/ has a row in the table', () => {
  const folders = new Set(globSync('src/*/', { cwd: root }).map((path) => path.split('/')[1] ?? ''));
  assert.deepEqual([...table.keys()].toSorted(), [...folders].toSorted());
});

/** Not the real one, so that these cases stay when it changes. */
const example = readTable(`
| \`net/\` | addresses | nothing |
| \`config/\` | the file | net |
| \`compile/\` | rules | net, config/flow |
| \`apply/\` | does it | net, (compile types) |
| \`prove/\` | proves | net; never compile |
| \`twin/\` | tries | everything but cli |
| \`kernel/\` | runs | net |
| \`cli/\` | asks | everything |
`);

test('a word in the table that is no folder is an error', () => {
  assert.throws(() => readTable('| `net/` | addresses | nett |'), /nett/);
});

const cases: readonly { name: string; path: string; text: string; caught: RegExp | undefined }[] = [
  {
    name: 'prove may not see compile',
    path: 'src/prove/a.ts',
    text: "import { x } from '../compile/x.ts';",
    caught: /src\/prove\/a\.ts:1: src\/prove\/ may not import src\/compile/,
  },
  { name: 'nor load it lazily', path: 'src/prove/a.ts', text: "\nconst x = await import('../compile/x.ts');", caught: /a\.ts:2:/ },
  {
    name: 'over several lines',
    path: 'src/net/a.ts',
    text: "import {\n  x,\n} from '../config/x.ts';",
    caught: /may not import src\/config/,
  },
  { name: 'by export from', path: 'src/net/a.ts', text: "export { x } from '../config/x.ts';", caught: /may not import/ },
  { name: 'one file of a folder', path: 'src/compile/a.ts', text: "import type { x } from '../config/flow.ts';", caught: undefined },
  { name: 'not its other files', path: 'src/compile/a.ts', text: "import type { x } from '../config/model.ts';", caught: /may not import/ },
  { name: 'types where types are allowed', path: 'src/apply/a.ts', text: "import type { x } from '../compile/x.ts';", caught: undefined },
  { name: 'no values there', path: 'src/apply/a.ts', text: "import { x } from '../compile/x.ts';", caught: /may not import/ },
  { name: 'twin sees all but cli', path: 'src/twin/a.ts', text: "import { x } from '../cli/x.ts';", caught: /may not import src\/cli/ },
  {
    name: 'programs only in kernel',
    path: 'src/twin/a.ts',
    text: "import { spawn } from 'node:child_process';",
    caught: /only src\/kernel/,
  },
  { name: 'a folder nobody knows', path: 'src/misc/a.ts', text: '', caught: /not in the table/ },
  { name: 'the downward way', path: 'src/cli/a.ts', text: "import { x } from '../apply/x.ts';", caught: undefined },
];
for (const { name, path, text, caught } of cases) {
  test(`import rule: ${name}`, () => {
    const found = violations(path, text, example).join('\n');
    if (caught === undefined) assert.equal(found, '');
    else assert.match(found, caught);
  });
}

test('the sources keep the rules', () => {
  const found = globSync('src/**/*.ts', { cwd: root }).flatMap((path) => violations(path, readFileSync(join(root, path), 'utf8'), table));
  assert.deepEqual(found, []);
});
