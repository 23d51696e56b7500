/** What would have to be written into the file for a packet that is dropped to pass, or why no line of the file helps. */
import type { Fabric } from '../../fabric/model.ts';
import type { DecidedBy } from '../../prove/packet-model.ts';
import type { Decided } from './decided.ts';
import type { Question } from './ends.ts';

export interface Advice {
  readonly text: string;
  /** To be pasted into the file as it is. */
  readonly lines?: readonly string[];
}

/** `parties`: FROM and TO as they were asked. */
export function adviceFor(
  fabric: Fabric,
  host: string,
  question: Question,
  { by, decided, parties, ports }: { readonly by: DecidedBy; readonly decided: Decided; readonly parties: string; readonly ports: string },
): Advice | undefined {
  if (question.publish?.from && 'what' in by)
    return {
      text: `Ask from one of those for whom it is published, or widen \`from\` of \`${question.publish.text}\` (${question.publish.span.file}:${question.publish.span.line}).`,
    };
  if ('what' in by) return { text: 'No line of the file changes that: it is decided by routes, addresses or settings of the host.' };
  if (by.table !== 'weft') return { text: `The table ${by.family} ${by.table} is not Weft's: have the program that owns it accept this.` };
  if (by.family !== 'inet')
    return { text: 'Weft lets each port send with its own MAC and addresses only, and no server messages: this is not opened by a rule.' };
  const { rule, judgement } = decided;
  if (rule?.action === 'block')
    return { text: `\`block\` wins over everything else: take out \`${rule.text}\` (${rule.span.file}:${rule.span.line}), or narrow it.` };
  if (judgement.verdict !== 'drop')
    return { text: 'The file allows it; what is on the host is not what the file says: see `weft status`.' };
  const network = (name: string): Fabric['networks'][number] | undefined => {
    const nic = fabric.guests
      .find((guest) => guest.name === name)
      ?.nics.find(({ port }) => port === question.to.port || port === question.from.port);
    return fabric.networks.find((one) => one.name === nic?.network);
  };
  const [from, to] = [
    question.from.kind === 'guest' ? network(question.from.name) : undefined,
    question.to.kind === 'guest' ? network(question.to.name) : undefined,
  ];
  const isolated = [from, to].find((one) => one?.kind === 'isolated');
  if (isolated && (question.from.kind === 'address' || question.to.kind === 'address'))
    return { text: `\`${isolated.name}\` is isolated: its guests and the outer world never reach each other.` };
  if (question.from.kind === 'address' && to?.kind === 'nat' && question.packet.dport !== undefined) {
    const [asked] = ports.split(' ');
    return {
      text: `From outside a guest of a nat network is reached where it is published:`,
      lines: ['publish:', `  - ${host} ${asked} -> ${question.to.name} ${asked}`],
    };
  }
  return { text: 'To allow it:', lines: ['allow:', `  - ${parties}${ports === 'any' ? '' : ` ${ports}`}`] };
}
