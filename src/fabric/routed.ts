/**
 * What `addresses` and `bootstrap` of a routed network mean: checked prefixes, the guests' next hop, and the addresses at which the network's
 * DHCP and DNS answer.
 */
import { hash } from 'node:crypto';
import type { NetworkEntry } from '../config/model.ts';
import { formatIp, parseIp, parsePrefix, prefixContains } from '../net/ip.ts';
import type { Prefix } from '../net/ip.ts';
import type { HostDraft, RoutedPlan } from './drafts.ts';
import { value } from './problems.ts';
import type { Problems } from './problems.ts';
import { planSubnets, unusableIn } from './subnets.ts';

type RoutedEntry = Extract<NetworkEntry, { readonly kind: 'routed' }>;

/** Of a host whose IPv4 address is not declared. It is on-link at every port and nowhere else (RFC 3927). */
const LINK_LOCAL_GATEWAY = '169.254.1.1';

/** Longer than a subnet may be: single addresses. dnsmasq(8) serves no DHCPv6 in prefixes shorter than /64. */
const LENGTHS = { 4: { shortest: 8, longest: 32 }, 6: { shortest: 64, longest: 128 } } as const;

export function planRouted(
  name: string,
  entry: RoutedEntry,
  host: HostDraft | undefined,
  problems: Problems,
): { readonly plan: RoutedPlan; readonly sound: boolean } {
  const hostAddresses = host?.addresses ?? [];
  const prefixes: Prefix[] = [];
  for (const [i, text] of entry.addresses.entries()) {
    const problem = prefixProblem(text);
    const prefix = parsePrefix(text);
    if (problem !== undefined) problems.error('bad-prefix', value('networks', name, 'addresses', i), problem);
    else if (prefix) prefixes.push(prefix);
  }
  let sound = prefixes.length === entry.addresses.length;
  let bootstrap: RoutedPlan['bootstrap'];
  if (entry.bootstrap !== undefined) {
    // As a list of one: its place is then the scalar's.
    const plan = planSubnets(name, { subnet: [entry.bootstrap] }, ['networks', name], asBootstrap(name, problems));
    sound &&= plan.sound;
    bootstrap = plan.v4;
    if (plan.sound && !prefixes.some((prefix) => prefix.family === 4)) {
      sound = false;
      problems.error(
        'family-mismatch',
        value('networks', name, 'bootstrap'),
        `\`bootstrap\` is for guests with a public IPv4 address, and the network \`${name}\` lists none; add one to \`addresses\`, or leave \`bootstrap\` out.`,
      );
    }
  }
  const gateway4 = hostAddresses.find((address) => !address.includes(':')) ?? LINK_LOCAL_GATEWAY;
  return { plan: { prefixes, hostAddresses, gateway4, bootstrap }, sound };
}

function prefixProblem(text: string): string | undefined {
  const prefix = parsePrefix(text);
  if (!prefix) return `\`${text}\` is neither an address nor a prefix; write 203.0.113.8 or 203.0.113.8/29.`;
  const { shortest, longest } = LENGTHS[prefix.family];
  if (prefix.length < shortest)
    return `the prefix \`${text}\` is too large; an IPv${prefix.family} prefix here has a length from /${shortest} to /${longest}.`;
  const reason = unusableIn(prefix);
  return reason === undefined
    ? undefined
    : `\`${text}\` holds ${reason}, which guests cannot have; list the addresses your provider gave you.`;
}

/** What is wrong with the subnet is wrong with `bootstrap:`. */
function asBootstrap(name: string, problems: Problems): Problems {
  const at = value('networks', name, 'bootstrap');
  return { ...problems, error: (code, _, message, ...related) => problems.error(code, at, message, ...related) };
}

/** Why a guest may not have the address; undefined: it may. In IPv4 every address of a block is a guest's to have. */
export function routedReservation(plan: RoutedPlan, address: string): string | undefined {
  if (plan.hostAddresses.includes(address)) return 'an address of the host itself';
  const ip = parseIp(address);
  if (ip?.family !== 6) return undefined;
  const anycast = plan.prefixes.some(
    (prefix) => prefix.length < 128 && prefixContains(prefix, ip) && formatIp({ family: 6, words: prefix.words }) === address,
  );
  return anycast ? "the routers' anycast address of its prefix" : undefined;
}

/** The lowest free place for each routed network's IPv4 service address, from its name: 169.254.64.0/18, which nothing else uses (RFC 3927). */
export function serviceAddress4(network: string, taken: Set<string>): string {
  let at = Number.parseInt(hash('sha256', network.toLowerCase()).slice(0, 4), 16) % 0x4000;
  for (;;) {
    const address = `169.254.${64 + (at >> 8)}.${at & 255}`;
    if (!taken.has(address)) {
      taken.add(address);
      return address;
    }
    at = (at + 1) % 0x4000;
  }
}

/** A unique local address (RFC 4193) made of the names of fabric and network. */
export function serviceAddress6(fabric: string, network: string): string {
  const digest = hash('sha256', `${fabric}\0${network.toLowerCase()}`);
  const ip = parseIp(`fd${digest.slice(0, 2)}:${digest.slice(2, 6)}:${digest.slice(6, 10)}::1`);
  return ip ? formatIp(ip) : '';
}
