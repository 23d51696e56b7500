/**
 * Kernel settings of the host, in the order in which they are set; undone in reverse. Forwarding comes last of all, when rules and bridges stand.
 * Sources: Documentation/networking/ip-sysctl.rst; kernel.md for what was measured.
 */
import { prefixesOf } from '../fabric/addressing.ts';
import type { Network } from '../fabric/model.ts';
import type { HostFacts, NeighborProxy, Sysctl } from '../hoststate/model.ts';
import { carrierOf } from './links.ts';
import { bridgedNetworks } from './local-nics.ts';
import { familyOf } from './prefixes.ts';
import { proxySettings } from './proxies.ts';
import type { RoutedPort } from './routed-ports.ts';

/** Where guests are: a bridge, or a port of a routed network. */
interface GuestLink {
  readonly name: string;
  readonly v4: boolean;
  readonly v6: boolean;
  /** Several guests share it. */
  readonly bridge: boolean;
}

/** Settings of bridges and routed ports (they vanish with them), then of the host. */
export function sysctls(
  everywhere: readonly Network[],
  ports: readonly RoutedPort[],
  facts: HostFacts,
  proxies: readonly NeighborProxy[] = [],
): Sysctl[] {
  // Bridged frames are not forwarded packets: a host with bridged networks only stays what it was.
  const networks = everywhere.filter((network) => network.kind !== 'bridged');
  if (networks.length === 0) return [];
  const prefixes = networks.flatMap(prefixesOf);
  const links: GuestLink[] = [
    ...bridgedNetworks(networks).map(({ bridge, v4, v6 }) => ({ name: bridge, v4: v4 !== undefined, v6: v6 !== undefined, bridge: true })),
    ...ports.map(({ link, network: { service4, service6 } }) => ({
      name: link,
      v4: service4 !== undefined,
      v6: service6 !== undefined,
      bridge: false,
    })),
  ];
  const all = [
    ...links.flatMap(linkSettings),
    ...(prefixes.some((prefix) => familyOf(prefix) === 4) ? forwarding4(facts) : []),
    ...(prefixes.some((prefix) => familyOf(prefix) === 6)
      ? forwarding6(
          links.filter((link) => link.v6),
          facts,
          everywhere,
        )
      : []),
    ...proxySettings(proxies, facts),
  ];
  // Where everything forwards, the uplink's settings are among the others already.
  const keys = new Set<string>();
  return all.filter(({ key }) => !keys.has(key) && keys.add(key));
}

function linkSettings({ name, v4, v6, bridge }: GuestLink): Sysctl[] {
  const setting = (key: string, value: string): Sysctl => ({ key, value, link: name });
  const all: Sysctl[] = [];
  if (v4 && bridge) {
    all.push(
      // Isolated ports: same-subnet guests reach each other through the host, which answers ARP for them, at once.
      setting(`net/ipv4/conf/${name}/proxy_arp_pvlan`, '1'),
      setting(`net/ipv4/neigh/${name}/proxy_delay`, '0'),
    );
  }
  if (v4) {
    all.push(
      // A guest learns nothing of the host's other addresses by asking for them.
      setting(`net/ipv4/conf/${name}/arp_ignore`, '1'),
      setting(`net/ipv4/conf/${name}/accept_redirects`, '0'),
      setting(`net/ipv4/conf/${name}/accept_source_route`, '0'),
    );
  }
  if (v6) {
    all.push(
      setting(`net/ipv6/conf/${name}/accept_ra`, '0'),
      setting(`net/ipv6/conf/${name}/autoconf`, '0'),
      setting(`net/ipv6/conf/${name}/accept_redirects`, '0'),
      // The gateway's addresses are nobody else's by rule, and a link without a carrier would leave them tentative.
      setting(`net/ipv6/conf/${name}/accept_dad`, '0'),
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
 * A guest takes fe80::1 off its list of routers when it says in a neighbour advertisement that it is none: hence `forwarding` on the guests' links. The uplink
 * must go on accepting router advertisements: `force_forwarding` forwards without making it a router (Linux 6.17), and the host's other ways out need it like the uplink; before that,
 * everything forwards and `accept_ra=2` keeps the advertisements.
 */
function forwarding6(links: readonly GuestLink[], facts: HostFacts, all: readonly Network[]): Sysctl[] {
  const onLinks = links.map(({ name }): Sysctl => ({ key: `net/ipv6/conf/${name}/forwarding`, value: '1', link: name }));
  if (facts.forwarding.v6) return [...onLinks, { key: 'net/ipv6/conf/all/forwarding', value: '1' }];
  if (facts.features.forceForwarding) {
    return [
      ...onLinks,
      ...links.map(({ name }): Sysctl => ({ key: `net/ipv6/conf/${name}/force_forwarding`, value: '1', link: name })),
      ...outerLinks6(facts).map((name): Sysctl => {
        const carrier = carrierOf(name, all);
        const setting = { key: `net/ipv6/conf/${carrier}/force_forwarding`, value: '1' };
        return carrier === name ? setting : { ...setting, link: carrier };
      }),
    ];
  }
  return [
    ...onLinks,
    ...[...facts.acceptRa].sort().map((name): Sysctl => ({ key: `net/ipv6/conf/${name}/accept_ra`, value: '2' })),
    { key: 'net/ipv6/conf/all/forwarding', value: '1' },
  ];
}

/** Answers come in by these: a packet is forwarded when the interface it came in by forwards. What is neither from nor to a guest is dropped by rule. */
function outerLinks6({ uplink, routes }: HostFacts): string[] {
  const links = routes.flatMap(({ prefix, link }) => (familyOf(prefix) === 6 ? [link] : []));
  return [...new Set([...(uplink ? [uplink.name] : []), ...links.sort()])];
}
