/** The kernel's word: a mutant is put in place on a host that stands, and the packet that speaks against it is sent. */
import { dropTable, printTable } from '../../../src/hoststate/nft-print.ts';
import type { HostState } from '../../../src/hoststate/model.ts';
import type { Kernel } from '../../../src/kernel/kernel.ts';
import { interpret } from '../../../src/prove/concrete/interpret.ts';
import type { KernelModel } from '../../../src/prove/kernel-model.ts';
import type { SentPacket } from '../../../src/prove/packet-model.ts';
import { isLost, type Evidence } from './judge.ts';
import type { Mutant } from './mutate.ts';
import { sameFlow, type Datagram } from './datagram.ts';
import { HOST, type End, type Journey, type Wire } from './wire.ts';

/** The interpreter has to say the same of the packet. `compiled`: the model of what was compiled. */
export function replays({ how, sent, flow, seenAs }: Evidence, model: KernelModel, compiled: KernelModel): boolean {
  const now = interpret(model, sent);
  const arrives = 'arrives' in now.fate ? now.fate.arrives : undefined;
  switch (how) {
    case 'enters':
      return !(now.fate.kind === 'dropped' && 'family' in now.fate.by && now.fate.by.family === 'netdev');
    case 'passes':
      return now.delivered === 'yes' && arrives?.destination === flow.destination && arrives.dport === flow.dport;
    case 'leaves':
      return arrives?.source === (seenAs ?? sent.source);
    case 'fails':
      return isLost(now, interpret(compiled, sent));
  }
}

export const arrivalOf = (model: KernelModel, packet: SentPacket): SentPacket | undefined => {
  const { fate } = interpret(model, packet);
  return fate.kind === 'answered' || fate.kind === 'delivered' ? fate.arrives : undefined;
};

const bareOf = ({ source, destination, protocol, sport, dport }: Datagram): Datagram => ({
  source,
  destination,
  protocol,
  ...(sport === undefined ? {} : { sport }),
  ...(dport === undefined ? {} : { dport }),
});

export interface Bench {
  readonly kernel: Kernel;
  readonly wire: Wire;
  readonly state: HostState;
  readonly model: KernelModel;
}

/** False when nft refuses the mutant. */
export async function putInPlace({ kernel }: Bench, { state, live }: Mutant): Promise<boolean> {
  const { status } = await kernel.tryRun('nft', ['-f', '-'], { input: tablesText(state) });
  if (status !== 0) return false;
  if (live) await kernel.run('sh', ['-c', live.make]);
  await kernel.tryRun('conntrack', ['-F']);
  return true;
}

export async function takeBack({ kernel, state }: Bench, { live }: Mutant): Promise<void> {
  if (live) await kernel.run('sh', ['-c', live.undo]);
  else await kernel.run('nft', ['-f', '-'], { input: tablesText(state) });
  await kernel.tryRun('conntrack', ['-F']);
}

const tablesText = ({ tables }: HostState): string =>
  `flush set inet silence entered\nflush set inet silence entered6\n${tables.map((table) => dropTable(table) + printTable(table)).join('')}`;

/** What is not to come is not waited for long: it is there within a millisecond, or not at all. */
const PATIENCE = { wanted: 5000, unwanted: 80 };

/**
 * Sends the packet; whether what the evidence says of the mutant is so of what is in place now. `arrives`: what becomes of it as compiled. `expected` only says how long to wait.
 */
export async function isSo(
  { kernel, wire, model }: Bench,
  evidence: Evidence,
  { arrives, expected }: { readonly arrives: Datagram | undefined; readonly expected: boolean },
): Promise<{ readonly so: boolean; readonly journey: Journey }> {
  const { how, sent, flow, seenAs } = evidence;
  if (how === 'enters') {
    const began = performance.now();
    for (;;) {
      const journey = await wire.send(sent, model, ({ seen }) => seen.length > 0, PATIENCE.unwanted);
      const so = (await kernel.run('nft', ['list', 'table', 'inet', 'silence'])).includes(`${sent.mac} . ${sent.source} . `);
      if (so || !expected || performance.now() - began > PATIENCE.wanted) return { so, journey };
    }
  }
  const as = (at: End, seen: Datagram, other: Datagram): boolean =>
    sameFlow(at === HOST && seen.destination === '::' ? { ...seen, destination: other.destination } : seen, bareOf(other));
  const told = ({ seen, answered }: Journey): boolean => {
    if (how === 'leaves') return seen.some((one) => one.at === 'eth0' && one.as.source === (seenAs ?? sent.source));
    if (how === 'passes')
      return seen.some((one) =>
        as(one.at, { ...one.as, source: flow.source, ...(flow.sport === undefined ? {} : { sport: flow.sport }) }, flow),
      );
    return answered && arrives !== undefined && seen.some((one) => as(one.at, one.as, arrives));
  };
  const comes = expected === (how !== 'fails');
  const journey = await wire.send(sent, model, told, comes ? PATIENCE.wanted : PATIENCE.unwanted);
  return { so: told(journey) === (how !== 'fails'), journey };
}
