/**
 * Machines that nothing tells apart. A machine is what is behind one port; exchanging two of the same class changes nothing in the model but their names, so
 * what holds for two of a class holds for all pairs of it. Two of each class stay in the model, and the proof does not grow with guests but with kinds of guests.
 */
import type { NftChain, NftMap, NftRule, NftSet, NftTable } from '../../hoststate/nft.ts';
import { linkLocalOfMac, parseIp, parsePrefix } from '../../net/ip.ts';
import type { KernelModel, ModelInterface, Station } from '../kernel-model.ts';
import { Intervals } from './intervals.ts';
import { boundsOf, ipNumber } from './numbers.ts';

/** A set of addresses that questions speak of as a whole. */
export type Group = readonly string[];

export interface Reduced {
  readonly model: KernelModel;
  /** Names of machines that were left out (ports, MACs, addresses) to those of the two that stand for it. */
  readonly standIns: ReadonlyMap<string, readonly [string, string]>;
}

/** So many of each class stay. */
const KEPT = 2;

interface Machine {
  readonly port: string;
  readonly addresses: string[];
  readonly macs: string[];
  /** Numbers of what the model says of it, with its names replaced by their roles. */
  readonly facts: number[];
}

interface Token {
  readonly machine: Machine;
  readonly role: string;
}

export function reduceModel(model: KernelModel, groups: readonly Group[]): Reduced {
  const machines = machinesOf(model.stations);
  const scan = new Scan(model, machines);
  for (const [index, group] of groups.entries()) for (const address of group) scan.unit(`group ${index}`, address);
  scan.model();
  const classes = new Map<string, Machine[]>();
  for (const machine of machines) {
    const key = machine.facts.sort((a, b) => a - b).join();
    const same = classes.get(key);
    if (same) same.push(machine);
    else classes.set(key, [machine]);
  }
  const removed = new Set<Machine>();
  const standIns = new Map<string, readonly [string, string]>();
  for (const same of classes.values()) {
    const [first, second] = same;
    if (!first || !second) continue;
    for (const machine of same.slice(KEPT)) {
      removed.add(machine);
      const [own, one, other] = [machine, first, second].map((each) => [each.port, ...each.macs, ...each.addresses]);
      for (const [i, name] of (own ?? []).entries()) standIns.set(name, [one?.[i] ?? '', other?.[i] ?? '']);
    }
  }
  return { model: removed.size === 0 ? model : without(model, removed, scan.tokens), standIns };
}

function machinesOf(stations: readonly Station[]): readonly Machine[] {
  const byPort = new Map<string, Machine>();
  for (const { port, mac, addresses } of stations) {
    const machine = byPort.get(port) ?? { port, addresses: [], macs: [], facts: [] };
    byPort.set(port, machine);
    if (!machine.macs.includes(mac)) machine.macs.push(mac);
    machine.addresses.push(...addresses);
  }
  // The same order of roles in all: IPv4 first, as given otherwise.
  for (const { addresses } of byPort.values()) addresses.sort((a, b) => Number(a.includes(':')) - Number(b.includes(':')));
  return [...byPort.values()];
}

/** Every name by which a model can mean a machine: also in raw fields, as numbers. */
function tokensOf(machines: readonly Machine[]): ReadonlyMap<string | number, Token> {
  const tokens = new Map<string | number, Token>();
  const shared = new Set<string | number>();
  const add = (name: string | number, machine: Machine, role: string): void => {
    const known = tokens.get(name);
    if (known && known.machine !== machine) shared.add(name);
    tokens.set(name, { machine, role });
  };
  for (const machine of machines) {
    add(machine.port, machine, 'PORT');
    for (const [i, mac] of machine.macs.entries()) {
      add(mac, machine, `MAC${i}`);
      add(Number.parseInt(mac.replaceAll(':', ''), 16), machine, `MACNUMBER${i}`);
      const linkLocal = linkLocalOfMac(mac);
      add(linkLocal, machine, `LINKLOCAL${i}`);
      add(hexOf(linkLocal), machine, `RAWLINKLOCAL${i}`);
    }
    for (const [i, address] of machine.addresses.entries()) {
      add(address, machine, `ADDRESS${i}`);
      add(hexOf(address), machine, `RAWADDRESS${i}`);
    }
  }
  // What two machines have is no name of either.
  for (const name of shared) tokens.delete(name);
  return tokens;
}

function hexOf(address: string): string {
  const ip = parseIp(address);
  return ip ? `0x${ipNumber(ip).toString(16)}` : address;
}

class Scan {
  readonly tokens: ReadonlyMap<string | number, Token>;
  private readonly whole: KernelModel;
  private readonly machines: readonly Machine[];
  private readonly numbers = new Map<string, number>();

  constructor(model: KernelModel, machines: readonly Machine[]) {
    this.whole = model;
    this.machines = machines;
    this.tokens = tokensOf(machines);
  }

