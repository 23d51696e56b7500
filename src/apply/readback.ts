/**
 * Compares what the kernel lists with what was written. nft's versions list some rules in other words than they were given; so what was listed right after
 * an apply is kept, and an object that lists the same later is the object that was written.
 */
import { createHash } from 'node:crypto';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { elementKey } from '../hoststate/nft-normal.ts';
import { isMapping, type Element } from '../hoststate/nft-print.ts';
import type { NftChain, NftMap, NftSet, NftTable } from '../hoststate/nft.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { observeRuleset } from '../kernel/observe.ts';
import { canonicalJson, sameJson } from '../plan/keyed.ts';
import type { AppliedRecord } from './store.ts';

const tableKey = (table: NftTable): string => `${table.family} ${table.name}`;

type NftObject = NftChain | NftSet | NftMap;

/** What the kernel lists in other words than it was written in, by object: hash of the listing. */
export type Listed = Readonly<Record<string, string>>;

const objectKey = (table: NftTable, object: NftObject): string => `${table.family} ${table.name} ${object.name}`;
const fingerprint = (object: NftObject): string => createHash('sha1').update(canonicalJson(object)).digest('base64url');
const objectsOf = (table: NftTable): readonly NftObject[] => [...table.chains, ...table.sets, ...table.maps];

/** The observed tables, with every object that lists as it did after an apply replaced by what was written then. `records`: oldest first. */
export function asWritten(observed: readonly NftTable[], records: readonly AppliedRecord[]): NftTable[] {
  const known = records.toReversed().filter((record) => Object.keys(record.listed).length > 0);
  if (known.length === 0) return [...observed];
  const written = known.map((record) => ({
    listed: record.listed,
    objects: new Map(record.state.tables.flatMap((table) => objectsOf(table).map((object) => [objectKey(table, object), object]))),
  }));
  const meant = <T extends NftObject>(table: NftTable, object: T): T => {
    const key = objectKey(table, object);
    for (const { listed, objects } of written) {
      const original = objects.get(key);
      // The same key in the same table is the same kind of object.
      if (original !== undefined && listed[key] !== undefined && listed[key] === fingerprint(object)) return original as T;
    }
    return object;
  };
  return observed.map((table) => ({
    ...table,
    chains: table.chains.map((chain) => meant(table, chain)),
    sets: table.sets.map((set) => meant(table, set)),
    maps: table.maps.map((map) => meant(table, map)),
  }));
}

/** Where the listing differs from what was written, though nothing is missing: see {@link asWritten}. */
export function listedDifferently(written: readonly NftTable[], listed: readonly NftTable[]): Listed {
  const there = new Map(listed.flatMap((table) => objectsOf(table).map((object) => [objectKey(table, object), object])));
  const found: Record<string, string> = {};
  for (const table of written) {
    for (const object of objectsOf(table)) {
      const key = objectKey(table, object);
      const other = there.get(key);
      if (other !== undefined && !sameJson(other, object)) found[key] = fingerprint(other);
    }
  }
  return found;
}

const byName = <T extends { readonly name: string }>(objects: readonly T[]): Map<string, T> => new Map(objects.map((o) => [o.name, o]));

/**
 * Reads Weft's tables back and returns them. Throws WeftError `readback-differs` when a chain, rule, set or element is missing or too many;
 * how nft words a rule is not compared, for the kernel took the transaction whole.
 */
export async function readBackTables(kernel: Kernel, written: readonly NftTable[]): Promise<readonly NftTable[]> {
  const { tables } = await observeRuleset(kernel);
  const listed = new Map(tables.map((table) => [tableKey(table), table]));
  const problems: string[] = [];
  for (const table of written) {
    const there = listed.get(tableKey(table));
    if (there === undefined) problems.push(`table ${tableKey(table)} is not there`);
    else problems.push(...differences(table, there));
  }
  for (const table of tables)
    if (!written.some((t) => tableKey(t) === tableKey(table))) problems.push(`table ${tableKey(table)} is still there`);
  if (problems.length > 0) {
    throw new WeftError(3, [
      {
        code: 'readback-differs',
        severity: 'error',
        message: `the kernel does not hold what was written: ${problems.slice(0, 5).join('; ')}`,
      },
    ]);
  }
  return tables;
}

function differences(written: NftTable, listed: NftTable): string[] {
  const problems: string[] = [];
  const name = tableKey(written);
  const chains = byName(listed.chains);
  for (const chain of written.chains) {
    const there = chains.get(chain.name);
    if (there === undefined) problems.push(`chain ${chain.name} of ${name} is missing`);
    else if (there.rules.length !== chain.rules.length)
      problems.push(`chain ${chain.name} of ${name} has ${there.rules.length} rules, not ${chain.rules.length}`);
    chains.delete(chain.name);
  }
  for (const extra of chains.keys()) problems.push(`chain ${extra} of ${name} is not Weft's`);
  const containers = byName<NftSet | NftMap>([...listed.sets, ...listed.maps]);
  for (const container of [...written.sets, ...written.maps]) {
    const there = containers.get(container.name);
    const keys = new Set(there?.elements.map(keyOf));
    const missing = container.elements.filter((element: Element) => !keys.has(keyOf(element))).length;
    if (there === undefined) problems.push(`set ${container.name} of ${name} is missing`);
    else if (missing > 0 || there.elements.length !== container.elements.length)
      problems.push(`set ${container.name} of ${name} does not hold its ${container.elements.length} elements`);
  }
  return problems;
}

const keyOf = (element: Element): string => elementKey(isMapping(element) ? element[0] : element);
