/** Ports published at a host whose interface is on a bridge of Weft's (a bridged network): reached from the LAN, from beyond it, and by the guests on it. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { internet4 } from '../bed/host.ts';
import { HOST, NEIGHBOUR, withLan } from '../bridged/lan.ts';

const file = `
name: lanpub
networks:
  external: { kind: bridged, interface: em0, subnet: 192.168.118.0/24, gateway: 192.168.118.254, range: 192.168.118.220-192.168.118.230 }
  plain: { kind: nat, subnet: 10.0.105.0/24 }
guests:
  seen: { network: external, kind: namespace, address: 192.168.118.220 }
  inner: { network: plain, kind: namespace, address: 10.0.105.10 }
publish:
  - host tcp/2222 -> inner tcp/22
  - ${HOST} tcp/2223 -> inner tcp/23 from ${NEIGHBOUR}
`;

for (const bridgeNfCall of [0, 1] as const) {
  it(`with the host's interface on a bridge (bridge-nf-call-iptables ${bridgeNfCall})`, async () => {
    await withLan(
      file,
      async (bed) => {
        await bed.weft('apply', '--yes');
        const paths = { neighbour: bed.neighbour.path, outer: bed.outer.path, host: bed.host.path, seen: bed.guest('seen').path };
        const ask = async (from: keyof typeof paths, source: string, port: number, guestPort: number): Promise<string> => {
          const { answered, refused, seenSource } = await bed.prober.probe({
            from: paths[from],
            source,
            at: bed.guest('inner').path,
            to: HOST,
            protocol: 'tcp',
            port,
            listenPort: guestPort,
            listenAddress: '10.0.105.10',
          });
          return `${from} ${port}: ${answered ? seenSource : refused ? 'refused' : 'nothing'}`;
        };
        const got = await Promise.all([
          ask('neighbour', NEIGHBOUR, 2222, 22),
          ask('outer', internet4, 2222, 22),
          ask('host', HOST, 2222, 22),
          ask('seen', '192.168.118.220', 2222, 22),
          ask('neighbour', NEIGHBOUR, 2223, 23),
          ask('outer', internet4, 2223, 23),
        ]);
        assert.deepEqual(got, [
          `neighbour 2222: ${NEIGHBOUR}`,
          `outer 2222: ${internet4}`,
          `host 2222: ${HOST}`,
          'seen 2222: 192.168.118.220',
          `neighbour 2223: ${NEIGHBOUR}`,
          'outer 2223: refused',
        ]);
        assert.match(await bed.weft('status'), /Everything is as applied/);
        // Published at the host's address, which is Weft's bridge's by now, and found again as the interface's own.
        assert.match(await bed.weft('apply', '--yes', '--full'), /Nothing to change/);
      },
      { bridgeNfCall },
    );
  });
}
