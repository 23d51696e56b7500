/**
 * Reads the flow expression `FROM -> TO [PORTS]` (design.md section 2, "Flows") for the file and the command line alike, and
 * the two halves of it on their own for the long form of rules. Problems carry the offset inside the text, so that a caret can point at the word.
 */
import { domainToASCII } from 'node:url';
import type { DiagnosticCode } from '../diagnostic/codes.ts';
import { formatPrefix, hasHostBits, parsePrefix } from '../net/ip.ts';
import { formatFlow, formatParty, normalPorts } from './flow-format.ts';
import type { FlowExpr, PartyExpr, PortRange, PortSpec, Ports } from './flow.ts';

export { formatFlow, formatParty, formatPorts } from './flow-format.ts';

export interface TextProblem {
  readonly code: DiagnosticCode;
  readonly message: string;
  /** In UTF-16 code units from the start of the parsed text. */
  readonly offset: number;
  readonly length: number;
}

export type ReportText = (problem: TextProblem) => void;

/** `web, db -> internet tcp/80,443 udp/443` as data. Reports everything wrong with it and returns undefined then. */
export function parseFlow(text: string, report: ReportText): FlowExpr | undefined {
  const arrow = text.indexOf('->');
  if (arrow < 0) {
    const [offset, length] = trimmedRange(text, 0, text.length);
    report({
      code: 'bad-flow',
      message: `there is no \`->\` in this flow; write \`FROM -> TO PORTS\`, such as \`web -> db tcp/5432\`.`,
      offset,
      length,
    });
    return undefined;
  }
  const second = text.indexOf('->', arrow + 2);
  if (second >= 0) {
    report({ code: 'bad-flow', message: 'a flow has one `->` only; write one rule for each direction.', offset: second, length: 2 });
    return undefined;
  }
  let failed = false;
  const note: ReportText = (problem) => {
    failed = true;
    report(problem);
  };
  const from = readParties(text, 0, arrow, 'before', note);
  if (from.end < arrow) {
    const [offset, length] = trimmedRange(text, from.end, arrow);
    note({
      code: 'bad-flow',
      message: `\`${text.slice(offset, offset + length)}\` stands before \`->\` without a comma; parties are separated by commas, ports come last.`,
      offset,
      length,
    });
  }
  const to = readParties(text, arrow + 2, text.length, 'after', note);
  const ports = readPorts(text, to.end, text.length, note);
  if (failed || ports === undefined) return undefined;
  return buildFlow(from.parties, to.parties, ports, note);
}

/** `web, role=db`: parties alone, as in `from:` and `to:`. Undefined when something was reported. */
export function parseParties(text: string, report: ReportText): readonly PartyExpr[] | undefined {
  let failed = false;
  const note: ReportText = (problem) => {
    failed = true;
    report(problem);
  };
  const read = readParties(text, 0, text.length, 'here', note);
  if (read.end < text.length) {
    const [offset, length] = trimmedRange(text, read.end, text.length);
    note({
      code: 'bad-flow',
      message: `\`${text.slice(offset, offset + length)}\` follows without a comma; parties are separated by commas, ports go under \`ports\`.`,
      offset,
      length,
    });
  }
  return failed ? undefined : read.parties;
}

/** `tcp/80,443 udp/443`, `icmp`, `any`; an empty text is `any`. Undefined when something was reported. */
export function parsePorts(text: string, report: ReportText): Ports | undefined {
  return readPorts(text, 0, text.length, report);
}

/**
 * Puts parsed halves together. A literal address limits the flow to its family; a party without a common family
 * on the other side would never match, so that is an error (`family-mismatch`) and not a rule that silently does less.
 */
export function buildFlow(from: readonly PartyExpr[], to: readonly PartyExpr[], ports: Ports, report: ReportText): FlowExpr | undefined {
  for (const [side, other] of [
    [to, from],
    [from, to],
  ] as const) {
    const families = familiesOf(other);
    const alone = families === 'both' ? undefined : side.find((party) => party.kind === 'prefix' && familyOf(party) !== families);
    if (alone?.kind === 'prefix') {
      const family = families === 4 ? 'IPv4' : 'IPv6';
      const mine = families === 4 ? 'IPv6' : 'IPv4';
      report({
        code: 'family-mismatch',
        message: `\`${formatParty(alone)}\` is ${mine} and the other side is ${family} only, so no packet can match; use addresses of one family on both sides.`,
        offset: alone.offset,
        length: alone.length ?? 1,
      });
      return undefined;
    }
  }
  return { from, to, ports, text: formatFlow(from, to, ports) };
}

