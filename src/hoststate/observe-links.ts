/** Reads `ip -j -d link` (ip-link(8)) into typed links, and tells which of them are Weft's, by their alias. */
import { isRecord, text } from './nft-json.ts';
import { WEFT_ALIAS_PREFIX, WEFT_LINK_GROUP } from './model.ts';
import type { Enslaved, HostState, Link } from './model.ts';

/** Any link of the host. */
export interface SeenLink {
  readonly index: number;
  readonly name: string;
  /** `bridge`, `veth`, `tun`, …; undefined for hardware and loopback. */
  readonly kind?: string;
  readonly alias?: string;
  readonly mac: string;
  /** `ether`, `loopback`, `none`, … */
  readonly type: string;
  readonly mtu: number;
  /** Set up by the administrator; says nothing of a carrier. */
  readonly up: boolean;
  /** `default`, or a number as text. */
  readonly group: string;
  readonly master?: string;
  /** The link below a VLAN, or the far end of a veth in the same namespace. */
  readonly lower?: string;
  /** A TAP's owner: a user's name, or a number as text where there is no such user. */
  readonly owner?: string;
  /** What ip -d says of the kind (`info_data`) and of the bridge port (`info_slave_data`). */
  readonly details: Readonly<Record<string, unknown>>;
  readonly port: Readonly<Record<string, unknown>>;
}

/** All links, in the kernel's order. What is no list of links gives none. */
export function readLinks(json: unknown): SeenLink[] {
  return (Array.isArray(json) ? json : []).filter(isRecord).flatMap((link): SeenLink[] => {
    const name = text(link['ifname']);
    if (name === '') return [];
    const info = isRecord(link['linkinfo']) ? link['linkinfo'] : {};
    const details = isRecord(info['info_data']) ? info['info_data'] : {};
    const owner = details['user'];
    return [
      {
        index: typeof link['ifindex'] === 'number' ? link['ifindex'] : 0,
        name,
        ...optional('kind', info['info_kind']),
        ...optional('alias', link['ifalias']),
        mac: text(link['address']),
        type: text(link['link_type']),
        mtu: typeof link['mtu'] === 'number' ? link['mtu'] : 0,
        up: Array.isArray(link['flags']) && link['flags'].includes('UP'),
        group: text(link['group']),
        ...optional('master', link['master']),
        ...optional('lower', link['link']),
        ...optional('owner', typeof owner === 'number' ? String(owner) : owner),
        details,
        port: isRecord(info['info_slave_data']) ? info['info_slave_data'] : {},
      },
    ];
  });
}

/** True for a link that Weft made. */
export function isOwnLink(link: SeenLink): boolean {
  return link.alias?.startsWith(WEFT_ALIAS_PREFIX) ?? false;
}

/**
 * Weft's links as a host state has them, sorted by name. `peer` of a veth is not there: what is inside another namespace cannot
 * be seen from here, and the alias names only the port.
 */
