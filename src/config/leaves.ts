/**
 * The single values of the file (addresses, prefixes, names, flows, …) as zod schemas: each knows its JSON Schema side, the words that
 * say what is expected, and how to read the text into its canonical form. Composed in schema.ts.
 */
import * as z from 'zod';
import type { DiagnosticCode } from '../diagnostic/codes.ts';
import { canonicalIp, compareIp, formatPrefix, hasHostBits, parseIp, parsePrefix } from '../net/ip.ts';
import { isDomain, isLabelPart, isName, parseFlow, parseParties, parsePorts } from './flow-parser.ts';
import type { ReportText } from './flow-parser.ts';
import type { FlowExpr, PartyExpr, Ports } from './flow.ts';
import type { Egress } from './model.ts';

export const NAME_PATTERN = '^[A-Za-z]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?$';

/** What a custom zod issue carries, so that issues.ts can make a diagnostic of it. */
export interface IssueParams {
  readonly code: DiagnosticCode;
  readonly offset?: number;
  readonly length?: number;
  /** The key that is missing in the map. */
  readonly lacks?: string;
  /** The place is the key and not the value. */
  readonly part?: 'key';
}

type Fail = (code: DiagnosticCode, message: string, within?: { readonly offset: number; readonly length: number }) => undefined;

/** A text with a reader. `phrase` completes "must be …" when the value is no text at all. */
export function text<T>(phrase: string, meta: z.GlobalMeta, read: (value: string, fail: Fail) => T | undefined) {
  return z
    .string({ error: phrase })
    .meta(meta)
    .transform((value, ctx): T => {
      const result = read(value, (code, message, within) => {
        const params: IssueParams = { code, ...within };
        ctx.issues.push({ code: 'custom', message, params, input: value });
        return undefined;
      });
      return result === undefined ? z.NEVER : result;
    });
}

/** A word of a fixed list. */
export function word<const T extends readonly string[]>(words: T, description: string) {
  const quoted = words.map((w) => `\`${w}\``);
  const error = [quoted.slice(0, -1).join(', '), quoted.at(-1)].filter(Boolean).join(' or ');
  return z.enum(words, { error }).meta({ description });
}

export function flag(description: string) {
  return z.boolean({ error: '`true` or `false`' }).meta({ description });
}

export function whole(from: number, to: number, example: number, description: string) {
  const error = `a whole number from ${from} to ${to}, such as ${example}`;
  return z.int({ error }).min(from, { error }).max(to, { error }).meta({ description });
}

/** One or a list of them, always read as a list. */
export function oneOrMore<T extends z.ZodType>(leaf: T, phrase: string) {
  return z
    .union(
      [leaf, z.array(leaf, { error: `${phrase}, or a list of them` }).min(1, { error: 'is an empty list; leave the key out instead' })],
      {
        error: `${phrase}, or a list of them`,
      },
    )
    .transform((value): z.output<T>[] => (Array.isArray(value) ? value : [value]));
}

/** As {@link oneOrMore} for addresses or prefixes, with at most one of each family. */
export function onePerFamily<T extends z.ZodType<string>>(leaf: T, phrase: string, what: string) {
  return oneOrMore(leaf, phrase).superRefine((values, ctx) => {
    for (const marker of [false, true]) {
      const same = values.flatMap((value, index) => (value.includes(':') === marker ? [index] : []));
      if (same.length > 1) {
        const params: IssueParams = { code: 'bad-value' };
        ctx.addIssue({
          code: 'custom',
          message: `there is a second ${marker ? 'IPv6' : 'IPv4'} ${what}; at most one of each family is possible here.`,
          params,
          path: [same[1] ?? 0],
        });
      }
    }
  });
}

export const addressPhrase = 'an address such as 10.0.0.5 or fd00::5';

export function readAddress(value: string, fail: Fail): string | undefined {
  const address = canonicalIp(value);
  if (address !== undefined) return address;
  const slash = value.indexOf('/');
  if (slash > 0 && parsePrefix(value))
    return fail('bad-address', `\`${value}\` is a prefix; an address without the length is needed here: \`${value.slice(0, slash)}\`.`);
  if (/^\d+(\.\d+){3}$/.test(value) && /(^|\.)0\d/.test(value)) {
    const plain = canonicalIp(value.replace(/(^|\.)0+(?=\d)/g, '$1'));
    if (plain !== undefined)
      return fail('bad-address', `\`${value}\` has leading zeros, which some programs read as octal; write \`${plain}\`.`);
  }
  return fail('bad-address', `\`${value}\` is not an IPv4 or IPv6 address; write it as 10.0.0.5 or fd00::5.`);
}

export const address = (description: string) =>
  text(addressPhrase, { description, examples: ['10.0.105.20', 'fd00:105::20'] }, readAddress);

export const prefixPhrase = 'a prefix such as 10.0.0.0/24 or fd00:1::/64';

