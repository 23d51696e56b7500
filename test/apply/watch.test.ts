/**
 * `weft watch` against real drift: each thing is mended and said, by whom where the kernel tells; a person's own change is left alone; what fights it is
 * named; and nothing of it is left when it ends.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { withHost, type HostBed } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';
import { mended, quiet, watching, type Event } from './watching.ts';

const file = (name: string, port: number): string => `
name: ${name}
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
guests:
  web: { network: internal, kind: namespace, address: 10.0.105.10 }
  db: { network: internal, kind: namespace, address: 10.0.105.20 }
  box: internal
allow:
  - web -> db tcp/${port}
`;

const open = async (bed: HostBed, port: number): Promise<boolean> =>
  (await bed.probe('web', 'db', { to: '10.0.105.20', protocol: 'tcp', port, timeoutMs: 600 })).answered;

const children = (pid: number | undefined): string[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8')
    .trim()
    .split(' ')
    .filter((child) => child !== '');

const drifts: readonly (readonly [script: string, text: RegExp, by?: string])[] = [
  ['nft flush table inet weft', /chain forward of inet weft is empty/, 'nft'],
  ['nft delete table netdev weft', /table netdev weft is missing/, 'nft'],
  [
    'nft delete rule inet weft forward handle $(nft -a list chain inet weft forward | sed -n "s/.*guests # handle //p" | head -1)',
    /chain forward of inet weft lacks the rule /,
    'nft',
  ],
  ['nft insert rule inet weft forward accept', /chain forward of inet weft has the rule `accept` more/, 'nft'],
  ['ip link del dev w-db', /port w-db is missing/],
  ['ip addr del 10.0.105.1/24 dev br-internal', /address 10\.0\.105\.1\/24 is missing on br-internal/],
  ['ip addr add 10.0.105.77/24 dev br-internal', /address 10\.0\.105\.77\/24 was added on br-internal/],
  ['sysctl -qw net.ipv4.ip_forward=0', /setting net\.ipv4\.ip_forward is 0 instead of 1/],
  ['kill -9 $(cat "$1/run/services/dnsmasq-internal/pid")', /dnsmasq-internal does not run/],
  [
    'ip link add dev eth1 up type veth peer name far1; ip link set dev eth1 master br-internal',
    /bridge br-internal has eth1 on it, which somebody else/,
  ],
  ['ip link set dev w-box nomaster', /port w-box is on no bridge instead of br-internal/],
  ['bridge link set dev w-web isolated off', /port w-web is not isolated/],
  [
    'ip neigh replace 10.0.105.20 lladdr 02:00:00:00:00:66 dev br-internal nud permanent',
    /10\.0\.105\.20 on br-internal says 02:00:00:00:00:66/,
  ],
  ['ip link del dev br-internal', /bridge br-internal is missing/],
];

describe('weft watch', { concurrency: true }, () => {
  it('mends each kind of drift, says so, and by whom where the kernel tells', { timeout: 180_000 }, async () => {
    await withHost({ file: file('drifts', 80) }, async (bed) => {
      await bed.weft('apply', '--yes');
      const good = await bed.snapshot();
      await watching(bed, async (watch) => {
        for (const [script, text, by] of drifts) {
          await quiet();
          const act = (): Promise<string> => bed.host.kernel.run('sh', ['-c', script, 'sh', bed.directory]);
          const told = await watch.after(act, mended(text), script);
          assert.equal(told.changes?.find((change) => text.test(change.text))?.by?.process, by, script);
        }
        // What was put on the bridge has left it alone: the gateway's addresses are the bridge's own.
        assert.equal(await bed.host.kernel.run('ip', ['-o', 'addr', 'show', 'dev', 'eth1', 'scope', 'global']), '');
        assert.match(await bed.host.kernel.run('ip', ['-o', 'addr', 'show', 'dev', 'br-internal']), /10\.0\.105\.1\/24/);
        await bed.host.kernel.run('ip', ['link', 'del', 'dev', 'eth1']);
        // The kernel's words are lost with a monitor: it is started again, and everything looked at.
        const monitors = children(watch.process.pid).filter((pid) => /monitor/.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')));
        assert.equal(monitors.length, 2);
        for (const pid of monitors) {
          await watch.after(
            () => bed.host.kernel.run('kill', ['-9', pid]),
            (event) => event.event === 'lost',
            'a killed monitor',
          );
        }
        await watch.after(
          () => bed.host.kernel.run('ip', ['link', 'set', 'dev', 'w-web', 'down']),
          mended(/port w-web is down/),
          'afterwards',
        );
        const pids = children(watch.process.pid);
        await watch.process.stop('SIGTERM');
        assert.deepEqual(await watch.process.ended, { status: 0, stderr: '' });
        for (const pid of pids) assert.throws(() => process.kill(Number(pid), 0), `process ${pid} is left`);
      });
      assert.equal((await bed.tryWeft(['status'])).status, 0);
      assert.equal(await open(bed, 80), true);
      // Links that were made anew have other indexes and MACs of their own.
      const left = differences(good, await bed.snapshot()).filter(
        (line) => !/^[+-] (links|bridge|routes|addresses):|w-db|w-web/.test(line),
      );
      assert.deepEqual(left, []);
    });
  });

  it('follows a new apply, waits for a confirmation, and says who fights it', { timeout: 300_000 }, async () => {
    await withHost({ file: file('follows', 80) }, async (bed) => {
      const flush = (): Promise<string> => bed.host.kernel.run('nft', ['flush', 'table', 'inet', 'weft']);
      const isMended = mended(/chain forward of inet weft is empty/);
      await watching(bed, async (watch) => {
        assert.deepEqual(
          watch.events.map(({ event, why }) => [event, why]),
          [['idle', 'nothing is applied']],
        );
        await watch.after(
          () => bed.weft('apply', '--yes'),
          (event) => event.event === 'watching',
          'the first apply',
        );
        bed.writeFile(file('follows', 81));
        await bed.weft('apply', '--yes');
        await watch.after(flush, isMended, 'a flush');
        assert.deepEqual([await open(bed, 80), await open(bed, 81)], [false, true]);
        bed.writeFile(file('follows', 82));
        // It is told once, as soon as the apply is done: perhaps before the flush.
        await watch.after(
          async () => {
            await bed.weft('apply', '--yes', '--confirm', '10m');
            await flush();
          },
          (event) => event.why === 'a change waits to be confirmed',
          'a change that waits',
        );
        const before = watch.events.length;
        await sleep(1500);
        // Nothing is mended while it waits; that it does may be told again.
        assert.deepEqual(
          watch.events.slice(before).filter(({ why }) => why !== 'a change waits to be confirmed'),
          [],
        );
        await watch.after(() => bed.weft('confirm'), isMended, 'confirmed');
        assert.equal(await open(bed, 82), true);
        const mends = watch.events.filter(({ event }) => event === 'mended');
        assert.equal(mends.length, 2, `an apply of a person is nothing to mend: ${JSON.stringify(mends)}`);
        let fought: Event | undefined;
        for (let times = 0; times < 30 && fought === undefined; times++) {
          await watch.after(flush, isMended, `fight ${times}`);
          fought = watch.events.find(({ event }) => event === 'fought');
        }
        assert.ok(fought?.things?.includes('chain inet weft forward'), JSON.stringify(fought));
      });
      // Whatever it was at: the host is whole, or the next command makes it so.
      await bed.weft('apply', '--yes', '--full');
      assert.equal((await bed.tryWeft(['status'])).status, 0);
    });
  });
});
