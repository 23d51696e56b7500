/** What is proved of every host, asked for or not (docs/proofs.md): that the compiled state does what the file says, and what no file may want otherwise. */
import { formatPrefix, parseIp, parsePrefix, prefixContains, prefixOf } from '../../net/ip.ts';
import type { FlowSet } from '../symbolic/flow-space.ts';
import { every, none, proved, together, type Finding } from './answer.ts';
import { familyOf } from './endpoints.ts';
import { leftAlone } from './left-alone.ts';
import type { Subject } from './subject.ts';
import { translatedAsAsked } from './translated.ts';
import { mayBeSeenAs } from './seen-as.ts';

export const proofNames = [
  'nothing-more',
  'nothing-less',
  'no-forged-source',
  'guests-are-found',
  'no-loop',
  'rightful-sources-leave',
  'host-is-left-alone',
  'others-only-narrow',
] as const;
export type ProofName = (typeof proofNames)[number];
/** All but the one that needs the host with and without other programs' tables. */
type OwnProofName = Exclude<ProofName, 'others-only-narrow'>;

/** Whole sentences, true when the proof holds. */
export const proofSentences: Readonly<Record<ProofName, string>> = {
  'nothing-more': 'nothing is delivered to or from a guest that the file does not allow',
  'nothing-less': 'all that the file allows is delivered and answered',
  'no-forged-source': "no port passes a source that is not its guest's",
  'guests-are-found': 'every address of a guest leads to its port',
  'no-loop': 'nothing for an address of a network leaves to the outside',
  'rightful-sources-leave': 'nothing leaves by an uplink with a source that is not to be seen there',
  'host-is-left-alone': 'the host reaches the outside, and is reached from there, as if Weft were not there',
  'others-only-narrow': "other programs' tables let nothing through to or from a guest that Weft's alone would not",
};

export function proofsOf(subject: Subject): readonly { readonly name: ProofName; readonly finding: Finding }[] {
  return ownProofs.map(([name, prove]) => ({ name, finding: prove(subject) }));
}

/** What other programs' tables add: nothing. `own`: the same host without them, in the same space. */
export function narrowing(whole: Subject, own: Subject): Finding {
  if (whole === own) return proved;
  const { space } = whole.reach;
  const { sides } = whole;
  const guests = space.or(space.from(ports(whole)), sides.toGuests);
  return none(whole.reach, space.minus(guests, own.reach.delivered.must));
}

const ports = ({ sides }: Subject): readonly { readonly kind: 'interface'; readonly name: string }[] =>
  [...new Set(sides.endpoints.map(({ nic }) => nic.port))].map((name) => ({ kind: 'interface', name }));

const proofs: Readonly<Record<OwnProofName, (subject: Subject) => Finding>> = {
  'nothing-more': ({ reach, meaning }) => none(reach, reach.space.minus(meaning.domain, meaning.allowed)),
  'nothing-less': (subject) => together([every(subject.reach, subject.meaning.required), translatedAsAsked(subject)]),
  'no-forged-source': forged,
  'guests-are-found': found,
  'no-loop': loops,
  'rightful-sources-leave': leaving,
  'host-is-left-alone': leftAlone,
};
// The keys are those of the record.
const ownProofs = Object.entries(proofs) as [OwnProofName, (subject: Subject) => Finding][];

/** Behind a port are its guest's MAC and addresses; unspecified and link-local sources belong to DHCP and neighbour discovery. */
function forged({ reach, sides, world, family }: Subject): Finding {
  const { space, entered } = reach;
  const byPort = [...Map.groupBy(sides.endpoints, ({ nic }) => nic.port)];
  const port = (name: string): { kind: 'interface'; name: string } => ({ kind: 'interface', name });
  const own = space.fromWithSource(
    byPort.flatMap(([name, list]) => {
      const [first] = list;
      return first ? [{ origin: port(name), mac: first.nic.mac, sources: list.map(({ address }) => address) }] : [];
    }),
  );
  // Ports of NICs without an address of this family are guarded all the same.
  const nics = new Map(world.endpoints.filter(({ standing }) => standing).map(({ nic }) => [nic.port, nic.mac]));
  const unspecified = [...nics].map(([name, mac]) => ({ origin: port(name), mac, sources: [family === 4 ? '0.0.0.0/32' : '::/128'] }));
  const linkLocal =
    family === 4
      ? space.none
      : linkLocals(
          world.endpoints.filter(({ standing }) => standing),
          [...nics],
          { reach },
        );
  const rightful = space.or(own, space.fromWithSource(unspecified), linkLocal);
  const guests = space.from([...nics.keys()].map(port));
  return none(reach, space.minus(guests, rightful), entered);
}

