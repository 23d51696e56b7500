/** The examples of docs/file.md are files that can be read, and its tables name every key there is. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { jsonSchemaText } from './json-schema.ts';
import { parseConfig } from './read.ts';

const page = readFileSync(new URL('../../docs/file.md', import.meta.url), 'utf8');
const examples = [...page.matchAll(/^```yaml\n([^]*?)^```$/gm)].map((match) => match[1] ?? '');

test('every example is accepted', () => {
  assert.ok(examples.length >= 8);
  const names = readFileSync(new URL('../../docs/names-as-destinations.md', import.meta.url), 'utf8');
  const others = [...names.matchAll(/^```yaml\n([^]*?)^```$/gm)].map((match) => match[1] ?? '');
  for (const text of [...examples, ...others]) {
    const config = parseConfig('docs/file.md', '/', text, ({ message, span }) => assert.fail(`${span?.line}: ${message}\n${text}`));
    assert.ok(config);
  }
});

test('every key of the file is on the page', () => {
  const keys = new Set<string>();
  JSON.parse(jsonSchemaText(), (key, value: unknown) => {
    if (key === 'properties' && typeof value === 'object' && value !== null) for (const name of Object.keys(value)) keys.add(name);
    return value;
  });
  assert.deepEqual(
    [...keys].filter((key) => !new RegExp(`(?:\`|^ *|[{,] |- )${key}\\b`, 'm').test(page)),
    [],
  );
});
