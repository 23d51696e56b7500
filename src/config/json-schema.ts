/**
 * The JSON Schema of weft.yaml, made from the schemas that validate it. Run as a program, it writes schema/weft.schema.json
 * (`node src/config/json-schema.ts`); a test fails when that file is not up to date.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as z from 'zod';
import { fileSchema } from './schema.ts';

/** Where the generated schema lies. */
export const schemaFile = fileURLToPath(new URL('../../schema/weft.schema.json', import.meta.url));

/** The schema as the text of that file. */
export function jsonSchemaText(): string {
  const schema = z.toJSONSchema(fileSchema, { io: 'input', target: 'draft-7', unrepresentable: 'throw' });
  return `${JSON.stringify({ ...schema, $id: 'weft.schema.json' }, null, 2).replace(SHORT_LIST, onOneLine)}\n`;
}

/** A list of plain values, as the formatter of the repository writes it: on one line where it fits. */
const SHORT_LIST = /^( *(?:"[^"]*": )?)\[\n([^[\]{}]*?)\n *\](,?)$/gm;

function onOneLine(list: string, lead: string, items: string, comma: string): string {
  const line = `${lead}[${items.trim().replace(/\n */g, ' ')}]${comma}`;
  return line.length <= 140 ? line : list;
}

/** True when the file on disk is what {@link jsonSchemaText} says. */
export function isUpToDate(): boolean {
  return readFileSync(schemaFile, 'utf8') === jsonSchemaText();
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(schemaFile, jsonSchemaText());
