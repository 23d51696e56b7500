/** examples/hetzner-routed with real packets: eleven public addresses, all in use at once, filtered by the host. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { internet4, internet6, withHost, type HostBed } from '../bed/host.ts';
import { nicsOf } from '../bed/show.ts';
import { differences } from '../bed/snapshot.ts';

const file = readFileSync(join(import.meta.dirname, '../../examples/hetzner-routed/weft.yaml'), 'utf8');
const main = '123.45.12.48';
const block = [112, 113, 114, 115, 116, 117, 118, 119].map((last) => `123.45.90.${last}`);
const all = ['123.45.53.11', '123.45.53.12', '123.45.53.13', ...block];
const guests = ['a1', 'a2', 'a3', 'b0', 'b1', 'b2', 'b3', 'b4', 'b5', 'b6', 'b7'] as const;

/** As the provider sets it up: the host alone behind an on-link gateway, everything else routed to it, its IPv6 prefix on-link. */
const host = {
  addresses: [`${main}/32`, '2001:db8:48::2/64'],
  gateways: ['123.45.12.1', '2001:db8:48::1'],
  routes: ['123.45.53.11/32', '123.45.53.12/32', '123.45.53.13/32', '123.45.90.112/29', '172.30.0.0/16', '169.254.0.0/16'],
};

const addressesOf = async (bed: HostBed): Promise<ReadonlyMap<string, readonly string[]>> => {
  const shown = await bed.json('show');
  return new Map(guests.map((name) => [name, nicsOf(shown, name)[0]?.addresses ?? []]));
};

it('every address of the block is a guest’s, and the host filters', async () => {
  await withHost({ file, host }, async (bed) => {
    const before = await bed.snapshot();
    await bed.weft('apply', '--yes');
    const addresses = await addressesOf(bed);
    assert.deepEqual(
      [...addresses.values()].map(([v4 = '']) => v4),
      all,
    );

    // Out with its own address, from all of them.
    const out = await Promise.all(guests.map((name) => bed.probe(name, 'outer', { to: internet4, protocol: 'tcp', port: 443 })));
    assert.deepEqual(
      out.map(({ seenSource }) => seenSource),
      guests.map((name) => addresses.get(name)?.[0]),
    );
    const out6 = await Promise.all(
      guests.slice(0, 2).map((name) => bed.probe(name, 'outer', { to: internet6, protocol: 'tcp', port: 443 })),
    );
    assert.deepEqual(
      out6.map(({ seenSource }) => seenSource),
      guests.slice(0, 2).map((name) => addresses.get(name)?.[1]),
    );

    // In by `allow` alone, also to the block's first and last address; guests among themselves likewise.
    const to = (name: string): string => addresses.get(name)?.[0] ?? '';
    const tcp = (from: string, at: string, port: number) => bed.probe(from, at, { to: to(at), protocol: 'tcp', port });
    for (const name of ['b0', 'b7']) assert.equal((await tcp('outer', name, 443)).answered, true, name);
    assert.equal((await tcp('a1', 'b0', 5432)).seenSource, '123.45.53.11');
    const dropped = await Promise.all([
      tcp('outer', 'b0', 22),
      tcp('outer', 'a1', 80),
      tcp('outer', 'b1', 80),
      tcp('a2', 'b0', 5432),
      tcp('b0', 'a1', 5432),
      tcp('b1', 'b2', 80),
      bed.probe('a1', 'host', { to: main, protocol: 'tcp', port: 22 }),
      bed.probe('outer', 'a1', { to: addresses.get('a1')?.[1] ?? '', protocol: 'tcp', port: 80 }),
      bed.probe('b1', 'b2', { to: addresses.get('b2')?.[1] ?? '', protocol: 'tcp', port: 80 }),
    ]);
    dropped.forEach((result, index) => assert.equal(result.delivered, false, `${index}: ${JSON.stringify(result)}`));
    assert.equal((await bed.probe('b0', 'host', { to: main, protocol: 'icmp' })).answered, true);
    assert.deepEqual([(await bed.probe('host', 'b7', { to: to('b7'), protocol: 'tcp', port: 22 })).seenSource], [main]);
    // The host itself is reached as before.
    assert.equal((await bed.probe('outer', 'host', { to: main, protocol: 'tcp', port: 22 })).answered, true);

    assert.match(await bed.weft('apply', '--yes'), /[Nn]othing/);
    assert.match(await bed.weft('status'), /Everything is as applied/);
    await bed.weft('destroy', '--yes');
    assert.deepEqual(differences(before, await bed.snapshot()), []);
    assert.deepEqual(bed.leftovers(), []);
  });
});
