/**
 * Prints the policy of a host as `table inet weft`. Base chains and their rules depend on the kinds of networks and rules there are, not on how many:
 * what differs between guests is elements of hash sets and verdict maps, and chains shared by content (kernel.md: the cost per packet stays flat).
 */
import type { NftTable } from '../hoststate/nft.ts';
import { forwardChains, inputChains, outputChains } from './nft-chains.ts';
import { policyLookups } from './nft-lookups.ts';
import { askedSet, natChains } from './nft-nat.ts';
import { publishRules } from './nft-publish.ts';
import { outerSets } from './nft-outer.ts';
import { concat, families, prefixExpr, TableParts, words } from './nft-words.ts';
import type { HostPolicy } from './policy-model.ts';
import { familyOf } from './prefixes.ts';

/** The policy and NAT table of a host; undefined for a host without networks. */
export function policyTable(policy: HostPolicy): NftTable | undefined {
  if (policy.networks.length === 0) return undefined;
  const parts = new TableParts();
  interfaceSets(policy, parts);
  addressSets(policy, parts);
  outerSets(policy, parts);
  const lookups = policyLookups(policy, parts);
  const published = publishRules(policy, parts);
  forwardChains(policy, parts, lookups, published);
  inputChains(policy, parts, lookups);
  outputChains(policy, parts, lookups, published);
  natChains(policy, parts, published);
  return parts.table('inet');
}

/** `ours`: all interfaces behind which guests are; `inner`: with the loopback; `filtered`: those with a policy; `isolated`; `from_host`: where the host may connect by default. */
function interfaceSets({ networks }: HostPolicy, parts: TableParts): void {
  // `-` is no interface: it keeps the set there while a network without a bridge has no port.
  const names = (of: HostPolicy['networks']): string[] => {
    const found = of.flatMap((network) => network.interfaces);
    return found.length === 0 && of.length > 0 ? ['-'] : found;
  };
  const filtered = networks.filter((network) => network.filtered);
  parts.set('ours', ['ifname'], names(networks));
  parts.set('inner', ['ifname'], ['lo', ...names(networks)]);
  parts.set('filtered', ['ifname'], names(filtered));
  parts.set('isolated', ['ifname'], names(networks.filter((network) => network.isolated)));
  const open = filtered.filter((network) => network.fromHost);
  parts.set('from_host', ['ifname'], [...names(open), ...open.flatMap(({ shared }) => shared?.bridge ?? [])]);
}

function addressSets({ networks, elsewhere, notInternet, endpoints }: HostPolicy, parts: TableParts): void {
  for (const family of families) {
    const { suffix, type } = words[family];
    const own = (text: string): boolean => familyOf(text) === family;
    const gateways = networks.flatMap((network) =>
      network.gateways.filter(own).map((gateway) => ({ gateway, interfaces: network.interfaces })),
    );
    const pairs = gateways.flatMap(({ gateway, interfaces }) => interfaces.map((name) => concat(name, gateway)));
    parts.set(`gateway${suffix}`, ['ifname', type], pairs.length === 0 ? gateways.map(({ gateway }) => concat('-', gateway)) : pairs);
    const hosts = new Set(networks.flatMap((network) => network.hostGateways));
    parts.set(
      `gateways${suffix}`,
      [type],
      gateways.filter(({ gateway }) => !gateway.startsWith('fe80:') && !hosts.has(gateway)).map(({ gateway }) => gateway),
    );
    for (const { name, interfaces, dnsAt } of networks) {
      const asked = dnsAt.find((pair) => own(pair.asked))?.asked;
      if (asked !== undefined)
        parts.set(
          askedSet(name, family),
          ['ifname', type],
          interfaces.map((link) => concat(link, asked)),
        );
    }
    parts.set(`not_internet${suffix}`, [type], notInternet.filter(own).map(prefixExpr), true);
    parts.set(`elsewhere${suffix}`, [type], elsewhere.filter(own).map(prefixExpr), true);
    parts.set(`subnets${suffix}`, [type], [...networks.flatMap((n) => n.subnets), ...elsewhere].filter(own).map(prefixExpr), true);
    const keptIn = networks.flatMap((network) => network.keptIn).filter(own);
    parts.set(`kept_in${suffix}`, [type], keptIn.map(prefixExpr), true);
    const logged = [...endpoints.values()].filter((endpoint) => endpoint.logDropped && endpoint.family === family);
    parts.set(
      `log_dropped${suffix}`,
      [type],
      logged.map((endpoint) => endpoint.address),
    );
  }
}
