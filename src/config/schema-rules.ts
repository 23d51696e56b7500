/**
 * The shapes of what is said about traffic: rules of `allow` and `block`, `publish`, `links`, `ingress` and expectations.
 */
import * as z from 'zod';
import { formatIp, parseIp } from '../net/ip.ts';
import { buildFlow, isDomain, isName, parseFlow, parseParties, parsePorts } from './flow-parser.ts';
import type { ReportText } from './flow-parser.ts';
import { normalPorts } from './flow-format.ts';
import type { PartyExpr, Ports } from './flow.ts';
import * as leaf from './leaves.ts';
import type { IssueParams } from './leaves.ts';
import type { ExpectEntry, IngressEntry, LinkEntry, PublishEntry, RuleEntry } from './model.ts';
import { entriesOf, mapOf, optional } from './shape.ts';

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

const partyList = leaf.oneOrMore(leaf.parties, 'who, such as `web` or `internet`').transform((lists) => rebase(lists));
const portList = leaf.oneOrMore(leaf.ports, 'ports such as `tcp/80,443`').transform(joinPorts);

/**
 * One entry of `allow` or `block`. In the long form, the parties' offsets count through the texts of `from`, then `to`, one apart,
 * which is what `ConfigFile.span` undoes for a path that leads to such a map.
 */
export const rule = z
  .union(
    [
      leaf.flow,
      mapOf('a rule', {
        from: partyList,
        to: partyList,
        ports: optional(portList),
        log: optional(leaf.flag('Log what this rule decides, rate-limited.')),
        why: optional(leaf.text('a text', { description: 'Why the rule is there.' }, (value) => value)),
      }),
    ],
    { error: 'a flow such as `web -> db tcp/5432`, or a map with `from` and `to`' },
  )
  .transform((value, ctx): Omit<RuleEntry, 'path'> => {
    if ('text' in value) return { flow: value, log: false };
    const shift = value.from.length;
    const to = value.to.parties.map((party) => ({ ...party, offset: party.offset + shift }));
    const report: ReportText = ({ code, message, offset, length }) => {
      ctx.issues.push({ code: 'custom', message, params: { code, offset, length } satisfies IssueParams, input: value });
    };
    const flow = buildFlow(value.from.parties, to, value.ports ?? 'any', report);
    if (!flow) return z.NEVER;
    return { flow, log: value.log ?? false, ...(value.why !== undefined && { why: value.why }) };
  });

/** Offsets of parties in several texts, as if the texts stood one after the other, one apart. */
function rebase(lists: readonly { readonly parties: readonly PartyExpr[]; readonly length: number }[]): {
  parties: PartyExpr[];
  length: number;
} {
  const parties: PartyExpr[] = [];
  let base = 0;
  for (const list of lists) {
    for (const party of list.parties) parties.push(base === 0 ? party : { ...party, offset: party.offset + base });
    base += list.length + 1;
  }
  return { parties, length: base };
}

function joinPorts(list: readonly Ports[]): Ports {
  const specs = list.flatMap((ports) => (ports === 'any' ? [] : ports));
  return list.includes('any') ? 'any' : normalPorts(specs);
}

