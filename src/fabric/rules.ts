/**
 * The rules of `allow` and `block` with their parties resolved, and what can be said of a rule before anything is compiled:
 * that no packet can match it, or that it promises what a network does not give.
 */
import { hash } from 'node:crypto';
import type { ConfigFile, Path, RuleEntry } from '../config/model.ts';
import { formatFlow } from '../config/flow-format.ts';
import type { FlowExpr, PartyExpr } from '../config/flow.ts';
import { parsePrefix, prefixWithin } from '../net/ip.ts';
import { checkDomains } from './domains.ts';
import type { Guests } from './guests.ts';
import type { GuestDraft, NicDraft } from './drafts.ts';
import type { EndpointRef, Party, Rule } from './model.ts';
import { fabricDomain } from './names.ts';
import type { ResolveParty } from './parties.ts';
import type { Problems } from './problems.ts';
import { placeOf, resolveSide, type ResolvedParty } from './sides.ts';
import { spanGiver } from './spans.ts';

export interface RuleContext {
  readonly config: ConfigFile;
  readonly guests: Guests;
  readonly resolveParty: ResolveParty;
  /** More than one host: then flows between them need a link. */
  readonly severalHosts: boolean;
  readonly problems: Problems;
}

/** A rule stated twice is kept once, with a warning at the second; ids are then unique. */
export function resolveRules(context: RuleContext): { readonly allow: readonly Rule[]; readonly block: readonly Rule[] } {
  const ids = new Map<string, { key: string; path: Path }>();
  const families = new Map<Party, number>();
  const withSpan = spanGiver(context.config, 'value');
  const domain = fabricDomain(context.config.model);
  const resolve = (action: 'allow' | 'block', entries: readonly RuleEntry[]): Rule[] => {
    const rules: Rule[] = [];
    for (const entry of entries) {
      const from = resolveSide(context, entry.path, entry.flow.from);
      const to = resolveSide(context, entry.path, entry.flow.to);
      checkFamilies(context, from, to, families);
      checkDomains({ ...context, domain }, { action, from, to });
      if (action === 'allow') {
        checkInternet(context, from, to);
        checkOuter(context, from, to);
      }
      if (context.severalHosts) checkSameHost(context, from, to);
      const id = takeId(action, entry, ids, context.problems);
      if (id === undefined) continue;
      const rule = {
        id,
        action,
        from: from.map((side) => side.party),
        to: to.map((side) => side.party),
        ports: entry.flow.ports,
        log: entry.log,
        ...(entry.why === undefined ? {} : { why: entry.why }),
        text: entry.flow.text,
      };
      rules.push(withSpan(rule, entry.path));
    }
    return rules;
  };
  return { allow: resolve('allow', context.config.model.allow), block: resolve('block', context.config.model.block) };
}

/** Eight hex digits of a hash of what the rule says, whatever its place in the file; undefined for a repeated rule. */
function takeId(action: string, entry: RuleEntry, ids: Map<string, { key: string; path: Path }>, problems: Problems): string | undefined {
  const key = `${action}\0${canonicalText(entry.flow)}\0${entry.log ? 'log' : ''}`;
  for (let i = 0; ; i++) {
    const id = hash('sha256', i === 0 ? key : `${key}\0${i}`).slice(0, 8);
    const first = ids.get(id);
    if (!first) {
      ids.set(id, { key, path: entry.path });
      return id;
    }
    if (first.key === key) {
      problems.warning(
        'duplicate-rule',
        { path: entry.path },
        `\`${entry.flow.text}\` stands in \`${action}\` a second time; take one of them out.`,
        {
          message: 'it is first here',
          at: { path: first.path },
        },
      );
      return undefined;
    }
    // Two rules of one hash, about one in twenty files of 20,000 rules: the later one counts on.
  }
}

