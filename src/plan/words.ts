/**
 * A difference in words: what is there, and what was applied. For `status` and `watch`; `before` is what was found, `after` what is wanted.
 */
import type {
  Address,
  Enslaved,
  FdbEntry,
  GuestSide,
  Link,
  Neighbor,
  NeighborProxy,
  PortLink,
  Route,
  Service,
  Sysctl,
} from '../hoststate/model.ts';
import { isVerdict } from '../hoststate/nft.ts';
import type { NftChain, NftMapElement, NftRule } from '../hoststate/nft.ts';
import { isMapping, printExpression, printRule, printVerdict, type Element } from '../hoststate/nft-print.ts';
import { canonicalJson, sameJson } from './keyed.ts';
import type { Change } from './steps.ts';

/** `port w-web is on no bridge instead of br-internal, and is down` */
export function inWords(change: Change): string {
  const { action, kind, name } = change;
  const words = kinds[kind];
  if (words !== undefined) return words(change);
  return action === 'create'
    ? `${kind} ${name} is missing`
    : action === 'delete'
      ? `${kind} ${name} was added`
      : `${kind} ${name} was changed`;
}

type Words = (change: Change) => string;

/** `before` and `after` are what plan.ts puts there for the kind. */
const kinds: Readonly<Record<string, Words>> = {
  bridge: linkWords,
  port: linkWords,
  vlan: linkWords,
  uplink: ({ action, before, after }) => {
    const { interface: name, bridge } = (after ?? before) as Enslaved;
    if (action === 'create')
      return `interface ${name} is not on bridge ${bridge}: from there neither guests nor this host reach the network behind it`;
    if (action === 'delete') return `interface ${name} was put on bridge ${bridge}`;
    return `interface ${name} is on bridge ${(before as Enslaved).bridge} instead of ${bridge}`;
  },
  module: ({ name }) => `the kernel module ${name} is not loaded`,
  interface: ({ name }) => `interface ${name} is not there, so nothing can be set on it`,
  address: ({ action, before, after }) => {
    const { address, link } = (after ?? before) as Address;
    return action === 'create' ? `address ${address} is missing on ${link}` : `address ${address} was added on ${link}`;
  },
  route: ({ action, before, after }) => {
    const found = (after ?? before) as Route;
    const route = 'unreachable' in found ? `route that makes ${found.prefix} unreachable` : `route ${found.prefix} on ${found.link}`;
    if (action === 'update') return `${route} goes ${viaOf(before as Route)} instead of ${viaOf(after as Route)}`;
    return action === 'create' ? `${route} is missing` : `${route} was added`;
  },
  neighbor: ({ action, before, after }) => {
    const { address, link } = (after ?? before) as Neighbor;
    const entry = `neighbour entry of ${address} on ${link}`;
    if (action === 'update') return `${entry} says ${(before as Neighbor).mac} instead of ${(after as Neighbor).mac}`;
    return action === 'create' ? `${entry} is missing` : `${entry} was added`;
  },
  proxy: ({ action, before, after }) => {
    const { address, link } = (after ?? before) as NeighborProxy;
    return action === 'create'
      ? `this host does not answer on ${link} for ${address} (neighbour proxy)`
      : `this host answers on ${link} for ${address} (neighbour proxy), which was added`;
  },
  fdb: ({ action, before, after }) => {
    const { mac, port } = (after ?? before) as FdbEntry;
    if (action === 'update') {
      const [is, was] = [before, after].map((entry) => ((entry as FdbEntry).local === true ? 'this host' : port));
      return `frames of guests for MAC ${mac} go to ${is} instead of ${was}`;
    }
    return action === 'create' ? `MAC ${mac} is not pinned to ${port}` : `MAC ${mac} was pinned to ${port}`;
  },
  table: ({ action, name }) =>
    action === 'create'
      ? `table ${name} is missing: none of its rules hold`
      : action === 'delete'
        ? `table ${name} was added`
        : `table ${name} was changed`,
  chain: chainWords,
  set: ({ action, name }) => {
    const { table, object } = inTable(name);
    return action === 'create' ? `set ${object} of ${table} is missing` : `set ${object} of ${table} was added`;
  },
  element: ({ action, name, before, after }) => {
    const { table, object } = inTable(name);
    if (action === 'create') return `set ${object} of ${table} lacks ${elementText(after as Element)}`;
    if (action === 'delete') return `set ${object} of ${table} has ${elementText(before as Element)}, which was added`;
    return `set ${object} of ${table} has ${elementText(before as Element)} instead of ${elementText(after as Element)}`;
  },
  sysctl: ({ action, name, before, after }) => {
    const setting = name.replaceAll('/', '.');
    if (action === 'update') return `setting ${setting} is ${(before as Sysctl).value} instead of ${(after as Sysctl).value}`;
    return action === 'create' ? `setting ${setting} is not there` : `setting ${setting} is still ${(before as Sysctl).value}`;
  },
  guest: guestWords,
  service: ({ action, name, before, after }) => {
    if (action === 'create') return `${name} does not run`;
    if (action === 'delete') return `${name} runs, but was not applied`;
    const differs = differingKeys(before as Service, after as Service);
    return differs.length === 0
      ? `${name} does not run as it was applied`
      : `${name} does not run with the ${differs.join(' and the ')} that ${differs.length === 1 && differs[0] === 'configuration' ? 'was' : 'were'} applied`;
  },
};

