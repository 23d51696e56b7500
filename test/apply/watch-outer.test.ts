/** `weft watch` against drift of what guests on the LAN (kind bridged) and with public addresses (kind routed) stand on, each thing by itself. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { internet4, internet6, withHost } from '../bed/host.ts';
import { mended, quiet, watching } from './watching.ts';

const file = `
name: outer
networks:
  lan: { kind: bridged, interface: eth0, subnet: 203.0.113.0/24, gateway: 203.0.113.1, range: 203.0.113.200-203.0.113.220 }
  public: { kind: routed, addresses: [198.18.5.0/29, '2001:db8:5::/64'] }
guests:
  near: { network: lan, kind: namespace, address: 203.0.113.200 }
  web: { network: public, kind: namespace, address: [198.18.5.0, '2001:db8:5::77'] }
allow: [internet -> near, internet -> web]
`;

const drifts: readonly (readonly [script: string, text: RegExp])[] = [
  ['ip route del unreachable 198.18.5.0/29', /route that makes 198\.18\.5\.0\/29 unreachable is missing/],
  ['ip -6 route del unreachable 2001:db8:5::/64', /route that makes 2001:db8:5::\/64 unreachable is missing/],
  ['ip route del 198.18.5.0/32', /route 198\.18\.5\.0\/32 on w-web is missing/],
  ['ip route add 198.18.5.3/32 dev w-web proto 87', /route 198\.18\.5\.3\/32 on w-web was added/],
  ['ip addr del fe80::1/64 dev w-web', /address fe80::1\/64 is missing on w-web/],
  ['ip neigh replace 198.18.5.0 lladdr 02:00:00:00:00:66 dev w-web nud permanent', /198\.18\.5\.0 on w-web says 02:00:00:00:00:66/],
  ['ip link set dev w-web down', /port w-web is down/],
  ['ip link set dev eth0 nomaster', /interface eth0 is not on bridge br-lan/],
  // What else is put on a bridge only has to leave it: nothing of the bridge goes with it.
  [
    'ip link add dev eth9 up type veth peer name far9; ip link set dev eth9 master br-lan',
    /bridge br-lan has eth9 on it, which somebody else/,
  ],
  ['ip link set dev w-near nomaster', /port w-near is on no bridge instead of br-lan/],
  ['bridge link set dev w-near learning on', /port w-near learns MACs/],
  ['nft delete table bridge weft', /table bridge weft is missing/],
  ['nft flush chain netdev weft guard', /chain guard of netdev weft is empty/],
  // The host's own addresses are there: whatever was changed, they stay.
  ['ip link set dev br-lan type bridge nf_call_iptables 0', /bridge br-lan does not give its frames to the IP firewall/],
  [
    'ip link set dev br-lan type bridge nf_call_iptables 0 nf_call_ip6tables 0',
    /bridge br-lan does not give its frames to the IP firewall/,
  ],
  [
    'ip link set dev br-lan type bridge nf_call_iptables 0 nf_call_ip6tables 0; ip link set dev eth0 nomaster',
    /interface eth0 is not on bridge br-lan/,
  ],
];

it('mends each kind of drift beyond the networks that are its own', { timeout: 180_000 }, async () => {
  await withHost({ file, host: { routes: ['198.18.5.0/29', '2001:db8:5::/64'] } }, async (bed) => {
    await bed.weft('apply', '--yes');
    await watching(bed, async (watch) => {
      const addresses = (): Promise<string> => bed.host.kernel.run('ip', ['-o', 'addr', 'show', 'dev', 'br-lan', 'scope', 'global']);
      const before = await addresses();
      for (const [script, text] of drifts) {
        await quiet();
        await watch.after(() => bed.host.kernel.run('sh', ['-c', script]), mended(text), script);
        assert.equal(await addresses(), before, script);
      }
    });
    const status = await bed.tryWeft(['status']);
    assert.equal(status.status, 0, status.stdout);
    for (const [name, to, source] of [
      ['near', '203.0.113.200', internet4],
      ['web', '198.18.5.0', internet4],
      ['web', '2001:db8:5::77', internet6],
    ] as const)
      assert.equal((await bed.probe('outer', name, { to, source, protocol: 'tcp', port: 80 })).answered, true, to);
  });
});
