/**
 * nft text of whole tables and of the small pieces a difference is made of. Text and not JSON, because nft cannot read JSON from
 * a pipe of Node, and reads text twice as fast. Every piece ends in a line break; pieces are concatenated to one script, which
 * `nft -f -` runs as one transaction. Forms that read back equal are described in nft-normal.ts.
 */
import { isVerdict } from './nft.ts';
import type { NftChain, NftExpr, NftMap, NftMapElement, NftRule, NftSet, NftTable } from './nft.ts';
import { kindOfKey, printExpression, quote } from './nft-print-expression.ts';
import { printRule, printVerdict } from './nft-print-rule.ts';

export { printExpression } from './nft-print-expression.ts';
export { printRule, printStatement, printVerdict } from './nft-print-rule.ts';

/** What says in which table something is: a whole {@link NftTable} will do. */
export type TableRef = Pick<NftTable, 'family' | 'name'>;
/** A name, or what has one. */
export type Named = string | { readonly name: string };
/** An element of a set, or of a verdict map. */
export type Element = NftExpr | NftMapElement;
type SetLike = Pick<NftSet, 'name' | 'key'>;
type Declared = Pick<NftSet, 'key' | 'flags' | 'size'>;

/**
 * A whole table as `table inet weft { … }`: all chains without rules first (rules and maps jump to them), sets, maps, then the rules.
 * Loaded where the table exists already it adds: rules twice, elements once.
 */
export function printTable(table: NftTable): string {
  const lines = [`table ${ref(table)} {`];
  for (const chain of table.chains) lines.push(`\tchain ${name(chain.name)} {`, ...chainHeader(chain).map((line) => `\t\t${line}`), '\t}');
  for (const set of table.sets) {
    lines.push(
      `\tset ${name(set.name)} {`,
      ...keyLines(set, false).map((line) => `\t\t${line}`),
      ...elementLines(elementTexts(set, set.elements)),
      '\t}',
    );
  }
  for (const map of table.maps) {
    lines.push(
      `\tmap ${name(map.name)} {`,
      ...keyLines(map, true).map((line) => `\t\t${line}`),
      ...elementLines(elementTexts(map, map.elements)),
      '\t}',
    );
  }
  // 1.0.6: a rule has to end in a line break before the closing brace.
  for (const chain of table.chains) {
    if (chain.rules.length > 0) lines.push(`\tchain ${name(chain.name)} {`, ...chain.rules.map((rule) => `\t\t${printRule(rule)}`), '\t}');
  }
  return `${lines.join('\n')}\n}\n`;
}

/** `add table inet weft`: no error when it is there. */
export function addTable(table: TableRef): string {
  return `add table ${ref(table)}\n`;
}

/** `delete table inet weft`: an error when it is not there (1.0.6 has no `destroy`); {@link dropTable} is not. */
export function deleteTable(table: TableRef): string {
  return `delete table ${ref(table)}\n`;
}

/** Removes a table whether or not it is there, in one transaction. */
export function dropTable(table: TableRef): string {
  return addTable(table) + deleteTable(table);
}

/** Declares a chain without its rules; `add chain inet weft forward { type filter hook forward priority 0; policy accept; }` for a base chain. */
export function addChain(table: TableRef, chain: NftChain): string {
  const header = chainHeader(chain);
  return `add chain ${ref(table)} ${name(chain.name)}${header.length > 0 ? ` { ${header.join(' ')} }` : ''}\n`;
}

/** Appends the chain's rules (or the given ones) to the chain. */
export function addRules(table: TableRef, chain: Pick<NftChain, 'name' | 'rules'>, rules: readonly NftRule[] = chain.rules): string {
  return rules.map((rule) => `add rule ${ref(table)} ${name(chain.name)} ${printRule(rule)}\n`).join('');
}

export function flushChain(table: TableRef, chain: Named): string {
  return `flush chain ${ref(table)} ${named(chain)}\n`;
}

/** The chain must be there, without rules and without a jump to it left when the transaction ends. */
export function deleteChain(table: TableRef, chain: Named): string {
  return `delete chain ${ref(table)} ${named(chain)}\n`;
}

