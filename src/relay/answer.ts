/**
 * One question from beginning to end: asked of the name servers, its addresses opened, then answered; in this order, so that no guest is told an address before it
 * can connect there.
 */
import type { RelayConfig, RelayUpstream } from '../hoststate/model.ts';
import type { OpenedAddress } from '../kernel/opened.ts';
import { canonicalIp } from '../net/ip.ts';
import type { Matcher } from './matching.ts';
import { failureFor, follow, readAnswer, readQuestion, withoutAliases, type Found, type Question } from './message.ts';
import type { Openings } from './openings.ts';
import { ask, serversOf, type Transport } from './upstream.ts';

export interface Relay {
  readonly config: Pick<RelayConfig, 'graceSeconds' | 'longestSeconds'>;
  readonly upstream: RelayUpstream;
  readonly matching: Matcher;
  readonly openings: Openings;
  /** What a person should know of, one line each. */
  readonly log: (line: string) => void;
}

/** Undefined for what is no question: nobody is owed an answer. */
export async function answerTo(query: Buffer, transport: Transport, relay: Relay): Promise<Buffer | undefined> {
  const question = readQuestion(query);
  if (!question) return undefined;
  const answer = await ask(query, question, serversOf(relay.upstream), transport);
  const read = answer && readAnswer(answer, question);
  if (answer === undefined || !read) return failureFor(query, question);
  const found = follow(read, question.name);
  const given = withoutAliases(read, question, found);
  const problem = await relay.openings.open(openedBy(question, found, given !== undefined, relay));
  if (problem === undefined) return given ?? answer;
  relay.log(`${question.name} is not answered, because its addresses cannot be opened: ${problem}`);
  return failureFor(query, question);
}

/** Behind an alias the answer counts as long as the way to it, unless it is given as it came: then a resolver may keep its end for longer. */
function openedBy(question: Question, { addresses, chainTtl }: Found, shortened: boolean, { config, matching }: Relay): OpenedAddress[] {
  if (!question.plain) return [];
  return matching(question.name).flatMap(({ set4, set6 }) =>
    addresses.flatMap(({ address: text, family, ttl }): OpenedAddress[] => {
      const set = family === 4 ? set4 : set6;
      const address = canonicalIp(text);
      if (set === undefined || address === undefined) return [];
      const valid = Math.min(ttl, config.longestSeconds, shortened ? (chainTtl ?? Infinity) : Infinity);
      return [{ set, address, seconds: valid + config.graceSeconds }];
    }),
  );
}
