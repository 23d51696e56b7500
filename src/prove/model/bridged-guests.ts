/** Whose addresses are behind which MAC on the outer networks that this host's guests are bridged to: no entry of the kernel's says so. */
import type { Fabric } from '../../fabric/model.ts';

export function bridgedGuests(fabric: Fabric, host: string): ReadonlyMap<string, readonly string[]> {
  const networks = new Set(fabric.networks.filter((one) => one.kind === 'bridged' && one.host === host).map(({ name }) => name));
  const found = new Map<string, string[]>();
  for (const { nics } of fabric.guests) {
    for (const { network, mac, v4, v6 } of nics) {
      if (!networks.has(network)) continue;
      const own = [v4, v6].filter((address) => address !== undefined);
      found.set(mac, [...(found.get(mac) ?? []), ...own]);
    }
  }
  return found;
}
