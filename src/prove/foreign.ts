/**
 * What other programs' nftables rules (Docker, ufw, firewalld, libvirt, …) would do to packets that Weft forwards. An accept in Weft's own chains
 * does not save a packet from a drop in a later foreign one, and guests are then dead without a word; so it is found out before.
 */
import { protocolNumber } from '../net/protocols.ts';
import { isRecord, text } from '../hoststate/nft-json.ts';
import type { NftChain, NftTable } from '../hoststate/nft.ts';
import { walkBaseChain, type Post } from './concrete/chain.ts';
import type { Flight } from './concrete/flight.ts';
import { UNKNOWN, textValue, type Surroundings } from './concrete/value.ts';
import { isRule, placeKey, stepsOf, unique, type World } from './concrete/world.ts';
import type { RulePlace } from './packet-model.ts';

export { ruleText } from './rule-text.ts';
export type { RulePlace } from './packet-model.ts';

/** A packet where the host forwards it, or takes or sends it itself. */
export interface TestPacket {
  readonly iifname: string;
  readonly oifname: string;
  /** Canonical addresses of one family. */
  readonly saddr: string;
  readonly daddr: string;
  /** `tcp`, `udp`, `sctp`, `icmp`, `ipv6-icmp`, …, or a number as text. */
  readonly protocol: string;
  /** Undefined: any; what asks for it is then not known. */
  readonly sport?: number;
  readonly dport?: number;
  /** Default `new`: the first packet of a connection. */
  readonly state?: 'new' | 'established' | 'related';
  /** Default false: the connection was not translated by a DNAT. */
  readonly dnat?: boolean;
  /** Default false. The destination is an address of the host, as that of a packet which is yet to be translated. */
  readonly toHost?: boolean;
}

export type ForeignVerdict =
  | { readonly kind: 'passes' }
  /** Dropped whatever the unknown parts do. */
  | ({ readonly kind: 'dropped' } & RulePlace)
  /** It depends on rules that Weft does not understand, or that depend on more than the packet. */
  | { readonly kind: 'unknown'; readonly rules: readonly RulePlace[] };

export interface ForeignDrop extends RulePlace {
  readonly flow: TestPacket;
}

/** The flows that foreign tables drop for certain, each with the rule that does it. Pass only tables that are not Weft's. */
export function foreignForwardDrops(tables: readonly NftTable[], flows: readonly TestPacket[]): ForeignDrop[] {
  const judge = foreignJudge(tables);
  return flows.flatMap((flow) => {
    const verdict = judge(flow);
    if (verdict.kind !== 'dropped') return [];
    const { family, table, chain, rule } = verdict;
    return [{ flow, family, table, chain, rule }];
  });
}

/**
 * Judges a packet, by default a forwarded one, by the filter chains of families ip, ip6 and inet at the given hooks, in the kernel's
 * order (hook, then priority). NAT chains do not drop and are not walked: give the addresses as they are in the forward hook.
 */
export function foreignJudge(tables: readonly NftTable[], hooks: readonly Hook[] = forwarding): (packet: TestPacket) => ForeignVerdict {
  const marked = tables.some((table) => setsMarks(table.chains));
  const chains = hooks.flatMap((hook) =>
    tables
      .filter(({ family }) => family === 'ip' || family === 'ip6' || family === 'inet')
      .flatMap((table) =>
        table.chains.filter((chain) => chain.base?.hook === hook && chain.base.type === 'filter').map((chain) => ({ hook, table, chain })),
      )
      .sort((a, b) => priority(a.chain) - priority(b.chain)),
  );
  return (packet) => {
    const unknown: RulePlace[] = [];
    for (const { hook, table, chain } of chains) {
      const flight = flightAt(packet, hook, priority(chain), marked);
      if (table.family === (flight.family === 6 ? 'ip' : 'ip6')) continue;
      const [iif, oif] = [hook === 'output' ? '' : packet.iifname, hook === 'prerouting' || hook === 'input' ? '' : packet.oifname];
      const world: World = { flight, trail: undefined, doubts: [] };
      const post: Post = { table, hook, iif, oif, type: 'filter', surroundings: surroundingsOf(packet) };
      const { passed, dropped, lost } = walkBaseChain(chain, world, post, new Set());
      // The last one is what makes it certain; those before it may have come first.
      const drop = dropped.at(-1)?.by;
      if (passed.length + lost.length === 0 && drop) {
        const { family, table: name, chain: at, rule } = drop;
        return { kind: 'dropped', family, table: name, chain: at, rule };
      }
      if (dropped.length + lost.length > 0)
        unknown.push(...doubtsOf([...dropped, ...lost].map((one) => one.world)), ...lost.map(({ by }) => by));
    }
    return unknown.length > 0 ? { kind: 'unknown', rules: unique(unknown) } : { kind: 'passes' };
  };
}

export interface ForeignTranslation extends RulePlace {
  readonly flow: TestPacket;
}

