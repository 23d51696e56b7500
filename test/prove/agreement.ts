/** The two engines of the prover held against each other: random packets at the edges of whatever the model compares with. */
import { parsePrefix, prefixBounds, formatIp, addOffset } from '../../src/net/ip.ts';
import { interpret } from '../../src/prove/concrete/interpret.ts';
import type { KernelModel, Origin } from '../../src/prove/kernel-model.ts';
import type { DecidedBy, SentPacket } from '../../src/prove/packet-model.ts';
import type { Reachability } from '../../src/prove/symbolic/flow-space.ts';

const protocols = { 4: [1, 6, 17, 132, 47], 6: [58, 6, 17, 132, 47] } as const;

/** Addresses that something in the model has or speaks of, and their neighbours. */
export function addressesOf(model: KernelModel, family: 4 | 6): readonly string[] {
  const texts = [
    ...model.stations.flatMap(({ addresses }) => addresses),
    ...model.interfaces.flatMap(({ addresses }) => addresses.map((address) => address.split('/')[0] ?? '')),
    ...model.routes.map(({ prefix }) => prefix),
    family === 4 ? '198.51.100.7' : '2001:db8:99::7',
    family === 4 ? '255.255.255.255' : 'ff02::1',
  ];
  const found = new Set<string>();
  const broadcasts = new Set(model.routes.filter(({ type }) => type === 'broadcast').map(({ prefix }) => prefix.split('/')[0] ?? ''));
  for (const text of texts) {
    const prefix = parsePrefix(text);
    if (prefix?.family !== family) continue;
    const { first, last } = prefixBounds(prefix);
    for (const ip of [first, last, addOffset(first, -1), addOffset(last, 1)]) if (ip) found.add(formatIp(ip));
  }
  // Flows are between hosts: what a host says to itself by its loopback addresses, or to everybody, is nobody's question.
  return [...found].filter((address) => !/^(127\.|0\.|2(2[4-9]|[345]\d)\.|::|ff|fe[89ab])/.test(address) && !broadcasts.has(address));
}

/** Mostly what an honest sender would send. */
export function randomPacket(
  model: KernelModel,
  family: 4 | 6,
  addresses: readonly string[],
  ports: readonly number[],
  random: (below: number) => number,
): SentPacket {
  const pick = <T>(list: readonly T[], otherwise: T): T => list[random(list.length)] ?? otherwise;
  const entrances = model.interfaces
    .filter(({ kind, up }) => up && kind === 'other')
    .map(({ name }): Origin => ({ kind: 'interface', name }));
  const origin = pick<Origin>([{ kind: 'host' }, ...entrances], { kind: 'host' });
  const own =
    origin.kind === 'host'
      ? // Not tentative ones, which have no route yet.
        model.routes
          .filter(({ type }) => type === 'local')
          .map(({ prefix }) => prefix.split('/')[0] ?? '')
          .filter((one) => addresses.includes(one))
      : model.stations.filter(({ port }) => port === origin.name).flatMap((station) => station.addresses);
  const ofFamily = own.filter((address) => address.includes(':') === (family === 6) && !address.startsWith('fe80:'));
  // Mostly what an honest sender would send.
  const honest = ofFamily.length > 0 && (origin.kind === 'host' || random(5) > 0);
  const protocol = pick(protocols[family], 6);
  const source = honest ? pick(ofFamily, '') : pick(addresses, '');
  return {
    origin,
    source,
    // What somebody says to itself does not pass here.
    destination: pick(
      addresses.filter((address) => address !== source),
      '',
    ),
    protocol,
    ...([6, 17, 132].includes(protocol) ? { sport: pick(ports, 1), dport: pick(ports, 1) } : {}),
  };
}

/** Undefined where both say the same; else the packet, what either says, and the way of the one that can tell it. */
export function disagreement(model: KernelModel, reach: Reachability, packet: SentPacket): string | undefined {
  const symbolic = reach.fateOf(packet);
  const story = interpret(model, packet);
  // The symbolic engine knows more here: a DHCP message's hardware address is the sender's MAC, as an honest client's is; and where equal routes all
  // lead to the same fate it does not matter which is taken.
  const finer = (by: DecidedBy): boolean => ('rule' in by ? by.rule.includes('@th,288,48') : by.what.includes('equal routes'));
  if (story.fate.kind === 'unknown' && story.fate.because.some(finer)) return undefined;
  const arrives = story.fate.kind === 'delivered' || story.fate.kind === 'answered' ? story.fate : undefined;
  // Rightful places only: a packet for a station that leaves for somewhere else has not arrived, and one for nobody on a bridge neither.
  const stray =
    arrives?.at.kind === 'outside' &&
    (model.stations.some(({ addresses }) => addresses.includes(arrives.arrives.destination)) ||
      model.interfaces.some(({ name, kind }) => arrives.at.kind === 'outside' && kind === 'bridge' && name === arrives.at.interface));
  const concrete = stray ? { delivered: 'no', answered: 'no' } : { delivered: story.delivered, answered: story.answered };
  if (symbolic.delivered === concrete.delivered && symbolic.answered === concrete.answered) return undefined;
  const steps = [...story.steps, ...(story.reply ?? [])].map(({ where, rule, effect }) => `  ${where} | ${rule} | ${effect}`);
  return [
    `${JSON.stringify(packet)}: symbolic ${JSON.stringify(symbolic)}, concrete ${JSON.stringify(concrete)} ${JSON.stringify(story.fate)}`,
    ...steps,
  ].join('\n');
}

/** Numbers below what is asked for, the same for the same seed. */
export function sequence(seed: number): (below: number) => number {
  let next = seed;
  return (below) => {
    next = (Math.imul(next, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((next / 2 ** 32) * below);
  };
}
