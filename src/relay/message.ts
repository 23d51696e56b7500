/**
 * DNS messages (RFC 1035) as the relay sees them: one question, and what an answer says of the addresses behind it. Reading and writing the wire format is dns-packet's;
 * whatever it cannot read is undefined here, never thrown.
 */
import dnsPacket from 'dns-packet';
import type { Answer, DecodedPacket } from 'dns-packet';

export interface Question {
  readonly id: number;
  /** As it was asked; upper and lower case may be mixed (RFC 4343). */
  readonly name: string;
  readonly type: string;
  /**
   * False for a name with a dot inside a label, which reads like another name: nothing is opened for it.
   */
  readonly plain: boolean;
  /** Signatures are wanted with the answer (RFC 3225). */
  readonly dnssec: boolean;
}

/** An address an answer gives, and for how many seconds. */
export interface NamedAddress {
  readonly address: string;
  readonly family: 4 | 6;
  readonly ttl: number;
}

const HEADER = 12;
const SERVFAIL = 2;
const NOT_IMPLEMENTED = 4;
const REFUSED = 5;
const RECURSION_AVAILABLE = 1 << 7;
const OPCODE = 0x7800;
const RECURSION_DESIRED = 1 << 8;

/** A query of one question in the class IN; undefined for anything else. */
export function readQuestion(message: Buffer): Question | undefined {
  const packet = decode(message);
  const [question, ...more] = packet?.questions ?? [];
  if (packet?.type !== 'query' || (message.readUInt16BE(2) & OPCODE) !== 0 || !question || more.length > 0 || question.class !== 'IN')
    return undefined;
  const written = encodedName(question.name);
  return {
    id: packet.id ?? 0,
    name: question.name,
    type: question.type,
    plain: written !== undefined && message.subarray(HEADER, HEADER + written.length).equals(written),
    dnssec: packet.additionals?.some((record) => record.type === 'OPT' && record.flag_do) ?? false,
  };
}

/** An answer to exactly this question; undefined for whatever else arrived. */
export function readAnswer(message: Buffer, question: Question): DecodedPacket | undefined {
  const packet = decode(message);
  const [asked, ...more] = packet?.questions ?? [];
  if (packet?.type !== 'response' || packet.id !== question.id || !asked || more.length > 0) return undefined;
  const same = asked.name.toLowerCase() === question.name.toLowerCase() && asked.type === question.type && asked.class === 'IN';
  return same ? packet : undefined;
}

/** The server could not say: another one may. */
export const isFailure = ({ flags = 0 }: DecodedPacket): boolean => [SERVFAIL, NOT_IMPLEMENTED, REFUSED].includes(flags & 0xf);

/** What an answer says of its question: the end of the chain of CNAMEs, as far as the answer itself leads, and the addresses there. */
export interface Found {
  readonly addresses: readonly NamedAddress[];
  /** The name that the records are of; another one than was asked for behind CNAMEs. */
  readonly owner: string;
  /** The shortest time that a CNAME on the way is valid; undefined without any. */
  readonly chainTtl: number | undefined;
}

export function follow(answer: DecodedPacket, name: string): Found {
  const records = (answer.answers ?? []).filter((record) => 'class' in record && record.class === 'IN');
  const owned = (owner: string): Answer[] => records.filter((record) => record.name.toLowerCase() === owner);
  let owner = name.toLowerCase();
  let chainTtl: number | undefined;
  for (const seen = new Set([owner]); ;) {
    const alias = owned(owner).find((record) => record.type === 'CNAME');
    if (alias?.type !== 'CNAME' || seen.has(alias.data.toLowerCase())) break;
    owner = alias.data.toLowerCase();
    seen.add(owner);
    chainTtl = Math.min(chainTtl ?? Infinity, ttlOf(alias));
  }
  const addresses = owned(owner).flatMap((record): NamedAddress[] => {
    if (record.type !== 'A' && record.type !== 'AAAA') return [];
    return [{ address: record.data, family: record.type === 'A' ? 4 : 6, ttl: ttlOf(record) }];
  });
  return { addresses, owner, chainTtl };
}

/** Types of which dnsmasq keeps the CNAMEs on the way as well. */
const KEPT = new Set(['A', 'AAAA', 'SRV']);

/**
 * The same answer with its records at the name that was asked for, valid as long as the whole way to them is. Otherwise a resolver keeps name and alias apart, and
 * later puts together an answer that the relay has never seen, with addresses that are not open. Undefined where the answer is to be given as it came: without an
 * alias, of a type that is not kept, truncated, or with signatures wanted, which would not fit.
 */
export function withoutAliases(answer: DecodedPacket, question: Question, { owner, chainTtl }: Found): Buffer | undefined {
  if (chainTtl === undefined || question.dnssec || !KEPT.has(question.type) || answer.flag_tc) return undefined;
  const answers = (answer.answers ?? []).flatMap((record): Answer[] =>
    record.type === question.type && record.name.toLowerCase() === owner && 'ttl' in record
      ? [{ ...record, name: question.name, ttl: Math.min(ttlOf(record), chainTtl) }]
      : [],
  );
  try {
    return dnsPacket.encode({
      type: 'response',
      id: question.id,
      flags: answer.flags ?? 0,
      questions: answer.questions ?? [],
      answers,
      authorities: (answer.authorities ?? []).filter((record) => record.type === 'SOA'),
      additionals: (answer.additionals ?? []).filter((record) => record.type === 'OPT'),
    });
  } catch {
    return undefined;
  }
}

/** "I could not find out", with the question as it was sent. */
export function failureFor(query: Buffer, question: Question): Buffer {
  const end = HEADER + (encodedName(question.name)?.length ?? 0) + 4;
  const recursion = query.readUInt16BE(2) & RECURSION_DESIRED;
  const answer = Buffer.from(question.plain ? query.subarray(0, end) : query.subarray(0, HEADER));
  answer.writeUInt16BE(0x8000 | recursion | RECURSION_AVAILABLE | SERVFAIL, 2);
  answer.writeUInt16BE(question.plain ? 1 : 0, 4);
  answer.fill(0, 6, HEADER);
  return answer;
}

/** RFC 2181 8: with the highest bit set it counts as none. */
function ttlOf(record: Answer): number {
  const ttl = 'ttl' in record ? (record.ttl ?? 0) : 0;
  return ttl >>> 31 === 0 ? ttl : 0;
}

function decode(message: Buffer): DecodedPacket | undefined {
  try {
    const packet = dnsPacket.decode(message);
    // It reads on behind the end of what was cut short.
    return dnsPacket.decode.bytes <= message.length ? packet : undefined;
  } catch {
    return undefined;
  }
}

function encodedName(name: string): Buffer | undefined {
  try {
    const labels = name.split('.').map((label) => Buffer.from(label, 'latin1'));
    if (labels.some(({ length }) => length === 0 || length > 63)) return undefined;
    return Buffer.concat([...labels.flatMap((label) => [Buffer.from([label.length]), label]), Buffer.from([0])]);
  } catch {
    return undefined;
  }
}