/** Of packets that come in: the rules of others that translate where they go. A drop before that, and whose translation comes first, is not asked. */
export function foreignTranslations(tables: readonly NftTable[], flows: readonly TestPacket[]): ForeignTranslation[] {
  const marked = tables.some((table) => setsMarks(table.chains));
  return tables.flatMap((table) =>
    table.chains.filter(isIncomingNat).flatMap((chain) =>
      flows.flatMap((packet): ForeignTranslation[] => {
        const flight = flightAt(packet, 'prerouting', priority(chain), marked, false);
        if (table.family === (flight.family === 6 ? 'ip' : 'ip6')) return [];
        const place = translationIn(chain, flight, {
          table,
          hook: 'prerouting',
          iif: packet.iifname,
          oif: '',
          type: 'nat',
          surroundings: surroundingsOf(packet),
        });
        return place ? [{ ...place, flow: packet }] : [];
      }),
    ),
  );
}

/** The rule that may be the first to translate where the packet goes (dnat, redirect): it may be reached, and matches the packet for certain. */
function translationIn(chain: NftChain, flight: Flight, post: Post): RulePlace | undefined {
  const { passed, lost } = walkBaseChain(chain, { flight, trail: undefined, doubts: [] }, post, new Set());
  const translated = passed.flatMap((world) => {
    const step = stepsOf(world).find(({ place, packet }) => place !== undefined && packet?.connection?.decided.destination === true);
    return step?.place ? [{ world, by: step.place }] : [];
  });
  // To an address that is not known here, or as iptables-nft writes it.
  const foreign = lost.filter(({ by }) => /\b(dnat|redirect)\b|\((DNAT|REDIRECT|NETMAP)\)/.test(by.rule));
  const certain = [...translated, ...foreign].find(({ world, by }) => !world.doubts.some((doubt) => placeKey(doubt) === placeKey(by)));
  if (!certain) return undefined;
  const { family, table, chain: name, rule } = certain.by;
  return { family, table, chain: name, rule };
}

/** NAT of what comes in, of the families that see packets. */
export const isIncomingNat = ({ base }: NftChain): boolean => base?.type === 'nat' && base.hook === 'prerouting';

const doubtsOf = (worlds: readonly World[]): RulePlace[] =>
  unique(worlds.flatMap(({ doubts }) => doubts.filter(isRule))).map(({ family, table, chain, rule }) => ({ family, table, chain, rule }));

/** The packet as a chain sees it: what came before it in the kernel, and is not walked, is known as far as the hook and the priority tell. */
function flightAt(packet: TestPacket, hook: Hook, at: number, marked: boolean, decided = true): Flight {
  // NF_IP_PRI_NAT_SRC is 100, NF_IP_PRI_CONNTRACK -200.
  const translated = hook === 'postrouting' && at >= 100;
  const tracked = hook !== 'prerouting' || at >= -200;
  const mark = marked ? undefined : 0;
  const [source, sport] = translated ? [undefined, undefined] : [packet.saddr, packet.sport];
  const { daddr: destination, dport, state = 'new' } = packet;
  const ends = { source, destination, sport, dport };
  return {
    ...ends,
    family: packet.saddr.includes(':') ? 6 : 4,
    protocol: protocolNumber(packet.protocol) ?? 255,
    ether: undefined,
    mark,
    tracking: tracked ? 'tracked' : 'before',
    direction: 'original',
    astray: false,
    connection: {
      state,
      // Other bits (confirmed, assured, snat) depend on what has gone before.
      status: packet.dnat === true ? undefined : [],
      mark,
      original: ends,
      reply: { source: destination, destination: packet.saddr, sport: dport, dport: sport },
      decided: { destination: decided, source: true },
    },
  };
}

/** A forwarded packet's destination is not local, and neither is its source; that there is a way back to its source is taken for granted. */
const surroundingsOf = ({ toHost = false, daddr }: TestPacket): Surroundings => ({
  fib: (result, flags) => {
    if (!flags.includes('saddr') && !flags.includes('daddr')) return UNKNOWN;
    if (result === 'type') return textValue(toHost && flags.includes('daddr') ? 'local' : 'unicast');
    return flags.includes('saddr') ? { kind: 'way', name: undefined } : UNKNOWN;
  },
  bridgeOf: () => undefined,
  isEthernet: () => undefined,
  // Which of its addresses a redirection leads to does not matter here.
  addressesOf: () => [daddr],
});

/** True when some rule of the table sets marks: what asks for marks cannot be answered then. */
function setsMarks(chains: readonly NftChain[]): boolean {
  return chains.some(({ rules }) =>
    rules.some(({ statements }) =>
      statements.some((statement) => {
        if ('mangle' in statement) return JSON.stringify(statement.mangle.key).includes('"mark"');
        if (!('unknown' in statement) || !isRecord(statement.unknown)) return false;
        const xt = statement.unknown['xt'];
        return isRecord(xt) && text(xt['name']).endsWith('MARK');
      }),
    ),
  );
}

type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
const forwarding: readonly Hook[] = ['prerouting', 'forward', 'postrouting'];
const priority = (chain: NftChain): number => chain.base?.priority ?? 0;
