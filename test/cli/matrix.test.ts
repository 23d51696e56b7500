/** `weft matrix` of a file: the document, the table, the page. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { weft, withFiles } from './weft.ts';

const file = `name: small
hosts: { vps: { uplink: eth0, address: 192.0.2.10 } }
networks:
  a: { kind: nat, subnet: 10.1.0.0/24, from-host: deny }
  lab: { kind: isolated, subnet: 192.168.77.0/24 }
guests:
  web: a
  db: { network: a, egress: deny }
  vault: lab
allow:
  - web -> db tcp/5432
block:
  - web -> any udp/5
  - vault -> host udp/53
publish:
  - vps tcp/2222 -> web tcp/22
`;

test('matrix --json has the stable shape, and says who reaches whom', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    const { status, out, err } = await weft(['matrix', '--json'], { cwd });
    assert.equal(status, 0, err);
    const services = ['tcp/53', 'udp/53', 'icmp'];
    assert.deepEqual(JSON.parse(out), {
      host: 'vps',
      parties: ['web', 'db', 'vault', 'host', 'internet'],
      guests: {},
      cells: [
        { from: 'web', to: 'db', ports: ['tcp/5432'] },
        { from: 'web', to: 'host', ports: services },
        { from: 'web', to: 'internet', ports: ['any', 'but udp/5'] },
        { from: 'db', to: 'web', ports: ['tcp/22'] },
        { from: 'db', to: 'host', ports: services },
        { from: 'vault', to: 'host', ports: ['tcp/53', 'icmp'] },
        { from: 'host', to: 'web', ports: ['tcp/22'] },
        { from: 'host', to: 'vault', ports: ['any'] },
        { from: 'internet', to: 'web', ports: ['tcp/22'] },
      ],
      missing: [],
    });
  }));

test('guests of which the file says the same are one party when there are many', () =>
  withFiles(
    { 'weft.yaml': file.replace('guests:\n', `guests:\n${Array.from({ length: 50 }, (_, i) => `  g${i}: a\n`).join('')}`) },
    async (cwd) => {
      const { out } = await weft(['matrix', '--json'], { cwd });
      const { parties, guests, cells } = JSON.parse(out) as {
        parties: string[];
        guests: Record<string, string[]>;
        cells: { from: string; to: string }[];
      };
      assert.deepEqual(parties, ['g0 and 49 like it', 'web', 'db', 'vault', 'host', 'internet']);
      assert.equal(guests['g0 and 49 like it']?.length, 50);
      assert.ok(!cells.some(({ from, to }) => from === 'g0 and 49 like it' && to === from));
    },
  ));

test('matrix as a table and as a page', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    const { out } = await weft(['matrix'], { cwd });
    assert.match(out, /^FROM \\ TO +web +db +vault +host +internet\nweb +- +tcp\/5432 +- /);
    assert.equal((await weft(['matrix', '--html', 'page.html'], { cwd })).out, 'Wrote page.html.\n');
    const page = readFileSync(join(cwd, 'page.html'), 'utf8');
    assert.match(page, /<td class="some" title="web -&gt; db tcp\/5432">tcp\/5432<\/td>/);
  }));
