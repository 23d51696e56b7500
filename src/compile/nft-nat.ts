/**
 * The NAT chains of `table inet weft`, and the guard behind them: sources of Weft's own subnets never leave by an interface that is not Weft's, NAT or not
 * (packets that conntrack calls invalid are not translated).
 */
import type { NftRule } from '../hoststate/nft.ts';
import {
  accept,
  anyOf,
  concat,
  daddr,
  drop,
  families,
  iifname,
  is,
  isNot,
  l4proto,
  oifname,
  prefixExpr,
  rule,
  saddr,
  type TableParts,
  thDport,
  words,
} from './nft-words.ts';
import type { PublishRules } from './nft-publish.ts';
import { outerDns } from './nft-outer.ts';
import type { HostPolicy } from './policy-model.ts';
import { familyOf } from './prefixes.ts';
import { WEFT_DNS_PORT } from '../hoststate/ports.ts';

/** NF_IP_PRI_NAT_DST and _SRC, and after both. */
const DSTNAT = -100;
const SRCNAT = 100;
const AFTER_NAT = 300;

export function natChains(policy: HostPolicy, parts: TableParts, published: PublishRules): void {
  const toDns = (family: 4 | 6, inside: boolean): NftRule =>
    rule(
      inside
        ? is(concat(iifname, daddr(family)), `@gateway${words[family].suffix}`)
        : is(daddr(family), `@gateways${words[family].suffix}`),
      is(l4proto, anyOf('tcp', 'udp')),
      is(thDport, 53),
      { dnat: { port: WEFT_DNS_PORT } },
    );
  const used = families.filter((family) => policy.networks.some((n) => n.subnets.some((subnet) => familyOf(subnet) === family)));
  parts.chain(
    'nat_prerouting',
    [...answeredElsewhere(policy, parts), ...used.map((family) => toDns(family, true)), ...outerDns(parts), ...published.prerouting],
    {
      type: 'nat',
      hook: 'prerouting',
      priority: DSTNAT,
      policy: 'accept',
    },
  );
  // The host's own resolver asks there too.
  parts.chain('nat_output', [...used.map((family) => toDns(family, false)), ...published.output], {
    type: 'nat',
    hook: 'output',
    priority: DSTNAT,
    policy: 'accept',
  });
  leaving(policy, parts, published);
}

/** Interfaces with the gateway at which a network's guests ask for names, where they are answered at another address. */
export const askedSet = (network: string, family: 4 | 6): string => `asked${words[family].suffix}_${network.toLowerCase()}`;

function answeredElsewhere(policy: HostPolicy, parts: TableParts): NftRule[] {
  return policy.networks.flatMap(({ name, dnsAt }) =>
    dnsAt.flatMap(({ asked, answers }) => {
      const family = familyOf(asked);
      const set = askedSet(name, family);
      if (!parts.sets.some((one) => one.name === set)) return [];
      return [
        rule(is(concat(iifname, daddr(family)), `@${set}`), is(l4proto, anyOf('tcp', 'udp')), is(thDport, 53), {
          dnat: { family: words[family].ip, addr: answers, port: WEFT_DNS_PORT },
        }),
      ];
    }),
  );
}

function leaving(policy: HostPolicy, parts: TableParts, published: PublishRules): void {
  const nat: NftRule[] = [...published.postrouting];
  for (const network of policy.networks) {
    const { snat } = network;
    if (snat === undefined || policy.uplink === undefined || network.isolated) continue;
    const family = familyOf(snat);
    for (const subnet of network.subnets.filter((text) => familyOf(text) === family)) {
      nat.push(rule(is(saddr(family), prefixExpr(subnet)), is(oifname, policy.uplink), { snat: { family: words[family].ip, addr: snat } }));
    }
  }
  const kept: NftRule[] = [];
  for (const family of families) {
    const { suffix, type } = words[family];
    const keptIn = (of: HostPolicy['networks']): string[] => of.flatMap((n) => n.keptIn.filter((subnet) => familyOf(subnet) === family));
    const translated = keptIn(policy.networks.filter((n) => !n.isolated));
    if (parts.set(`masquerade${suffix}`, [type], translated.map(prefixExpr), true)) {
      nat.push(rule(is(saddr(family), `@masquerade${suffix}`), isNot(oifname, '@inner'), { masquerade: null }));
    }
    if (keptIn(policy.networks).length > 0) kept.push(rule(is(saddr(family), `@kept_in${suffix}`), drop));
  }
  parts.chain('nat_postrouting', nat, { type: 'nat', hook: 'postrouting', priority: SRCNAT, policy: 'accept' });
  const guard = kept.length > 0 ? [rule(is(oifname, '@inner'), accept), ...kept] : [];
  parts.chain('postrouting', guard, { type: 'filter', hook: 'postrouting', priority: AFTER_NAT, policy: 'accept' });
}
