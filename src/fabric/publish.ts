/**
 * The entries of `publish` with their names resolved: which host's addresses and ports lead to which NIC. What can be said without the host is said here: a guest
 * that answers could not leave, ranges that do not fit, two entries for one port.
 */
import { hash } from 'node:crypto';
import { formatParty, formatPorts } from '../config/flow-format.ts';
import type { PartyExpr, PortSpec, Ports } from '../config/flow.ts';
import type { ConfigFile, PublishEntry } from '../config/model.ts';
import { parseIp, prefixContains, type Family } from '../net/ip.ts';
import { didYouMean } from './did-you-mean.ts';
import type { HostDraft, NetworkDraft, NicDraft } from './drafts.ts';
import type { Guests } from './guests.ts';
import type { Party, Publish, PublishedRange } from './model.ts';
import type { Hosts, Networks } from './networks.ts';
import type { ResolveParty } from './parties.ts';
import type { Place, Problems } from './problems.ts';
import { placeOf, resolveSide } from './sides.ts';
import { spanGiver } from './spans.ts';

/** A range that changes its ports takes one entry of a map for each of them; one that keeps them takes one in all. */
const SHIFTED_AT_MOST = 1000;

/** Ports of a gateway's address where Weft's own DHCP and DNS answer. */
const OWN_PORTS: Readonly<Record<'tcp' | 'udp' | 'sctp', readonly number[]>> = { tcp: [53, 53053], udp: [53, 67, 547, 53053], sctp: [] };

export interface PublishContext {
  readonly config: ConfigFile;
  readonly hosts: Hosts;
  readonly networks: Networks;
  readonly guests: Guests;
  readonly resolveParty: ResolveParty;
  readonly problems: Problems;
}

/** Leaves out the entries it reports. */
export function resolvePublish(context: PublishContext): readonly Publish[] {
  const withSpan = spanGiver(context.config, 'value');
  const claims: Claim[] = [];
  const published: Publish[] = [];
  for (const entry of context.config.model.publish) {
    const nic = targetOf(entry, context);
    const host = nic && hostOf(entry, nic, context);
    const ranges = rangesOf(entry, context.problems);
    const from = entry.from && sourcesOf(entry, entry.from, context);
    if (!nic || !host || !ranges) continue;
    const address = parseIp(entry.at) ? entry.at : undefined;
    const families = familiesOf(entry, nic, address, context.problems);
    if (entry.from) checkSources(entry, entry.from, families, context.problems);
    if (address !== undefined) checkOwnPorts(entry, host, ranges, context);
    for (const family of families) for (const range of ranges) claims.push({ entry, host: host.name, address, family, range });
    const text = textOf(entry);
    const one = {
      id: hash('sha256', `publish\0${text.toLowerCase()}`).slice(0, 8),
      host: host.name,
      ...(address === undefined ? {} : { address }),
      ports: ranges,
      to: { guest: nic.guest.name, nic: nic.index },
      ...(from === undefined ? {} : { from }),
      text,
      flow: flowOf(entry, nic, ranges),
    };
    published.push(withSpan(one, entry.path));
  }
  checkClashes(claims, context.problems);
  return published;
}

/** `vps tcp/2222 -> web tcp/22 from 198.51.100.0/24`, in one spelling. */
function textOf({ at, ports, to, toPorts, from }: PublishEntry): string {
  const target = toPorts === undefined ? to : `${to} ${formatPorts(toPorts)}`;
  return `${at} ${formatPorts(ports)} -> ${target}${from === undefined ? '' : ` from ${from.map(formatParty).join(',')}`}`;
}

function flowOf({ from }: PublishEntry, { guest, network }: NicDraft, ranges: readonly PublishedRange[]): string {
  const specs = ranges.map(({ protocol, first, last, target }) => ({ protocol, ranges: [{ from: target, to: target + last - first }] }));
  const to = guest.nics.length > 1 && network ? `${guest.name}.${network.name}` : guest.name;
  return `${from?.map(formatParty).join(',') ?? 'any'} -> ${to} ${formatPorts(specs)}`;
}

const word = ({ path }: PublishEntry, offset: number, length: number): Place => ({ path, within: { offset, length } });
const atPlace = (entry: PublishEntry): Place => word(entry, entry.offsets.at, entry.at.length);
const toPlace = (entry: PublishEntry): Place => word(entry, entry.offsets.to, entry.to.length);

function sourcesOf(entry: PublishEntry, exprs: readonly PartyExpr[], context: PublishContext): readonly Party[] {
  return resolveSide(context, entry.path, exprs).map(({ party, expr, path }) => {
    if (party.kind === 'domain') {
      const message = `\`${party.text}\` is a domain name: a packet says from which address it comes and not from which name; write the addresses instead.`;
      context.problems.error('bad-domain', placeOf(expr, path), message);
    }
    return party;
  });
}

