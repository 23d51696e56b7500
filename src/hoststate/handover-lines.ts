/**
 * Everything that hangs on one link, moved to another, as lines for one `ip -batch`: a physical interface that joins a bridge hands over the host's own
 * addresses, routes and neighbours, and takes them back when it leaves. Pure text; nothing here knows which of them are Weft's.
 */
import { formatPrefix, parsePrefix } from '../net/ip.ts';
import { isRecord, text } from './nft-json.ts';

/** What of one link the programs say, read right before the handover. */
export interface LinkView {
  readonly name: string;
  /** `addr_info` of `ip -j addr show dev NAME`. */
  readonly addresses: unknown;
  /** Lines of `ip -o -d -4|-6 route show table all` that lead by this link. */
  readonly routes: readonly string[];
  /** `ip -j neigh show dev NAME` and `ip -j neigh show proxy dev NAME`. */
  readonly neighbors: unknown;
  readonly proxies: unknown;
}

/**
 * The order keeps the host reachable: the target has the addresses before frames arrive by it (`join`), its routes stand beside the old ones before these go, and
 * addresses leave last, when nothing refers to them (an address that goes takes the routes with it as their source along). What the target already has is not given again,
 * so the lines may follow upon a handover that was cut short.
 */
export function handoverLines(from: LinkView, to: LinkView, join: readonly string[]): string[] {
  const addresses = addressesOf(from);
  const there = new Set(addressesOf(to).map(identity));
  const fresh = addresses.filter((address) => !there.has(identity(address)));
  const made = new Set(addresses.flatMap((address) => prefixRoute(address) ?? []));
  const routes = from.routes.filter((line) => !made.has(kernelRoute(line) ?? ''));
  const standing = new Set(to.routes.map(plainRoute));
  const moved = ordered(routes).map((line) => ({ old: routeWords(line), now: routeWords(renamed(line, from.name, to.name)) }));
  // The kernel makes a route for each address; one that somebody has taken away is not to come back.
  const kept = new Set(from.routes.flatMap((line) => kernelRoute(line) ?? []));
  const unwanted = fresh.flatMap((address) => {
    const route = prefixRoute(address);
    return route === undefined || kept.has(route) ? [] : [`route del ${route} dev ${to.name} proto kernel`];
  });
  return [
    ...fresh.map((address) => addressLine('add', address, from.name, to.name)),
    ...unwanted,
    ...neighborLines(from, to.name),
    ...join,
    ...moved.filter(({ now }) => !standing.has(plainRoute(now))).map(({ now }) => `route append ${now}`),
    ...moved.map(({ old }) => `route del ${old}`),
    // The kernel leaves the route of an IPv6 address that has a lifetime to run out by itself.
    ...[...new Set(addresses.filter(isPassing).flatMap((address) => prefixRoute(address) ?? []))]
      .filter((route) => kept.has(route))
      .map((route) => `route del ${route} dev ${from.name} proto kernel`),
    // Before the addresses: with the last one the kernel forgets them by itself.
    ...permanent(from).map((entry) => `neigh del ${text(entry['dst'])} dev ${from.name}`),
    ...records(from.proxies).map((entry) => `neigh del proxy ${text(entry['dst'])} dev ${from.name}`),
    ...addresses.toReversed().map((address) => `addr del ${bare(address)} dev ${from.name}`),
    // Duplicate address detection was skipped for the moment of the handover only.
    ...fresh.filter(({ family, nodad }) => family === 'inet6' && nodad !== true).map((a) => addressLine('change', a, from.name, to.name)),
  ];
}

type Json = Readonly<Record<string, unknown>>;

const records = (value: unknown): readonly Json[] => (Array.isArray(value) ? value : []).filter(isRecord);
/** In the order to add them in: of IPv6 the kernel tells the newest first, of IPv4 the oldest, which is the primary one. */
function addressesOf({ addresses }: LinkView): readonly Json[] {
  const all = records(addresses);
  return [...all.filter(({ family }) => family === 'inet'), ...all.filter(({ family }) => family !== 'inet').toReversed()];
}
const identity = (address: Json): string => bare(address);

/** `192.168.118.10/24`, `10.9.9.1 peer 10.9.9.2/32`. */
function bare(address: Json): string {
  const peer = typeof address['address'] === 'string' ? ` peer ${address['address']}` : '';
  return `${text(address['local'])}${peer}/${Number(address['prefixlen'])}`;
}

const FOREVER = 4294967295;
const lifetime = (value: unknown): string => (typeof value !== 'number' || value === FOREVER ? 'forever' : String(value));

const isPassing = (address: Json): boolean => address['family'] === 'inet6' && lifetime(address['valid_life_time']) !== 'forever';