/** A CIDR; `bare` also takes an address, which becomes a prefix of full length. */
export const prefix = (description: string, bare = false) =>
  text(prefixPhrase, { description, examples: ['10.0.105.0/24', 'fd00:105::/64'] }, (value, fail) => {
    const parsed = parsePrefix(value);
    if (!parsed)
      return fail('bad-prefix', `\`${value}\` is not a prefix; write an address and a length, such as 10.0.0.0/24 or fd00:1::/64.`);
    const canonical = formatPrefix(parsed);
    if (!bare && !value.includes('/'))
      return fail('bad-prefix', `\`${value}\` has no length; write it as a prefix, such as \`${value}/${parsed.family === 4 ? 24 : 64}\`.`);
    if (hasHostBits(value)) return fail('bad-prefix', `\`${value}\` has bits set behind its length; the network is \`${canonical}\`.`);
    return canonical;
  });

export const prefixV4 = (description: string) =>
  text('an IPv4 prefix such as 172.30.0.0/16', { description, examples: ['172.30.0.0/16'] }, (value, fail) => {
    const parsed = parsePrefix(value);
    if (!parsed || parsed.family !== 4 || !value.includes('/'))
      return fail('bad-prefix', `\`${value}\` is not an IPv4 prefix; write it as 172.30.0.0/16.`);
    if (hasHostBits(value))
      return fail('bad-prefix', `\`${value}\` has bits set behind its length; the network is \`${formatPrefix(parsed)}\`.`);
    return formatPrefix(parsed);
  });

export const range = text(
  'a range such as 10.0.0.10-10.0.0.200',
  { description: 'Addresses given out without being named, IPv4 only: FIRST-LAST.', examples: ['10.0.105.10-10.0.105.200'] },
  (value, fail) => {
    const [first = '', last = '', ...rest] = value.split('-').map((part) => part.trim());
    if (value.includes(':'))
      return fail('bad-range', '`range` is for IPv4 only; IPv6 addresses are chosen from the whole subnet, leave it out.');
    const from = parseIp(first);
    const to = parseIp(last);
    if (!from || !to || rest.length > 0) {
      const short = from && /^\d+$/.test(last) ? `${first.slice(0, first.lastIndexOf('.') + 1)}${last}` : undefined;
      const remedy =
        short !== undefined && parseIp(short)
          ? `write the last address in full: \`${first}-${short}\``
          : 'write it as 10.0.0.10-10.0.0.200';
      return fail('bad-range', `\`${value}\` is not a range of addresses; ${remedy}.`);
    }
    if (compareIp(from, to) > 0) return fail('range-reversed', `the range \`${value}\` is reversed; write \`${last}-${first}\`.`);
    return { from: first, to: last };
  },
);

export const mac = (description: string) =>
  text(
    'a MAC address such as 52:54:00:aa:00:01',
    { description, pattern: '^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}$', examples: ['52:54:00:aa:00:01'] },
    (value, fail) => {
      if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(value)) return value.toLowerCase();
      const digits = value.replace(/[-:.]/g, '');
      const remedy = /^[0-9a-f]{12}$/i.test(digits) ? `\`${(digits.toLowerCase().match(/../g) ?? []).join(':')}\`` : '52:54:00:aa:00:01';
      return fail('bad-mac', `\`${value}\` is not a MAC address; write six pairs of hex digits with colons: ${remedy}.`);
    },
  );

/** The nearest valid name, for messages; `web_1 ` becomes `web-1`. */
export function mendedName(name: string): string | undefined {
  const mended = name
    .normalize('NFKD')
    .replace(/[\u0300-\u036f]/g, '')
    .replace(/[^A-Za-z0-9-]+/g, '-')
    .replace(/^[^A-Za-z]+/, '')
    .slice(0, 63)
    .replace(/-+$/, '');
  return isName(mended) ? mended : undefined;
}

/** Why `name` cannot be a name here, or undefined when it can. */
export function nameProblem(name: string, what: string): string | undefined {
  if (isName(name)) return undefined;
  const mended = mendedName(name) ?? (/^\d/.test(name) ? mendedName(`n${name}`) : undefined);
  const remedy = mended === undefined ? '' : `; \`${mended}\` would do`;
  if (name === '') return `the name of ${what} is empty; write one of letters, digits and hyphens, beginning with a letter.`;
  const glued = /^[A-Za-z][A-Za-z0-9-]*(?=:)/.exec(name)?.[0];
  if (glued !== undefined) return `\`${name}\` cannot be the name of ${what}; is the space behind \`${glued}:\` missing?`;
  return name.length > 63
    ? `the name of ${what} is ${name.length} characters long, at most 63 are possible${remedy}.`
    : `\`${name}\` cannot be the name of ${what}: letters, digits and hyphens are possible, beginning with a letter and not ending with a hyphen${remedy}.`;
}