/** The NIC that is published: the one named, else the one with the default route, by which the answers leave. */
function targetOf(entry: PublishEntry, { guests, problems }: PublishContext): NicDraft | undefined {
  const [name = '', network] = entry.to.split('.');
  const at = toPlace(entry);
  const guest = guests.get(name.toLowerCase());
  if (!guest) {
    const names = [...guests.values()].map((one) => one.name);
    problems.error('unknown-guest', at, `there is no guest \`${name}\`${didYouMean(name, names)}`);
    return undefined;
  }
  const nic =
    network === undefined
      ? (guest.nics.find((one) => one.isDefault) ?? guest.nics[0])
      : guest.nics.find((one) => one.network?.name.toLowerCase() === network.toLowerCase());
  if (!nic) {
    const message =
      network === undefined
        ? `the guest \`${guest.name}\` has no network, so nothing can be published for it; give it one, or take the entry out.`
        : `the guest \`${guest.name}\` has no NIC in a network \`${network}\`; its networks: ${guest.nics.map((one) => one.entry.network).join(', ') || 'none'}.`;
    problems.error('not-publishable', at, message);
    return undefined;
  }
  const kind = nic.network?.entry.kind;
  if (kind === 'isolated') {
    const message = `the network of \`${guest.name}\` is isolated, so nothing is published for it; take the entry out, or make the network \`kind: nat\`.`;
    problems.error('not-publishable', at, message);
    return undefined;
  }
  if (kind === 'bridged') {
    const message = `\`${guest.name}\` is on the outer network itself, where its answers would not come back by this host; allow \`internet -> ${guest.name}\` instead.`;
    problems.error('not-publishable', at, message);
    return undefined;
  }
  if (!nic.isDefault) {
    const message = `\`${guest.name}\` answers the outside by the NIC that carries its default route, not by the one in \`${nic.network?.name ?? nic.entry.network}\`; publish that one, or set \`default: true\` here.`;
    problems.error('not-publishable', at, message);
    return undefined;
  }
  return nic;
}

/** The host whose addresses are meant; undefined when that was reported. */
function hostOf(entry: PublishEntry, nic: NicDraft, { hosts, networks, problems }: PublishContext): HostDraft | undefined {
  const own = nic.network?.host;
  const at = atPlace(entry);
  const ip = parseIp(entry.at);
  if (ip) {
    if (!own) return undefined;
    const owner = [...hosts.values()].find((host) => host.addresses.includes(entry.at));
    if (owner && owner !== own) return elsewhere(owner, own);
    const gateway = [...networks.values()].some((network) => network.host === own && gatewaysOf(network).includes(entry.at));
    if (owner || gateway) return own;
    // The subnet of a bridged network is the outer one's, where the host has its address too.
    const inside = [...networks.values()].find(
      (network) => network.entry.kind !== 'bridged' && network.within.some((prefix) => prefixContains(prefix, ip)),
    );
    if (own.addresses.length === 0 && !inside) return own;
    const remedy =
      own.addresses.length === 0
        ? `it lies in the network \`${inside?.name ?? ''}\`; name an address of the host`
        : `take one of ${own.addresses.join(', ')}, or add it there`;
    problems.error('address-not-of-host', at, `${entry.at} is not an address of the host \`${own.name}\`: ${remedy}.`);
    return undefined;
  }
  const named = hosts.get(entry.at.toLowerCase()) ?? (entry.at.toLowerCase() === 'host' ? own : undefined);
  if (!named) {
    const names = [...hosts.values()].map((host) => host.name);
    problems.error('unknown-host', at, `there is no host \`${entry.at}\`${didYouMean(entry.at, names)}`);
    return undefined;
  }
  return own && own !== named ? elsewhere(named, own) : named;

  function elsewhere(host: HostDraft, home: HostDraft): undefined {
    problems.error(
      'not-supported-yet',
      at,
      `publishing at the host \`${host.name}\` for \`${nic.guest.name}\`, which is on \`${home.name}\`, is not supported yet; publish it at \`${home.name}\`.`,
    );
    return undefined;
  }
}

/** Weft's own; that of a bridged network is another machine. */
const gatewaysOf = ({ entry, v4, v6 }: NetworkDraft): string[] =>
  entry.kind === 'bridged' ? [] : [v4?.gateway, v6?.gateway].filter((gateway) => gateway !== undefined);

/** Undefined when the two sides do not fit. */
function rangesOf(entry: PublishEntry, problems: Problems): readonly PublishedRange[] | undefined {
  const from = transports(entry.ports);
  if (entry.toPorts === undefined) {
    return from.flatMap(({ protocol, ranges }) =>
      ranges.map((range) => ({ protocol, first: range.from, last: range.to, target: range.from })),
    );
  }
  const to = transports(entry.toPorts);
  const at = word(entry, entry.offsets.toPorts, 1);
  const both = [formatPorts(entry.ports), formatPorts(entry.toPorts)] as const;
  const fail = (why: string): undefined => {
    problems.error('bad-ports', at, `\`${both[0]}\` cannot become \`${both[1]}\`: ${why}.`);
    return undefined;
  };
  const result: PublishedRange[] = [];
  if (from.length !== to.length) return fail('both sides need the same protocols');
  for (const { protocol, ranges } of from) {
    const other = to.find((spec) => spec.protocol === protocol);
    if (!other) return fail('both sides need the same protocols');
    const [range, target] = [ranges[0], other.ranges[0]];
    if (!range || !target || ranges.length > 1 || other.ranges.length > 1)
      return fail('one port or one range stands on each side where the port changes; write one entry for each');
    const [size, targetSize] = [range.to - range.from + 1, target.to - target.from + 1];
    if (size !== targetSize)
      return fail(
        `${size === 1 ? 'one port' : `${size} ports`} on one side, ${targetSize === 1 ? 'one port' : `${targetSize} ports`} on the other; write ranges of one size`,
      );
    if (range.from !== target.from && size > SHIFTED_AT_MOST)
      return fail(`a range of more than ${SHIFTED_AT_MOST} ports keeps its ports; let the guest listen on the same ones`);
    result.push({ protocol, first: range.from, last: range.to, target: target.from });
  }
  return result;
}

