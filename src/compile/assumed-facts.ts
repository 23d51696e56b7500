/** The facts of a host of which only the file is known: what `check` proves with, and `explain` away from the host. */
import type { Fabric } from '../fabric/model.ts';
import { assumedOuterWorld } from '../fabric/outer-world.ts';
import type { HostFacts } from '../hoststate/model.ts';

/** Locally administered, and no guest's: those of guests have random digits (fabric/macs.ts). */
const UPLINK_MAC = '02:00:00:00:00:01';

/**
 * The uplink and its addresses as declared, else such as collide with nothing in the file; forwarding as if it were on already, so that nothing is said of packets that
 * are not Weft's; a kernel that lacks nothing.
 */
export function assumedFacts(fabric: Fabric, host: string): HostFacts {
  const { uplink, lans, main } = assumedOuterWorld(fabric, host);
  const mac = fabric.hosts.find(({ name }) => name === host)?.macs?.[0] ?? UPLINK_MAC;
  return {
    uplink: {
      name: uplink.name,
      mtu: 1500,
      mac,
      gateways: uplink.gateways,
      addresses: uplink.addresses,
      v6: uplink.gateways.some((gateway) => gateway.includes(':')),
    },
    interfaces: lans.map((lan, i) => ({
      name: lan.interface,
      mac: lan === main ? mac : `02:00:00:00:01:${(i % 256).toString(16).padStart(2, '0')}`,
      mtu: 1500,
      addresses: lan === main ? uplink.addresses : lan.host,
    })),
    forwarding: { v4: true, v6: true },
    acceptRa: [],
    routes: [],
    features: { forceForwarding: true, bridgeNetfilter: true },
  };
}
