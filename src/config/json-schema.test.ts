/** The JSON Schema is the one on disk, and says of files what the validation says, as far as a schema can. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { parse } from 'yaml';
import { isUpToDate, jsonSchemaText, schemaFile } from './json-schema.ts';

type Schema = { readonly [key: string]: unknown };

const isObject = (value: unknown): value is Schema => typeof value === 'object' && value !== null && !Array.isArray(value);
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** A naive validator of the keywords the schema uses; an unknown one fails the test. */
function accepts(schema: unknown, value: unknown): boolean {
  if (schema === false) return false;
  if (!isObject(schema)) return true;
  const checks: Record<string, (rule: unknown) => boolean> = {
    type: (rule) => typeOf(value) === rule || (rule === 'number' && typeOf(value) === 'integer'),
    const: (rule) => value === rule,
    enum: (rule) => listOf(rule).includes(value),
    pattern: (rule) => typeof value !== 'string' || new RegExp(String(rule), 'u').test(value),
    minimum: (rule) => typeof value !== 'number' || value >= Number(rule),
    maximum: (rule) => typeof value !== 'number' || value <= Number(rule),
    minItems: (rule) => !Array.isArray(value) || value.length >= Number(rule),
    items: (rule) => !Array.isArray(value) || value.every((item) => accepts(rule, item)),
    required: (rule) => !isObject(value) || listOf(rule).every((key) => Object.hasOwn(value, String(key))),
    properties: (rule) =>
      !isObject(value) ||
      !isObject(rule) ||
      Object.entries(value).every(([key, inner]) => !Object.hasOwn(rule, key) || accepts(rule[key], inner)),
    additionalProperties: (rule) =>
      !isObject(value) ||
      Object.entries(value).every(
        ([key, inner]) => (isObject(schema['properties']) && Object.hasOwn(schema['properties'], key)) || accepts(rule, inner),
      ),
    propertyNames: (rule) => !isObject(value) || Object.keys(value).every((key) => accepts(rule, key)),
    anyOf: (rule) => listOf(rule).some((inner) => accepts(inner, value)),
    oneOf: (rule) => listOf(rule).filter((inner) => accepts(inner, value)).length === 1,
    allOf: (rule) => listOf(rule).every((inner) => accepts(inner, value)),
  };
  for (const silent of ['$schema', '$id', 'title', 'description', 'examples']) checks[silent] = () => true;
  return Object.entries(schema).every(([keyword, rule]) => {
    const check = checks[keyword];
    assert.ok(check, `the test does not know the keyword ${keyword}`);
    return check(rule);
  });
}

function typeOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  return typeof value === 'number' && Number.isInteger(value) ? 'integer' : typeof value;
}

const schema: unknown = JSON.parse(jsonSchemaText());

test('the schema on disk is up to date (node src/config/json-schema.ts writes it)', () => {
  assert.ok(isUpToDate(), schemaFile);
});

test('it accepts the example of the design', () => {
  assert.ok(accepts(schema, parse(readFileSync(new URL('../../test/fixtures/design-example.yaml', import.meta.url), 'utf8'))));
});

test('it refuses what editors should underline', () => {
  const wrong = [
    'guest: {}',
    'networks: { a: { kind: natt, subnet: 10.0.0.0/24 } }',
    'networks: { a: { kind: nat } }',
    'networks: { a: { kind: isolated, subnet: 10.0.0.0/24, snat: 203.0.113.1 } }',
    'networks: { a: { kind: nat, subnet: 10.0.0.0/24, mtu: 10 } }',
    'guests: { web_1: internal }',
    'guests: { web: { network: internal, kind: lxc } }',
    'guests: { web: { network: internal, mac: 525400aa0001 } }',
    'allow: [{ from: web }]',
    'expect: [{ cant: web -> db }]',
  ];
  for (const text of wrong) assert.ok(!accepts(schema, parse(text)), text);
});

test('every key of the file has a description for the editor, or is a plain choice', () => {
  const undescribed: string[] = [];
  const walk = (node: unknown, path: string): void => {
    if (!isObject(node)) return;
    if (isObject(node['properties'])) {
      for (const [key, inner] of Object.entries(node['properties'])) {
        if (isObject(inner) && !JSON.stringify(inner).includes('"description"') && !('const' in inner)) undescribed.push(`${path}/${key}`);
        walk(inner, `${path}/${key}`);
      }
    }
    for (const key of ['anyOf', 'oneOf']) listOf(node[key]).forEach((inner) => walk(inner, path));
    walk(node['additionalProperties'], path);
    walk(node['items'], path);
  };
  walk(schema, '');
  assert.deepEqual(undescribed, []);
});