const NAME = /^[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;
const LABEL_PART = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const DOMAIN = /^(?:\*\.)?(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?$/;

/** A name of a guest, network, host or group: a DNS label (RFC 1123) that starts with a letter. */
export const isName = (text: string): boolean => NAME.test(text);
export const isLabelPart = (text: string): boolean => LABEL_PART.test(text);
/** A domain name without a trailing dot; `*.` may lead. */
export const isDomain = (text: string): boolean => text.length <= 253 && DOMAIN.test(text);

const familyOf = (party: { readonly prefix: string }): 4 | 6 => (party.prefix.includes(':') ? 6 : 4);

function familiesOf(parties: readonly PartyExpr[]): 4 | 6 | 'both' {
  let only: 4 | 6 | undefined;
  for (const party of parties) {
    if (party.kind !== 'prefix') return 'both';
    const family = familyOf(party);
    if (only !== undefined && only !== family) return 'both';
    only = family;
  }
  return only ?? 'both';
}

const isSpace = (char: string | undefined): boolean => char === ' ' || char === '\t' || char === '\n' || char === '\r';

function trimmedRange(text: string, start: number, end: number): [offset: number, length: number] {
  let first = start;
  let last = end;
  while (first < last && isSpace(text[first])) first++;
  while (last > first && isSpace(text[last - 1])) last--;
  return [first, last - first];
}

/** Reads comma-separated parties; `end` is where the first word without a comma before it begins, or the end. */
function readParties(
  text: string,
  start: number,
  end: number,
  where: 'before' | 'after' | 'here',
  report: ReportText,
): { readonly parties: readonly PartyExpr[]; readonly end: number } {
  const parties: PartyExpr[] = [];
  let at = start;
  for (;;) {
    while (at < end && isSpace(text[at])) at++;
    const begin = at;
    while (at < end && !isSpace(text[at]) && text[at] !== ',') at++;
    const word = text.slice(begin, at);
    if (word === '' || (where === 'after' && /^(?:tcp|udp|sctp)(?:\/|$)/i.test(word))) {
      const [offset, length] =
        word !== ''
          ? [begin, word.length]
          : begin < end
            ? [begin, 1]
            : where === 'before'
              ? [end, 2]
              : where === 'after'
                ? [start - 2, 2]
                : [Math.max(0, end - 1), 1];
      const place = where === 'here' ? 'here' : `${where} ${text[begin] === ',' ? 'the comma' : '`->`'}`;
      report({
        code: 'empty-party',
        message: `nobody is named ${place}; write a guest, network, group, host, address, \`internet\` or \`any\`.`,
        offset,
        length,
      });
      if (word !== '') return { parties, end: begin };
    } else {
      const party = readParty(word, begin, report);
      if (party) parties.push(party);
    }
    while (at < end && isSpace(text[at])) at++;
    if (at >= end || text[at] !== ',') return { parties, end: at };
    at++;
  }
}

function readParty(word: string, offset: number, report: ReportText): PartyExpr | undefined {
  const length = word.length;
  const fail = (code: DiagnosticCode, message: string): undefined => {
    report({ code, message, offset, length });
    return undefined;
  };
  const lower = word.toLowerCase();
  if (lower === 'host' || lower === 'any' || lower === 'internet') return { kind: lower, offset, length };
  const equals = word.indexOf('=');
  if (equals >= 0) {
    const key = word.slice(0, equals);
    const value = word.slice(equals + 1);
    if (isLabelPart(key) && isLabelPart(value)) return { kind: 'label', key, value, offset, length };
    return fail(
      'bad-flow',
      `\`${word}\` is not a label; write \`KEY=VALUE\` with letters, digits, \`-\`, \`_\` and \`.\`, such as \`role=db\`.`,
    );
  }
  if (isName(word)) return { kind: 'name', name: word, offset, length };
  if (/[:/]/.test(word) || /^[\d.]+$/.test(word)) return readPrefix(word, offset, report);
  if (/^\d+\.\d+\.\d+\.\d+-/.test(word))
    return fail('bad-flow', `\`${word}\` is a range of addresses, which cannot be a party; write a prefix such as 10.0.0.0/28.`);
  // The root's dot, which some write and which tells a domain name from `guest.network`.
  const absolute = word.endsWith('.') ? word.slice(0, -1) : undefined;
  if (absolute?.includes('.') === true && isDomain(absolute)) return { kind: 'domain', domain: absolute.toLowerCase(), offset, length };
  const parts = word.split('.');
  const [name = '', nic = ''] = parts;
  if (parts.length === 2 && isName(name) && isName(nic)) return { kind: 'name', name, nic, offset, length };
  if (parts.length >= 2 && isDomain(word)) return { kind: 'domain', domain: lower, offset, length };
  const ascii = /[^\x20-\x7e]/.test(word) && word.includes('.') ? domainToASCII(word) : '';
  if (ascii !== '' && isDomain(ascii))
    return fail('bad-domain', `\`${word}\` has letters that are not ASCII; write the domain name as DNS has it: \`${ascii}\`.`);
  return fail(
    'bad-flow',
    `\`${word}\` is not a party; write a name (letters, digits and hyphens), \`guest.network\`, \`key=value\`, an address or prefix, a domain name, \`host\`, \`internet\` or \`any\`.`,
  );
}

function readPrefix(word: string, offset: number, report: ReportText): PartyExpr | undefined {
  const length = word.length;
  const prefix = parsePrefix(word);
  if (!prefix) {
    const slash = word.includes('/');
    const message = slash
      ? `\`${word}\` is not a prefix; write an address and a length, such as 10.0.0.0/24 or fd00:1::/64.`
      : `\`${word}\` is not an IPv4 or IPv6 address; write it as 10.0.0.5 or fd00::5.`;
    report({ code: slash ? 'bad-prefix' : 'bad-address', message, offset, length });
    return undefined;
  }
  const canonical = formatPrefix(prefix);
  if (hasHostBits(word)) {
    const bare = word.slice(0, word.indexOf('/'));
    report({
      code: 'bad-prefix',
      message: `\`${word}\` has bits set behind its length; write \`${canonical}\` for the network or \`${bare}\` for the one address.`,
      offset,
      length,
    });
    return undefined;
  }
  return { kind: 'prefix', prefix: canonical, offset, length };
}

function readPorts(text: string, start: number, end: number, report: ReportText): Ports | undefined {
  const specs: PortSpec[] = [];
  let any: { offset: number; length: number } | undefined;
  let words = 0;
  let failed = false;
  let at = start;
  for (;;) {
    while (at < end && isSpace(text[at])) at++;
    if (at >= end) break;
    const begin = at;
    while (at < end && !isSpace(text[at])) at++;
    const list = text[at - 1] === ',' ? /^\S*\/\S*,(?:\s+[\d-][\d,-]*)+/.exec(text.slice(begin, end))?.[0] : undefined;
    if (list !== undefined) {
      const message = `a list of ports has no spaces; write \`${list.replace(/,?\s+/g, ',')}\`.`;
      report({ code: 'bad-ports', message, offset: begin, length: list.length });
      at = begin + list.length;
      failed = true;
      continue;
    }
    const word = text.slice(begin, at);
    words++;
    if (word.toLowerCase() === 'any') any = { offset: begin, length: 3 };
    else {
      const spec = readPortWord(word, begin, report);
      if (spec) specs.push(spec);
      else failed = true;
    }
  }
  if (failed) return undefined;
  if (any && words > 1) {
    report({ code: 'bad-ports', message: '`any` already means every protocol and port; leave out either it or the others.', ...any });
    return undefined;
  }
  return specs.length === 0 ? 'any' : normalPorts(specs);
}

function readPortWord(word: string, offset: number, report: ReportText): PortSpec | undefined {
  const fail = (message: string, at = 0, length = word.length): undefined => {
    report({ code: 'bad-ports', message, offset: offset + at, length: Math.max(1, length) });
    return undefined;
  };
  const slash = word.indexOf('/');
  const protocol = (slash < 0 ? word : word.slice(0, slash)).toLowerCase();
  if (protocol === 'icmp') {
    return slash < 0 ? { protocol } : fail('`icmp` has no ports or types in Weft; write `icmp` alone.', slash, word.length - slash);
  }
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') {
    if (protocol === 'icmpv6' || protocol === 'icmp6' || protocol === 'ping')
      return fail(`\`${word}\` is not a protocol here; \`icmp\` means ICMP or ICMPv6, by the family.`);
    if (/^[\d,-]+$/.test(word)) {
      return fail(`\`${word}\` has no protocol; write \`tcp/${word.replace(/^,+|,+$/g, '') || '80'}\`, lists of ports without spaces.`);
    }
    return fail(
      `\`${slash < 0 ? word : word.slice(0, slash)}\` is not a protocol; ports are \`tcp/80,443\`, \`udp/1000-2000\`, \`sctp/…\`, \`icmp\` or \`any\`.`,
      0,
      slash < 0 ? word.length : slash,
    );
  }
  if (slash < 0 || slash === word.length - 1)
    return fail(`\`${word}\` has no ports; write \`${protocol}/80\`, or \`${protocol}/1-65535\` for all.`);
  const ranges: PortRange[] = [];
  let at = slash + 1;
  for (const item of word.slice(slash + 1).split(',')) {
    const range = readPortRange(item, at, fail);
    if (!range) return undefined;
    ranges.push(range);
    at += item.length + 1;
  }
  return { protocol, ranges };
}

function readPortRange(item: string, at: number, fail: (message: string, at: number, length: number) => undefined): PortRange | undefined {
  const match = /^(\d+)(?:-(\d+))?$/.exec(item);
  if (!match) {
    const message =
      item === ''
        ? 'a port is missing at this comma; write ports as `80,443`, without spaces.'
        : `\`${item}\` is not a port; write a number from 1 to 65535 or a range such as 1000-2000.`;
    return fail(message, at, item.length);
  }
  const from = Number(match[1]);
  const to = match[2] === undefined ? from : Number(match[2]);
  for (const port of [from, to]) {
    if (port === 0) return fail('port 0 does not exist; ports go from 1 to 65535.', at, item.length);
    if (port > 65535) return fail(`port ${port} does not exist; ports go from 1 to 65535.`, at, item.length);
  }
  if (from > to) return fail(`the range ${item} is reversed; write ${to}-${from}.`, at, item.length);
  return { from, to };
}
