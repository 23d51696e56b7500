/**
 * How maps of the file are put together: strict maps whose unknown keys get a "did you mean", records of named things, sections
 * that may be empty, and the problems that concern several keys of one map.
 */
import * as z from 'zod';
import { nameProblem, NAME_PATTERN } from './leaves.ts';
import type { IssueParams } from './leaves.ts';
import { nearest } from './nearest.ts';

/** Words people know from other programs, and what they are called here. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  ip: 'address',
  ips: 'address',
  ipv4: 'address',
  ipv6: 'address',
  net: 'network',
  nic: 'nics',
  interfaces: 'nics',
  nameserver: 'dns',
  nameservers: 'dns',
  cidr: 'subnet',
  type: 'kind',
  vms: 'guests',
  rules: 'allow',
  deny: 'block',
  drop: 'block',
  comment: 'why',
  reason: 'why',
  owner: 'user',
  router: 'gateway',
  source: 'from',
  destination: 'to',
  port: 'ports',
};

/**
 * A map with these keys and no others. `noun` is said in messages: "a nat network"; `such` is how one may look, said to somebody who wrote
 * something else than a map.
 */
export function mapOf<const S extends z.core.$ZodLooseShape>(noun: string, shape: S, such?: string) {
  const known = Object.keys(shape);
  return z.strictObject(shape, {
    // One line for each key, in the order of issue.keys: issues.ts makes a problem of each.
    error: (issue) =>
      issue.code === 'unrecognized_keys'
        ? issue.keys.map((key) => unknownKey(noun, key, known)).join('\n')
        : `a map with the keys of ${noun}${such === undefined ? '' : `, such as ${such}`}`,
  });
}

function unknownKey(noun: string, key: string, known: readonly string[]): string {
  const other = OTHER_WORDS[key.toLowerCase()];
  const meant = other !== undefined && known.includes(other) ? other : nearest(key, known);
  const remedy = meant === undefined ? `the keys are ${known.map((k) => `\`${k}\``).join(', ')}.` : `did you mean \`${meant}\`?`;
  return `${noun} has no key \`${key.replace(/\s+/g, ' ')}\`; ${remedy}`;
}

export function optional<T extends z.ZodType>(schema: T) {
  return z.exactOptional(schema);
}

/** Things by name, in file order. Names are checked together with the values, so that all problems are seen at once. */
export function named<T extends z.ZodType>(what: string, value: T) {
  return z
    .record(z.string().meta({ pattern: NAME_PATTERN }), value, { error: `a map from names to ${what.replace(/^an? /, '')}s` })
    .superRefine((entries, ctx) => {
      for (const key of Object.keys(entries)) {
        const message = nameProblem(key, what);
        if (message !== undefined)
          ctx.addIssue({ code: 'custom', message, path: [key], params: { code: 'bad-name', part: 'key' } satisfies IssueParams });
      }
    }, entriesOf);
}

/** A part of the file that may be left out or left empty (all its entries commented out). */
export function section<T extends z.ZodType, E>(schema: T, empty: E) {
  return z.exactOptional(
    z.union([schema, z.null()], { error: '' }).transform((value): z.output<T> | E => (value === null ? empty : (value as z.output<T>))),
  );
}

/** Runs a check over several keys also when one of the values is wrong. */
export const entriesOf = {
  when: (payload: { readonly value: unknown }): boolean =>
    typeof payload.value === 'object' && payload.value !== null && !Array.isArray(payload.value),
};

/** Reports that a map lacks a key. `why` follows "lacks `key`". */
export function needs(ctx: z.core.$RefinementCtx, key: string, noun: string, why: string): void {
  ctx.addIssue({
    code: 'custom',
    message: `${noun} needs \`${key}\` ${why}.`,
    params: { code: 'missing-key', lacks: key, part: 'key' } satisfies IssueParams,
  });
}

/** Reports that two keys exclude each other, at the second. */
export function unknownTogether(ctx: z.core.$RefinementCtx, first: string, second: string, noun: string): void {
  const params: IssueParams = { code: 'bad-value', part: 'key' };
  ctx.addIssue({
    code: 'custom',
    message: `${noun} cannot have both \`${first}\` and \`${second}\`; leave one of them out.`,
    path: [second],
    params,
  });
}
