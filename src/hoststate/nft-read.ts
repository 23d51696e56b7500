/**
 * Reads `nft -j list ruleset` (libnftables-json(5), nft 1.0.6 to 1.1) into typed tables in normal form. Other programs' tables are read
 * too: what Weft does not know there becomes `{unknown: …}`, is never guessed, and never makes the reader fail.
 */
import type { NftChain, NftExpr, NftFamily, NftMap, NftMapElement, NftRule, NftSet, NftSetKey, NftTable } from './nft.ts';
import { normalizeTable, typesOf } from './nft-normal.ts';
import { readExpression, readStatement, readVerdict } from './nft-read-rule.ts';
import { isRecord, text } from './nft-json.ts';

export interface ReadOptions {
  /**
   * Output of `nft list chains netdev`. nft 1.0.6 leaves a chain's device out of its JSON; without this text, chains of the netdev
   * family read from it have no `devices`.
   */
  readonly netdevChains?: string;
  /** Of these tables, elements that go by themselves are left out: answers and time change them, no plan does. */
  readonly lastingOnly?: (table: Pick<NftTable, 'family' | 'name'>) => boolean;
}

/** All tables of a ruleset, in the order of the listing. Whatever is no ruleset gives no tables. */
export function readRuleset(json: unknown, options: ReadOptions = {}): NftTable[] {
  const objects = isRecord(json) && Array.isArray(json['nftables']) ? json['nftables'] : [];
  const tables = new Map<string, OpenTable>();
  const devices = readNetdevDevices(options.netdevChains ?? '');
  const open = (object: Readonly<Record<string, unknown>>, name: unknown): OpenTable | undefined => {
    const family = readFamily(object['family']);
    if (family === undefined || typeof name !== 'string') return undefined;
    const key = `${family} ${name}`;
    const known = tables.get(key);
    if (known) return known;
    const table: OpenTable = { family, name, sets: [], maps: [], chains: new Map() };
    tables.set(key, table);
    return table;
  };
  for (const entry of objects) {
    if (!isRecord(entry)) continue;
    const [kind] = Object.keys(entry);
    const object = kind === undefined ? undefined : entry[kind];
    if (!isRecord(object)) continue;
    if (kind === 'table') open(object, object['name']);
    const table = open(object, object['table']);
    if (!table) continue;
    if (kind === 'set') table.sets.push(readSet(object, options.lastingOnly?.(table) ?? false));
    else if (kind === 'map') table.maps.push(...readMap(object));
    else if (kind === 'chain') {
      const name = text(object['name']);
      const chain = readChain(object, devices.get(`${table.name} ${name}`));
      table.chains.set(name, { ...chain, rules: [] });
    } else if (kind === 'rule') {
      const chain = table.chains.get(text(object['chain']));
      chain?.rules.push(readRule(object));
    }
  }
  return [...tables.values()].map((table) => normalizeTable(withPayloadKeys({ ...table, chains: [...table.chains.values()] })));
}

/** nft's JSON has `integer` for a raw payload field in a set's type; a rule that looks something up in the set tells which field it is. */
function withPayloadKeys(table: NftTable): NftTable {
  if (!table.sets.some((set) => typesOf(set.key).includes('integer'))) return table;
  const lookups = new Map<string, NftExpr>();
  for (const { rules } of table.chains) {
    for (const { statements } of rules) {
      for (const statement of statements) {
        if ('match' in statement && typeof statement.match.right === 'string') lookups.set(statement.match.right, statement.match.left);
      }
    }
  }
  const sets = table.sets.map((set): NftSet => {
    const left = lookups.get(`@${set.name}`);
    if (left === undefined || !('types' in set.key) || !set.key.types.includes('integer')) return set;
    return { ...set, key: { typeof: typeof left === 'object' && 'concat' in left ? left.concat : [left] } };
  });
  return { ...table, sets };
}

interface OpenTable {
  readonly family: NftFamily;
  readonly name: string;
  readonly sets: NftSet[];
  readonly maps: NftMap[];
  readonly chains: Map<string, NftChain & { readonly rules: NftRule[] }>;
}

const families: readonly NftFamily[] = ['ip', 'ip6', 'inet', 'arp', 'bridge', 'netdev'];
const hooks = ['prerouting', 'input', 'forward', 'output', 'postrouting', 'ingress', 'egress'] as const;
const chainTypes = ['filter', 'nat', 'route'] as const;
const setFlags = ['interval', 'constant', 'dynamic', 'timeout'] as const;

