/**
 * A host where br_netfilter is not loaded yet, for a bridged network. As it is here, an empty directory hides its settings, and a program called modprobe takes that away: what
 * Weft asks and does, and in which order, is real then.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { differences } from '../bed/snapshot.ts';
import { NEIGHBOUR, withLan } from './lan.ts';

const file = `
name: module
networks: { cell: { kind: bridged, interface: em0, subnet: 192.168.118.0/24, gateway: 192.168.118.254, range: 192.168.118.220-192.168.118.230 } }
guests:
  web: { network: cell, kind: namespace }
allow: [web -> ${NEIGHBOUR} tcp/80]
`;

const SETTINGS = '/proc/sys/net/bridge';

/** `how` holds what it is to say: nothing, or why it fails. */
const modprobe = (directory: string): string => `#!/bin/sh
echo "$*" >> ${directory}/asked
how=$(cat ${directory}/how)
case "$how $*" in none*) exit 1 ;; *--dry-run*) exit 0 ;; esac
[ -z "$how" ] || { echo "modprobe: ERROR: could not insert 'br_netfilter': $how" >&2; exit 1; }
umount ${SETTINGS}
`;

it('it is loaded first, and switched off for all other bridges', { timeout: 240_000 }, async () => {
  await withLan(file, async (bed) => {
    const { kernel } = bed.host;
    const directory = join(bed.directory, 'programs');
    mkdirSync(directory);
    writeFileSync(join(directory, 'modprobe'), modprobe(directory), { mode: 0o755 });
    const how = (text: string): void => writeFileSync(join(directory, 'how'), text);
    const env = { PATH: `${directory}:${process.env['PATH'] ?? ''}` };
    const weft = (...args: string[]): ReturnType<typeof bed.tryWeft> => bed.tryWeft(args, { env });
    const unload = (): Promise<string> => kernel.run('mount', ['-t', 'tmpfs', 'hidden', SETTINGS]);
    const settings = async (): Promise<string[]> => {
      const keys = ['iptables', 'ip6tables', 'arptables'].map((name) => `net/bridge/bridge-nf-call-${name}`);
      return Promise.all(keys.map(async (key) => (await kernel.readSysctl(key)) ?? 'none'));
    };
    for (const name of ['iptables', 'ip6tables', 'arptables']) await kernel.writeSysctl(`net/bridge/bridge-nf-call-${name}`, '1');

    await unload();
    assert.deepEqual(await settings(), ['none', 'none', 'none']);
    const before = await bed.snapshot();

    how('none');
    const without = await weft('apply', '--yes');
    assert.equal(without.status, 2, without.stderr);
    assert.match(without.stderr, /feature-missing: .*`modprobe` finds no module br_netfilter/);
    how('Operation not permitted');
    const plan = await weft('plan');
    assert.match(plan.stdout, /\+ module br_netfilter/);
    const refused = await weft('apply', '--yes');
    assert.equal(refused.status, 3, refused.stderr);
    assert.match(refused.stderr, /feature-missing: .*br_netfilter.*could not be loaded: modprobe: ERROR.*Operation not permitted/);
    assert.deepEqual(differences(before, await bed.snapshot()), []);

    how('');
    const killed = await bed.tryWeft(['apply', '--yes'], { env: { ...env, WEFT_FAULT: `kill@${await pointAfterLoading()}` } });
    assert.equal(killed.status, 137, killed.stderr);
    assert.deepEqual(await settings(), ['0', '0', '0']);
    assert.equal((await weft('rollback')).status, 0);
    assert.deepEqual(differences(before, await bed.snapshot()).filter(elsewhere), []);

    await unload();
    const { status, stderr } = await weft('apply', '--yes');
    assert.equal(status, 0, stderr);
    assert.deepEqual(await settings(), ['0', '0', '0']);
    const reached = async (port: number): Promise<boolean> =>
      (await bed.prober.probe({ from: bed.guest('web').path, at: bed.neighbour.path, to: NEIGHBOUR, protocol: 'tcp', port })).answered;
    assert.deepEqual([await reached(80), await reached(81)], [true, false]);
    // It is asked for only where it is not there.
    rmSync(join(directory, 'asked'));
    for (const args of [[], ['--full']]) assert.match((await weft('apply', '--yes', ...args)).stdout, /^Nothing to change/);
    assert.throws(() => readFileSync(join(directory, 'asked')));

    // Unloaded by somebody: told and mended.
    await unload();
    assert.match((await weft('status')).stdout, /the kernel module br_netfilter is not loaded/);
    assert.equal((await weft('restore', '--early')).status, 0);
    assert.deepEqual(await settings(), ['0', '0', '0']);
    assert.match((await weft('status')).stdout, /Everything is as applied/);
    // What others switch on later is theirs.
    await kernel.writeSysctl('net/bridge/bridge-nf-call-arptables', '1');
    assert.equal((await weft('destroy', '--yes')).status, 0);
    assert.deepEqual(await settings(), ['0', '0', '1']);
    assert.deepEqual(differences(before, await bed.snapshot()).filter(elsewhere), []);

    async function pointAfterLoading(): Promise<string> {
      const { stderr: listed } = await bed.tryWeft(['apply', '--yes'], { env: { ...env, WEFT_FAULT: 'list' } });
      const [, first] = /^point (\d+): after: load the kernel module/m.exec(listed) ?? [];
      const [, other] = /^point (\d+): after: /m.exec(listed) ?? [];
      assert.equal(first, other, listed);
      assert.equal((await weft('destroy', '--yes')).status, 0);
      await unload();
      return first ?? '';
    }
  });
});

/** What the module itself brings. */
const elsewhere = (line: string): boolean => !line.includes(`${SETTINGS}/`);
