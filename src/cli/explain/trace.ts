/** One real packet from a guest's namespace, traced by the kernel, beside what `explain` says of it: the two have to agree, rule by rule. */
import { openStore } from '../../apply/store.ts';
import { WeftError } from '../../diagnostic/diagnostic.ts';
import type { Fabric } from '../../fabric/model.ts';
import { openKernel } from '../../kernel/open.ts';
import { traceFirst, type TraceLine } from '../../kernel/trace.ts';
import type { Step } from '../../prove/concrete/interpret.ts';
import { createProber, type ProbeProtocol } from '../../twin/prober.ts';
import type { Explained } from '../explain.ts';

export interface Traced {
  readonly lines: readonly TraceLine[];
  readonly agrees: boolean;
  /** Where they part, in words. */
  readonly difference?: string;
}

const protocols: Readonly<Record<number, ProbeProtocol>> = { 1: 'icmp', 6: 'tcp', 17: 'udp', 58: 'icmp' };

/** Sends the packet of the answer once more, for real. Throws (exit 2) where Weft cannot send in the guest's name. */
export async function traced(fabric: Fabric, stateDir: string, { question, story, verdict }: Explained): Promise<Traced> {
  const { packet, from } = question;
  const namespace = from.kind === 'guest' ? await namespaceOf(fabric, stateDir, from.name) : undefined;
  const protocol = protocols[packet.protocol];
  if (namespace === undefined || packet.origin.kind === 'host')
    throw refused(
      `--trace sends from a guest's namespace, and \`${from.name}\` has none on this host: ask from a guest of kind namespace, or from an attached container`,
    );
  if (!protocol) throw refused('--trace sends TCP, UDP and ICMP: name such a port');
  const kernel = openKernel();
  const prober = createProber(kernel);
  const { source, destination, dport } = packet;
  const send = (): Promise<unknown> =>
    prober.probe({ from: namespace, source, to: destination, protocol, ...(dport === undefined ? {} : { port: dport }) });
  try {
    const lines = await traceFirst(
      kernel,
      { device: packet.origin.name, source, destination, protocol: packet.protocol, ...(dport === undefined ? {} : { dport }) },
      send,
    );
    const difference = differenceOf(story.steps, lines, verdict === 'unknown');
    return { lines, agrees: difference === undefined, ...(difference === undefined ? {} : { difference }) };
  } finally {
    await prober.close();
  }
}

async function namespaceOf(fabric: Fabric, stateDir: string, name: string): Promise<string | undefined> {
  const guest = fabric.guests.find((one) => one.name === name);
  if (guest?.namespace !== undefined) return `/run/netns/${guest.namespace}`;
  const record = await openStore(stateDir).read('applied');
  const side = record?.state.guests.find((one) => one.guest === name);
  return side?.netns.kind === 'attached' ? side.netns.path : undefined;
}

interface Passed {
  readonly at: string;
  readonly verdict: string;
}

/** Undefined: the same rules in the same order, with the same verdicts. */
export function differenceOf(steps: readonly Step[], lines: readonly TraceLine[], unknown: boolean): string | undefined {
  if (lines.length === 0) return 'the kernel has traced no packet: it did not come in';
  const said = steps.flatMap(({ place, effect }): Passed[] =>
    place && place.rule !== 'policy' ? [{ at: `${place.family} ${place.table} ${place.chain}`, verdict: verdictOf(effect) }] : [],
  );
  const seen = lines.flatMap(({ family, table, chain, rule, verdict }): Passed[] =>
    rule === undefined ? [] : [{ at: `${family} ${table} ${chain}`, verdict }],
  );
  const policy = lines.at(-1);
  if (policy && policy.rule === undefined && policy.verdict === 'drop')
    seen.push({ at: `${policy.family} ${policy.table} ${policy.chain}`, verdict: 'policy drop' });
  const last = steps.at(-1);
  if (last?.place?.rule === 'policy')
    said.push({ at: `${last.place.family} ${last.place.table} ${last.place.chain}`, verdict: 'policy drop' });
  for (let i = 0; i < Math.max(said.length, seen.length); i++) {
    const [ours, kernels] = [said[i], seen[i]];
    if (ours?.at === kernels?.at && ours?.verdict === kernels?.verdict) continue;
    if (unknown && ours === undefined) return undefined;
    return `${wordsOf(ours, 'Weft')}, ${wordsOf(kernels, 'the kernel')}`;
  }
  return undefined;
}

const wordsOf = (passed: Passed | undefined, who: string): string =>
  passed ? `${who} has ${passed.verdict} in ${passed.at}` : `${who} has nothing more`;

/** A translation accepts. */
const verdictOf = (effect: string): string => (/^(source|destination) /.test(effect) ? 'accept' : effect);

const refused = (message: string): WeftError => new WeftError(2, [{ code: 'usage', severity: 'error', message }]);
