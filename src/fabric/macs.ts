/**
 * MACs of guests' NICs and of bridges: declared, else kept from the lock, else derived from fabric and guest name, so that
 * the same file gives the same MACs on every machine. Locally administered unicast: the first octet is 02.
 */
import { hash } from 'node:crypto';
import type { NetworkDraft, NicDraft } from './drafts.ts';
import type { Guests } from './guests.ts';
import type { LockedFacts } from './locked.ts';
import { value } from './problems.ts';
import type { Place, Problems } from './problems.ts';

interface Holder {
  readonly guest: string;
  readonly at: Place;
}

/**
 * Sets `mac` of every NIC and returns the bridges'. Reports `mac-multicast`, `mac-taken` (two declare the same) and
 * `lock-conflict` (one declares what the lock gives another).
 */
export function chooseMacs(
  fabric: string,
  guests: Guests,
  networks: Iterable<NetworkDraft>,
  locked: LockedFacts,
  problems: Problems,
): ReadonlyMap<NetworkDraft, string> {
  const taken = new Map<string, Holder>();
  const open: NicDraft[] = [];
  const nics: NicDraft[] = [];
  for (const guest of guests.values()) if (guest.entry.inside === undefined) nics.push(...guest.nics);
  for (const nic of nics) {
    if (nic.entry.mac === undefined) continue;
    nic.mac = nic.entry.mac.toLowerCase();
    const holder = { guest: nic.guest.name, at: value(...nic.path, 'mac') };
    const first = taken.get(nic.mac);
    if (isMulticast(nic.mac)) {
      const better = withOctet(nic.mac, (octet) => octet & 0xfe);
      problems.error(
        'mac-multicast',
        holder.at,
        `${nic.mac} is a multicast address, which no NIC can have; its first octet has to be even, such as ${better}.`,
      );
    } else if (nic.mac === '00:00:00:00:00:00') {
      problems.error('bad-mac', holder.at, `${nic.mac} means "no address"; leave \`mac\` out to get one.`);
    } else if (first) {
      problems.error(
        'mac-taken',
        holder.at,
        `the MAC ${nic.mac} belongs to the guest \`${first.guest}\` already; leave \`mac\` out to get one of its own.`,
        {
          message: `\`${first.guest}\` has it here`,
          at: first.at,
        },
      );
    } else taken.set(nic.mac, holder);
  }
  for (const nic of nics) {
    if (nic.entry.mac !== undefined) continue;
    const mac = locked.mac(nic);
    const holder = mac === undefined ? undefined : taken.get(mac);
    if (mac === undefined || (holder && !isDeclared(holder))) {
      open.push(nic);
    } else if (holder) {
      nic.mac = mac;
      problems.error(
        'lock-conflict',
        holder.at,
        `the guest \`${holder.guest}\` declares the MAC ${mac}, which weft.lock keeps for \`${nic.guest.name}\`; take another one, or give \`${nic.guest.name}\` a \`mac\` too.`,
        { message: `\`${nic.guest.name}\` is here`, at: value(...nic.path) },
      );
    } else {
      nic.mac = mac;
      taken.set(mac, { guest: nic.guest.name, at: LOCKED });
    }
  }
  for (const nic of open) {
    nic.mac = freeMac([fabric, nic.guest.name.toLowerCase(), String(nic.index)], taken);
    taken.set(nic.mac, { guest: nic.guest.name, at: LOCKED });
  }
  for (const guest of guests.values()) for (const nic of guest.nics) if (nic.outer) nic.mac = nic.outer.mac;
  const bridges = new Map<NetworkDraft, string>();
  for (const network of networks) {
    if (network.routed) continue;
    const name = network.name.toLowerCase();
    const kept = locked.bridge(name);
    const mac = kept !== undefined && !taken.has(kept) ? kept : freeMac([fabric, name, 'bridge'], taken);
    taken.set(mac, { guest: '', at: LOCKED });
    bridges.set(network, mac);
  }
  return bridges;
}

/** `02:` and the first five octets of SHA-256 over the parts joined with NUL. */
export function deriveMac(parts: readonly string[]): string {
  const digest = hash('sha256', parts.join('\0'));
  return `02:${digest.slice(0, 2)}:${digest.slice(2, 4)}:${digest.slice(4, 6)}:${digest.slice(6, 8)}:${digest.slice(8, 10)}`;
}

const LOCKED: Place = { path: [] };
const isDeclared = (holder: Holder): boolean => holder.at !== LOCKED;

const isMulticast = (mac: string): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;

function withOctet(mac: string, change: (octet: number) => number): string {
  return (
    change(Number.parseInt(mac.slice(0, 2), 16))
      .toString(16)
      .padStart(2, '0') + mac.slice(2)
  );
}

/** On a clash (a NIC that moved up keeps its old MAC, or two hashes meet) a counter joins the hash. */
function freeMac(parts: readonly string[], taken: ReadonlyMap<string, unknown>): string {
  let mac = deriveMac(parts);
  for (let i = 1; taken.has(mac); i++) mac = deriveMac([...parts, String(i)]);
  return mac;
}
