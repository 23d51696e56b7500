/** Finds every constant that anything in a kernel model compares with, so that no two packets that are treated differently share an interval. */
import type { NftTable } from '../../hoststate/nft.ts';
import { addressRange } from '../../hoststate/nft-normal-expression.ts';
import type { Family } from '../../net/ip.ts';
import type { KernelModel } from '../kernel-model.ts';
import type { Constants } from './flow-space.ts';
import { boundsOf, ipNumber } from './numbers.ts';
import { protocolNumber, withPorts } from '../../net/protocols.ts';

type Bound = readonly [bigint, bigint];

export interface Collected {
  readonly addresses: Iterable<Bound>;
  readonly ports: Iterable<Bound>;
  readonly protocols: Iterable<Bound>;
  readonly macs: readonly string[];
}

/** What the kernel itself tells apart. */
const special: Readonly<Record<Family, readonly string[]>> = {
  4: ['0.0.0.0/8', '0.0.0.0', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/4', '240.0.0.0/4', '255.255.255.255'],
  6: ['::', '::1', 'fe80::/10', 'ff00::/8', 'fc00::/7'],
};

export function collect(models: readonly KernelModel[], family: Family, extra: Constants): Collected {
  const addresses = new Bounds();
  const ports = new Bounds();
  const protocols = new Bounds();
  const macs = new Set<string>(extra.macs);
  const prefix = (text: string | undefined): void => {
    const bounds = text === undefined ? undefined : boundsOf(family, text);
    if (bounds) addresses.add(...bounds);
  };
  for (const text of special[family]) prefix(text);
  for (const text of extra.prefixes) prefix(text);
  for (const one of models.flatMap(({ interfaces }) => interfaces)) {
    if (one.mac !== undefined) macs.add(one.mac);
    for (const address of one.addresses) {
      prefix(address);
      prefix(address.split('/')[0]);
    }
  }
  for (const route of models.flatMap(({ routes }) => routes)) if (route.family === family) prefix(route.prefix);
  for (const rule of models.flatMap(({ rules }) => rules)) {
    prefix(rule.from);
    prefix(rule.to);
  }
  for (const { mac, addresses: own } of models.flatMap(({ stations }) => stations)) {
    macs.add(mac);
    for (const address of own) prefix(address);
  }
  for (const port of [0, 53, 67, 68, 546, 547, 1024]) ports.add(BigInt(port), BigInt(port));
  for (const { from, to } of extra.ports) ports.add(BigInt(from), BigInt(to));
  for (const number of [1, 58, ...withPorts, ...extra.protocols]) protocols.add(BigInt(number), BigInt(number));

  const visit = (value: unknown): void => {
    if (typeof value === 'string') {
      word(value);
    } else if (typeof value === 'number') {
      number(value, value);
    } else if (Array.isArray(value)) {
      for (const part of value) visit(part);
    } else if (typeof value === 'object' && value !== null) {
      if ('range' in value || 'prefix' in value) interval(value);
      else for (const part of Object.values(value)) visit(part);
    }
  };
  const word = (text: string): void => {
    const first = text.charCodeAt(0);
    const maybeAddress = text.includes('.') || text.includes(':');
    if (!maybeAddress) {
      const known = protocolNumber(text);
      if (known !== undefined && known < 256) protocols.add(BigInt(known), BigInt(known));
      return;
    }
    if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(text)) macs.add(text);
    // A digit, a colon or a letter of a hexadecimal number.
    else if ((first >= 48 && first <= 58) || (first >= 97 && first <= 102)) prefix(text);
  };
  const number = (from: number, to: number): void => {
    if (from >= 0 && to <= 65535) ports.add(BigInt(from), BigInt(to));
    if (family === 4 && from > 65535 && to < 2 ** 32) addresses.add(BigInt(from), BigInt(to));
    if (from >= 0 && to <= 255) protocols.add(BigInt(from), BigInt(to));
  };
  const interval = (value: object): void => {
    const range = addressRange(value as Parameters<typeof addressRange>[0]);
    if (range) {
      if (range.from.family === family) addresses.add(ipNumber(range.from), ipNumber(range.to));
      return;
    }
    if (!('range' in value) || !Array.isArray(value.range)) return;
    const [from, to]: unknown[] = value.range;
    if (typeof from === 'number' && typeof to === 'number') number(from, to);
    else visit(value.range);
  };
  // Models of one host before and after a change have most tables in common.
  for (const table of new Set(models.flatMap(({ tables }) => tables))) if (concerns(table, family)) visitTable(table, visit);
  return { addresses: addresses.all(), ports: ports.all(), protocols: protocols.all(), macs: [...macs] };
}

export function concerns(table: Pick<NftTable, 'family'>, family: Family): boolean {
  return table.family !== 'arp' && table.family !== (family === 4 ? 'ip6' : 'ip');
}

function visitTable(table: NftTable, visit: (value: unknown) => void): void {
  for (const set of table.sets) visit(set.elements);
  for (const map of table.maps) visit(map.elements);
  for (const chain of table.chains) for (const rule of chain.rules) visit(rule.statements);
}

class Bounds {
  private readonly found = new Map<string | bigint, Bound>();

  add(from: bigint, to: bigint): void {
    this.found.set(from === to ? from : `${from}-${to}`, [from, to]);
  }

  all(): Iterable<Bound> {
    return this.found.values();
  }
}
