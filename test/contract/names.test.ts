/** "Names work" (design.md 5.9) through the real command: which names, from whom, by which transport; what is asked outside, and that an isolated network asks nobody. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { withHost } from '../bed/host.ts';
import { capture } from '../../src/twin/capture.ts';
import { pointResolverOutside } from '../../src/twin/bed.ts';
import { partiesOf } from './lines.ts';

const guests = (third: string): string => `
name: called
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
  lab: { kind: isolated, subnet: [10.3.0.0/24, fd00:3::/64] }
guests:
  web: { network: a, kind: namespace }
  Dual: { kind: namespace, nics: [{ network: lab }, { network: a, default: true }] }
  vault: { network: lab, kind: namespace }
  jail: { inside: web, network: a }
  ${third}: { network: a, kind: namespace, address: 10.1.0.77 }
allow: [any -> any]
`;

it('names resolve as the contract says', async () => {
  await withHost({ file: guests('third') }, async (bed) => {
    pointResolverOutside('203.0.113.1');
    await bed.weft('apply', '--yes');
    const parties = await partiesOf(bed);
    const asked = await capture(bed.outer.kernel, 'u-0', 'port 53', { direction: 'in' });
    const dig = async (from: string, server: string, ...question: string[]): Promise<string> => {
      const kernel = from === 'host' ? bed.host.kernel : bed.guest(from).kernel;
      const { status, stdout } = await kernel.tryRun('dig', ['+tries=1', '+time=1', `@${server}`, ...question]);
      if (status !== 0) return 'silence';
      const code = /status: (\w+)/.exec(stdout)?.[1] ?? '';
      const records = [...stdout.matchAll(/^[^;\s]\S*\s+\d+\s+IN\s+\S+\s+(\S+)$/gm)].map((match) => match[1]);
      return records.length > 0 ? records.join(' ') : code;
    };
    const wrong: string[] = [];
    const expect = async (want: string, from: string, server: string, ...question: string[]): Promise<void> => {
      const answer = await dig(from, server, ...question);
      if (answer !== want) wrong.push(`${from} @${server} ${question.join(' ')}: ${answer}, not ${want}`);
    };
    const of = (name: string, family: 4 | 6): string => parties.address(name, family) ?? '';
    const places = [
      ['web', ['10.1.0.1', 'fd00:1::1']],
      ['vault', ['10.3.0.1', 'fd00:3::1']],
      ['host', ['10.1.0.1', 'fd00:3::1']],
    ] as const;
    await Promise.all(
      places.flatMap(([from, servers]) =>
        servers.flatMap((server) =>
          [[], ['+tcp']].map(async (how) => {
            for (const name of ['third', 'third.a', 'third.a.weft.internal', 'THIRD.a']) {
              await expect('10.1.0.77', from, server, name, 'A', ...how);
              await expect(of('third', 6), from, server, name, 'AAAA', ...how);
            }
            await expect(of('Dual.a', 4), from, server, 'dual', 'A', ...how);
            await expect(of('Dual.lab', 4), from, server, 'dual.lab', 'A', ...how);
            await expect(of('jail', 4), from, server, 'jail.a', 'A', ...how);
            await expect('third.a.weft.internal.', from, server, '-x', '10.1.0.77', ...how);
            await expect('third.a.weft.internal.', from, server, '-x', of('third', 6), ...how);
            await expect('dual.lab.weft.internal.', from, server, '-x', of('Dual.lab', 4), ...how);
            for (const nobody of ['nobody.weft.internal', 'nobody.a.weft.internal', 'nobody'])
              await expect('NXDOMAIN', from, server, nobody, 'A', ...how);
            await expect('NXDOMAIN', from, server, '-x', '10.1.0.99', ...how);
          }),
        ),
      ),
    );
    // An isolated network asks nobody, whoever is asked.
    for (const server of ['10.3.0.1', 'fd00:3::1']) {
      for (const how of [[], ['+tcp']]) {
        for (const name of ['example.org', 'third.a.example.org', 'a']) await expect('NXDOMAIN', 'vault', server, name, 'A', ...how);
        await expect('NXDOMAIN', 'vault', server, 'example.org', 'TXT', ...how);
        await expect('NXDOMAIN', 'vault', server, '-x', '198.51.100.7', ...how);
      }
    }
    await expect('silence', 'vault', '203.0.113.1', 'example.org', 'A');
    await expect('silence', 'vault', '198.51.100.7', 'example.org', 'A', '+tcp');
    assert.deepEqual(wrong, []);
    assert.deepEqual(await asked.stop(), [], 'nothing of this is asked outside');

    const forwarded = await capture(bed.outer.kernel, 'u-0', 'udp port 53', { direction: 'in' });
    await dig('web', '10.1.0.1', 'example.org', 'A');
    assert.ok((await forwarded.stop()).some((packet) => packet.includes('example.org')));

    bed.writeFile(guests('fourth'));
    await bed.weft('apply', '--yes');
    await expect('10.1.0.77', 'web', '10.1.0.1', 'fourth', 'A');
    await expect('10.1.0.77', 'vault', 'fd00:3::1', 'fourth.a', 'A');
    await expect('fourth.a.weft.internal.', 'host', '10.1.0.1', '-x', '10.1.0.77');
    await expect('NXDOMAIN', 'web', '10.1.0.1', 'third.weft.internal', 'A');
    assert.deepEqual(wrong, []);
  });
});
