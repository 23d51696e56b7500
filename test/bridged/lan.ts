/** A host on a LAN for tests of bridged networks: `em0` into a LAN with a neighbour, its gateway and the internet behind it. */
import { ipBatch, type BedNamespace } from '../../src/twin/bed.ts';
import { withHost, type HostBed } from '../bed/host.ts';

export const HOST = '192.168.118.10';
export const GATEWAY = '192.168.118.254';
/** Another machine of the LAN. */
export const NEIGHBOUR = '192.168.118.5';

export interface LanBed extends HostBed {
  /** The neighbour, on a switch with the host and the gateway (which is the outer world). */
  readonly neighbour: BedNamespace;
}

/** `em0` of the host, `u-0` of the outer world and the neighbour's `eth0` on one switch (a bridge in a namespace of its own). */
export async function withLan(
  file: string,
  test: (bed: LanBed) => Promise<void>,
  options: { readonly bridgeNfCall?: 0 | 1 } = {},
): Promise<void> {
  const host = { uplink: 'em0', addresses: [`${HOST}/24`, '2001:db8:118::10/64'], gateways: [GATEWAY, '2001:db8:118::fe'] };
  await withHost({ file, host, ...options }, async (bed) => {
    const neighbour = await bed.namespace('neighbour');
    const outer = bed.outer;
    // The outer world has the switch: its own end becomes a port, and it speaks by the bridge.
    const mac = linkAddress(await outer.kernel.run('ip', ['-j', 'link', 'show', 'dev', 'u-0']));
    await ipBatch(outer.kernel, [
      `link add name lan address ${mac} type bridge stp_state 0 forward_delay 0 mcast_snooping 0 nf_call_iptables 0`,
      'link set dev lan up',
      `link add dev u-n type veth peer name eth0 netns ${neighbour.name}`,
      'link set dev u-n master lan up',
      'link set dev u-0 master lan',
      'route del 192.168.118.0/24 dev u-0 table local',
      `addr del ${GATEWAY}/32 dev u-0`,
      'addr del 2001:db8:118::fe/128 dev u-0',
      `addr add ${GATEWAY}/32 dev lan`,
      'addr add 2001:db8:118::fe/128 dev lan nodad',
      'route del fe80::/64 dev u-0 table local',
      'route replace fe80::/64 dev lan table local',
      'route add 192.168.118.0/24 dev lan table local',
      'route del 2001:db8:118::/64 dev u-0 table local',
      'route add 2001:db8:118::/64 dev lan table local',
    ]);
    await outer.kernel.run('sh', [
      '-c',
      'echo 0 > /proc/sys/net/bridge/bridge-nf-call-iptables; echo 0 > /proc/sys/net/bridge/bridge-nf-call-ip6tables',
    ]);
    await neighbour.kernel.writeSysctl('net/ipv6/conf/eth0/accept_dad', '0');
    await ipBatch(neighbour.kernel, [
      'link set dev eth0 up',
      `addr add ${NEIGHBOUR}/24 dev eth0`,
      'addr add 2001:db8:118::5/64 dev eth0 nodad',
      `route add default via ${GATEWAY}`,
    ]);
    await test({ ...bed, neighbour });
  });
}

export function linkAddress(json: string): string {
  const [link] = JSON.parse(json) as readonly { readonly address: string }[];
  return link?.address ?? '';
}