const isPort = (link: Link): link is PortLink => link.kind === 'tap' || link.kind === 'veth';

function linkWords({ action, kind, name, before, after }: Change): string {
  if (action === 'create') return `${kind} ${name} is missing`;
  if (action === 'delete') return `${kind} ${name} bears Weft’s mark, but was not applied`;
  const [is, was] = [before as Link, after as Link];
  const found: string[] = [];
  if (is.kind !== was.kind) found.push(`is a ${is.kind} instead of a ${was.kind}`);
  if (isPort(is) && isPort(was)) {
    if (is.bridge !== was.bridge) found.push(`is on ${is.bridge || 'no bridge'} instead of ${was.bridge ?? 'none'}`);
    if (is.shared !== was.shared)
      found.push(is.shared === true ? 'is not isolated from the other ports' : 'is isolated from the other ports');
    if (is.owner !== was.owner) found.push(`belongs to ${is.owner ?? 'root'} instead of ${was.owner ?? 'root'}`);
    if (!sameJson(is.peer, was.peer) && was.peer) found.push(`has lost its other end, ${was.peer.interface} in guest ${was.peer.guest}`);
  } else if (is.kind === 'bridge' && was.kind === 'bridge' && is.mac !== was.mac) found.push(`has the MAC ${is.mac} instead of ${was.mac}`);
  if (is.kind === 'bridge' && was.kind === 'bridge' && is.nfCall !== was.nfCall)
    found.push(
      is.nfCall === true
        ? 'gives its frames to the IP firewall (nf_call_iptables)'
        : 'does not give its frames to the IP firewall (nf_call_iptables)',
    );
  if (is.kind === 'vlan' && was.kind === 'vlan' && (is.parent !== was.parent || is.id !== was.id))
    found.push(`is number ${is.id} of ${is.parent} instead of ${was.id} of ${was.parent}`);
  if (is.mtu !== was.mtu) found.push(`has an MTU of ${is.mtu} instead of ${was.mtu}`);
  if (is.alias !== was.alias)
    found.push(`has the alias ${is.alias === '' ? '(none)' : is.alias} instead of ${was.alias}, by which Weft knows it`);
  if (is.kind === 'bridge' && is.strangers !== undefined)
    found.push(`has ${is.strangers.join(' and ')} on it, which somebody else has put there`);
  for (const deviation of is.deviations ?? []) found.push(deviationWords[deviation] ?? `is ${deviation}`);
  return `${kind} ${name} ${found.length === 0 ? 'was changed' : found.join(', and ')}`;
}

const deviationWords: Readonly<Record<string, string>> = {
  stp: 'runs STP',
  'multicast snooping': 'has multicast snooping on',
  learning: 'learns MACs from frames',
  flooded: 'gets frames for MACs that nobody has',
};

const viaOf = (route: Route): string => ('unreachable' in route ? 'nowhere' : route.via === undefined ? 'directly' : `via ${route.via}`);

/** `inet weft forward` */
function inTable(name: string): { readonly table: string; readonly object: string } {
  const cut = name.lastIndexOf(' ');
  return { table: name.slice(0, cut), object: name.slice(cut + 1) };
}

/** More rules of a chain than this are counted. */
const LISTED_RULES = 3;

