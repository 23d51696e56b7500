/** From a file's text to the fabric and the host state it means, without a host. */
import { compileHost } from '../../src/compile/host.ts';
import { parseConfig } from '../../src/config/read.ts';
import type { Diagnostic } from '../../src/diagnostic/diagnostic.ts';
import { buildFabric } from '../../src/fabric/build.ts';
import type { Fabric } from '../../src/fabric/model.ts';
import { normalizeTable } from '../../src/hoststate/nft-normal.ts';
import type { HostFacts, HostState } from '../../src/hoststate/model.ts';

/** A host with a dual-stack uplink that does not forward yet. */
export const facts: HostFacts = {
  uplink: { name: 'eth0', mtu: 1500, mac: '02:00:00:00:aa:01', gateways: [], addresses: ['203.0.113.10/24', '2001:db8::10/64'], v6: true },
  interfaces: [],
  forwarding: { v4: false, v6: false },
  acceptRa: ['eth0'],
  routes: [],
  features: { forceForwarding: true, bridgeNetfilter: true },
};

/** Throws with the problems' messages when the file is wrong. */
export function fabricOf(text: string): { readonly fabric: Fabric; readonly host: string } {
  const problems: Diagnostic[] = [];
  const report = (diagnostic: Diagnostic): void => void problems.push(diagnostic);
  const config = parseConfig('weft.yaml', '/x', text, report);
  const fabric = config && buildFabric(config, undefined, report);
  const host = fabric?.hosts[0]?.name;
  if (!fabric || host === undefined) throw new Error(problems.map((problem) => problem.message).join('\n'));
  return { fabric, host };
}

/** As an apply would record it; with `attached` every container is, in /run/netns/c-GUEST. */
export function stateOf(text: string, { attached = false }: { readonly attached?: boolean } = {}): HostState {
  const { fabric, host } = fabricOf(text);
  const containers = fabric.guests.filter((guest) => guest.kind === 'container').map((guest) => guest.name);
  const attachments = new Map(attached ? containers.map((name) => [name, `/run/netns/c-${name}`] as const) : []);
  const state = compileHost(fabric, host, facts, { attachments });
  return { ...state, tables: state.tables.map(normalizeTable) };
}
