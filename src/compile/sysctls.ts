/**
 * Kernel settings of the host, in the order in which they are set; undone in reverse. Forwarding comes last of all, when rules and bridges stand.
 * Sources: Documentation/networking/ip-sysctl.rst; kernel.md for what was measured.
 */
import type { Network } from '../fabric/model.ts';
import type { HostFacts, Sysctl } from '../hoststate/model.ts';
import { carrierOf } from './links.ts';
import { familyOf } from './prefixes.ts';

/** Settings of the bridges (they vanish with them), then of the host. */
export function sysctls(networks: readonly Network[], facts: HostFacts): Sysctl[] {
  const inner = networks.filter((network) => network.kind !== 'bridged');
  // Bridged frames are not forwarded packets: a host with bridged networks only stays what it was.
  if (inner.length === 0) return [];
  const v4 = inner.some((network) => network.v4);
  const v6 = inner.filter((network) => network.v6);
  return [...inner.flatMap(bridgeSettings), ...(v4 ? forwarding4(facts) : []), ...(v6.length > 0 ? forwarding6(v6, facts, networks) : [])];
}

function bridgeSettings({ bridge, v4, v6 }: Network): Sysctl[] {
  const setting = (key: string, value: string): Sysctl => ({ key, value, link: bridge });
  const all: Sysctl[] = [];
  if (v4) {
    all.push(
      // Isolated ports: same-subnet guests reach each other through the host, which answers ARP for them, at once.
      setting(`net/ipv4/conf/${bridge}/proxy_arp_pvlan`, '1'),
      setting(`net/ipv4/neigh/${bridge}/proxy_delay`, '0'),
      // A guest learns nothing of the host's other addresses by asking for them.
      setting(`net/ipv4/conf/${bridge}/arp_ignore`, '1'),
      setting(`net/ipv4/conf/${bridge}/accept_redirects`, '0'),
      setting(`net/ipv4/conf/${bridge}/accept_source_route`, '0'),
    );
  }
  if (v6) {
    all.push(
      setting(`net/ipv6/conf/${bridge}/accept_ra`, '0'),
      setting(`net/ipv6/conf/${bridge}/autoconf`, '0'),
      setting(`net/ipv6/conf/${bridge}/accept_redirects`, '0'),
      // The gateway's addresses are nobody else's by rule, and a bridge without a running port would leave them tentative.
      setting(`net/ipv6/conf/${bridge}/accept_dad`, '0'),
    );
  }
  return all;
}

function forwarding4(facts: HostFacts): Sysctl[] {
  // Changing ip_forward sets all/accept_redirects to its opposite: listed before it, so that undoing in reverse ends with the old value.
  const redirects: Sysctl[] = facts.forwarding.v4 ? [] : [{ key: 'net/ipv4/conf/all/accept_redirects', value: '0' }];
  return [...redirects, { key: 'net/ipv4/ip_forward', value: '1' }];
}

/**
 * A guest takes fe80::1 off its list of routers when it says in a neighbour advertisement that it is none: hence `forwarding` on the bridges. The uplink
 * must go on accepting router advertisements: `force_forwarding` forwards without making it a router (Linux 6.17), and the host's other ways out need it like the uplink; before that,
 * everything forwards and `accept_ra=2` keeps the advertisements.
 */
function forwarding6(networks: readonly Network[], facts: HostFacts, all: readonly Network[]): Sysctl[] {
  const onBridges = networks.map(({ bridge }): Sysctl => ({ key: `net/ipv6/conf/${bridge}/forwarding`, value: '1', link: bridge }));
  if (facts.forwarding.v6) return [...onBridges, { key: 'net/ipv6/conf/all/forwarding', value: '1' }];
  if (facts.features.forceForwarding) {
    return [
      ...onBridges,
      ...networks.map(({ bridge }): Sysctl => ({ key: `net/ipv6/conf/${bridge}/force_forwarding`, value: '1', link: bridge })),
      ...outerLinks6(facts).map((name): Sysctl => {
        const carrier = carrierOf(name, all);
        const setting = { key: `net/ipv6/conf/${carrier}/force_forwarding`, value: '1' };
        return carrier === name ? setting : { ...setting, link: carrier };
      }),
    ];
  }
  return [
    ...onBridges,
    ...[...facts.acceptRa].sort().map((name): Sysctl => ({ key: `net/ipv6/conf/${name}/accept_ra`, value: '2' })),
    { key: 'net/ipv6/conf/all/forwarding', value: '1' },
  ];
}

/** Answers come in by these: a packet is forwarded when the interface it came in by forwards. What is neither from nor to a guest is dropped by rule. */
function outerLinks6({ uplink, routes }: HostFacts): string[] {
  const links = routes.flatMap(({ prefix, link }) => (familyOf(prefix) === 6 ? [link] : []));
  return [...new Set([...(uplink ? [uplink.name] : []), ...links.sort()])];
}