/** A reference to something named in the file. */
export const name = (what: string, description: string) =>
  text(`the name of ${what}`, { description, pattern: NAME_PATTERN }, (value, fail) => {
    const problem = nameProblem(value, what);
    return problem === undefined ? value : fail('bad-name', problem);
  });

/** `guest` or `guest.network`. */
export const guestRef = (description: string) =>
  text('the name of a guest', { description }, (value, fail) =>
    value.split('.').length <= 2 && value.split('.').every(isName)
      ? value
      : fail('bad-name', `\`${value}\` is not the name of a guest; write \`guest\` or \`guest.network\`.`),
  );

export const domain = (description: string) =>
  text('a domain name such as weft.internal', { description, examples: ['weft.internal'] }, (value, fail) =>
    isDomain(value) && !value.startsWith('*')
      ? value.toLowerCase()
      : fail(
          'bad-value',
          `\`${value}\` is not a domain name; write labels of letters, digits and hyphens with dots between, such as weft.internal.`,
        ),
  );

export const interfaceName = (description: string) =>
  text('the name of an interface such as eth0', { description, pattern: '^[^\\s/:]{1,15}$', examples: ['eth0'] }, (value, fail) =>
    /^[^\s/:]{1,15}$/.test(value) && value !== '.' && value !== '..'
      ? value
      : fail('bad-value', `\`${value}\` cannot be the name of an interface: at most 15 characters, no spaces, \`/\` or \`:\`.`),
  );

export const user = (description: string) =>
  text('the name of a user of the host', { description, examples: ['postgres'] }, (value, fail) =>
    /^(?:[a-z_][a-z0-9_.-]{0,31}\$?|\d{1,10})$/i.test(value)
      ? value
      : fail('bad-value', `\`${value}\` cannot be the name of a user of the host.`),
  );

export const labelValue = text('a text such as db', { description: 'The value of the label.' }, (value, fail) =>
  isLabelPart(value)
    ? value
    : fail('bad-value', `\`${value}\` cannot be the value of a label: letters, digits, \`-\`, \`_\` and \`.\`, at most 63.`),
);

export const label = text(
  'a label such as role=db',
  { description: 'All guests with this label: KEY=VALUE.', examples: ['role=db'] },
  (value, fail) => {
    const [key = '', labelled = '', ...rest] = value.split('=');
    if (rest.length > 0 || !isLabelPart(key) || !isLabelPart(labelled))
      return fail('bad-value', `\`${value}\` is not a label; write \`KEY=VALUE\`, such as role=db.`);
    return { key, value: labelled };
  },
);

export const egress = (description: string) =>
  text(
    '`allow`, `deny` or `via HOST`',
    { description, pattern: '^(allow|deny|via\\s+\\S+)$', examples: ['allow', 'deny', 'via vps'] },
    (value, fail): Egress | undefined => {
      if (value === 'allow' || value === 'deny') return { kind: value };
      const host = /^via\s+(\S+)$/.exec(value)?.[1];
      if (host !== undefined && isName(host)) return { kind: 'via', host };
      return fail('bad-value', `\`egress\` must be \`allow\`, \`deny\` or \`via HOST\`, not \`${value}\`.`);
    },
  );

/** YAML 1.1 reads `on` as true, YAML 1.2 as a text: both are the same here. */
export const filter = z
  .union([z.enum(['on', 'off', 'yes', 'no']), z.boolean()], { error: '`on` or `off`' })
  .meta({ description: '`off`: no policy on the ports of this network, anti-spoofing stays; shown loudly in every plan.' })
  .transform((value): 'on' | 'off' => (value === true || value === 'on' || value === 'yes' ? 'on' : 'off'));

const relay =
  (fail: Fail): ReportText =>
  (problem) =>
    fail(problem.code, problem.message, problem);

const flowMeta = {
  description: 'FROM -> TO [PORTS]: parties separated by commas, ports by spaces.',
  examples: ['web -> db tcp/5432', 'internet -> vm1 tcp/80,443 udp/443'],
};

export const flow = text<FlowExpr>('a flow such as `web -> db tcp/5432`', flowMeta, (value, fail) => parseFlow(value, relay(fail)));

/** `length` is that of the text, for the offsets of what follows it (see the long form of rules). */
export const parties = text<{ parties: readonly PartyExpr[]; length: number }>(
  'who, such as `web` or `internet`',
  { description: 'One party, or several separated by commas.' },
  (value, fail) => {
    const read = parseParties(value, relay(fail));
    return read && { parties: read, length: value.length };
  },
);

export const ports = text<Ports>(
  'ports such as `tcp/80,443`',
  { description: 'tcp/80,443, udp/1000-2000, icmp or any.', examples: ['tcp/80,443', 'icmp'] },
  (value, fail) => parsePorts(value, relay(fail)),
);