function addressLine(verb: 'add' | 'change', address: Json, from: string, to: string): string {
  const v6 = address['family'] === 'inet6';
  const label = text(address['label']);
  // `em0:1` names its interface (ip-address(8)); IFNAMSIZ leaves 15 characters.
  const own = label.startsWith(`${from}:`) ? `${to}${label.slice(from.length)}` : '';
  const word = (name: string, value: unknown): string =>
    typeof value === 'string' || typeof value === 'number' ? ` ${name} ${value}` : '';
  const flag = (name: string): string => (address[name] === true ? ` ${name}` : '');
  return [
    `addr ${verb} ${bare(address)}`,
    word('broadcast', address['broadcast']),
    word('anycast', address['anycast']),
    word('metric', address['metric']),
    word('scope', address['scope']),
    word('proto', address['protocol']),
    own !== '' && own.length <= 15 ? ` label ${own}` : '',
    ` dev ${to}`,
    ` valid_lft ${lifetime(address['valid_life_time'])} preferred_lft ${lifetime(address['preferred_life_time'])}`,
    v6 && verb === 'add' ? ' nodad' : flag('nodad'),
    flag('home'),
    flag('mngtmpaddr'),
    flag('noprefixroute'),
    flag('autojoin'),
  ].join('');
}

/** The route that the kernel makes for an address, as far as it tells one from another: `192.168.118.0/24`. */
function prefixRoute(address: Json): string | undefined {
  if (address['noprefixroute'] === true) return undefined;
  const base = typeof address['address'] === 'string' ? address['address'] : text(address['local']);
  const prefix = parsePrefix(`${base}/${Number(address['prefixlen'])}`);
  if (prefix === undefined) return undefined;
  const whole = prefix.length === (prefix.family === 4 ? 32 : 128);
  return whole && typeof address['address'] !== 'string' ? undefined : formatPrefix(prefix);
}

/** The prefix of a route that the kernel made; undefined for those that somebody has set. */
function kernelRoute(line: string): string | undefined {
  if (!/ proto kernel /.test(`${line} `)) return undefined;
  const destination = /^unicast (\S+)/.exec(line)?.[1];
  if (destination === undefined) return undefined;
  const prefix = parsePrefix(destination.includes('/') ? destination : `${destination}/${destination.includes(':') ? 128 : 32}`);
  return prefix && formatPrefix(prefix);
}

/** What `ip route show` says and `ip route add` does not take. */
const shown = /(?<= )(linkdown|dead|offload|offload_failed|trap|rt_trap|rt_offload|rt_offload_failed|unresolved|pervasive|notify)(?= |$)/g;

/** `unicast default via … dev em0 table main … expires 997sec` as `ip route append` takes it. */
function routeWords(line: string): string {
  return line
    .replaceAll('\\', ' ')
    .replaceAll('\t', ' ')
    .replaceAll(shown, '')
    .replace(/ expires (\d+)sec/, ' expires $1')
    .replace(/(^| )default(?= )/, line.includes(' pref ') || / via (inet6 )?\S*:/.test(line) ? '$1::/0' : '$10.0.0.0/0')
    .replaceAll(/ +/g, ' ')
    .trim();
}

/** Without what runs by itself. */
const plainRoute = (line: string): string => routeWords(line).replace(/ expires \d+/, '');

const renamed = (line: string, from: string, to: string): string => line.replaceAll(` dev ${from} `, ` dev ${to} `);

/** On-link ones first: the others' next hops are found by them. */
function ordered(lines: readonly string[]): readonly string[] {
  const viaOther = (line: string): number => (/ via /.test(line) ? 1 : 0);
  return lines.toSorted((a, b) => viaOther(a) - viaOther(b));
}

const permanent = ({ neighbors }: LinkView): readonly Json[] =>
  records(neighbors).filter(({ state }) => Array.isArray(state) && state.includes('PERMANENT'));

/** Permanent ones move; of the others the target has a first guess, so that nothing waits for an answer. */
function neighborLines(from: LinkView, to: string): string[] {
  const known = records(from.neighbors).filter(({ lladdr, state }) => typeof lladdr === 'string' && Array.isArray(state));
  const lasting = new Set(permanent(from));
  return [
    ...known.map((entry) => {
      const router = entry['router'] !== undefined ? ' router' : '';
      const state = lasting.has(entry) ? 'permanent' : 'stale';
      return `neigh replace ${text(entry['dst'])} lladdr ${text(entry['lladdr'])} dev ${to} nud ${state}${router}`;
    }),
    ...records(from.proxies).map((entry) => `neigh replace proxy ${text(entry['dst'])} dev ${to}`),
  ];
}