/** Names are the same in any case; labels are not. */
function canonicalText(flow: FlowExpr): string {
  if (!/[A-Z]/.test(flow.text)) return flow.text;
  const lower = (party: PartyExpr): PartyExpr =>
    party.kind === 'name'
      ? { ...party, name: party.name.toLowerCase(), ...(party.nic === undefined ? {} : { nic: party.nic.toLowerCase() }) }
      : party;
  return formatFlow(flow.from.map(lower), flow.to.map(lower), flow.ports);
}

const V4 = 1;
const V6 = 2;

/** A party with no family in common with anybody on the other side would never match, silently. */
export function checkFamilies(
  context: Pick<RuleContext, 'guests' | 'problems'>,
  from: readonly ResolvedParty[],
  to: readonly ResolvedParty[],
  cache: Map<Party, number>,
): void {
  const of = (side: ResolvedParty): number => {
    let mask = cache.get(side.party);
    if (mask === undefined) cache.set(side.party, (mask = familiesOf(side.party, context.guests)));
    return mask;
  };
  const fromMask = from.reduce((mask, side) => mask | of(side), 0);
  const toMask = to.reduce((mask, side) => mask | of(side), 0);
  if (fromMask === 0 || toMask === 0) return;
  for (const [sides, other] of [
    [to, fromMask],
    [from, toMask],
  ] as const) {
    const alone = sides.find((side) => of(side) !== 0 && (of(side) & other) === 0);
    if (!alone) continue;
    const [mine, theirs] = of(alone) === V4 ? [4, 6] : [6, 4];
    const remedy =
      alone.party.kind === 'prefix' ? `the network on the other side an IPv${mine} subnet` : `its network an IPv${theirs} subnet`;
    context.problems.error(
      'family-mismatch',
      placeOf(alone.expr, alone.path),
      `\`${alone.party.text}\` has IPv${mine} only and the other side IPv${theirs} only, so no packet can match; use addresses of one family, or give ${remedy}.`,
    );
    return;
  }
}

/** 0: none, or not known because of an error. */
function familiesOf(party: Party, guests: Guests): number {
  if (party.kind === 'prefix') return party.prefix.includes(':') ? V6 : V4;
  if (party.kind !== 'guests') return V4 | V6;
  let mask = 0;
  for (const endpoint of party.endpoints) {
    const network = nicOf(guests, endpoint)?.network;
    if (!network?.sound) return 0;
    for (const prefix of network.within) mask |= prefix.family === 4 ? V4 : V6;
    if (mask === (V4 | V6)) break;
  }
  return mask;
}

const nicOf = (guests: Guests, endpoint: EndpointRef): NicDraft | undefined => guests.get(endpoint.guest.toLowerCase())?.nics[endpoint.nic];

const ULA = parsePrefix('fc00::/7');

function checkInternet(context: RuleContext, from: readonly ResolvedParty[], to: readonly ResolvedParty[]): void {
  const { problems, guests } = context;
  if (to.some((side) => side.party.kind === 'internet' || side.party.kind === 'domain')) {
    for (const side of from) {
      const guest = onlyIsolated(side.party, guests);
      if (!guest) continue;
      const message = `the network of \`${guest.name}\` is isolated, so nothing of it reaches the internet; take \`${side.party.text}\` out of the rule, or make the network \`kind: nat\`.`;
      problems.error('isolated-internet', placeOf(side.expr, side.path), message);
    }
  }
  if (!from.some((side) => side.party.kind === 'internet')) return;
  for (const side of to) {
    const isolated = onlyIsolated(side.party, guests);
    if (isolated) {
      const message = `the network of \`${isolated.name}\` is isolated, so nothing from the internet reaches it; take \`${side.party.text}\` out of the rule, or make the network \`kind: nat\`.`;
      problems.error('isolated-internet', placeOf(side.expr, side.path), message);
      continue;
    }
    const hidden =
      side.party.kind === 'guests'
        ? side.party.endpoints.map((endpoint) => nicOf(guests, endpoint)).find((nic) => nic && isHidden(nic, context.config))
        : undefined;
    if (!hidden) continue;
    problems.warning(
      'unpublished-internet',
      placeOf(side.expr, side.path),
      `\`${hidden.guest.name}\` is behind NAT in \`${hidden.network?.name ?? ''}\`, so the internet does not reach it by this rule alone: publish a port of the host for it, which is then all the rule it needs.`,
    );
  }
}

