/**
 * What other programs' nftables rules (Docker, ufw, firewalld, libvirt, …) would do to packets that Weft forwards. An accept in Weft's own chains
 * does not save a packet from a drop in a later foreign one, and guests are then dead without a word; so it is found out before.
 */
import type { NftChain, NftTable } from '../hoststate/nft.ts';
import type { TestPacket } from './packet.ts';
import { setsMarks, translationsIn, walkBaseChain } from './walk.ts';

export { ruleText } from './walk.ts';
import type { RulePlace } from './walk.ts';

export type { TestPacket } from './packet.ts';
export type { RulePlace } from './walk.ts';

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
    const v6 = packet.saddr.includes(':');
    const unknown: RulePlace[] = [];
    for (const { hook, table, chain } of chains) {
      if (table.family === (v6 ? 'ip' : 'ip6')) continue;
      // NF_IP_PRI_NAT_SRC is 100.
      const translated = hook === 'postrouting' && priority(chain) >= 100;
      // NF_IP_PRI_CONNTRACK is -200.
      const untracked = hook === 'prerouting' && priority(chain) < -200;
      const outcome = walkBaseChain(chain, { table, packet, hook, marked, translated, untracked });
      // The last one is what makes it certain; those before it may have come first.
      const drop = outcome.drops.at(-1);
      if (!outcome.passes && drop) return { kind: 'dropped', ...drop };
      if (outcome.drops.length > 0 || !outcome.passes) unknown.push(...(outcome.unknown.length > 0 ? outcome.unknown : outcome.drops));
    }
    return unknown.length > 0 ? { kind: 'unknown', rules: unknown } : { kind: 'passes' };
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
      flows.flatMap((packet) => {
        if (table.family === (packet.saddr.includes(':') ? 'ip' : 'ip6')) return [];
        const around = { table, packet, hook: 'prerouting', marked, translated: false, untracked: false } as const;
        return translationsIn(chain, around)
          .slice(0, 1)
          .map((place) => ({ ...place, flow: packet }));
      }),
    ),
  );
}

/** NAT of what comes in, of the families that see packets. */
export const isIncomingNat = ({ base }: NftChain): boolean => base?.type === 'nat' && base.hook === 'prerouting';

type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';
const forwarding: readonly Hook[] = ['prerouting', 'forward', 'postrouting'];
const priority = (chain: NftChain): number => chain.base?.priority ?? 0;
