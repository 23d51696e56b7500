/** Findings in words: a packet as a person would say it, and the line of the file it hangs on. */
import type { Span } from '../../diagnostic/diagnostic.ts';
import { WEFT_DNS_PORT } from '../../hoststate/ports.ts';
import { printablePlace } from './place-words.ts';
import { interpret } from '../concrete/interpret.ts';
import type { SentPacket } from '../packet-model.ts';
import type { Finding } from './answer.ts';
import { protocolNumbers } from './ports.ts';
import type { Subject } from './subject.ts';

/** Of the file: a rule, a published port or a default. */
export interface Reason {
  readonly text: string;
  readonly span?: Span;
}

/** What of the file is about this flow (its destination after translation): first what forbids it, then what allows it. */
export function reasonsOf(arriving: SentPacket, subject: Subject): { readonly block?: Reason; readonly allow?: Reason } {
  const { world, meaning, reach, sides } = subject;
  const { fabric } = world;
  const { space } = reach;
  // Rules speak of what is asked at port 53.
  const flow = asAsked(arriving, subject);
  const block = fabric.block.find((rule) => space.contains(meaning.ruleSet(rule), flow));
  const published = fabric.publish.find((one) => space.contains(meaning.publishSet(one), flow));
  const allow = fabric.allow.find((rule) => space.contains(meaning.ruleSet(rule), flow));
  const isDefault = (): Reason | undefined => {
    if (space.contains(meaning.egress, flow)) return { text: 'egress: allow' };
    if (space.contains(meaning.fromHost, flow)) return { text: 'from-host: allow' };
    if (space.contains(meaning.housekeeping, arriving)) return { text: 'what every guest may ask of its gateway' };
    const open = sides.endpoints.some(
      ({ address, network }) => network.filter === 'off' && (address === flow.source || address === flow.destination),
    );
    return open ? { text: 'filter: off' } : undefined;
  };
  const allowed = published ? { text: `publish ${published.text}`, span: published.span } : (allow ?? isDefault());
  return {
    ...(block ? { block: { text: block.text, span: block.span } } : {}),
    ...(allowed ? { allow: 'span' in allowed ? { text: allowed.text, span: allowed.span } : { text: allowed.text } } : {}),
  };
}

/** `web (10.0.105.10) -> db (10.0.105.20) tcp/5432`, with where it was sent to when that is another address. */
export function flowText(arriving: SentPacket, sent: SentPacket | undefined, subject: Subject): string {
  const { world } = subject;
  const flow = asAsked(arriving, subject);
  const names = namesOf(subject);
  const who = (address: string, isHost: boolean): string => {
    const name = isHost ? world.host : names.get(address);
    return name === undefined ? address : `${name} (${address})`;
  };
  const own = world.hostAddresses.includes(flow.destination);
  const by = flow.origin.kind === 'interface' && !names.has(flow.source) ? ` by ${flow.origin.name}` : '';
  const doors = doorText(flow);
  const asked = sent && flow === arriving && (sent.destination !== flow.destination || sent.dport !== flow.dport);
  return (
    `${who(flow.source, flow.origin.kind === 'host')}${by} -> ${who(flow.destination, own)} ${doors}` +
    (asked ? `, sent to ${sent.destination} ${doorText(sent)}` : '')
  );
}

/** A question to Weft's name server as the guest asks it: at port 53 of its gateway. */
function asAsked(flow: SentPacket, { world, sides }: Subject): SentPacket {
  if (flow.dport !== WEFT_DNS_PORT) return flow;
  const asked = world.gateways.find(
    ({ answers, network }) =>
      answers === flow.destination && sides.endpoints.some((endpoint) => endpoint.network === network && endpoint.address === flow.source),
  );
  return asked ? { ...flow, destination: asked.address, dport: 53 } : flow;
}

/** `tcp/443`, `icmp`, `protocol 47`. */
export function doorText({ protocol, dport }: Pick<SentPacket, 'protocol' | 'dport'>): string {
  if (protocol === protocolNumbers.icmp || protocol === protocolNumbers.icmpv6) return 'icmp';
  const name = (['tcp', 'udp', 'sctp'] as const).find((word) => protocolNumbers[word] === protocol);
  return name === undefined ? `protocol ${protocol}` : `${name}/${dport ?? ''}`;
}

/** What went wrong with a packet, in one clause; undefined when there is no packet. */
export function counterexampleText(finding: Finding, subject: Subject): string | undefined {
  const { flow, sent, how, seenAs } = finding;
  if (flow === undefined) return undefined;
  const text = flowText(flow, sent, subject);
  const { block, allow } = reasonsOf(flow, subject);
  const unsure = finding.verdict === 'unknown';
  if (how === 'leaves') return `${text} ${unsure ? 'may be' : 'is'} seen as ${seenAs ?? flow.source}`;
  if (how === 'passes') {
    const by = block ? `although \`${block.text}\` blocks it` : allow ? `by \`${allow.text}\`` : 'which nothing in the file allows';
    return `${text} ${unsure ? 'may be' : 'is'} delivered, ${by}${placeOf(block ?? allow)}`;
  }
  const story = interpret(subject.world.model, sent ?? flow);
  const gets = unsure ? 'may get no answer' : story.delivered === 'yes' ? 'gets no answer back' : 'is not delivered';
  if (block) return `${text} ${gets}: \`${block.text}\` blocks it${placeOf(block)}`;
  if (!allow) return `${text} ${gets}: nothing in the file allows it`;
  const by = story.fate.kind === 'dropped' ? story.fate.by : story.unanswered;
  const dropped = by === undefined ? '' : `: ${printablePlace(by)} drops it`;
  return `${text} ${gets}, although \`${allow.text}\` allows it${placeOf(allow)}${dropped}`;
}

const placeOf = (reason: Reason | undefined): string => (reason?.span === undefined ? '' : ` (${reason.span.file}:${reason.span.line})`);

/** Why nothing is known, or what else there is to say. */
export function becauseText({ unknowns, because }: Finding): string | undefined {
  if (because !== undefined) return because;
  if (unknowns === undefined) return undefined;
  if (unknowns.length === 0) return 'it depends on what is not known of this host';
  const shown = unknowns.slice(0, 3).map(printablePlace);
  const more = unknowns.length > shown.length ? ` and ${unknowns.length - shown.length} more` : '';
  return `it depends on ${shown.join(', ')}${more}, which Weft does not judge`;
}

const nameCache = new WeakMap<Subject['world'], ReadonlyMap<string, string>>();

function namesOf({ world }: Subject): ReadonlyMap<string, string> {
  const known = nameCache.get(world) ?? new Map(world.endpoints.map(({ address, guest }) => [address, guest]));
  nameCache.set(world, known);
  return known;
}
