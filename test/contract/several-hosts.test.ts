/** A file of several hosts, before there are links: only this host is changed, its own flows work, and nothing meant for another host's guests leaves for anybody else. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { withHost } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';
import { wrongLines } from './lines.ts';

const file = `
name: fleet
hosts:
  vps: { uplink: eth0, address: [203.0.113.10, "2001:db8:cb00::10"] }
  home: { uplink: eth0, address: 192.0.2.20 }
networks:
  a: { kind: nat, host: vps, subnet: [10.1.0.0/24, fd00:1::/64] }
  open: { kind: nat, host: vps, subnet: 10.3.0.0/24, filter: off }
  b: { kind: nat, host: home, subnet: [10.2.0.0/24, fd00:2::/64] }
guests:
  web: { network: a, kind: namespace }
  mute: { network: a, kind: namespace, egress: deny }
  free: { network: open, kind: namespace }
  db: { network: b, kind: namespace }
allow:
  - web -> vps tcp/22
  - db -> home tcp/22
  - host -> db
  - any -> db
  - web -> 10.0.0.0/8
  - web -> fd00::/16
  - mute -> 192.0.2.20 tcp/44
`;
const lines = `
yes web host tcp/22
no  web host tcp/23
yes web gw:a tcp/22
no  web 10.2.0.2@outside tcp/80
no  web fd00:2::2@outside tcp/80
no  web 10.2.0.2@outside udp/80
no  free 10.2.0.2@outside tcp/80
yes web 10.99.0.2@outside tcp/80
yes mute 192.0.2.20@outside tcp/44
no  mute 192.0.2.20@outside tcp/45
no  web 192.0.2.20@outside tcp/45
yes web outside tcp/80
`;

it('what is not supported yet is refused at its place, and nothing is done', async () => {
  const wrong = file
    .replace('allow:\n', 'allow:\n  - web -> db tcp/80\n  - web -> home tcp/22\n')
    .replace('home: { ', 'home: { behind: nat, ');
  await withHost({ file: wrong }, async (bed) => {
    const before = await bed.snapshot();
    const { status, stderr } = await bed.tryWeft(['apply', '--yes', '--host', 'vps']);
    assert.equal(status, 2);
    const places = [...stderr.matchAll(/weft\.yaml:(\d+:\d+): error ([\w-]+)/g)].map(([, place, code]) => `${place} ${code}`);
    assert.deepEqual(places, ['5:11 not-supported-yet', '16:12 not-supported-yet', '17:12 not-supported-yet']);
    assert.deepEqual(differences(before, await bed.snapshot()), []);
    assert.deepEqual(
      bed.leftovers().filter((line) => line !== 'file run/lock'),
      [],
    );
  });
});

for (const bridgeNfCall of [0, 1] as const) {
  it(`only this host's part is applied, with bridge-nf-call-iptables ${bridgeNfCall}`, async () => {
    await withHost({ file, bridgeNfCall }, async (bed) => {
      await bed.weft('apply', '--yes', '--host', 'vps');
      const { stdout } = await bed.host.kernel.tryRun('ip', ['netns', 'list']);
      assert.doesNotMatch(stdout, /fleet-db/);
      assert.deepEqual(await wrongLines(bed, lines), []);
    });
  });
}
