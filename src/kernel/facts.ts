/** What the compiler has to know of a host before Weft: its uplink, whether it forwards, what networks it already has. Changes nothing. */
import type { Address, HostFacts, HostInterface } from '../hoststate/model.ts';
import { WEFT_PROTOCOL } from '../hoststate/model.ts';
import { readAddresses, readRoutes } from '../hoststate/observe-addresses.ts';
import type { SeenRoute } from '../hoststate/observe-addresses.ts';
import { isOwnLink, isOwnVlan, readLinks, standIns } from '../hoststate/observe-links.ts';
import type { SeenLink } from '../hoststate/observe-links.ts';
import { runJson } from './json.ts';
import type { Kernel } from './kernel.ts';
import { canLoad, moduleSign } from './modules.ts';
import { byPrefix, withHostRoutes, withManaged, type ManagedUplink } from './managed-uplink.ts';
import { readSysctls } from './sysctls.ts';
import { hasVlans, vlanOf } from './vlans.ts';

export interface FactsWanted {
  readonly uplink?: string;
  readonly interfaces?: readonly string[];
  /** What the file says of an uplink that Weft sets up itself (`manage: true`). */
  readonly managed?: ManagedUplink;
  /** Addresses that Weft has given interfaces of others: no facts. */
  readonly given?: readonly Address[];
}

/**
 * Reads the facts. `uplink` names the interface to the outer network; by default the one of the default route with the lowest metric,
 * IPv4 before IPv6. No such interface: `facts.uplink` is undefined. `interfaces` names those to tell more of. Settings are as they are now, also where Weft has set them.
 */
export async function readFacts(kernel: Kernel, wantedFacts: FactsWanted = {}): Promise<HostFacts> {
  const { uplink, interfaces = [], managed, given = [] } = wantedFacts;
  // By family: without one, ip lists every link, addresses or not.
  const [links, addresses4, addresses6, seenRoutes] = await Promise.all([
    runJson(kernel, 'ip', ['-j', '-d', 'link', 'show']).then(readLinks),
    runJson(kernel, 'ip', ['-j', '-4', 'addr', 'show']).then(readAddresses),
    runJson(kernel, 'ip', ['-j', '-6', 'addr', 'show']).then(readAddresses),
    runJson(kernel, 'ip', ['-j', 'route', 'show', 'table', 'all']).then(readRoutes),
  ]);
  // What is on a bridge of Weft's that carries an interface of the host is that interface's.
  const standsFor = standIns(links);
  const isGiven = (link: string | undefined, address: string): boolean =>
    given.some((entry) => entry.link === link && entry.address === address);
  const foreignOnes = [...addresses4, ...addresses6].filter(({ link, address }) => !isGiven(link, address));
  const addresses = foreignOnes.map((entry) => ({ ...entry, link: standsFor.get(entry.link) ?? entry.link }));
  // With them, the routes that the kernel made of them.
  const others = seenRoutes.filter(({ link, prefix, protocol }) => protocol !== String(WEFT_PROTOCOL) && !isGiven(link, prefix));
  const routes = others.map(({ link, ...route }): SeenRoute =>
    link === undefined ? route : { ...route, link: standsFor.get(link) ?? link },
  );
  const own = new Set(links.filter(isOwnLink).map(({ name }) => name));
  const strangers = links.filter(({ name }) => name !== 'lo' && !own.has(name)).map(({ name }) => name);
  const raKeys = (name: string): readonly string[] =>
    ['accept_ra', 'forwarding', 'disable_ipv6'].map((leaf) => `net/ipv6/conf/${name}/${leaf}`);
  const values = await readSysctls(kernel, [
    forwarding4,
    forwarding6,
    forceForwarding,
    bridgeNetfilter,
    ...strangers.filter(isSysctlName).flatMap(raKeys),
  ]);
  const acceptsRa = (name: string): boolean =>
    raKeys(name)
      .map((key) => values.get(key))
      .join(' ') === '1 0 0';

  const addressesOf = (link: string): string[] =>
    addresses.filter((entry) => entry.link === link && entry.scope === 'global' && !entry.temporary).map(({ address }) => address);
  const describe = async (wanted: string): Promise<HostInterface[]> => {
    const there = links.find((one) => one.name === wanted);
    if (there !== undefined && !isOwnVlan(there)) return [hostInterface(there, addressesOf(wanted), own, await isWireless(kernel, wanted))];
    const vlan = vlanOf(wanted);
    const parent = links.find((one) => one.name === vlan?.parent && !own.has(one.name));
    if (vlan === undefined || parent === undefined) return [];
    const wireless = await isWireless(kernel, parent.name);
    const unfit = vlanUnfitness(parent, wireless) ?? (there !== undefined || (await hasVlans(kernel)) ? undefined : 'no-vlans');
    const { mac, mtu } = parent;
    return [{ name: wanted, mac, mtu, addresses: addressesOf(wanted), vlan, ...(unfit === undefined ? {} : { unfit }) }];
  };
  const name = uplink ?? defaultRouteLink(routes);
  const link = links.find((candidate) => candidate.name === name);
  const found = link && {
    name: link.name,
    mtu: link.mtu,
    mac: link.mac,
    gateways: routes.flatMap(({ prefix, via, table, link: by }) =>
      by === link.name && via !== undefined && table === 'main' && prefix.endsWith('/0') ? [via] : [],
    ),
    addresses: addressesOf(link.name),
    v6: routes.some((route) => route.prefix === '::/0' && route.type === 'unicast' && route.table === 'main'),
  };
  const foreign = foreignRoutes(routes, new Set(links.filter((one) => isOwnLink(one) && !isOwnVlan(one)).map((one) => one.name)));
  return {
    ...(found === undefined ? {} : { uplink: managed === undefined ? found : withManaged(found, managed, seenRoutes) }),
    interfaces: (await Promise.all(interfaces.map(describe))).flat(),
    forwarding: { v4: values.get(forwarding4) === '1', v6: values.get(forwarding6) === '1' },
    acceptRa: strangers.filter(acceptsRa).sort(),
    routes: found === undefined || managed === undefined ? foreign : withHostRoutes(foreign, found.name, managed),
    features: {
      forceForwarding: values.has(forceForwarding),
      bridgeNetfilter: values.has(bridgeNetfilter) || (interfaces.length > 0 && (await canLoad(kernel, 'br_netfilter'))),
    },
  };
}

