/**
 * Fabric and host facts in, host state out: everything that has to be in the kernel of one host, and nothing about how it gets there. Pure and deterministic; the
 * result serialises to JSON as it is.
 */
import type { Fabric } from '../fabric/model.ts';
import type { HostFacts, HostState, Service, Sysctl } from '../hoststate/model.ts';
import { compileDnsmasq } from './dnsmasq.ts';
import { insides } from './insides.ts';
import { addresses, enslaved, fdb, links, neighbors } from './links.ts';
import { sortedBy, localNetworks, localNics } from './local-nics.ts';
import { managedUplink } from './managed.ts';
import { LOG_GROUP } from './nft-content.ts';
import { bridgeTable } from './nft-bridge.ts';
import { guardTable } from './nft-guard.ts';
import { policyTable } from './nft-policy.ts';
import { hostPolicy } from './policy.ts';
import type { HostPolicy } from './policy-model.ts';
import { proxies } from './proxies.ts';
import { routedPorts, routes } from './routed-ports.ts';
import { compileRelay } from './relay.ts';
import { sysctls } from './sysctls.ts';

export interface CompileOptions {
  /** Guest of kind container to the path of the namespace it was attached with. */
  readonly attachments?: ReadonlyMap<string, string>;
  /** The policy of this host, when the caller has it already ({@link hostPolicy}). */
  readonly policy?: HostPolicy;
  /** Default: {@link compileDnsmasq}. */
  readonly services?: typeof compileDnsmasq;
}

/**
 * Where `log group` of IPv4 goes: what libpcap sets anyway when the recorder starts (NFULNL_CFG_CMD_PF_BIND, for AF_INET alone), said here so that it is put
 * back when nothing is logged any more.
 */
const logTarget: Sysctl = { key: 'net/netfilter/nf_log/2', value: 'nfnetlink_log' };

/** The complete desired state of `hostName`. A host that is not in the fabric, or has no networks, gets an empty one. */
export function compileHost(fabric: Fabric, hostName: string, facts: HostFacts, options: CompileOptions = {}): HostState {
  const attachments = options.attachments ?? new Map<string, string>();
  const networks = localNetworks(fabric, hostName);
  const nics = localNics(fabric, hostName);
  const ports = routedPorts(nics, attachments);
  const managed = managedUplink(facts);
  const answered = proxies(nics, ports, facts);
  const policy = options.policy ?? hostPolicy(fabric, hostName, facts, nics);
  const macs = fabric.hosts.find((host) => host.name === hostName)?.macs ?? [];
  const guard = guardTable(nics, attachments, { macs, uplink: facts.uplink?.name });
  const tables = [policyTable(policy), guard, bridgeTable(nics)].filter((table) => table !== undefined);
  const relay = compileRelay(fabric, hostName, policy);
  const dnsmasq = (options.services ?? compileDnsmasq)(fabric, hostName, facts, { relayed: relay.servers, attachments });
  const services: Service[] = [
    ...dnsmasq,
    ...(relay.service ? [relay.service] : []),
    ...(policy.logs ? [{ kind: 'recorder', name: 'recorder', group: LOG_GROUP } as const] : []),
  ];
  return {
    fabric: fabric.name,
    host: hostName,
    modules: networks.some((network) => network.kind === 'bridged') ? ['br_netfilter'] : [],
    links: links(fabric, hostName, facts, nics, attachments),
    enslaved: enslaved(networks),
    addresses: [...addresses(networks, ports), ...managed.addresses],
    routes: [...routes(networks, nics, ports), ...managed.routes],
    neighbors: neighbors(nics, ports),
    proxies: answered,
    fdb: fdb(nics, attachments, policy),
    sysctls: [...sysctls(networks, ports, facts, answered), ...(policy.logs ? [logTarget] : [])],
    tables,
    guests: insides(fabric, hostName, facts, nics, attachments),
    services: sortedBy(services, (service) => service.name),
  };
}
