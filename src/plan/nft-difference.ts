/**
 * The difference of two sets of nft tables as ONE transaction inside base chains that stay. Chains and sets that the compiler
 * names by content never change in place: a changed policy is a new chain, one map element and an old chain less. So one guest
 * more among ten thousand is a few elements, and no packet ever meets a half-filled chain (kernel.md, "Replacing rules under traffic").
 */
import type { NftChain, NftExpr, NftMap, NftSet, NftTable } from '../hoststate/nft.ts';
import {
  addChain,
  addElements,
  addRules,
  addSet,
  deleteChain,
  deleteElements,
  deleteSet,
  deleteTable,
  flushChain,
  isMapping,
  printTable,
  type Element,
} from '../hoststate/nft-print.ts';
import { canonicalJson, difference, sameJson, type KeyedDifference } from './keyed.ts';
import type { Change } from './steps.ts';

export interface NftDifference {
  /** Empty when the tables are equal. */
  readonly text: string;
  readonly changes: readonly Change[];
  /**
   * The part worth trying with `nft -c` before anything is touched: whole rules, not single elements; without the netdev table, whose
   * chains need devices that may not be there yet (Linux before 6.18 refuses them).
   */
  readonly check: string;
  /** For people: `3 chains, 12 elements`. */
  readonly summary: string;
  /** True unless everything in it only adds to what may pass. */
  readonly narrowing: boolean;
  /** Sets whose elements come while the host runs are made anew, and empty: who fills them has to. */
  readonly toFill: boolean;
}

/** Sets and verdict maps share one name space in a table. */
type Container = NftSet | NftMap;

const containersOf = (table: NftTable): Container[] => [...table.sets, ...table.maps];
const declarationOf = (table: NftTable, container: Container): unknown => ({
  map: table.maps.some((map) => map.name === container.name),
  key: container.key,
  data: 'data' in container ? container.data : undefined,
  flags: container.flags,
  size: 'size' in container ? container.size : undefined,
});

const tableKey = (table: NftTable): string => `${table.family} ${table.name}`;

/**
 * `renewed`: devices that are made anew by the same plan. Before Linux 6.18 a netdev chain leaves with its device and does not come back with it,
 * so the chains of these are given again whatever was observed, in words that are right whether they are still there or not.
 */
export function nftDifference(
  before: readonly NftTable[],
  after: readonly NftTable[],
  renewed: ReadonlySet<string> = new Set(),
): NftDifference {
  // Whole tables and sets are megabytes in a large fabric: looked into below, not compared as a whole.
  const unlike = (): boolean => false;
  const tables = difference(before, after, tableKey, unlike);
  const parts: string[] = [];
  const checked: string[] = [];
  const changes: Change[] = [];
  const tally = { chains: 0, sets: 0, elements: 0 };
  let narrowing = false;
  let toFill = false;
  for (const table of tables.created) {
    parts.push(printTable(table));
    if (table.family !== 'netdev') checked.push(printTable(table));
    changes.push({ action: 'create', kind: 'table', name: tableKey(table) });
    tally.chains += table.chains.length;
    for (const container of [...table.sets, ...table.maps]) tally.elements += container.elements.length;
    narrowing = true;
    toFill ||= table.sets.some(isFilledLater);
  }
  for (const change of tables.changed) {
    const work = tableDifference(change.before, change.after, renewed);
    parts.push(...work.lines);
    if (change.after.family !== 'netdev' && work.chains > 0) checked.push(...work.lines);
    changes.push(...work.changes);
    tally.chains += work.chains;
    tally.sets += work.sets;
    tally.elements += work.elements;
    narrowing ||= work.narrowing;
    toFill ||= work.toFill;
  }
  for (const table of tables.deleted) {
    parts.push(deleteTable(table));
    changes.push({ action: 'delete', kind: 'table', name: tableKey(table) });
    narrowing = true;
  }
  const summary = Object.entries(tally)
    .filter(([, n]) => n > 0)
    .map(([noun, n]) => `${n} ${n === 1 ? noun.slice(0, -1) : noun}`)
    .join(', ');
  return { text: parts.join(''), check: checked.join(''), changes, summary: summary === '' ? 'tables' : summary, narrowing, toFill };
}

