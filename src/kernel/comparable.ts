/**
 * What of a capture must be the same when nothing has been changed: counters, handles, timers, indices and learned entries taken out,
 * lists without an order of their own sorted. "Apply then destroy leaves the host as it was" is equality of this.
 */
import { isRecord } from '../hoststate/nft-json.ts';
import type { CaptureDocument } from './capture.ts';

/**
 * - nftables: no handles, no metainfo, counters at zero, no expiry times; elements sorted
 * - links, addresses, bridge: no indices, timers, port identifiers or statistics; sorted by name. Flags and state of a carrier stay out, since they follow
 *   the far end
 * - routes: no expiry; sorted. Neighbours: permanent ones only. Sysctls: without those that count or tell time
 */
export function comparable(capture: CaptureDocument): unknown {
  return {
    nftables: ruleset(capture.nftables),
    links: sorted(cleaned(capture.links)),
    addresses: sorted(cleaned(capture.addresses)),
    routes4: sorted(cleaned(capture.routes4)),
    routes6: sorted(cleaned(capture.routes6)),
    rules4: sorted(cleaned(capture.rules4)),
    rules6: sorted(cleaned(capture.rules6)),
    neighbors: sorted(cleaned(permanent(capture.neighbors))),
    bridge: sorted(cleaned(capture.bridge)),
    sysctls: capture.sysctls && Object.fromEntries(Object.entries(capture.sysctls).filter(([key]) => !restless.test(key))),
    wireguard: capture.wireguard
      ?.split('\n')
      .map((line) => line.split('\t'))
      // A peer's latest handshake and its two counters.
      .map((fields) => (fields.length === 9 ? [...fields.slice(0, 5), fields[8]] : fields)),
  };
}

/** Keys of `ip` and `bridge` output that change by themselves, or with the order in which things were made. */
const volatileKeys: ReadonlySet<string> = new Set([
  'ifindex',
  'link_index',
  'link_netnsid',
  'stats',
  'stats64',
  'valid_life_time',
  'preferred_life_time',
  'expires',
  'used',
  'confirmed',
  'updated',
  'operstate',
  'flags',
  'promiscuity',
  'allmulti',
  'hello_timer',
  'tcn_timer',
  'topology_change_timer',
  'gc_timer',
  'hold_timer',
  'message_age_timer',
  'forward_delay_timer',
  'topology_change',
  'topology_change_detected',
  'tentative',
  'age',
]);

/** Settings that the kernel itself changes: caches, limits that follow memory, random numbers. */
const restless =
  /\/(nf_conntrack_(count|buckets|max)|route\/flush|random\/.*|tcp_mem|udp_mem|fib_sync_mem)$|\/inet_peer_|\/ip_local_reserved_ports$/;

function cleaned(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(cleaned);
  if (!isRecord(value)) return value;
  const entries = Object.entries(value)
    .filter(([key]) => !volatileKeys.has(key))
    .map(([key, entry]): [string, unknown] => [key, cleaned(entry)]);
  // `up` is the one flag that says what somebody has set.
  if (Array.isArray(value['flags']) && 'ifname' in value) entries.push(['up', value['flags'].includes('UP')]);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function sorted(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  const keyed = value.map((entry): [string, unknown] => [JSON.stringify(entry), entry]);
  return keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)).map(([, entry]) => entry);
}

function permanent(neighbors: unknown): unknown {
  if (!Array.isArray(neighbors)) return neighbors;
  return neighbors.filter((entry) => isRecord(entry) && Array.isArray(entry['state']) && entry['state'].includes('PERMANENT'));
}

function ruleset(value: unknown): unknown {
  const objects = isRecord(value) ? value['nftables'] : undefined;
  if (!Array.isArray(objects)) return undefined;
  return objects.filter((entry) => isRecord(entry) && !('metainfo' in entry)).map(withoutNumbers);
}

function withoutNumbers(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNumbers);
  if (!isRecord(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => key !== 'handle' && key !== 'expires')
      .map(([key, entry]): [string, unknown] => {
        if (key === 'counter' && isRecord(entry)) return [key, withoutNumbers({ ...entry, packets: 0, bytes: 0 })];
        if (key === 'elem') return [key, sorted(withoutNumbers(entry))];
        return [key, withoutNumbers(entry)];
      }),
  );
}
