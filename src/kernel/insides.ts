/**
 * The inside of guests that share the host's kernel, as it is: of what Weft has set there, what still stands. What a guest has added is its own business.
 * One shell in each namespace (some 6 ms), four side by side.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GuestInterface, GuestSide } from '../hoststate/model.ts';
import { isRecord, text } from '../hoststate/nft-json.ts';
import type { Kernel } from './kernel.ts';
import { quoteWord } from './command-line.ts';
import { sysctlPath } from './open.ts';

/** `sides` are as they were set up, and their namespaces exist. An interface that is gone is left out; one that is down has nothing. */
export async function observeInsides(kernel: Kernel, sides: readonly GuestSide[], netnsConfig: string): Promise<GuestSide[]> {
  const seen: GuestSide[] = [];
  const queue = sides.entries();
  const worker = async (): Promise<void> => {
    for (const [index, side] of queue) seen[index] = await observeInside(kernel, side, netnsConfig);
  };
  await Promise.all(Array.from({ length: 4 }, worker));
  return seen;
}

async function observeInside(kernel: Kernel, side: GuestSide, netnsConfig: string): Promise<GuestSide> {
  const path = side.netns.kind === 'made' ? `/run/netns/${side.netns.namespace}` : side.netns.path;
  const settings = side.sysctls.map(({ key }) => quoteWord(sysctlPath(key))).join(' ');
  const script = `printf 'addr show\\nroute show table all\\n' | ip -j -batch -${settings === '' ? '' : `; grep -sH '' ${settings}`}`;
  // A namespace that has ended just now, or a file that is none, has nothing inside.
  const { stdout } = await kernel
    .at(path)
    .tryRun('sh', ['-c', script])
    .catch(() => ({ stdout: '' }));
  const [links, routes, values] = readAnswers(stdout);
  const { resolvConf: _, ...rest } = side;
  return {
    ...rest,
    interfaces: side.interfaces.flatMap((face) => interfaceAsIs(face, links, routes)),
    sysctls: side.sysctls.flatMap((entry) => {
      const value = values.get(entry.key);
      return value === undefined ? [] : [{ ...entry, value }];
    }),
    ...(side.resolvConf === undefined || side.netns.kind !== 'made'
      ? {}
      : { resolvConf: await readFile(join(netnsConfig, side.netns.namespace, 'resolv.conf'), 'utf8').catch(() => '') }),
  };
}

type Records = readonly Readonly<Record<string, unknown>>[];

/** A line of JSON for each command of the batch, then `/proc/sys/KEY:VALUE` for each setting. */
function readAnswers(stdout: string): readonly [Records, Records, ReadonlyMap<string, string>] {
  const lists: Records[] = [];
  const values = new Map<string, string>();
  for (const line of stdout.split('\n')) {
    if (line.startsWith('[')) {
      const list: unknown = JSON.parse(line);
      lists.push((Array.isArray(list) ? list : []).filter(isRecord));
    } else if (line.startsWith('/proc/sys/')) {
      const colon = line.lastIndexOf(':');
      values.set(line.slice('/proc/sys/'.length, colon), line.slice(colon + 1).trim());
    }
  }
  return [lists[0] ?? [], lists[1] ?? [], values];
}

function interfaceAsIs(face: GuestInterface, links: Records, routes: Records): GuestInterface[] {
  const link = links.find((candidate) => candidate['ifname'] === face.name);
  if (link === undefined) return [];
  const up = Array.isArray(link['flags']) && link['flags'].includes('UP');
  const addresses = new Set(
    (Array.isArray(link['addr_info']) ? link['addr_info'] : [])
      .filter(isRecord)
      .map((address) => `${text(address['local'])}/${Number(address['prefixlen'])}`),
  );
  const there = new Set(routes.filter((route) => route['dev'] === face.name).map(routeKey));
  return [
    {
      ...face,
      mtu: typeof link['mtu'] === 'number' ? link['mtu'] : face.mtu,
      addresses: up ? face.addresses.filter((address) => addresses.has(address)) : [],
      routes: up ? face.routes.filter(({ prefix, via }) => there.has(`${prefix} ${via ?? ''}`)) : [],
    },
  ];
}

/** ip(8) writes `default`, and a host's address without a length. */
function routeKey(route: Readonly<Record<string, unknown>>): string {
  const dst = text(route['dst']);
  const via = isRecord(route['via']) ? text(route['via']['host']) : text(route['gateway']);
  const v6 = dst.includes(':') || via.includes(':');
  const prefix = dst === 'default' ? (v6 ? '::/0' : '0.0.0.0/0') : dst.includes('/') ? dst : `${dst}/${v6 ? 128 : 32}`;
  return `${prefix} ${via}`;
}