/** `vps tcp/2222 -> web tcp/22 from 198.51.100.0/24` */
export const publish = leaf.text<Omit<PublishEntry, 'path'>>(
  'a text such as `vps tcp/2222 -> web tcp/22`',
  {
    description: 'Destination NAT: HOST|ADDRESS PROTO/PORTS -> GUEST PROTO/PORTS [from PARTY].',
    examples: ['vps tcp/2222 -> web tcp/22', 'host tcp/443 -> web', '203.0.113.10 udp/5000-5010 -> web from 198.51.100.0/24'],
  },
  (value, fail) => {
    const match = /^(\s*)(\S+)(\s+)((?:(?!->).)*?)\s*->(\s*)(\S+)((?:(?!\sfrom(?:\s|$)).)*)(?:(\sfrom)(?:\s(.*))?)?$/s.exec(value);
    if (!match)
      return fail('bad-flow', 'write what is published as `HOST PROTO/PORTS -> GUEST PROTO/PORTS`, such as `vps tcp/2222 -> web tcp/22`.');
    const [, lead = '', at = '', gap = '', portsText = '', space = '', to = '', toPortsText = '', fromWord, fromText = ''] = match;
    let failed = false;
    const relay =
      (base: number): ReportText =>
      ({ code, message, offset, length }) => {
        failed = true;
        fail(code, message, { offset: offset + base, length });
      };
    const toAt = value.indexOf('->') + 2 + space.length;
    const portsAt = lead.length + at.length + gap.length;
    const address = parseIp(at);
    if (!isName(at) && !address)
      relay(lead.length)({
        code: 'bad-flow',
        message: `\`${at}\` is neither a host nor an address; write \`vps tcp/2222 -> …\` or \`203.0.113.10 tcp/2222 -> …\`.`,
        offset: 0,
        length: at.length,
      });
    if (!to.split('.').every(isName) || to.split('.').length > 2)
      relay(toAt)({
        code: 'bad-flow',
        message: `\`${to}\` is not the name of a guest; write \`-> web tcp/22\`.`,
        offset: 0,
        length: to.length,
      });
    const ports = readTransport(portsText, relay(portsAt), `${at} tcp/2222 -> …`);
    const lists = toPortsText.indexOf(',');
    if (lists >= 0)
      relay(toAt + to.length)({
        code: 'bad-ports',
        message: 'where a port changes, one port or one range stands on each side; write one entry for each port.',
        offset: lists,
        length: 1,
      });
    const toPorts = toPortsText.trim() === '' ? undefined : readTransport(toPortsText, relay(toAt + to.length), '-> web tcp/22');
    const fromAt = fromWord === undefined ? 0 : toAt + to.length + toPortsText.length + fromWord.length + 1;
    const parties = fromWord === undefined ? undefined : parseParties(fromText, relay(fromAt));
    if (failed || !ports) return undefined;
    const from = parties?.map((party): PartyExpr => ({ ...party, offset: party.offset + fromAt }));
    const toPortsAt = toAt + to.length + (toPortsText.length - toPortsText.trimStart().length);
    const offsets = { at: lead.length, ports: portsAt, to: toAt, toPorts: toPortsAt };
    return { at: address ? formatIp(address) : at, ports, to, ...(toPorts && { toPorts }), ...(from && { from }), offsets };
  },
);

function readTransport(text: string, report: ReportText, example: string): Ports | undefined {
  const ports = parsePorts(text, report);
  if (ports === undefined) return undefined;
  if (ports !== 'any' && ports.every((spec) => spec.protocol !== 'icmp')) return ports;
  report({
    code: 'bad-ports',
    message: `what is published has ports of tcp, udp or sctp; write \`${example}\`.`,
    offset: 0,
    length: Math.max(1, text.length),
  });
  return undefined;
}

export const link = mapOf('a link', {
  kind: leaf.word(['wireguard'], 'How it is encrypted.'),
  hosts: z
    .array(leaf.name('a host', 'A host of the link.'), { error: 'a list of hosts such as [vps, home]' })
    .min(2, { error: 'needs at least two hosts' }),
  subnet: optional(leaf.prefix('Addresses of the ends of the link.')),
  port: optional(leaf.whole(1, 65535, 51820, 'UDP port on which the hosts listen.')),
}).transform((value): LinkEntry => value);

export const ingress = mapOf('ingress', {
  at: leaf.name('a host', 'The host that takes the requests.'),
  routes: z
    .record(
      z.string(),
      leaf.text<{ to: string; ports: Ports }>(
        'a guest and its port such as `nextcloud tcp/80`',
        { description: 'GUEST tcp/PORT', examples: ['nextcloud tcp/80'] },
        (value, fail) => {
          const match = /^(\s*)(\S+)(.*)$/s.exec(value);
          const [, lead = '', to = '', rest = ''] = match ?? [];
          if (!isName(to)) return fail('bad-value', `\`${value}\` does not name a guest and its port; write \`nextcloud tcp/80\`.`);
          let failed = false;
          const base = lead.length + to.length;
          const ports = parsePorts(rest, (p) => {
            failed = true;
            fail(p.code, p.message, { offset: p.offset + base, length: p.length });
          });
          if (failed || ports === undefined) return undefined;
          const spec = ports === 'any' ? undefined : ports[0];
          if (
            ports !== 'any' &&
            ports.length === 1 &&
            spec?.protocol === 'tcp' &&
            spec.ranges.length === 1 &&
            spec.ranges[0]?.from === spec.ranges[0]?.to
          )
            return { to, ports };
          return fail('bad-ports', `a route leads to one TCP port; write \`${to} tcp/80\`.`);
        },
      ),
      { error: 'a map from domain names to guests, such as { cloud.example.org: nextcloud tcp/80 }' },
    )
    .superRefine((routes, ctx) => {
      for (const key of Object.keys(routes)) {
        if (isDomain(key)) continue;
        const message = `\`${key}\` is not a domain name; write labels of letters, digits and hyphens with dots between, such as cloud.example.org.`;
        ctx.addIssue({ code: 'custom', message, path: [key], params: { code: 'bad-value', part: 'key' } satisfies IssueParams });
      }
    }, entriesOf),
}).transform(({ at, routes }): IngressEntry => ({
  at,
  routes: Object.entries(routes).map(([domain, route]) => ({
    domain: domain.toLowerCase(),
    ...route,
    path: ['ingress', 'routes', domain],
  })),
}));

