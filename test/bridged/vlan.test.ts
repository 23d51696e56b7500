/**
 * A VLAN that a bridged network names and the host does not have: refused with the reason where the kernel cannot make it; else made before it joins the bridge, and gone with
 * it. Where this kernel has no VLANs, a macvlan stands in for one behind a wrapped `ip`: what Weft does in which order is real then, frames with tags are not.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { hasVlans } from '../../src/kernel/vlans.ts';
import { differences } from '../bed/snapshot.ts';
import { withLan, type LanBed } from './lan.ts';

const file = `
name: vlans
networks: { cell: { kind: bridged, interface: em0.10, subnet: 192.168.10.0/24, gateway: 192.168.10.254, range: 192.168.10.220-192.168.10.230, dns: 192.168.10.254 } }
guests: { web: cell }
`;

/** Makes macvlans of what are to be VLANs, and says that they are. */
const WRAPPER = `#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
case "$*" in
*'type vlan id 1') echo 'Error: 8021q: link not specified.' >&2; exit 2 ;;
*-batch*)
  for file; do :; done
  sed 's/type vlan id 10$/type macvlan mode bridge/' "$file" | ip -batch -
  exit ;;
esac
out=$(ip "$@"); status=$?
[ -z "$out" ] || printf '%s\\n' "$out" | sed 's/"info_kind":"macvlan","info_data":{[^}]*}/"info_kind":"vlan","info_data":{"protocol":"802.1Q","id":10,"flags":["REORDER_HDR"]}/g'
exit $status
`;

interface SeenVlan {
  readonly link?: string;
  readonly master?: string;
  readonly ifalias?: string;
  readonly flags: readonly string[];
}

async function vlanOf(bed: LanBed): Promise<SeenVlan | undefined> {
  const { status, stdout } = await bed.host.kernel.tryRun('ip', ['-j', '-d', 'link', 'show', 'dev', 'em0.10']);
  return status === 0 ? (JSON.parse(stdout) as readonly SeenVlan[])[0] : undefined;
}

it('a VLAN that is not there', { timeout: 240_000 }, async () => {
  await withLan(file, async (bed) => {
    const real = await hasVlans(bed.host.kernel);
    const before = await bed.snapshot();
    if (!real) {
      const { status, stderr } = await bed.tryWeft(['apply', '--yes']);
      assert.equal(status, 2, stderr);
      assert.match(stderr, /feature-missing: .*`cell` is to be on em0\.10, which is not there, .*no 8021q.*modprobe 8021q/);
      assert.deepEqual(differences(before, await bed.snapshot()), []);
    }
    const programs = join(bed.directory, 'programs');
    mkdirSync(programs);
    writeFileSync(join(programs, 'ip'), WRAPPER, { mode: 0o755 });
    const env = real ? {} : { PATH: `${programs}:${process.env['PATH'] ?? ''}` };
    const weft = async (...args: string[]): Promise<string> => {
      const { status, stdout, stderr } = await bed.tryWeft(args, { env });
      assert.equal(status, 0, `${args.join(' ')}\n${stdout}${stderr}`);
      return stdout;
    };
    const stands = async (): Promise<void> => {
      const vlan = await vlanOf(bed);
      const { link, master, ifalias, flags = [] } = vlan ?? {};
      assert.deepEqual([link, master, ifalias, flags.includes('UP')], ['em0', 'br-cell', 'weft:vlans:vlan:em0.10', true]);
    };

    await weft('apply', '--yes');
    await stands();
    assert.match(await weft('apply', '--yes', '--full'), /^Nothing to change/);
    // Down: brought up again. Gone: made again.
    await bed.host.kernel.run('ip', ['link', 'set', 'dev', 'em0.10', 'down']);
    assert.match((await bed.tryWeft(['status'], { env })).stdout, /vlan em0\.10 is down/);
    await weft('restore');
    await stands();
    await bed.host.kernel.run('ip', ['link', 'del', 'dev', 'em0.10']);
    assert.match((await bed.tryWeft(['status'], { env })).stdout, /vlan em0\.10 is missing/);
    await weft('restore');
    await stands();
    // Its parent has gone: the rest stands, and it is told.
    await weft('destroy', '--yes');
    assert.deepEqual(differences(before, await bed.snapshot()), []);

    // Killed when it is made, and when it is on its bridge: taken back.
    const { stderr: listed } = await bed.tryWeft(['apply', '--yes'], { env: { ...env, WEFT_FAULT: 'list' } });
    const points = [...listed.matchAll(/^point (\d+): (after: (?:make|move) .*)$/gm)].map(([, number]) => number);
    assert.ok(points.length >= 2, listed);
    await weft('destroy', '--yes');
    for (const point of points) {
      assert.equal((await bed.tryWeft(['apply', '--yes'], { env: { ...env, WEFT_FAULT: `kill@${point}` } })).status, 137);
      await weft('destroy', '--yes');
      assert.deepEqual(differences(before, await bed.snapshot()), [], `kill at point ${point}`);
    }

    // One that somebody else has made is used as it is, and stays.
    const kind = real ? ['type', 'vlan', 'id', '10'] : ['type', 'macvlan', 'mode', 'bridge'];
    await bed.host.kernel.run('ip', ['link', 'add', 'link', 'em0', 'name', 'em0.10', ...kind]);
    for (const change of [['addrgenmode', 'none'], ['up']]) await bed.host.kernel.run('ip', ['link', 'set', 'dev', 'em0.10', ...change]);
    const with10 = await bed.snapshot();
    await weft('apply', '--yes');
    assert.equal((await vlanOf(bed))?.ifalias, undefined);
    assert.equal((await vlanOf(bed))?.master, 'br-cell');
    await weft('destroy', '--yes');
    assert.deepEqual(differences(with10, await bed.snapshot()), []);
  });
});