  /** All that is said about machines, as facts of each. */
  model(): void {
    const { interfaces, routes, rules, stations, sysctls, tables } = this.whole;
    for (const one of interfaces) this.unit('interface', { ...one, addresses: this.tokens.has(one.name) ? one.addresses : [] });
    for (const route of routes) this.unit('route', { ...route, prefix: singleOf(route.prefix) });
    for (const [i, rule] of rules.entries())
      this.names(`rule ${i}`, { ...rule, from: rule.from && singleOf(rule.from), to: rule.to && singleOf(rule.to) });
    for (const station of stations) this.unit('station', station);
    for (const [key, value] of Object.entries(sysctls)) {
      const [, , , name, leaf] = key.split('/');
      if (name !== undefined && this.tokens.has(name)) this.unit(`setting ${leaf}`, [name, value]);
    }
    for (const table of tables) this.table(table);
    this.intervals();
    this.beginnings();
  }

  private table(table: NftTable): void {
    const at = `${table.family} ${table.name}`;
    for (const set of table.sets) for (const element of set.elements) this.unit(`${at} ${set.name}`, element);
    for (const map of table.maps) for (const element of map.elements) this.unit(`${at} ${map.name}`, element);
    for (const chain of table.chains) {
      const device = onlyDevice(chain);
      if (device !== undefined && this.tokens.has(device)) this.unit(`${at} chain of a port`, [device, chain.base, chain.rules]);
      else for (const name of chain.base?.devices ?? []) this.unit(`${at} ${chain.name} devices`, name);
      for (const [i, { statements }] of chain.rules.entries()) this.statements(`${at} ${chain.name} ${i}`, statements);
    }
  }

  /** Members of an anonymous set are units by themselves; a machine that a rule names otherwise is like no other. */
  private statements(at: string, value: unknown): void {
    if (typeof value !== 'object' || value === null) {
      this.names(at, value);
    } else if (Array.isArray(value)) {
      for (const [i, part] of value.entries()) this.statements(`${at} ${i}`, part);
    } else {
      for (const [key, part] of Object.entries(value)) {
        const members: unknown = part;
        if (key === 'set' && Array.isArray(members)) for (const member of members) this.unit(`${at} set`, member);
        else this.statements(`${at} ${key}`, part);
      }
    }
  }

  /** One fact; it is said of every machine it names, and when it names several, by their names. */
  unit(at: string, value: unknown): void {
    const found = new Set<Machine>();
    this.find(value, found);
    if (found.size === 0) return;
    const [only] = found;
    if (found.size === 1 && only) only.facts.push(this.numberOf(`${at} ${this.text(value)}`));
    else for (const machine of found) machine.facts.push(this.numberOf(`${at} ${JSON.stringify(value)}`));
  }

  private names(at: string, value: unknown): void {
    const found = new Set<Machine>();
    this.find(value, found);
    for (const machine of found) machine.facts.push(this.numberOf(`${at} ${JSON.stringify(value)}`));
  }

  /** Equal facts are equal numbers: of ten thousand machines that are alike each fact is kept once. */
  private numberOf(fact: string): number {
    const known = this.numbers.get(fact);
    if (known !== undefined) return known;
    this.numbers.set(fact, this.numbers.size);
    return this.numbers.size - 1;
  }

  private find(value: unknown, found: Set<Machine>): void {
    if (typeof value === 'string' || typeof value === 'number') {
      const token = this.tokens.get(value);
      if (token) found.add(token.machine);
    } else if (Array.isArray(value)) {
      for (const part of value) this.find(part, found);
    } else if (typeof value === 'object' && value !== null) {
      for (const part of Object.values(value)) this.find(part, found);
    }
  }

  private text(value: unknown): string {
    if (typeof value === 'string' || typeof value === 'number') return this.tokens.get(value)?.role ?? JSON.stringify(value);
    if (Array.isArray(value)) return `[${value.map((part) => this.text(part)).join()}]`;
    if (typeof value !== 'object' || value === null) return String(value);
    return `{${Object.entries(value)
      .map(([key, part]) => `${key}:${this.text(part)}`)
      .join()}}`;
  }

  /** Which prefixes and ranges each address lies in. */
  private intervals(): void {
    for (const family of [4, 6] as const) {
      const bounds = new Map<string, readonly [bigint, bigint]>();
      const add = (from: bigint, to: bigint): void => void (from !== to && bounds.set(`${from} ${to}`, [from, to]));
      const prefix = (text: string): void => {
        const found = text.includes('/') ? boundsOf(family, text) : undefined;
        if (found) add(...found);
      };
      for (const { addresses } of this.whole.interfaces) for (const address of addresses) prefix(address);
      for (const route of this.whole.routes) prefix(route.prefix);
      for (const { from, to } of this.whole.rules) for (const text of [from, to]) if (text !== undefined) prefix(text);
      for (const table of this.whole.tables) intervalsIn(table, family, add);
      const coarse = new Intervals(bounds.values(), family === 4 ? 2n ** 32n - 1n : 2n ** 128n - 1n);
      for (const { addresses, facts } of this.machines) {
        for (const [i, address] of addresses.entries()) {
          const ip = parseIp(address);
          if (ip?.family === family) facts.push(this.numberOf(`address ${i} in ${coarse.at(ipNumber(ip))}`));
        }
      }
    }
  }

