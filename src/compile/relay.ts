/**
 * The relay's configuration, and which of the networks' resolvers ask it what: for the domains in rules, and only on networks whose guests those rules speak of.
 * dnsmasq cannot fill the sets itself: its `nftset=` takes every name below one, and adds addresses for ever (dnsmasq 2.90).
 */
import { hash } from 'node:crypto';
import type { Fabric, Network } from '../fabric/model.ts';
import type { RelayListener, RelayService, RelayUpstream } from '../hoststate/model.ts';
import { LONGEST_TTL_SECONDS } from './dnsmasq.ts';
import { usedDomains, type UsedDomain } from './domain-sets.ts';
import type { HostPolicy } from './policy-model.ts';
import { WEFT_RELAY_PORT } from '../hoststate/ports.ts';
import { answeringAt, HOST_RESOLV_FILE, resolverOf, upstreamsOf } from './upstreams.ts';

/** A program that connects a little after its name server's answer has run out still reaches what it was told. */
const GRACE_SECONDS = 60;

export interface CompiledRelay {
  /** Undefined when no rule names a domain. */
  readonly service: RelayService | undefined;
  /** By network: `server=/updates.example.org/127.87.3.9#53054` for its dnsmasq. */
  readonly servers: ReadonlyMap<string, readonly string[]>;
}

export function compileRelay(fabric: Fabric, hostName: string, policy: HostPolicy): CompiledRelay {
  const used = usedDomains(policy);
  const servers = new Map<string, readonly string[]>();
  const listeners = new Map<string, RelayListener>();
  if (used.length === 0) return { service: undefined, servers };
  const networksOf = new Map(fabric.guests.map(({ name, nics }) => [name, nics.map(({ network }) => network)]));
  for (const network of fabric.networks.filter((one) => one.host === hostName)) {
    const resolver = resolverOf(fabric, network);
    if (resolver === undefined) continue;
    const known = used.filter((domain) => domain.resolver === resolver);
    const isHere = ({ guests }: UsedDomain): boolean => [...guests].some((guest) => networksOf.get(guest)?.includes(network.name));
    // dnsmasq takes a name with all below it: `*.example.org` is asked for as example.org.
    const names = new Set(known.filter(isHere).map(({ pattern }) => pattern.replace(/^\*\./, '')));
    if (names.size === 0) continue;
    const { address, port } = listenerFor(resolver, upstreamOf(fabric, network), known, listeners);
    servers.set(
      network.name,
      [...names].sort().map((name) => `server=/${name}/${address}#${port}`),
    );
  }
  const config = {
    listeners: [...listeners.values()].sort((a, b) => (a.address < b.address ? -1 : 1)),
    graceSeconds: GRACE_SECONDS,
    longestSeconds: LONGEST_TTL_SECONDS,
  };
  return { service: listeners.size === 0 ? undefined : { kind: 'relay', name: 'relay', config }, servers };
}

function upstreamOf(fabric: Fabric, network: Network): RelayUpstream {
  const servers = upstreamsOf(fabric, network);
  if (servers.length > 0) return { kind: 'servers', servers };
  // The host itself may have one of Weft's gateways as its name server.
  return { kind: 'follow', file: HOST_RESOLV_FILE, except: fabric.networks.flatMap(answeringAt).sort() };
}

/** Networks that ask the same servers share a listener. Its address is made of them, so that others coming and going do not move it. */
function listenerFor(
  resolver: string,
  upstream: RelayUpstream,
  used: readonly UsedDomain[],
  listeners: Map<string, RelayListener>,
): RelayListener {
  const known = listeners.get(resolver);
  if (known) return known;
  const domains = used.map(({ pattern, set4, set6 }) => ({
    pattern,
    ...(set4 === undefined ? {} : { set4 }),
    ...(set6 === undefined ? {} : { set6 }),
  }));
  const taken = new Set([...listeners.values()].map(({ address }) => address));
  for (let round = 0; ; round++) {
    const [third = 0, fourth = 0] = hash('sha1', `${round} ${resolver}`, 'buffer');
    const address = `127.87.${third}.${1 + (fourth % 254)}`;
    if (taken.has(address)) continue;
    const listener = { address, port: WEFT_RELAY_PORT, upstream, domains };
    listeners.set(resolver, listener);
    return listener;
  }
}
