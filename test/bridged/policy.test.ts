/**
 * Guests on the outer network, by packets: filtered with connection tracking from their neighbours on the wire and from each other, DHCP and names from this host alone, nobody
 * on the wire takes a guest's place. With bridge-nf-call-iptables 0 and 1 for all other bridges.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { internet4 } from '../bed/host.ts';
import { differences } from '../bed/snapshot.ts';
import { GATEWAY, HOST, NEIGHBOUR, withLan, type LanBed } from './lan.ts';

const file = (name: string, more: string): string => `
name: ${name}
networks:
  external:
    kind: bridged
    interface: em0
    subnet: [192.168.118.0/24, "2001:db8:118::/64"]
    gateway: [${GATEWAY}, "2001:db8:118::fe"]
    range: 192.168.118.220-192.168.118.230
  plain: { kind: nat, subnet: 10.0.105.0/24 }
guests:
  web: { network: external, kind: namespace, address: [192.168.118.220, "2001:db8:118::220"] }
  db: { network: external, kind: namespace, address: [192.168.118.221, "2001:db8:118::221"] }
  inner: { network: plain, kind: namespace, address: 10.0.105.10 }
${more}`;

const RULES = `
allow:
  - web -> db tcp/5432
  - web -> ${NEIGHBOUR} tcp/80
  - ${NEIGHBOUR} -> db tcp/22
  - inner -> web tcp/8080
  - internet -> db udp/53
block:
  - host -> db tcp/9
`;

type Row = readonly [from: string, at: string, to: string, protocol: 'tcp' | 'udp', port: number, open: boolean];

const rows: readonly Row[] = [
  // Guest to guest of one bridge, both families.
  ['web', 'db', '192.168.118.221', 'tcp', 5432, true],
  ['web', 'db', '192.168.118.221', 'udp', 5432, false],
  ['web', 'db', '2001:db8:118::221', 'tcp', 5432, true],
  ['web', 'db', '2001:db8:118::221', 'tcp', 80, false],
  ['db', 'web', '192.168.118.220', 'tcp', 5432, false],
  // The neighbours on the wire, the gateway included, are not the internet.
  ['web', 'neighbour', NEIGHBOUR, 'tcp', 80, true],
  ['web', 'neighbour', NEIGHBOUR, 'tcp', 81, false],
  ['db', 'neighbour', NEIGHBOUR, 'tcp', 80, false],
  ['web', 'outer', GATEWAY, 'tcp', 80, false],
  ['web', 'neighbour', '2001:db8:118::5', 'tcp', 80, false],
  ['neighbour', 'db', '192.168.118.221', 'tcp', 22, true],
  ['neighbour', 'db', '192.168.118.221', 'tcp', 23, false],
  ['neighbour', 'web', '192.168.118.220', 'tcp', 22, false],
  ['neighbour', 'web', '2001:db8:118::220', 'tcp', 22, false],
  // Beyond the gateway.
  ['web', 'outer', internet4, 'tcp', 443, true],
  ['web', 'outer', '2001:db8:c633::7', 'tcp', 443, true],
  ['outer', 'db', '192.168.118.221', 'udp', 53, false],
  // The host, which goes on as before.
  ['web', 'host', HOST, 'tcp', 22, false],
  ['host', 'web', '192.168.118.220', 'tcp', 22, true],
  ['host', 'db', '192.168.118.221', 'tcp', 9, false],
  ['neighbour', 'host', HOST, 'tcp', 22, true],
  ['host', 'neighbour', NEIGHBOUR, 'tcp', 22, true],
  ['host', 'outer', internet4, 'tcp', 443, true],
  // Guests of another network of the host, by routing.
  ['inner', 'web', '192.168.118.220', 'tcp', 8080, true],
  ['inner', 'web', '192.168.118.220', 'tcp', 8081, false],
  ['inner', 'neighbour', NEIGHBOUR, 'tcp', 80, false],
  ['inner', 'outer', internet4, 'tcp', 443, true],
];

const namespaces = (bed: LanBed): Readonly<Record<string, string>> => ({
  host: bed.host.path,
  outer: bed.outer.path,
  neighbour: bed.neighbour.path,
});

async function reached(bed: LanBed): Promise<string[]> {
  const path = (name: string): string => namespaces(bed)[name] ?? bed.guest(name).path;
  const results = await Promise.all(
    rows.map(async ([from, at, to, protocol, port, open]) => {
      const result = await bed.prober.probe({ from: path(from), at: path(at), to, protocol, port, timeoutMs: open ? 5000 : 1000 });
      return `${from} -> ${to} ${protocol}/${port}: ${result.answered}`;
    }),
  );
  return results;
}

const expected = rows.map(([from, , to, protocol, port, open]) => `${from} -> ${to} ${protocol}/${port}: ${open}`);

for (const bridgeNfCall of [1, 0] as const) {
  it(`the policy holds on a shared wire (bridge-nf-call-iptables ${bridgeNfCall})`, { timeout: 120_000 }, async () => {
    await withLan(
      file(`wire${bridgeNfCall}`, RULES),
      async (bed) => {
        const before = await bed.snapshot();
        await bed.weft('apply', '--yes');
        assert.deepEqual(await reached(bed), expected);
        assert.equal((await bed.tryWeft(['status'])).status, 0);
        assert.match(await bed.weft('apply', '--yes', '--full'), /[Nn]othing/);
        if (bridgeNfCall === 0) return;
        // Taken back means taken back, on one bridge too.
        const flow = await bed.hold('web', 'db', { to: '192.168.118.221', protocol: 'tcp', port: 5432 });
        const kept = await bed.prober.hold({
          from: bed.guest('web').path,
          at: bed.neighbour.path,
          to: NEIGHBOUR,
          protocol: 'tcp',
          port: 80,
        });
        bed.writeFile(file(`wire${bridgeNfCall}`, RULES.replace('  - web -> db tcp/5432\n', '')));
        await bed.weft('apply', '--yes');
        const [cut, stays] = [await standing(flow), await standing(kept)];
        assert.deepEqual([cut, stays], [false, true]);
        await bed.weft('destroy', '--yes');
        assert.deepEqual(differences(before, await bed.snapshot()), []);
        assert.deepEqual(bed.leftovers(), []);
      },
      { bridgeNfCall },
    );
  });
}

/** Does the flow still get answers? */
async function standing(flow: { state(): Promise<{ readonly echoed: number }> }): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, 700));
  const first = (await flow.state()).echoed;
  await new Promise((resolve) => setTimeout(resolve, 1500));
  return (await flow.state()).echoed > first;
}