/** A port's own link-local address, and any that is nobody else's. */
function linkLocals(
  endpoints: Subject['sides']['endpoints'],
  nics: readonly (readonly [string, string])[],
  { reach }: Pick<Subject, 'reach'>,
): FlowSet {
  const { space } = reach;
  const made = endpoints.flatMap(({ nic, linkLocal }) => (linkLocal === undefined ? [] : [{ nic, linkLocal }]));
  const taken = space.source([...made.map(({ linkLocal }) => linkLocal), 'fe80::1']);
  const origin = (name: string): { kind: 'interface'; name: string } => ({ kind: 'interface', name });
  const free = space.fromWithSource(nics.map(([name, mac]) => ({ origin: origin(name), mac, sources: ['fe80::/10'] })));
  const own = space.fromWithSource(made.map(({ nic, linkLocal }) => ({ origin: origin(nic.port), mac: nic.mac, sources: [linkLocal] })));
  return space.or(own, space.minus(free, taken));
}

/** Routed to the interface its port is behind: no black hole. */
function found({ whole: world, family }: Subject): Finding {
  const { routes, interfaces } = world.model;
  const bridges = new Map(interfaces.flatMap(({ name, portOf }) => (portOf ? [[name, portOf.bridge] as const] : [])));
  const there = new Set(interfaces.map(({ name }) => name));
  const main = routes.filter((route) => route.family === family && route.table === 'main');
  const table = routeTable(main);
  for (const { address, nic, network, standing, guest } of world.endpoints) {
    // The host reaches those who are there by ARP, as it does everybody on that wire.
    if (familyOf(address) !== family || !there.has(nic.port) || network.kind === 'bridged') continue;
    const link = bridges.get(nic.port) ?? nic.port;
    if (!standing) return { verdict: 'refuted', because: `the host does not know that ${address} of \`${guest}\` is behind ${nic.port}` };
    const way = table(address);
    if (way?.type === 'unicast' && way.link === link) continue;
    const leads = way === undefined ? 'nowhere' : way.link === undefined ? `nowhere (${way.type})` : `to ${way.link}`;
    return { verdict: 'refuted', because: `the host routes ${address} of \`${guest}\` ${leads}, and not to ${link}` };
  }
  return proved;
}

/** The longest prefix, then the lowest metric. */
function routeTable(routes: Subject['world']['model']['routes']): (address: string) => (typeof routes)[number] | undefined {
  const byPrefix = new Map<string, (typeof routes)[number]>();
  const lengths = new Set<number>();
  for (const route of routes) {
    const known = byPrefix.get(route.prefix);
    if (known === undefined || route.metric < known.metric) byPrefix.set(route.prefix, route);
    lengths.add(Number(route.prefix.slice(route.prefix.indexOf('/') + 1)));
  }
  const order = [...lengths].toSorted((a, b) => b - a);
  return (address) => {
    const ip = parseIp(address);
    if (!ip) return undefined;
    for (const length of order) {
      const route = byPrefix.get(formatPrefix(prefixOf(ip, length)));
      if (route) return route;
    }
    return undefined;
  };
}

/** What is for an address of a network here does not leave to the outside: neither what came from there nor what the host says to nobody. */
function loops({ reach, sides, world }: Subject): Finding {
  const { space, exits } = reach;
  const senders = space.or(sides.outsideForged, sides.host);
  const asked = space.and(senders, space.destination(world.inside));
  const outer = new Set(world.outer.map((origin) => (origin.kind === 'host' ? '' : origin.name)));
  return together(exits.filter((exit) => outer.has(exit.interface)).map((exit) => none(reach, asked, exit.flows)));
}

/** The host's own, addresses routed to it, and those of guests who are on that wire themselves. */
function leaving(subject: Subject): Finding {
  const { reach, sides, world } = subject;
  const { space, exits } = reach;
  const own = new Set(world.hostAddresses);
  const outer = new Set(world.outer.map((origin) => (origin.kind === 'host' ? '' : origin.name)));
  const hidden = space.or(space.source(world.keptIn), space.source(world.never));
  const ours = space.or(sides.guests, sides.host);
  const all = exits
    .filter((exit) => outer.has(exit.interface))
    .map((exit): Finding => {
      if (exit.seenAs === undefined) return { ...none(reach, space.and(ours, hidden), exit.flows, 'leaves') };
      const known = own.has(exit.seenAs) && !isHidden(exit.seenAs, world.keptIn);
      const finding = none(
        reach,
        known ? space.minus(ours, mayBeSeenAs(subject, exit.seenAs, exit.interface)) : ours,
        exit.flows,
        'leaves',
      );
      return finding.verdict === 'proved' ? finding : { ...finding, seenAs: exit.seenAs };
    });
  return together(all);
}

function isHidden(address: string, prefixes: readonly string[]): boolean {
  const ip = parseIp(address);
  return (
    ip !== undefined &&
    prefixes.some((text) => {
      const prefix = parsePrefix(text);
      return prefix !== undefined && prefixContains(prefix, ip);
    })
  );
}