/** A guest of a bridged network stands on the outer network: it comes to a guest behind NAT as the internet does. */
function checkOuter(context: RuleContext, from: readonly ResolvedParty[], to: readonly ResolvedParty[]): void {
  const { problems, guests, config } = context;
  const outer = from.map((side) => onlyIn(side.party, guests, (nic) => nic.network?.entry.kind === 'bridged')).find((guest) => guest);
  if (outer === undefined) return;
  for (const side of to) {
    const hidden = onlyIn(side.party, guests, (nic) => isHidden(nic, config));
    if (hidden === undefined) continue;
    problems.warning(
      'unpublished-internet',
      placeOf(side.expr, side.path),
      `\`${hidden.name}\` is behind NAT, and \`${outer.name}\` stands outside, on the host's outer network, so it does not reach \`${hidden.name}\` by this rule: publish a port of the host for it, which is then all the rule it needs, or give \`${outer.name}\` a second NIC in that network.`,
    );
  }
}

/** A guest all of whose NICs in this party are in isolated networks. */
const onlyIsolated = (party: Party, guests: Guests): GuestDraft | undefined =>
  onlyIn(party, guests, (nic) => nic.network?.entry.kind === 'isolated');

/** A guest of whose NICs in this party all are so. */
function onlyIn(party: Party, guests: Guests, isSo: (nic: NicDraft) => boolean): GuestDraft | undefined {
  if (party.kind !== 'guests') return undefined;
  const open = new Set<string>();
  for (const endpoint of party.endpoints) {
    const nic = nicOf(guests, endpoint);
    if (nic === undefined || !isSo(nic)) open.add(endpoint.guest);
  }
  const closed = party.endpoints.find((endpoint) => !open.has(endpoint.guest));
  return closed && guests.get(closed.guest.toLowerCase());
}

/** Behind NAT: IPv4 or a ULA in a nat network, and not published. */
function isHidden(nic: NicDraft, config: ConfigFile): boolean {
  if (nic.network?.entry.kind !== 'nat') return false;
  const published = config.model.publish.some((entry) => entry.to.split('.')[0]?.toLowerCase() === nic.guest.name.toLowerCase());
  const v6 = nic.network.v6;
  return !published && (nic.network.v4 !== undefined || (v6 !== undefined && ULA !== undefined && prefixWithin(v6.prefix, ULA)));
}

function checkSameHost(context: RuleContext, from: readonly ResolvedParty[], to: readonly ResolvedParty[]): void {
  for (const a of from) {
    for (const b of to) {
      const [here, there] = [hostsOf(a.party, context.guests), hostsOf(b.party, context.guests)];
      const [source] = here;
      const target = [...there].find((host) => host !== source) ?? [...there][0];
      const crosses = here.size > 0 && there.size > 0 && (here.size > 1 || there.size > 1 || source !== target);
      if (!crosses) continue;
      context.problems.error(
        'not-supported-yet',
        placeOf(b.expr, b.path),
        `flows between hosts (\`${a.party.text}\` on \`${[...here].join(', ')}\`, \`${b.party.text}\` on \`${[...there].join(', ')}\`) are not supported yet; keep to the guests of one host.`,
      );
      return;
    }
  }
}

function hostsOf(party: Party, guests: Guests): ReadonlySet<string> {
  if (party.kind === 'named-host') return new Set([party.host]);
  const hosts = new Set<string>();
  if (party.kind !== 'guests') return hosts;
  for (const endpoint of party.endpoints) {
    const host = nicOf(guests, endpoint)?.network?.host;
    if (host) hosts.add(host.name);
  }
  return hosts;
}