/** The parser takes nothing else. */
const transports = (ports: Ports): readonly Exclude<PortSpec, { protocol: 'icmp' }>[] =>
  ports === 'any' ? [] : ports.flatMap((spec) => (spec.protocol === 'icmp' ? [] : [spec]));

function familiesOf(entry: PublishEntry, nic: NicDraft, address: string | undefined, problems: Problems): readonly Family[] {
  const families = ([4, 6] as const).filter((family) => (family === 4 ? (nic.v4 ?? nic.network?.v4) : (nic.v6 ?? nic.network?.v6)));
  if (address === undefined) return families;
  const family = parseIp(address)?.family;
  if (nic.network?.sound === true && !families.some((one) => one === family)) {
    problems.error(
      'family-mismatch',
      atPlace(entry),
      `${address} is IPv${family}, but \`${nic.guest.name}\` has no IPv${family} address in \`${nic.network.name}\`; give the network an IPv${family} subnet, or publish an address of the other family.`,
    );
  }
  return families.filter((one) => one === family);
}

/** A source of a family in which nothing is published would never match, silently. */
function checkSources(entry: PublishEntry, from: readonly PartyExpr[], families: readonly Family[], problems: Problems): void {
  const [only] = families;
  if (only === undefined || families.length > 1) return;
  const alone = from.find((party) => party.kind === 'prefix' && party.prefix.includes(':') !== (only === 6));
  if (!alone) return;
  problems.error(
    'family-mismatch',
    word(entry, alone.offset, alone.length ?? 1),
    `\`${formatParty(alone)}\` is IPv${only === 4 ? 6 : 4}, but the port is published in IPv${only} only; take it out, or write an IPv${only} address.`,
  );
}

/** On a gateway's own address, guests' DHCP and DNS come first. */
function checkOwnPorts(
  entry: PublishEntry,
  host: HostDraft,
  ranges: readonly PublishedRange[],
  { networks, problems }: PublishContext,
): void {
  const network = [...networks.values()].find((one) => one.host === host && gatewaysOf(one).includes(entry.at));
  if (!network) return;
  for (const { protocol, first, last } of ranges) {
    const own = OWN_PORTS[protocol].find((port) => first <= port && port <= last);
    if (own === undefined) continue;
    const message = `${entry.at} is the gateway of \`${network.name}\`, where ${protocol}/${own} is Weft's own (DHCP and DNS); publish another port there, or publish at another address.`;
    problems.error('publish-clash', word(entry, entry.offsets.ports, formatPorts(entry.ports).length), message);
    return;
  }
}

interface Claim {
  readonly entry: PublishEntry;
  readonly host: string;
  /** Undefined: all of the host's. */
  readonly address: string | undefined;
  readonly family: Family;
  readonly range: PublishedRange;
}

/** Two entries that would take the same port of the same address: told once for each pair, at the second. */
function checkClashes(claims: readonly Claim[], problems: Problems): void {
  const told = new Set<string>();
  const groups = Map.groupBy(claims, ({ host, family, range }) => `${host} ${family} ${range.protocol}`);
  for (const group of groups.values()) {
    let open: Claim[] = [];
    for (const claim of group.toSorted((a, b) => a.range.first - b.range.first)) {
      open = open.filter(({ range }) => range.last >= claim.range.first);
      for (const other of open) {
        if (other.address !== undefined && claim.address !== undefined && other.address !== claim.address) continue;
        const [first, second] = [other, claim].toSorted((a, b) => indexOf(a) - indexOf(b));
        const pair = `${first && indexOf(first)} ${second && indexOf(second)}`;
        if (!first || !second || told.has(pair)) continue;
        told.add(pair);
        clash(first, second, Math.max(first.range.first, second.range.first), problems);
      }
      open.push(claim);
    }
  }
}

const indexOf = ({ entry }: Claim): number => Number(entry.path.at(-1));

function clash(first: Claim, second: Claim, port: number, problems: Problems): void {
  const place = (entry: PublishEntry): Place => word(entry, entry.offsets.ports, 1);
  const at = first.address ?? second.address ?? `the host \`${second.host}\``;
  problems.error(
    'publish-clash',
    place(second.entry),
    `${second.range.protocol}/${port} of ${at} is published twice; take another port, or another address, for one of them.`,
    { message: `\`${first.entry.to}\` has it here`, at: place(first.entry) },
  );
}