/** Declares a set or a verdict map (one that `table.maps` names) without its elements. No error when it is there with the same declaration. */
export function addSet(table: NftTable, set: NftSet | NftMap): string {
  const isMap = table.maps.some((map) => map.name === set.name);
  return `add ${isMap ? 'map' : 'set'} ${ref(table)} ${name(set.name)} { ${keyLines(set, isMap).join('; ')}; }\n`;
}

/** Deletes a set or a map (nft takes `delete set` for both); no rule may name it any more when the transaction ends. */
export function deleteSet(table: TableRef, set: Named): string {
  return `delete set ${ref(table)} ${named(set)}\n`;
}

/** Empties a set or a map, which `table.maps` must name then: nft wants the right word here. */
export function flushSet(table: NftTable, set: Named): string {
  const word = table.maps.some((map) => map.name === named(set)) ? 'map' : 'set';
  return `flush ${word} ${ref(table)} ${named(set)}\n`;
}

/**
 * Adds elements to a set or a map; no text for none. What is there already is no error, except a map's key with another verdict:
 * delete it before, in the same transaction.
 */
export function addElements(table: TableRef, set: SetLike, elements: readonly Element[]): string {
  return elementCommand('add', table, set.name, elementTexts(set, elements));
}

/** Deletes elements from a set or a map. One that is not there fails the whole transaction. */
export function deleteElements(table: TableRef, set: SetLike, elements: readonly Element[]): string {
  return elementCommand('delete', table, set.name, elementTexts(set, elements));
}

/** Elements as nft writes them, `"w-x" . 10.0.0.1` or `10.0.0.1 : jump a_1`; also what sorts and compares them (see nft-normal.ts). */
export function elementTexts(set: Pick<NftSet, 'key'>, elements: readonly Element[]): string[] {
  const kind = kindOfKey(set.key);
  return elements.map((element) =>
    isMapping(element)
      ? `${printExpression(element[0], kind)} : ${isVerdict(element[1]) ? printVerdict(element[1]) : printExpression(element[1])}`
      : printExpression(element, kind),
  );
}

export function isMapping(element: Element): element is NftMapElement {
  return Array.isArray(element);
}

function elementCommand(word: 'add' | 'delete', table: TableRef, set: string, elements: readonly string[]): string {
  // One a line: an error of nft quotes the whole line it is on.
  return elements.length === 0 ? '' : `${word} element ${ref(table)} ${name(set)} {\n${elements.join(',\n')}\n}\n`;
}

function elementLines(elements: readonly string[]): string[] {
  return elements.length === 0 ? [] : [`\t\telements = {\n${elements.join(',\n')}\n\t\t}`];
}

function keyLines(container: Declared & { readonly data?: readonly string[] }, isMap: boolean): string[] {
  const { key, flags, size, data } = container;
  const types =
    'types' in key
      ? `type ${key.types.map(typeWord).join(' . ')}`
      : `typeof ${key.typeof.map((expr) => printExpression(expr)).join(' . ')}`;
  const lines = [isMap ? `${types} : ${data?.join(' . ') ?? 'verdict'}` : types];
  if (size !== undefined) lines.push(`size ${size}`);
  if (flags.length > 0) lines.push(`flags ${flags.join(',')}`);
  return lines;
}

/** JSON of nft says `integer` for a raw payload field, which the text form does not accept: the width is lost. */
function typeWord(type: string): string {
  if (type === 'integer')
    throw new Error(
      'A set with a raw payload key has to be declared with typeof; its declaration read back from the kernel is not enough.',
    );
  return type;
}

function chainHeader(chain: NftChain): string[] {
  if (!chain.base) return [];
  const { type, hook, priority, policy, devices } = chain.base;
  const on =
    devices === undefined
      ? ''
      : devices.length === 1
        ? ` device ${quote(devices[0] ?? '')}`
        : ` devices = { ${devices.map(quote).join(', ')} }`;
  return [`type ${type} hook ${hook}${on} priority ${priority}; policy ${policy};`];
}

function named(value: Named): string {
  return name(typeof value === 'string' ? value : value.name);
}

function ref(table: TableRef): string {
  return `${table.family} ${name(table.name)}`;
}

/** nft has no quoting for names of tables, chains and sets in 1.0.6; keywords (`fwd`, `log`) are the caller's to avoid. */
function name(text: string): string {
  if (!/^[A-Za-z_][A-Za-z0-9_.\\/-]*$/.test(text)) throw new Error(`${JSON.stringify(text)} cannot be a name in nft.`);
  return text;
}