const flowPhrase = 'a flow such as `web -> db tcp/5432`';

const via = leaf.text(
  'a flow and a host such as `home-net -> internet through vps`',
  { description: 'FLOW through HOST', examples: ['home-net -> internet through vps'] },
  (value, fail) => {
    const match = /^(.*?)\sthrough(?:\s+(\S+))?\s*$/s.exec(value);
    const through = match?.[2];
    if (match?.[1] === undefined || through === undefined || !isName(through))
      return fail('bad-flow', 'write which host the flow goes through: `home-net -> internet through vps`.');
    const flow = parseFlow(match[1], (p) => fail(p.code, p.message, p));
    return flow && { flow, through };
  },
);

const seenAs = leaf.text(
  'a flow and an address such as `internal -> internet 203.0.113.11`',
  { description: 'FLOW ADDRESS', examples: ['internal -> internet 203.0.113.11'] },
  (value, fail) => {
    const match = /^(.*\s)(\S+)\s*$/s.exec(value);
    const address = parseIp(match?.[2] ?? '');
    if (match?.[1] === undefined || !address)
      return fail('bad-flow', 'write as which address the flow is seen: `internal -> internet 203.0.113.11`.');
    const flow = parseFlow(match[1], (p) => fail(p.code, p.message, p));
    return flow && { flow, address: match[2] ?? '' };
  },
);

const kinds = {
  can: optional(leaf.flow),
  cannot: optional(leaf.flow),
  only: optional(leaf.flow),
  'only-strict': optional(leaf.flow),
  via: optional(via),
  'seen-as': optional(seenAs),
  isolated: optional(leaf.name('a network', 'Nothing in or out of this network but its own host.')),
  exposed: optional(leaf.oneOrMore(leaf.flow, flowPhrase)),
};

/** One expectation: a map with exactly one key. `key` is that key, for the path. */
export const expectation = mapOf('an expectation', kinds, '`can: web -> db`')
  .superRefine((value, ctx) => {
    const keys = Object.keys(value).filter((key) => Object.hasOwn(kinds, key));
    if (keys.length === 1 || (keys.length === 0 && ctx.issues.length > 0)) return;
    const message =
      keys.length === 0
        ? 'an expectation says one thing: `can`, `cannot`, `only`, `via`, `seen-as`, `isolated` or `exposed`.'
        : 'an expectation says one thing; begin a new entry with `-` for the second.';
    ctx.addIssue(
      keys[1] === undefined
        ? { code: 'custom', message, params: { code: 'missing-key' } satisfies IssueParams }
        : { code: 'custom', message, path: [keys[1]], params: { code: 'bad-value', part: 'key' } satisfies IssueParams },
    );
  })
  .transform((value): DistributiveOmit<ExpectEntry, 'path'> & { readonly key: string } => {
    for (const kind of ['can', 'cannot', 'only', 'only-strict'] as const) {
      const flow = value[kind];
      if (flow) return { kind, flow, key: kind, text: `${kind}: ${flow.text}` };
    }
    if (value.via) return { kind: 'via', ...value.via, key: 'via', text: `via: ${value.via.flow.text} through ${value.via.through}` };
    const seen = value['seen-as'];
    if (seen) return { kind: 'seen-as', ...seen, key: 'seen-as', text: `seen-as: ${seen.flow.text} ${seen.address}` };
    if (value.exposed)
      return {
        kind: 'exposed',
        flows: value.exposed,
        key: 'exposed',
        text: `exposed: ${value.exposed.map((flow) => flow.text).join('; ')}`,
      };
    const network = value.isolated ?? '';
    return { kind: 'isolated', network, key: 'isolated', text: `isolated: ${network}` };
  });
