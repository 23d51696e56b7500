/** What the relay has put into the sets of domain names, read and written: the part of the ruleset that answers and time change, not plans. */
import { isRecord } from '../hoststate/nft-json.ts';
import { runJson } from './json.ts';
import type { Kernel } from './kernel.ts';

/** An address in a set of `inet weft`. */
export interface OpenedAddress {
  readonly set: string;
  readonly address: string;
  /** Until it goes by itself, in whole seconds. */
  readonly seconds: number;
}

/** All of them; [] when there is no such table. */
export async function readOpened(kernel: Kernel): Promise<readonly OpenedAddress[]> {
  const listing = await runJson(kernel, 'nft', ['-j', 'list', 'table', 'inet', 'weft']).catch(() => undefined);
  const objects: unknown = isRecord(listing) ? listing['nftables'] : undefined;
  return (Array.isArray(objects) ? objects : []).flatMap((object): OpenedAddress[] => {
    const set: unknown = isRecord(object) ? object['set'] : undefined;
    if (!isRecord(set) || typeof set['name'] !== 'string' || !Array.isArray(set['elem'])) return [];
    const name = set['name'];
    return set['elem'].flatMap((element: unknown): OpenedAddress[] => {
      const body: unknown = isRecord(element) ? element['elem'] : undefined;
      if (!isRecord(body) || typeof body['val'] !== 'string' || typeof body['expires'] !== 'number') return [];
      return [{ set: name, address: body['val'], seconds: body['expires'] }];
    });
  });
}

/**
 * Puts addresses into their sets, in one transaction; one that is there gets the new time. Before Linux 6.12 `add` leaves an element's time alone, so it is deleted and
 * added: within a transaction, so no packet misses it. Resolves to what nft said against it; undefined when it was done.
 */
export async function writeOpened(kernel: Kernel, addresses: readonly OpenedAddress[]): Promise<string | undefined> {
  const text = addresses.map(({ set, address, seconds }) => {
    const timed = `element inet weft ${set} { ${address} timeout ${Math.ceil(seconds)}s }\n`;
    // The first one is for the `delete`, which wants it there.
    return `add ${timed}delete element inet weft ${set} { ${address} }\nadd ${timed}`;
  });
  const { status, stderr } = await kernel.tryRun('nft', ['-f', '-'], { input: text.join(''), timeoutMs: 10_000 });
  return status === 0 ? undefined : (stderr.trim().split('\n')[0] ?? 'nothing');
}