interface TableWork {
  readonly lines: string[];
  readonly changes: Change[];
  chains: number;
  sets: number;
  elements: number;
  narrowing: boolean;
  toFill: boolean;
}

const isFilledLater = (container: Container): boolean => container.flags.includes('timeout');

function tableDifference(before: NftTable, after: NftTable, renewed: ReadonlySet<string>): TableWork {
  const work: TableWork = { lines: [], changes: [], chains: 0, sets: 0, elements: 0, narrowing: false, toFill: false };
  const chains = difference(before.chains, after.chains, (chain) => chain.name);
  const containers = difference(
    containersOf(before),
    containersOf(after),
    (c) => c.name,
    (a, b) => a === b,
  );
  const redeclared = containers.changed.filter((c) => !sameJson(declarationOf(before, c.before), declarationOf(after, c.after)));
  if (redeclared.length > 0) return refill(before, after);

  const { lines } = work;
  for (const container of containers.created) lines.push(addSet(after, container));
  work.toFill = containers.created.some(isFilledLater);
  for (const chain of chains.created) lines.push(addChain(after, chain));
  for (const { before: old, after: chain } of chains.changed) {
    lines.push(flushChain(after, chain.name));
    if (!sameJson(old.base, chain.base)) lines.push(deleteChain(after, old.name), addChain(after, chain));
  }
  for (const chain of [...chains.created, ...chains.changed.map((c) => c.after)]) lines.push(addRules(after, chain));
  for (const { before: old, after: container } of containers.changed) elementDifference(after, old, container, work);
  const touched = new Set([...chains.created, ...chains.changed.map((c) => c.after)].map((chain) => chain.name));
  for (const chain of after.chains) {
    if (touched.has(chain.name) || !(chain.base?.devices ?? []).some((device) => renewed.has(device))) continue;
    lines.push(addChain(after, chain), flushChain(after, chain.name), addRules(after, chain));
  }
  for (const container of containers.created) {
    lines.push(addElements(after, container, container.elements));
    work.elements += container.elements.length;
    if (!onlyWidens(after, container.name)) work.narrowing = true;
  }
  // A chain that a map's element still jumps to cannot leave, nor a set that a rule still asks.
  for (const chain of chains.deleted) lines.push(leftWithItsDevice(after, chain), flushChain(after, chain.name));
  for (const container of containers.deleted) lines.push(deleteSet(after, container));
  for (const chain of chains.deleted) lines.push(deleteChain(after, chain.name));

  work.chains += chains.created.length + chains.changed.length + chains.deleted.length;
  work.sets += containers.created.length + containers.deleted.length;
  if (chains.changed.length + chains.deleted.length + containers.deleted.length > 0) work.narrowing = true;
  work.changes.push(...namedChanges('chain', after, chains), ...namedChanges('set', after, { ...containers, changed: [] }));
  return { ...work, lines: lines.filter((line) => line !== '') };
}

/** Before Linux 6.18 the chain of a deleted device is gone already, and deleting it fails the transaction: declared again, it surely is there. */
const leftWithItsDevice = (table: NftTable, { name, base }: NftChain): string =>
  base?.devices === undefined ? '' : addChain(table, { name, rules: [] });

/** Identity of an element; the two forms that come by the hundred thousand, words and concatenations of words, without a detour. */
function elementText(element: NftExpr): string {
  if (typeof element === 'string') return element;
  if (typeof element === 'object' && 'concat' in element && element.concat.every((part) => typeof part === 'string'))
    return element.concat.join('\0');
  return canonicalJson(element);
}

