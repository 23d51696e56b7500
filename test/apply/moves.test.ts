/**
 * Changes that move things: after each of them the host is exactly as applied, by a full reading, and everything leaves without a trace. What a program
 * holds stays in its hands; nothing is reached in between that neither policy allows.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, it } from 'node:test';
import { hostStatus } from '../../src/apply/status.ts';
import { withHost, type HostBed } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';
import { applier, sessionIn } from './in-process.ts';

const file = (name: string): string => `
name: ${name}
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
  lab: { kind: isolated, subnet: 192.168.77.0/24 }
guests:
  web: { network: internal, kind: namespace, address: [10.0.105.10, "fd00:105::10"] }
  db: { network: internal, kind: namespace, address: [10.0.105.20, "fd00:105::20"] }
  vm: { network: lab, user: nobody }
allow:
  - web -> db tcp/5432
`;

type Edit = readonly (readonly [from: string, to: string])[];
const edited = (text: string, edits: Edit): string => edits.reduce((all, [from, to]) => all.replaceAll(from, to), text);

const web = 'web: { network: internal, kind: namespace,';
const edits: Readonly<Record<string, Edit>> = {
  'the fabric’s name': [['name: moves', 'name: moved']],
  'a namespace becomes a VM': [[web, 'web: { network: internal,']],
  'a namespace becomes a container': [[web, 'web: { network: internal, kind: container,']],
  'a VM becomes a namespace': [['lab, user: nobody', 'lab, kind: namespace']],
  'MTU and MAC': [
    ['192.168.77.0/24', '192.168.77.0/24, mtu: 1400'],
    ['user: nobody', 'user: nobody, mac: "58:9c:fc:00:00:01"'],
  ],
  'an owner': [['user: nobody', 'user: daemon']],
  'no owner': [[', user: nobody', '']],
  'a VM’s network': [['vm: { network: lab', 'vm: { network: internal']],
  'a namespace’s network': [
    ['db: { network: internal, kind: namespace, address: [10.0.105.20, "fd00:105::20"] }', 'db: { network: lab, kind: namespace }'],
    ['allow:\n  - web -> db tcp/5432\n', ''],
  ],
  'no IPv6': [
    [', fd00:105::/64', ''],
    [', "fd00:105::10"', ''],
    [', "fd00:105::20"', ''],
  ],
  'a subnet': [['10.0.105', '10.0.106']],
  'a gateway': [['kind: nat,', 'kind: nat, gateway: 10.0.105.254,']],
  'a wider subnet': [['10.0.105.0/24', '10.0.104.0/22']],
  'a guest’s name': [['web', 'www']],
  'a network’s name': [['internal', 'inner']],
  'a network’s kind': [['kind: nat', 'kind: isolated']],
  everything: [[file('moves'), 'name: moves\n']],
};

describe('there and back, each way as applied', { concurrency: true }, () => {
  for (const half of [0, 1] as const) {
    it(`${half === 0 ? 'one' : 'the other'} half of them`, { timeout: 180_000 }, async () => {
      await withHost({ file: file(`moves${half}`) }, async (bed) => {
        const before = await bed.snapshot();
        const context = sessionIn(bed);
        const apply = applier(bed);
        const base = file(`moves${half}`);
        await apply(base);
        for (const [what, edit] of Object.entries(edits).filter((_, index) => index % 2 === half)) {
          for (const text of [edited(base.replace(`moves${half}`, 'moves'), edit).replace('name: moves\n', `name: moves${half}\n`), base]) {
            bed.writeFile(text);
            await apply(text);
            const { drift } = await hostStatus(context, () => undefined);
            assert.deepEqual(drift, [], `${what}${text === base ? ', back' : ''}`);
          }
        }
        await bed.weft('destroy', '--yes');
        assert.deepEqual(differences(before, await bed.snapshot()), []);
        assert.ok(!existsSync(join(bed.directory, 'state')));
      });
    });
  }
});

/** Perl opens the TAP as a VM's program does (tun.txt) and says what it gets; a line on its input asks whether the descriptor still works. */
const holder = `
open(my $tun, "+<", "/dev/net/tun") or die "$!"; my $req = pack("Z16 s x22", $ARGV[0], 0x1002); ioctl($tun, 0x400454ca, $req) or die "$!";
$| = 1; print "open\\n"; while (!-e $ARGV[1]) { select(undef, undef, undef, 0.05) } print defined(syswrite($tun, "\\0" x 60)) ? "works" : "gone: $!", "\\n";
`;