  /** Wildcards of interface names. */
  private beginnings(): void {
    const words = new Set<string>();
    const visit = (value: unknown): void => {
      if (typeof value === 'string') {
        if (value.endsWith('*')) words.add(value.slice(0, -1));
      } else if (typeof value === 'object' && value !== null) for (const part of Object.values(value)) visit(part);
    };
    for (const { sets, maps, chains } of this.whole.tables) {
      for (const { elements } of [...sets, ...maps]) visit(elements);
      for (const { rules } of chains) for (const { statements } of rules) visit(statements);
    }
    for (const word of words)
      for (const { port, facts } of this.machines) if (port.startsWith(word)) facts.push(this.numberOf(`name ${word}`));
  }
}

/** A prefix of full length as the address it is. */
function singleOf(prefix: string): string {
  const parsed = parsePrefix(prefix);
  return parsed && parsed.length === (parsed.family === 4 ? 32 : 128) ? (prefix.split('/')[0] ?? prefix) : prefix;
}

const onlyDevice = ({ base }: NftChain): string | undefined => (base?.devices?.length === 1 ? base.devices[0] : undefined);

function intervalsIn(value: unknown, family: 4 | 6, add: (from: bigint, to: bigint) => void): void {
  if (typeof value !== 'object' || value === null) return;
  if ('prefix' in value && typeof value.prefix === 'object' && value.prefix !== null && 'addr' in value.prefix && 'len' in value.prefix) {
    const found = boundsOf(family, `${String(value.prefix.addr)}/${String(value.prefix.len)}`);
    if (found) add(...found);
  } else if ('range' in value && Array.isArray(value.range)) {
    const [from, to]: unknown[] = value.range;
    const [first, last] = [from, to].map((one) => (typeof one === 'string' ? parseIp(one) : undefined));
    if (first?.family === family && last?.family === family) add(ipNumber(first), ipNumber(last));
  } else for (const part of Object.values(value)) intervalsIn(part, family, add);
}

function without(model: KernelModel, removed: ReadonlySet<Machine>, tokens: ReadonlyMap<string | number, Token>): KernelModel {
  const gone = (value: unknown): boolean => {
    if (typeof value === 'string' || typeof value === 'number') {
      const token = tokens.get(value);
      return token !== undefined && removed.has(token.machine);
    }
    if (typeof value !== 'object' || value === null) return false;
    return Object.values(value).some(gone);
  };
  const stays = (value: unknown): boolean => !gone(value);
  const rule = (one: NftRule): NftRule => {
    const statements = strip(one.statements, gone);
    return statements === one.statements ? one : { ...one, statements: statements as NftRule['statements'] };
  };
  return {
    ...model,
    interfaces: model.interfaces.filter(({ name }: ModelInterface) => stays(name)),
    routes: model.routes.filter(({ prefix, link }) => stays(singleOf(prefix)) && stays(link)),
    stations: model.stations.filter(({ port }) => stays(port)),
    tables: model.tables.map((table) => ({
      ...table,
      sets: table.sets.map((set): NftSet => ({ ...set, elements: set.elements.filter(stays) })),
      maps: table.maps.map((map): NftMap => ({ ...map, elements: map.elements.filter(stays) })),
      chains: table.chains.flatMap((chain): NftChain[] => {
        const device = onlyDevice(chain);
        if (device !== undefined && gone(device)) return [];
        const { base } = chain;
        const devices = base?.devices?.some(gone) === true ? base.devices.filter(stays) : base?.devices;
        return [{ ...chain, ...(base && devices ? { base: { ...base, devices } } : {}), rules: chain.rules.map(rule) }];
      }),
    })),
  };
}

/** Members of anonymous sets that are gone leave them. */
function strip(value: unknown, gone: (value: unknown) => boolean): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const parts: unknown[] = value.map((part) => strip(part, gone));
    return parts.every((part, i) => part === value[i]) ? value : parts;
  }
  const entries = Object.entries(value).map(([key, part]): [string, unknown] => {
    const members: unknown = part;
    return [key, key === 'set' && Array.isArray(members) && members.some(gone) ? members.filter((one) => !gone(one)) : strip(part, gone)];
  });
  const before: Readonly<Record<string, unknown>> = { ...value };
  return entries.every(([key, part]) => part === before[key]) ? value : Object.fromEntries(entries);
}
