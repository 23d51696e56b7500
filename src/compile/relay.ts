/**
 * The relay's configuration, and which of the networks' resolvers ask it what: for the domains in rules, and only on networks whose guests those rules speak of.
 * dnsmasq cannot fill the sets itself: its `nftset=` takes every name below one, and adds addresses for ever (dnsmasq 2.90).
 */
import { hash } from 'node:crypto';
import type { Fabric, Network } from '../fabric/model.ts';
import type { RelayListener, RelayService, RelayUpstream } from '../hoststate/model.ts';
import { domainsByGuest, domainsOf } from './domain-sets.ts';
import { gatewaysOf, HOST_RESOLV_FILE, LONGEST_TTL_SECONDS, upstreamsOf } from './dnsmasq.ts';
import type { HostPolicy } from './policy-model.ts';
import { WEFT_RELAY_PORT } from './ports.ts';

/** A program that connects a little after its name server's answer has run out still reaches what it was told. */
const GRACE_SECONDS = 60;

export interface CompiledRelay {
  /** Undefined when no rule names a domain. */
  readonly service: RelayService | undefined;
  /** By network: `server=/updates.example.org/127.87.3.9#53054` for its dnsmasq. */
  readonly servers: ReadonlyMap<string, readonly string[]>;
}

export function compileRelay(fabric: Fabric, hostName: string, policy: HostPolicy): CompiledRelay {
  const domains = domainsOf(policy);
  const servers = new Map<string, readonly string[]>();
  const listeners = new Map<string, RelayListener>();
  const wanted = namesByNetwork(fabric, policy);
  for (const network of fabric.networks.filter((one) => one.host === hostName && one.kind === 'nat')) {
    const names = wanted.get(network.name);
    if (names === undefined) continue;
    const { address, port } = listenerFor(upstreamOf(fabric, network), listeners);
    servers.set(
      network.name,
      [...names].sort().map((name) => `server=/${name}/${address}#${port}`),
    );
  }
  if (listeners.size === 0) return { service: undefined, servers };
  const config = {
    domains,
    listeners: [...listeners.values()].sort((a, b) => (a.address < b.address ? -1 : 1)),
    graceSeconds: GRACE_SECONDS,
    longestSeconds: LONGEST_TTL_SECONDS,
  };
  return { service: { kind: 'relay', name: 'relay', config }, servers };
}

/**
 * Network to the names its resolver passes on; of `*.example.org` that is example.org, since dnsmasq takes a name with all below it. A guest asks any of its networks'
 * gateways.
 */
function namesByNetwork(fabric: Fabric, policy: HostPolicy): ReadonlyMap<string, ReadonlySet<string>> {
  const byGuest = domainsByGuest(policy);
  const found = new Map<string, Set<string>>();
  for (const { name, nics } of fabric.guests) {
    const domains = byGuest.get(name);
    if (domains === undefined) continue;
    for (const { network } of nics) {
      const names = found.get(network) ?? new Set();
      found.set(network, names);
      for (const domain of domains) names.add(domain.replace(/^\*\./, ''));
    }
  }
  return found;
}

function upstreamOf(fabric: Fabric, network: Network): RelayUpstream {
  const servers = upstreamsOf(fabric, network);
  if (servers.length > 0) return { kind: 'servers', servers };
  // The host itself may have one of Weft's gateways as its name server.
  return { kind: 'follow', file: HOST_RESOLV_FILE, except: fabric.networks.flatMap(gatewaysOf).sort() };
}

/** Networks that ask the same servers share a listener. Its address is made of them, so that others coming and going do not move it. */
function listenerFor(upstream: RelayUpstream, listeners: Map<string, RelayListener>): RelayListener {
  const key = JSON.stringify(upstream);
  const known = listeners.get(key);
  if (known) return known;
  const taken = new Set([...listeners.values()].map(({ address }) => address));
  for (let round = 0; ; round++) {
    const [third = 0, fourth = 0] = hash('sha1', `${round} ${key}`, 'buffer');
    const address = `127.87.${third}.${1 + (fourth % 254)}`;
    if (taken.has(address)) continue;
    const listener = { address, port: WEFT_RELAY_PORT, upstream };
    listeners.set(key, listener);
    return listener;
  }
}