it(
  'a TAP in use: its VM keeps it through a new network and other guests’ changes, and loses it when it is removed',
  { timeout: 180_000 },
  async () => {
    await withHost({ file: file('held') }, async (bed) => {
      const apply = applier(bed);
      for (const [what, edit, expected] of [
        ['other guests', [['web', 'www']], 'works'],
        ['its network', [['vm: { network: lab', 'vm: { network: internal']], 'works'],
        ['removed', [['  vm: { network: lab, user: nobody }\n', '']], 'gone: File descriptor in bad state'],
      ] as const) {
        await apply(file('held'));
        const end = join(bed.directory, `end-${what}`);
        const said = bed.host.kernel.run('perl', ['-e', holder, 'w-vm', end]);
        for (let tries = 0; !/LOWER_UP/.test(await bed.host.kernel.run('ip', ['link', 'show', 'dev', 'w-vm'])); tries++) {
          assert.ok(tries < 100);
          await sleep(20);
        }
        await apply(edited(file('held'), edit));
        const state = what === 'removed' ? 'LOWER_UP' : await bed.host.kernel.run('ip', ['link', 'show', 'dev', 'w-vm']);
        assert.match(state, /LOWER_UP/, what);
        writeFileSync(end, '');
        assert.equal((await said).trim(), `open\n${expected}`, what);
      }
    });
  },
);

it(
  'the first apply, a change and the end, all slow and watched: nothing passes that neither the old nor the new policy allows',
  { timeout: 300_000 },
  async () => {
    await withHost({ file: file('watched') }, async (bed) => {
      const path = slowed(bed, { nft: 0.6, ip: 0.3, bridge: 0.3 });
      let probes = 0;
      /** Runs the command while these are tried again and again; none may ever be answered. */
      const watched = async (
        args: readonly string[],
        never: readonly (readonly [to: string, at: string, port: number])[],
      ): Promise<void> => {
        let done = false;
        const command = bed.tryWeft(args, { env: { PATH: path } }).finally(() => (done = true));
        const watch = async (to: string, at: string, port: number): Promise<void> => {
          while (!done) {
            // One of them may not be there yet, or not any more.
            const { answered } = await bed
              .probe('web', at, { to, protocol: 'tcp', port, timeoutMs: 100 })
              .catch(() => ({ answered: false }));
            probes++;
            assert.equal(answered, false, `${args[0]}: ${at} answered at ${to}:${port}`);
            await sleep(20);
          }
        };
        await Promise.all([command, ...never.map((one) => watch(...one))]);
        const { status, stderr } = await command;
        assert.equal(status, 0, stderr);
      };
      const neverDb = [
        ['10.0.105.20', 'db', 22],
        ['fd00:105::20', 'db', 22],
      ] as const;
      await watched(['apply', '--yes'], neverDb);
      assert.equal((await bed.probe('web', 'db', { to: '10.0.105.20', protocol: 'tcp', port: 5432 })).answered, true);
      // db moves to the other network and nobody may reach it; vault comes, with one open port.
      bed.writeFile(
        edited(file('watched'), [
          [
            'db: { network: internal, kind: namespace, address: [10.0.105.20, "fd00:105::20"] }',
            'db: { network: lab, kind: namespace, address: 192.168.77.20 }',
          ],
          ['allow:', '  vault: { network: internal, kind: namespace, address: 10.0.105.30 }\nallow:'],
          ['- web -> db tcp/5432', '- web -> vault tcp/1'],
        ]),
      );
      await watched(['apply', '--yes'], [...neverDb, ['10.0.105.30', 'vault', 22], ['192.168.77.20', 'db', 5432]]);
      assert.equal((await bed.probe('web', 'vault', { to: '10.0.105.30', protocol: 'tcp', port: 1 })).answered, true);
      await watched(
        ['destroy', '--yes'],
        [
          ['10.0.105.30', 'vault', 22],
          ['192.168.77.20', 'db', 5432],
        ],
      );
      assert.ok(probes > 60, String(probes));
    });
  },
);

/** A PATH on which these programs take their time before they change something. */
function slowed(bed: HostBed, seconds: Readonly<Record<string, number>>): string {
  const directory = join(bed.directory, 'slowed');
  mkdirSync(directory);
  for (const [program, delay] of Object.entries(seconds)) {
    const path = join(directory, program);
    const real = program === 'nft' ? '/usr/sbin/nft' : `/sbin/${program}`;
    writeFileSync(path, `#!/bin/sh\ncase "$*" in *script*) sleep ${delay};; esac\nexec ${real} "$@"\n`);
    chmodSync(path, 0o755);
  }
  return `${directory}:${process.env['PATH']}`;
}
