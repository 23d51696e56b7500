/** examples/publish with real packets: a web server and an ssh port behind one address, from all positions, and nothing else open. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { internet4, internet6, withHost } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';

const file = readFileSync(join(import.meta.dirname, '../../examples/publish/weft.yaml'), 'utf8');
const host = { 4: '203.0.113.10', 6: '2001:db8:cb00::10' } as const;
const outside = { 4: internet4, 6: internet6 } as const;

interface Shown {
  readonly guests: readonly { readonly name: string; readonly nics: readonly { readonly addresses: readonly string[] }[] }[];
  readonly publish: readonly unknown[];
}

it('examples/publish: the same from all positions', async () => {
  await withHost({ file, host: { routes: ['10.0.107.0/24', 'fd00:107::/64'] } }, async (bed) => {
    const before = await bed.snapshot();
    await bed.weft('apply', '--yes');
    const shown = (await bed.json('show')) as Shown;
    assert.equal(shown.publish.length, 2);
    const address = (guest: string, family: 4 | 6): string => {
      const addresses = shown.guests.find(({ name }) => name === guest)?.nics[0]?.addresses ?? [];
      return addresses.find((one) => one.includes(':') === (family === 6)) ?? '';
    };
    const ask = async (from: string, family: 4 | 6, port: number, guestPort: number, protocol: 'tcp' | 'udp' = 'tcp'): Promise<string> => {
      const { answered, refused, delivered, seenSource } = await bed.probe(from, 'web', {
        to: host[family],
        protocol,
        port,
        listenPort: guestPort,
        listenAddress: address('web', family),
        ...(from === 'outer' ? { source: outside[family] } : {}),
      });
      return answered ? (seenSource ?? '?') : refused ? 'refused' : delivered ? 'no answer' : 'nothing';
    };
    const asked: [string, Promise<string>, string][] = [];
    const expect = (what: string, answer: Promise<string>, wanted: string): void => void asked.push([what, answer, wanted]);
    for (const family of [4, 6] as const) {
      const seen = {
        outer: outside[family],
        host: host[family],
        web: family === 4 ? '10.0.107.1' : 'fd00:107::1',
        neighbour: address('neighbour', family),
        worker: address('worker', family),
      } as const;
      for (const from of ['outer', 'host', 'web', 'neighbour', 'worker'] as const) {
        expect(`${from} tcp/443 IPv${family}`, ask(from, family, 443, 443), seen[from]);
        expect(`${from} udp/443 IPv${family}`, ask(from, family, 443, 443, 'udp'), seen[from]);
        expect(`${from} tcp/80 IPv${family}`, ask(from, family, 80, 80), from === 'worker' ? 'nothing' : seen[from]);
      }
      expect(`neighbour ssh IPv${family}`, ask('neighbour', family, 2222, 22), 'nothing');
      const direct = async (from: string, port: number): Promise<string> =>
        (await bed.probe(from, 'web', { to: address('web', family), protocol: 'tcp', port })).delivered ? 'arrived' : 'nothing';
      for (const from of ['outer', 'neighbour', 'worker'])
        expect(`${from} past the translation, IPv${family}`, direct(from, 443), 'nothing');
    }
    expect('the office, ssh', ask('outer', 4, 2222, 22), internet4);
    expect('outside, ssh by IPv6', ask('outer', 6, 2222, 22), 'refused');
    expect('worker, ssh', ask('worker', 4, 2222, 22), 'nothing');
    expect('worker, ssh by IPv6', ask('worker', 6, 2222, 22), address('worker', 6));
    const got = await Promise.all(asked.map(async ([what, answer]) => `${what}: ${await answer}`));
    assert.deepEqual(
      got,
      asked.map(([what, , wanted]) => `${what}: ${wanted}`),
    );

    await bed.weft('destroy', '--yes');
    assert.deepEqual(differences(before, await bed.snapshot()), []);
    assert.deepEqual(bed.leftovers(), []);
  });
});