export function ownLinks(links: readonly SeenLink[]): Link[] {
  return links
    .filter(isOwnLink)
    .flatMap((link) => ownLink(link) ?? [])
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** True for a VLAN that Weft made of an interface of the host: what is on it is the host's own, as on that interface. */
export const isOwnVlan = (link: SeenLink): boolean => isOwnLink(link) && link.kind === 'vlan';

/** Ports of Weft's bridges by which the host itself reaches the outer network: those that are not Weft's, and VLANs; sorted. */
export function enslavedLinks(links: readonly SeenLink[]): Enslaved[] {
  const bridges = new Set(links.filter((link) => isOwnLink(link) && link.kind === 'bridge').map(({ name }) => name));
  return links
    .flatMap((link) =>
      link.master !== undefined && bridges.has(link.master) && (!isOwnLink(link) || isOwnVlan(link))
        ? [{ interface: link.name, bridge: link.master }]
        : [],
    )
    .sort((a, b) => (a.interface < b.interface ? -1 : 1));
}

/** Bridges of Weft on which the host's own addresses are, to the interface whose place they have. */
export function standIns(links: readonly SeenLink[]): ReadonlyMap<string, string> {
  const strangers = new Set(strangersOn(links, []).map((entry) => entry.interface));
  return new Map(
    enslavedLinks(links).flatMap((entry) => (strangers.has(entry.interface) ? [] : [[entry.bridge, entry.interface] as const])),
  );
}

/**
 * Of {@link enslavedLinks} those that somebody else has put there: nothing of the bridge is theirs, and they only have to leave. `states`: what was to be there or is to be. Where
 * those say nothing of a bridge, or its interface has got another name, the one with the bridge's MAC belongs there.
 */
export function strangersOn(links: readonly SeenLink[], states: readonly Pick<HostState, 'links' | 'enslaved'>[]): Enslaved[] {
  const all = enslavedLinks(links);
  const key = (entry: Enslaved): string => `${entry.interface} ${entry.bridge}`;
  const given = states.flatMap((state) => state.enslaved);
  const expected = new Set(given.map(key));
  const carriers = new Set(given.map((entry) => entry.bridge));
  const told = new Set(states.flatMap((state) => state.links.map(({ name }) => name)));
  const outer = outerLinks(links);
  const macs = new Map(links.map(({ name, mac }) => [name, mac]));
  const hasItsMac = (entry: Enslaved): boolean => macs.get(entry.interface) === macs.get(entry.bridge);
  return all.filter((entry) => {
    if (expected.has(key(entry))) return false;
    if (!outer.has(entry.bridge) || (told.has(entry.bridge) && !carriers.has(entry.bridge))) return true;
    const others = all.filter((other) => other.bridge === entry.bridge);
    return others.some((other) => expected.has(key(other))) || (others.some(hasItsMac) && !hasItsMac(entry));
  });
}

/**
 * Weft's links on which the host's own addresses are, or are on their way back (kernel/handover.ts), and none of Weft's: VLANs, and bridges of bridged networks. Such a bridge is known by
 * what Weft set there, and by the MAC of an interface of the host, on it or not: somebody may have changed either, and the host's addresses must never be taken for somebody's additions.
 */
export function outerLinks(links: readonly SeenLink[]): ReadonlySet<string> {
  const callsFirewall = ({ details }: SeenLink): boolean => details['nf_call_iptables'] === 1 || details['nf_call_ip6tables'] === 1;
  // What somebody has put onto a bridge (a VLAN of it, a macvlan) may have the bridge's MAC.
  const standsIn = ({ name, mac }: SeenLink): boolean => links.some((link) => !isOwnLink(link) && link.mac === mac && link.lower !== name);
  return new Set(
    links
      .filter(isOwnLink)
      .filter((link) => isOwnVlan(link) || (link.kind === 'bridge' && (callsFirewall(link) || standsIn(link))))
      .map(({ name }) => name),
  );
}

function ownLink(link: SeenLink): Link | undefined {
  const { name, mtu, mac } = link;
  const alias = link.alias ?? '';
  if (link.kind === 'bridge') {
    const nfCall = link.details['nf_call_iptables'] === 1 && link.details['nf_call_ip6tables'] === 1 ? { nfCall: true as const } : {};
    return { kind: 'bridge', name, alias, mac, mtu, ...nfCall, ...deviations(bridgeDeviations(link)) };
  }
  if (link.kind === 'vlan') {
    const id = typeof link.details['id'] === 'number' ? link.details['id'] : 0;
    const found = [...(link.up ? [] : ['down']), ...(isDoomed(link) ? ['about to be deleted'] : [])];
    return { kind: 'vlan', name, alias, parent: link.lower ?? '', id, mtu, ...deviations(found) };
  }
  const kind = link.kind === 'veth' ? 'veth' : link.kind === 'tun' && link.details['type'] === 'tap' ? 'tap' : undefined;
  if (!kind) return undefined;
  const owner = kind === 'tap' && link.owner !== undefined ? { owner: link.owner } : {};
  const shared = link.master !== undefined && link.port['isolated'] === false ? { shared: true as const } : {};
  return {
    kind,
    name,
    alias,
    ...(link.master === undefined ? {} : { bridge: link.master }),
    ...shared,
    mtu,
    ...owner,
    ...deviations(portDeviations(link)),
  };
}

/** Moved to the group in which links are deleted (plan/link-lines.ts), and then not deleted: the next deletion would take it along. */
const isDoomed = ({ group }: SeenLink): boolean => group === String(WEFT_LINK_GROUP + 1);

function bridgeDeviations(link: SeenLink): string[] {
  const { up, details } = link;
  return [
    ...(up ? [] : ['down']),
    ...(isDoomed(link) ? ['about to be deleted'] : []),
    ...(details['stp_state'] === 1 ? ['stp'] : []),
    ...(details['mcast_snooping'] === 1 ? ['multicast snooping'] : []),
  ];
}

function portDeviations(link: SeenLink): string[] {
  const { up, port, master } = link;
  const found = up ? [] : ['down'];
  if (isDoomed(link)) found.push('about to be deleted');
  if (master === undefined) return found;
  if (port['learning'] !== false) found.push('learning');
  if (port['flood'] !== false) found.push('flooded');
  return found;
}

function deviations(found: readonly string[]): { readonly deviations?: readonly string[] } {
  return found.length === 0 ? {} : { deviations: found };
}

function optional<K extends string>(key: K, value: unknown): { readonly [P in K]?: string } {
  // A computed key of a generic type is widened by the compiler; the value is what the return type says.
  return typeof value === 'string' ? ({ [key]: value } as { readonly [P in K]?: string }) : {};
}