function chainWords({ action, name, before, after }: Change): string {
  const { table, object } = inTable(name);
  const chain = `chain ${object} of ${table}`;
  if (action === 'create') return `${chain} is missing`;
  if (action === 'delete') return `${chain} was added`;
  const [is, was] = [before as NftChain, after as NftChain];
  const found: string[] = [];
  if (!sameJson(is.base, was.base)) found.push('has another hook, device, priority or policy');
  const [lost, added] = [notIn(was.rules, is.rules), notIn(is.rules, was.rules)];
  if (is.rules.length === 0 && was.rules.length > 0) found.push(`is empty: ${rulesText(was.rules.length)} gone`);
  else if (lost.length > 0) found.push(`lacks ${listed(lost)}`);
  if (added.length > 0) found.push(`has ${listed(added)} more`);
  if (found.length === 0) found.push('has its rules in another order');
  return `${chain} ${found.join(', and ')}`;
}

const rulesText = (count: number): string => (count === 1 ? 'its rule is' : `its ${count} rules are`);

/** Rules of the first list that the second has fewer of. */
function notIn(rules: readonly NftRule[], others: readonly NftRule[]): string[] {
  const left = others.map(canonicalJson);
  return rules.flatMap((rule) => {
    const index = left.indexOf(canonicalJson(rule));
    if (index < 0) return [ruleText(rule)];
    left.splice(index, 1);
    return [];
  });
}

function listed(rules: readonly string[]): string {
  if (rules.length > LISTED_RULES) return `${rules.length} rules`;
  return `the rule${rules.length === 1 ? '' : 's'} ${rules.map((rule) => `\`${rule}\``).join(', ')}`;
}

/** What was put there by another hand may be something that Weft has no words for. */
function ruleText(rule: NftRule): string {
  try {
    const text = printRule(rule);
    return text.length > 120 ? `${text.slice(0, 119)}…` : text;
  } catch {
    return '(a rule Weft has no words for)';
  }
}

function elementText(element: Element): string {
  const value = (to: NftMapElement[1]): string => (isVerdict(to) ? printVerdict(to) : printExpression(to));
  const text = isMapping(element) ? `${printExpression(element[0])} : ${value(element[1])}` : printExpression(element);
  return text.length > 80 ? `${text.slice(0, 79)}…` : text;
}

function guestWords({ action, name, before, after }: Change): string {
  const side = (after ?? before) as GuestSide;
  const where = side.netns.kind === 'made' ? `namespace ${side.netns.namespace}` : `namespace at ${side.netns.path}`;
  if (action === 'create') return `${where} of guest ${name} is missing`;
  if (action === 'delete') return `${where} of guest ${name} is there, but was not applied`;
  const [is, was] = [before as GuestSide, after as GuestSide];
  const found = was.interfaces.flatMap((face) => {
    const old = is.interfaces.find((candidate) => candidate.name === face.name);
    if (old === undefined) return [`${face.name} is missing`];
    const lost = [
      ...face.addresses.filter((address) => !old.addresses.includes(address)),
      ...face.routes.filter((route) => !old.routes.some((kept) => sameJson(kept, route))).map(({ prefix }) => `the route ${prefix}`),
    ];
    return [
      ...(lost.length > 0 ? [`${face.name} lacks ${lost.join(', ')}`] : []),
      ...(old.mtu === face.mtu ? [] : [`${face.name} has an MTU of ${old.mtu} instead of ${face.mtu}`]),
    ];
  });
  const values = new Map(is.sysctls.map(({ key, value }) => [key, value]));
  for (const { key, value } of was.sysctls)
    if (values.get(key) !== value) found.push(`${key.replaceAll('/', '.')} is ${values.get(key) ?? 'not there'} instead of ${value}`);
  if (is.resolvConf !== was.resolvConf) found.push('its resolv.conf was changed');
  return `inside guest ${name}: ${found.length === 0 ? 'something was changed' : found.join('; ')}`;
}

function differingKeys(is: Service, was: Service): string[] {
  if (is.kind !== 'dnsmasq' || was.kind !== 'dnsmasq') return [];
  return [
    ...(is.config === was.config ? [] : ['configuration']),
    ...(sameJson(is.files, was.files) ? [] : ['reservations']),
    ...(is.names === was.names ? [] : ['names']),
  ];
}
