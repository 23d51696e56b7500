/**
 * Holds the sources to the table in docs/architecture.md: which folder of src/ may import which. The table is read from that page, so
 * page and check cannot differ. Also: only src/kernel/ may import node:child_process, and nothing but tests imports test packages.
 * Run by `npm run lint`; prints `FILE:LINE: …` for each import that is not allowed.
 */
import { readFile } from 'node:fs/promises';
import { globSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** What one folder may import: whole folders, single files (`config/flow`), and folders of which it may use types only. */
export interface Permission {
  readonly all: boolean;
  readonly folders: ReadonlySet<string>;
  readonly files: ReadonlySet<string>;
  readonly typesOnly: ReadonlySet<string>;
  readonly not: ReadonlySet<string>;
}

/** Reads the rows `| \`folder/\` | what | may import |`. Throws when a row says something it does not understand. */
export function readTable(page: string): ReadonlyMap<string, Permission> {
  const rows = page.matchAll(/^\| `([a-z]+)\/` \|[^|]*\| ([^|]*) \|$/gm);
  const raw = [...rows].map((row) => [row[1] ?? '', (row[2] ?? '').split(';')[0]?.trim() ?? ''] as const);
  const known = new Set(raw.map(([folder]) => folder));
  return new Map(raw.map(([folder, words]) => [folder, readPermission(words, known)]));
}

function readPermission(words: string, known: ReadonlySet<string>): Permission {
  const empty = { all: false, folders: new Set<string>(), files: new Set<string>(), typesOnly: new Set<string>(), not: new Set<string>() };
  if (words === 'nothing') return empty;
  const everything = /^everything(?: but (\w+))?$/.exec(words);
  if (everything) return { ...empty, all: true, not: new Set(everything[1] === undefined ? [] : [everything[1]]) };
  const types = /\((.*) types\)$/.exec(words);
  const list = (text: string): string[] =>
    text
      .split(',')
      .map((word) => word.trim())
      .filter((word) => word !== '');
  const plain = list(types === null ? words : words.slice(0, types.index));
  const typesOnly = list(types?.[1] ?? '');
  for (const word of [...plain, ...typesOnly]) {
    if (!known.has(word.split('/')[0] ?? ''))
      throw new Error(`docs/architecture.md: the import table says '${word}', which is no folder of src/`);
  }
  return {
    ...empty,
    folders: new Set(plain.filter((word) => !word.includes('/'))),
    files: new Set(plain.filter((word) => word.includes('/'))),
    typesOnly: new Set(typesOnly),
  };
}

/** The imports of one file of src/ (path relative to the repository) that the table does not allow, as `FILE:LINE: …`. */
export function violations(path: string, text: string, table: ReadonlyMap<string, Permission>): readonly string[] {
  const folder = path.split('/')[1] ?? '';
  const isTest = path.endsWith('.test.ts');
  const permission = table.get(folder);
  if (permission === undefined) return [`${path}:1: the folder src/${folder}/ is not in the table of docs/architecture.md`];
  const found: string[] = [];
  for (const { specifier, line, typeOnly } of imports(text)) {
    const say = (what: string): void => void found.push(`${path}:${line}: ${what}`);
    if (specifier === 'node:child_process' && folder !== 'kernel' && !isTest) say('only src/kernel/ runs programs; go through a Kernel');
    if (!specifier.startsWith('.')) continue;
    if (!specifier.endsWith('.ts') && !specifier.endsWith('.json')) say(`imports name the .ts file: '${specifier}'`);
    const [top, to = '', file = ''] = relative('.', join(dirname(path), specifier)).split('/');
    if (top !== 'src' || to === folder || isTest) continue;
    const allowed = permission.all
      ? !permission.not.has(to)
      : permission.folders.has(to) ||
        permission.files.has(`${to}/${file.replace(/\.ts$/, '')}`) ||
        (typeOnly && permission.typesOnly.has(to));
    if (!allowed) say(`src/${folder}/ may not import src/${to}/ (docs/architecture.md)`);
  }
  return found;
}

function imports(text: string): readonly { specifier: string; line: number; typeOnly: boolean }[] {
  const statements = text.matchAll(
    /^(?:import|export)\s(type\s)?[^;'"]*?from\s*['"]([^'"]+)['"]|^import\s*['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm,
  );
  return [...statements].map((statement) => ({
    specifier: statement[2] ?? statement[3] ?? statement[4] ?? '',
    line: text.slice(0, statement.index).split('\n').length,
    typeOnly: statement[1] !== undefined,
  }));
}

if (process.argv[1] === import.meta.filename) {
  const root = resolve(import.meta.dirname, '..');
  process.chdir(root);
  const table = readTable(await readFile('docs/architecture.md', 'utf8'));
  const found: string[] = [];
  for (const path of globSync('src/**/*.ts').toSorted()) found.push(...violations(path, await readFile(path, 'utf8'), table));
  for (const line of found) console.error(line);
  if (found.length > 0) process.exitCode = 1;
}