function readFamily(value: unknown): NftFamily | undefined {
  return families.find((family) => family === value);
}

function readChain(object: Readonly<Record<string, unknown>>, listedDevices: readonly string[] | undefined): Omit<NftChain, 'rules'> {
  const name = text(object['name']);
  const type = chainTypes.find((word) => word === object['type']);
  const hook = hooks.find((word) => word === object['hook']);
  if (!type || !hook) return { name };
  const dev = object['dev'];
  const devices = typeof dev === 'string' ? [dev] : Array.isArray(dev) ? dev.filter((word) => typeof word === 'string') : listedDevices;
  const priority = typeof object['prio'] === 'number' ? object['prio'] : 0;
  const policy = object['policy'] === 'drop' ? 'drop' : 'accept';
  return { name, base: { type, hook, priority, policy, ...(devices === undefined ? {} : { devices }) } };
}

/** Devices by `TABLE CHAIN`, from the text listing of the netdev family's chains. */
function readNetdevDevices(listing: string): Map<string, readonly string[]> {
  const devices = new Map<string, readonly string[]>();
  let table = '';
  let chain = '';
  for (const line of listing.split('\n')) {
    const words = line.trim().split(/\s+/);
    if (words[0] === 'table') table = words[2] ?? '';
    else if (words[0] === 'chain') chain = words[1] ?? '';
    else if (words[0] === 'type') {
      const named = /\bdevices? (?:= \{ )?("[^"]*"(?:, "[^"]*")*)/.exec(line)?.[1];
      if (named !== undefined)
        devices.set(
          `${table} ${chain}`,
          [...named.matchAll(/"([^"]*)"/g)].map((match) => match[1] ?? ''),
        );
    }
  }
  return devices;
}

function readRule(object: Readonly<Record<string, unknown>>): NftRule {
  const statements = Array.isArray(object['expr']) ? object['expr'].map(readStatement) : [];
  return typeof object['comment'] === 'string' ? { statements, comment: object['comment'] } : { statements };
}

function readKey(type: unknown): NftSetKey {
  // Newer nft: {"typeof": EXPRESSION}
  if (isRecord(type) && 'typeof' in type) {
    const expr = readExpression(type['typeof']);
    return { typeof: typeof expr === 'object' && 'concat' in expr ? expr.concat : [expr] };
  }
  return { types: (Array.isArray(type) ? type : [type]).map(text) };
}

function readFlags(flags: unknown): NftSet['flags'] {
  const words: unknown[] = Array.isArray(flags) ? flags : [flags];
  return setFlags.filter((flag) => words.includes(flag));
}

function readElements(elements: unknown): readonly unknown[] {
  if (elements === undefined) return [];
  return Array.isArray(elements) ? elements : [elements];
}

/** `{"elem": {"val": "192.0.2.1", "timeout": 60, "expires": 59}}` */
function isExpiring(element: unknown): boolean {
  const body: unknown = isRecord(element) ? element['elem'] : undefined;
  return isRecord(body) && 'expires' in body;
}

function readSet(object: Readonly<Record<string, unknown>>, lastingOnly: boolean): NftSet {
  const listed = readElements(object['elem']);
  const elements = (lastingOnly ? listed.filter((element) => !isExpiring(element)) : listed).map(readExpression);
  const size = typeof object['size'] === 'number' ? { size: object['size'] } : {};
  return { name: text(object['name']), key: readKey(object['type']), flags: readFlags(object['flags']), ...size, elements };
}

/** A map of values has their types as one text: `ipv4_addr . inet_service`. */
function readMap(object: Readonly<Record<string, unknown>>): NftMap[] {
  const data = object['map'];
  if (typeof data !== 'string') return [];
  const elements = readElements(object['elem']).map((element): NftMapElement | undefined => {
    const [key, value]: unknown[] = Array.isArray(element) ? element : [];
    const read = data === 'verdict' ? readVerdict(value) : readExpression(value);
    return read === undefined ? undefined : [readExpression(key), read];
  });
  return [
    {
      name: text(object['name']),
      key: readKey(object['type']),
      ...(data === 'verdict' ? {} : { data: data.split(' . ') }),
      flags: readFlags(object['flags']),
      elements: elements.filter((element) => element !== undefined),
    },
  ];
}
