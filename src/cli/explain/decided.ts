/** Which line of the file a rule of Weft's stands for: what the policy, read as the file means it, says of the same flow. */
import { judge, type Flow, type Judgement } from '../../compile/judge.ts';
import type { HostPolicy } from '../../compile/policy-model.ts';
import type { Fabric } from '../../fabric/model.ts';
import type { Span } from '../../diagnostic/diagnostic.ts';
import type { Step, Story } from '../../prove/concrete/interpret.ts';
import type { Question } from './ends.ts';

export interface FileRule {
  readonly action: 'allow' | 'block' | 'publish';
  /** As the file has it, in its canonical spelling. */
  readonly text: string;
  readonly span: Span;
}

export interface Decided {
  readonly judgement: Judgement;
  /** Undefined: a default decided. */
  readonly rule?: FileRule;
}

/** What the file says of the packet as far as it came: after translation, as flows in the file are meant. */
export function decidedBy(fabric: Fabric, policy: HostPolicy, { packet, from, to }: Question, story: Story): Decided {
  const translated = story.steps.findLast((step) => step.packet && step.packet.destination !== packet.destination)?.packet;
  const now = translated ?? packet;
  const toHost = story.fate.kind === 'answered' || story.fate.kind === 'delivered' ? story.fate.at.kind === 'host' : to.kind === 'host';
  const flow: Flow = {
    src: packet.source,
    dst: now.destination,
    protocol: packet.protocol,
    ...(now.dport === undefined ? {} : { dport: now.dport }),
    ...(packet.sport === undefined ? {} : { sport: packet.sport }),
    ...(from.mac === undefined ? {} : { guestMac: from.mac }),
    ...(translated
      ? { dnat: true, original: { dst: packet.destination, ...(packet.dport === undefined ? {} : { dport: packet.dport }) } }
      : {}),
    path: packet.origin.kind === 'host' ? 'output' : toHost ? 'input' : 'forward',
  };
  const judgement = judge(policy, flow);
  const rule = ruleCalled(fabric, judgement.ruleId);
  return { judgement, ...(rule ? { rule } : {}) };
}

function ruleCalled(fabric: Fabric, id: string | undefined): FileRule | undefined {
  const rule = [...fabric.allow, ...fabric.block].find((one) => one.id === id);
  if (rule) return { action: rule.action, text: rule.text, span: rule.span };
  const published = fabric.publish.find((one) => one.id === id);
  return published && { action: 'publish', text: published.text, span: published.span };
}

/** The step of Weft's policy that decides: the last one of it that accepts or drops. */
export const decidingStep = (steps: readonly Step[]): Step | undefined =>
  steps.findLast(
    ({ place, effect }) =>
      place?.family === 'inet' && place.table === 'weft' && (effect === 'accept' || effect === 'drop') && place.chain !== 'postrouting',
  );
