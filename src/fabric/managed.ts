/** `manage: true`: what has to stand in the file for Weft to set the uplink up by itself. */
import type { HostEntry } from '../config/model.ts';
import type { HostDraft } from './drafts.ts';
import { value } from './problems.ts';
import type { Problems } from './problems.ts';

/** Reports `missing-key`, `family-mismatch` and `bad-value`. */
export function managedUplink(name: string, entry: HostEntry, problems: Problems): { readonly gateways: readonly string[] } {
  const at = value('hosts', name, 'manage');
  const gateways = entry.gateway ?? [];
  const examples = { uplink: 'uplink: eth0', address: 'address: 203.0.113.10', gateway: 'gateway: 203.0.113.1' };
  for (const key of ['uplink', 'address', 'gateway'] as const) {
    if (entry[key] !== undefined) continue;
    const message = `with \`manage: true\` the host \`${name}\` needs \`${key}:\`, such as \`${examples[key]}\`; add it, or take \`manage\` out.`;
    problems.error('missing-key', at, message);
  }
  const addresses = entry.address ?? [];
  for (const [i, gateway] of gateways.entries()) {
    const place = value('hosts', name, 'gateway', i);
    const isV6 = gateway.includes(':');
    if (addresses.includes(gateway)) {
      problems.error(
        'bad-value',
        place,
        `the gateway ${gateway} is an address of the host \`${name}\` itself; write your provider's router here.`,
      );
    } else if (addresses.length > 0 && !addresses.some((address) => address.includes(':') === isV6)) {
      const family = isV6 ? 'IPv6' : 'IPv4';
      const message = `the gateway ${gateway} is ${family}, but the host \`${name}\` has no ${family} address; add one under \`address:\`, or leave this gateway out.`;
      problems.error('family-mismatch', place, message);
    }
  }
  return { gateways };
}

/** The host's own addresses would have to move to the bridge while Weft gives them: not both. */
export function checkManagedInterface(network: string, name: string, host: HostDraft, problems: Problems): void {
  if (host.managed === undefined || host.uplink !== name) return;
  problems.error(
    'interface-taken',
    value('networks', network, 'interface'),
    `${name} is the uplink of the host \`${host.name}\`, which Weft sets up itself (\`manage: true\`), so it cannot join the bridge of the network \`${network}\`; take \`manage\` out and set the uplink up with the system's own tools.`,
    { message: '`manage` is here', at: value('hosts', host.name, 'manage') },
  );
}