const forwarding4 = 'net/ipv4/conf/all/forwarding';
const forwarding6 = 'net/ipv6/conf/all/forwarding';
const forceForwarding = 'net/ipv6/conf/all/force_forwarding';
const bridgeNetfilter = moduleSign.br_netfilter;

function hostInterface(link: SeenLink, addresses: readonly string[], own: ReadonlySet<string>, wireless: boolean): HostInterface {
  const { name, mac, mtu } = link;
  const unfit = unfitness(link, own, wireless);
  return { name, mac, mtu, addresses, ...(unfit === undefined ? {} : { unfit }) };
}

function unfitness(link: SeenLink, own: ReadonlySet<string>, wireless: boolean): HostInterface['unfit'] {
  if (wireless) return 'wireless';
  if (link.type === 'loopback') return 'loopback';
  if (link.kind === 'bridge') return 'bridge';
  if (link.type !== 'ether') return 'no-ethernet';
  if (link.master !== undefined && !own.has(link.master)) return { master: link.master };
  return link.up ? undefined : 'down';
}

/** Of a VLAN that is to be made: its parent may be on a bridge, or be one. */
function vlanUnfitness(parent: SeenLink, wireless: boolean): HostInterface['unfit'] {
  if (wireless) return 'wireless';
  if (parent.type === 'loopback') return 'loopback';
  if (parent.type !== 'ether') return 'no-ethernet';
  return parent.up ? undefined : 'down';
}

/** The kernel shows a directory for every interface that cfg80211 drives. */
async function isWireless(kernel: Kernel, name: string): Promise<boolean> {
  const { status } = await kernel.tryRun('sh', ['-c', '[ -e /sys/class/net/"$0"/phy80211 ] || [ -e /sys/class/net/"$0"/wireless ]', name]);
  return status === 0;
}

/** Interface names may hold characters that Weft's sysctl keys do not; such an interface is left alone. */
function isSysctlName(name: string): boolean {
  return /^[A-Za-z0-9_.@:+-]+$/.test(name);
}

function defaultRouteLink(routes: readonly SeenRoute[]): string | undefined {
  const best = (prefix: string): SeenRoute | undefined =>
    routes
      .filter((route) => route.prefix === prefix && route.table === 'main' && route.type === 'unicast' && route.link !== undefined)
      .sort((a, b) => (a.metric ?? 0) - (b.metric ?? 0))[0];
  return (best('0.0.0.0/0') ?? best('::/0'))?.link;
}

/** Networks and addresses a subnet could collide with: no default routes, no loopback, link-local, multicast or broadcast, nothing of Weft's. */
function foreignRoutes(routes: readonly SeenRoute[], own: ReadonlySet<string>): HostFacts['routes'] {
  const found = new Map<string, HostFacts['routes'][number]>();
  for (const { prefix, link, type } of routes) {
    if (link === undefined || link === 'lo' || own.has(link)) continue;
    if (type !== 'unicast' && type !== 'local') continue;
    if (prefix.endsWith('/0') || /^(fe80:|ff|127\.|169\.254\.|22[4-9]\.|23\d\.)/.test(prefix)) continue;
    found.set(`${prefix} ${link}`, { prefix, link, ...(type === 'local' ? { local: true } : {}) });
  }
  return [...found.values()].sort(byPrefix);
}