/**
 * More elements there only let more through: the compiler's sets and maps of what is allowed, and content sets (`s_<hash>`) and those of
 * domain names (`n_<hash>`), which nothing old refers to. Of the anti-spoofing table no connection depends. Of all others, such as what counts as internet, that is not known.
 */
const onlyWidens = (table: NftTable, name: string): boolean => table.family === 'netdev' || /^(allow_|s_|n_|published)/.test(name);

function elementDifference(table: NftTable, before: Container, after: Container, work: TableWork): void {
  if (JSON.stringify(before.elements) === JSON.stringify(after.elements)) return;
  const list = (container: Container): { key: string; value: Element }[] =>
    container.elements.map((value: Element) => ({ key: elementText(isMapping(value) ? value[0] : value), value }));
  const parts = difference(
    list(before),
    list(after),
    (element) => element.key,
    (a, b) => sameJson(a.value, b.value),
  );
  // A map's new verdict is delete and add in one transaction: `add element` does not overwrite.
  const leaving = [...parts.deleted, ...parts.changed.map((c) => c.before)].map((element) => element.value);
  const coming = [...parts.created, ...parts.changed.map((c) => c.after)].map((element) => element.value);
  work.lines.push(deleteElements(table, before, leaving), addElements(table, after, coming));
  work.elements += parts.deleted.length + parts.created.length + parts.changed.length;
  if (leaving.length > 0 || (coming.length > 0 && !onlyWidens(table, after.name))) work.narrowing = true;
  const name = `${table.family} ${table.name} ${after.name}`;
  for (const { value } of parts.created) work.changes.push({ action: 'create', kind: 'element', name, after: value });
  for (const { before: old, after: now } of parts.changed) {
    work.changes.push({ action: 'update', kind: 'element', name, before: old.value, after: now.value });
  }
  for (const { value } of parts.deleted) work.changes.push({ action: 'delete', kind: 'element', name, before: value });
}

/** A set whose type changed (another version of Weft, a foreign hand): everything in the table is emptied and filled again around its base chains. */
function refill(before: NftTable, after: NftTable): TableWork {
  const staying = new Map(after.chains.filter((chain) => chain.base).map((chain) => [chain.name, chain]));
  const kept = (chain: NftChain): boolean => chain.base !== undefined && sameJson(chain.base, staying.get(chain.name)?.base);
  const old = containersOf(before);
  const containers = containersOf(after);
  const lines = [
    ...before.chains.map((chain) => flushChain(before, chain.name)),
    ...old.map((container) => deleteElements(before, container, container.elements)),
    ...before.chains.filter((chain) => !kept(chain)).map((chain) => deleteChain(before, chain.name)),
    ...old.map((container) => deleteSet(before, container)),
    ...containers.map((container) => addSet(after, container)),
    ...after.chains.map((chain) => addChain(after, chain)),
    ...after.chains.map((chain) => addRules(after, chain)),
    ...containers.map((container) => addElements(after, container, container.elements)),
  ].filter((line) => line !== '');
  return {
    lines,
    changes: [{ action: 'update', kind: 'table', name: tableKey(after) }],
    chains: after.chains.length,
    sets: containers.length,
    elements: containers.reduce((sum, container) => sum + container.elements.length, 0),
    narrowing: true,
    toFill: containers.some(isFilledLater),
  };
}

function namedChanges<T extends { readonly name: string }>(kind: string, table: NftTable, parts: KeyedDifference<T>): Change[] {
  const name = (value: T): string => `${table.family} ${table.name} ${value.name}`;
  return [
    ...parts.created.map((after): Change => ({ action: 'create', kind, name: name(after), after })),
    ...parts.changed.map(({ before, after }): Change => ({ action: 'update', kind, name: name(after), before, after })),
    ...parts.deleted.map((before): Change => ({ action: 'delete', kind, name: name(before), before })),
  ];
}
