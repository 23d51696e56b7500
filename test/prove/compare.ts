/** Sends packets through the router's bed and holds what became of them against what the interpreter says. */
import assert from 'node:assert/strict';
import { interpret, type Spot } from '../../src/prove/concrete/interpret.ts';
import { analyse } from '../../src/prove/symbolic/analyse.ts';
import type { Constants, Reachability } from '../../src/prove/symbolic/flow-space.ts';
import type { KernelModel, Origin } from '../../src/prove/kernel-model.ts';
import type { DecidedBy, Fate, SentPacket } from '../../src/prove/packet-model.ts';
import { machines, SERVER, tuple, type Party, type Result, type RouterBed } from './router-bed.ts';

const originOf = (party: Party): Origin => {
  const machine = machines.find((one) => one.party === party);
  return machine ? { kind: 'interface', name: machine.port } : { kind: 'host' };
};

let sports = 20_000;
/** A packet from one of the machines, from its first address of the family unless said otherwise; its source port is nobody else's. */
export function packet(
  from: Party,
  destination: string,
  protocol: 6 | 17,
  dport: number,
  source?: string,
): { from: Party; packet: SentPacket } {
  const v6 = destination.includes(':');
  const own = machines.find(({ party }) => party === from)?.addresses[v6 ? 1 : 0] ?? (v6 ? '2001:db8:1::1' : '192.0.2.1');
  return { from, packet: { origin: originOf(from), source: source ?? own, destination, protocol, sport: sports++, dport } };
}

const partyAt = (fate: Fate): Party | undefined => {
  if (fate.kind !== 'answered' && fate.kind !== 'delivered') return undefined;
  const { at } = fate;
  if (at.kind === 'host') return 'router';
  return machines.find(({ port }) => port === (at.kind === 'station' ? at.port : at.interface))?.party;
};

/** Sends the packets, compares each with what the interpreter says, and the counters of rules that drop; returns the fates in words. */
export async function compare(
  bed: RouterBed,
  model: KernelModel,
  packets: readonly { readonly from: Party; readonly packet: SentPacket }[],
  text = '',
  engines: 'both' | 'concrete' = 'both',
): Promise<string[]> {
  const stories = packets.map((one) => interpret(model, one.packet));
  const symbolic = fates(
    model,
    packets.map((one) => one.packet),
  );
  const results = await bed.send(
    packets.map((one, i) => ({ ...one, expected: stories[i]?.fate.kind === 'answered' && answers(stories[i].fate) })),
  );
  const dropped = new Map<string, number>();
  for (const [i, story] of stories.entries()) {
    const { fate, unanswered } = story;
    const [sent, result] = [packets[i]?.packet, results[i]];
    assert(sent && result);
    const said = `${text}${packets[i]?.from}: ${tuple(sent)} was ${JSON.stringify(result)}, said to be ${JSON.stringify(fate)}\n${story.steps.map((step) => `  ${step.where} | ${step.rule} | ${step.effect}`).join('\n')}\n  back\n${(story.reply ?? []).map((step) => `  ${step.where} | ${step.rule} | ${step.effect}`).join('\n')}`;
    assert.notEqual(fate.kind, 'unknown', said);
    same(fate, result, said);
    const other = symbolic[i];
    if (engines === 'both')
      assert.deepEqual(
        other,
        { delivered: story.delivered, answered: story.answered },
        `of all packets at once it is said to be ${JSON.stringify(other)}\n${said}`,
      );
    const by = fate.kind === 'dropped' ? fate.by : answers(fate) ? unanswered : undefined;
    if (by && isSpot(by)) {
      const key = [by.family, by.table, by.chain, by.index].join(' ');
      dropped.set(key, (dropped.get(key) ?? 0) + 1);
    }
  }
  const counters = await bed.counters();
  for (const [key, count] of counters)
    if (drops(model, key)) assert.equal(count, dropped.get(key) ?? 0, `counter of ${key}: ${ruleAt(model, key)}\n${text}`);
  return stories.map(({ fate }) => (fate.kind === 'dropped' ? ('what' in fate.by ? fate.by.what : fate.by.rule) : fate.kind));
}

function same(fate: Fate, { arrived, answered }: Result, said: string): void {
  const party = partyAt(fate);
  if (fate.kind === 'answered' || fate.kind === 'delivered') assert.deepEqual(arrived, [{ party, as: tuple(fate.arrives) }], said);
  else assert.deepEqual(arrived, [], said);
  if (fate.kind === 'dropped' || answers(fate)) assert.equal(answered, fate.kind === 'answered', said);
}

/** The router has no server on other ports. */
const answers = (fate: Fate): boolean =>
  partyAt(fate) !== 'router' ||
  ((fate.kind === 'answered' || fate.kind === 'delivered') && fate.arrives.dport === SERVER && fate.arrives.protocol === 6);

const isSpot = (by: DecidedBy): by is Spot => 'index' in by;

const ruleAt = (model: KernelModel, key: string): string => {
  const [family, table, chain, index] = key.split(' ');
  const found = model.tables.find((one) => one.family === family && one.name === table)?.chains.find(({ name }) => name === chain)?.rules[
    Number(index)
  ];
  return JSON.stringify(found?.statements);
};
const drops = (model: KernelModel, key: string): boolean => /\{"drop":null\}\]$|"reject"/.test(ruleAt(model, key));

/** What the symbolic engine says of each of them. */
function fates(model: KernelModel, packets: readonly SentPacket[]): readonly ReturnType<Reachability['fateOf']>[] {
  const constants: Constants = {
    prefixes: packets.flatMap(({ source, destination }) => [source, destination]),
    ports: packets.flatMap(({ sport, dport }) => [sport, dport].flatMap((port) => (port === undefined ? [] : [{ from: port, to: port }]))),
    protocols: packets.map(({ protocol }) => protocol),
    macs: [],
  };
  const reaches = { 4: analyse(model, 4, constants), 6: analyse(model, 6, constants) };
  return packets.map((one) => reaches[one.source.includes(':') ? 6 : 4].fateOf(one));
}
