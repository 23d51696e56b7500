/**
 * What only the host can tell of a routed network: its prefixes may lie in the uplink's own subnet, where the provider's router and the host itself have
 * addresses that are no guest's.
 */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { Fabric, RoutedNetwork } from '../fabric/model.ts';
import type { HostFacts } from '../hoststate/model.ts';
import { familyBits, formatPrefix, parseIp, parsePrefix, prefixContains, prefixesOverlap, prefixWithin, type Prefix } from '../net/ip.ts';
import { onLinkAtUplink } from './prefixes.ts';

/** Code `subnet-in-use`, an error: a guest's address is the host's or its router's, a block would hide the router, or other interfaces have the prefix. */
export function routedProblems(fabric: Fabric, network: RoutedNetwork, facts: HostFacts): Diagnostic[] {
  return [...takenAddresses(fabric, network, facts), ...hiddenRouters(network, facts), ...elsewhere(network, facts)];
}

/** Each of the guests' addresses has to be theirs alone. */
function takenAddresses(fabric: Fabric, network: RoutedNetwork, facts: HostFacts): Diagnostic[] {
  const holders = new Map<string, string>();
  for (const { prefix: text, link } of facts.routes) {
    const prefix = parsePrefix(text);
    if (prefix?.length === (prefix && familyBits(prefix.family))) holders.set(text.replace(/\/\d+$/, ''), `on ${link}`);
  }
  for (const address of facts.uplink?.addresses ?? []) holders.set(address.replace(/\/\d+$/, ''), `on ${facts.uplink?.name}`);
  for (const gateway of facts.uplink?.gateways ?? []) holders.set(gateway, `as its router on ${facts.uplink?.name}`);
  return fabric.guests.flatMap((guest) =>
    guest.nics
      .filter((nic) => nic.network === network.name)
      .flatMap((nic) => [nic.v4, nic.v6])
      .flatMap((address): Diagnostic[] => {
        const where = address === undefined ? undefined : holders.get(address);
        if (where === undefined) return [];
        const message = `The address ${address} of \`${guest.name}\` is already in use on this host: ${where}; give the guest another one.`;
        return [{ code: 'subnet-in-use', severity: 'error', message, span: guest.span }];
      }),
  );
}

/** Addresses of a listed prefix that no guest has lead nowhere; where the uplink's own subnet is wider, its router would be among them. */
function hiddenRouters(network: RoutedNetwork, facts: HostFacts): Diagnostic[] {
  const onLink = onLinkAtUplink(facts);
  return prefixesIn(network).flatMap((prefix): Diagnostic[] => {
    const wider = onLink.some((other) => other.length < prefix.length && prefixWithin(prefix, other));
    const router = facts.uplink?.gateways.find((gateway) => {
      const ip = parseIp(gateway);
      return ip !== undefined && prefixContains(prefix, ip);
    });
    if (!wider || router === undefined) return [];
    const message = `The addresses ${formatPrefix(prefix)} of the network \`${network.name}\` hold ${router}, by which this host reaches the outer network; list the guests' addresses without it.`;
    return [{ code: 'subnet-in-use', severity: 'error', message }];
  });
}

/** The uplink may have the prefix; who else has it would lose it, or take it. */
function elsewhere(network: RoutedNetwork, facts: HostFacts): Diagnostic[] {
  return prefixesIn(network).flatMap((prefix) =>
    facts.routes.flatMap(({ prefix: text, link }): Diagnostic[] => {
      const other = parsePrefix(text);
      if (!other || link === facts.uplink?.name || other.length < prefix.length || !prefixesOverlap(prefix, other)) return [];
      const message = `The addresses ${formatPrefix(prefix)} of the network \`${network.name}\` are already in use on this host: ${text} on ${link}; list others, or remove that route or address.`;
      return [{ code: 'subnet-in-use', severity: 'error', message }];
    }),
  );
}

const prefixesIn = (network: RoutedNetwork): Prefix[] => network.prefixes.flatMap((text) => parsePrefix(text) ?? []);
