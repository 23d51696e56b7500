/** `log: true` and `log: dropped`: what is logged, with the line of the file, wherever a packet is decided, also where a default would have allowed it. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withHost } from '../bed/host.ts';
import { partiesOf, wrongLines } from './lines.ts';

const file = `name: logged
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
  lab: { kind: isolated, subnet: [10.3.0.0/24, fd00:3::/64], from-host: deny }
guests:
  web: { network: a, kind: namespace, log: dropped }
  db: { network: a, kind: namespace }
  jail: { inside: db, network: a, log: dropped }
  vault: { network: lab, kind: namespace }
  cell: { network: lab, kind: namespace, log: dropped }
groups: { g: [web, db] }
allow:
  - { from: web, to: db, ports: tcp/1, log: true }
  - { from: host, to: web, ports: tcp/2, log: true }
  - { from: web, to: host, ports: [udp/53, icmp, tcp/3], log: true }
  - { from: web, to: internet, ports: tcp/4, log: true }
  - { from: g, to: vault, ports: [tcp/5, icmp], log: true }
  - { from: host, to: vault, ports: tcp/6, log: true }
  - { from: any, to: vault, ports: tcp/7, log: true }
  - db -> web tcp/80
block:
  - { from: web, to: internet, ports: tcp/25, log: true }
  - { from: host, to: db, ports: tcp/8, log: true }
  - { from: db, to: host, ports: udp/53, log: true }
  - { from: web, to: 10.1.0.0/24, ports: tcp/9, log: true }
  - { from: web, to: "fd00:1::/64", ports: tcp/9, log: true }
`;

/** The line that is sent; behind it, when it is logged, the line of the file that decided, 0 for none. */
const sent = `
yes web db tcp/1        13
yes host web tcp/2      14
yes web gw:a icmp       15
yes web host icmp       15
yes web host tcp/3      15
yes web outside tcp/4   16
yes web outside tcp/41
yes db vault tcp/5      17
yes web vault icmp      17
yes host vault tcp/6    18
yes host vault tcp/7    19
yes web vault tcp/7     19
yes db web tcp/80
yes host web tcp/81
no web outside tcp/25   22
no host db tcp/8        23
4: no web db tcp/9      25
6: no web db tcp/9      26
no web db tcp/1000      0
no db web tcp/1001      0
no web gw:a tcp/1002    0
no outside web tcp/1003 0
no jail web tcp/1004    0
no web jail tcp/1005    0
no cell outside tcp/1006 0
no outside cell tcp/1007 0
no host cell tcp/1008   0
no vault outside tcp/1009
no db host tcp/1010
`;

it('says what was let through and dropped, with the line that decided', async () => {
  await withHost({ file, host: { routes: ['10.1.0.0/24', '10.3.0.0/24', 'fd00:1::/64', 'fd00:3::/64'] } }, async (bed) => {
    await bed.weft('apply', '--yes');
    const parties = await partiesOf(bed);
    const lines = sent
      .trim()
      .split('\n')
      .map((line) => line.split(/ +(?=\d+$)/));
    assert.deepEqual(await wrongLines(bed, lines.map(([line]) => line).join('\n'), parties), []);
    const dns = ['web', 'db'].map((name) => bed.guest(name).kernel.tryRun('dig', ['+tries=1', '+time=1', '@10.1.0.1', 'web.a']));
    assert.deepEqual(
      (await Promise.all(dns)).map(({ status }) => status),
      [0, 9],
    );
    await sleep(1300);
    const logged = new Set(
      (await bed.weft('logs'))
        .trim()
        .split('\n')
        .map((line) => line.slice(24)),
    );

    const named = (name: string, family: 4 | 6): string => {
      if (parties.isGuest(name)) return name;
      return parties.address(name, family) ?? '';
    };
    const expected = lines.flatMap(([line = '', at]) => {
      if (at === undefined) return [];
      const [verdict, from = '', to = '', what = ''] = line.replace(/^[46]: /, '').split(' ');
      const families = /^[46]:/.test(line) ? [Number(line[0]) as 4 | 6] : ([4, 6] as const);
      return families.map((family) => {
        // Of its own addresses, the host takes the one on the guest's bridge.
        const network = { web: 'a', db: 'a', vault: 'lab', cell: 'lab' }[to];
        const source = from === 'host' ? named(`gw:${network ?? ''}`, family) : named(from, family);
        const why = at === '0' ? '(no rule allows it)' : `(${bed.file}:${at}: …)`;
        return `${verdict === 'yes' ? 'accepted' : 'dropped '} ${source} -> ${named(to, family)} ${what} ${why}`;
      });
    });
    const shown = [...logged].map((line) => line.replace(/(weft\.yaml:\d+: ).*\)$/, '$1…)'));
    assert.deepEqual(
      expected.filter((line) => !shown.includes(line)),
      [],
      `logged: ${shown.join('\n')}`,
    );
    const rest = shown.filter((line) => !expected.includes(line));
    assert.deepEqual(
      rest.filter((line) => !/ 10\.1\.0\.1 udp\//.test(line)),
      [],
    );
    assert.equal(rest.length, 2, 'the two questions for a name');
    const own = (await bed.weft('logs', 'jail')).trim().split('\n');
    assert.ok(own.length >= 4 && own.every((line) => line.includes('jail')));
  });
});
