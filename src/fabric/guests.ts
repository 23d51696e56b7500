/**
 * Guests of the file with their networks, hosts and outer guests resolved, and what a NIC has without
 * an address: its port, and whether it is the default one.
 */
import type { FileModel, GuestEntry, Path } from '../config/model.ts';
import type { GuestDraft, HostDraft, NetworkDraft, NicDraft } from './drafts.ts';
import { portName } from './interfaces.ts';
import { didYouMean } from './did-you-mean.ts';
import type { Hosts, Networks } from './networks.ts';
import { key, value } from './problems.ts';
import type { Place, Problems } from './problems.ts';

/** Lower-case name to draft, in file order. */
export type Guests = ReadonlyMap<string, GuestDraft>;

/** Most ports of a bridge (linux/net/bridge/br_private.h: BR_MAX_PORTS 1024, and number 0 is not used). */
const BRIDGE_PORTS = 1023;

export function draftGuests(model: FileModel, hosts: Hosts, networks: Networks, problems: Problems): Guests {
  const guests = new Map<string, GuestDraft>();
  for (const [name, entry] of Object.entries(model.guests)) {
    if (!guests.has(name.toLowerCase())) guests.set(name.toLowerCase(), draftGuest(name, entry, hosts, networks, problems));
  }
  for (const guest of guests.values()) if (guest.entry.inside !== undefined) resolveInside(guest, guest.entry.inside, guests, problems);
  checkBridgePorts(guests, problems);
  return guests;
}

function draftGuest(name: string, entry: GuestEntry, hosts: Hosts, networks: Networks, problems: Problems): GuestDraft {
  const guest: GuestDraft = { name, entry, labels: entry.labels ?? {}, nics: [], host: undefined, outer: undefined };
  for (const [index, nic] of entry.nics.entries()) {
    const path = entry.nicPaths[index] ?? ['guests', name];
    const network = networks.get(nic.network.toLowerCase());
    if (!network) {
      const end = didYouMean(
        nic.network,
        [...networks.values()].map((n) => n.name),
      );
      problems.error('unknown-network', networkPlace(path), `there is no network \`${nic.network}\`${end}`);
    } else if (guest.nics.some((other) => other.network === network)) {
      problems.error(
        'bad-value',
        networkPlace(path),
        `the guest \`${name}\` has two NICs in the network \`${network.name}\`; give one of them another network, or make the second address a guest \`inside\` this one.`,
      );
    }
    guest.nics.push({
      guest,
      index,
      entry: nic,
      path,
      network,
      outer: undefined,
      port: portName(name, index),
      isDefault: false,
      egress: 'deny',
      v4: undefined,
      v6: undefined,
      bootstrap: undefined,
      mac: '',
    });
  }
  guest.host = hostOf(guest, hosts, problems);
  chooseDefault(guest, problems);
  if (entry.user !== undefined && entry.kind === 'namespace') {
    problems.error(
      'bad-value',
      value('guests', name, 'user'),
      `\`user\` has no meaning for a guest of kind namespace, which Weft itself makes; leave it out.`,
    );
  }
  return guest;
}

/** A guest without NICs belongs to the only host there is; among several it belongs to none. */
function hostOf(guest: GuestDraft, hosts: Hosts, problems: Problems): HostDraft | undefined {
  if (guest.nics.length === 0) return hosts.size === 1 ? [...hosts.values()][0] : undefined;
  let first: NicDraft | undefined;
  for (const nic of guest.nics) {
    if (!nic.network?.host) continue;
    if (first?.network?.host && first.network.host !== nic.network.host) {
      problems.error(
        'host-ambiguous',
        networkPlace(nic.path),
        `the guest \`${guest.name}\` has NICs on two hosts: \`${first.network.name}\` is on \`${first.network.host.name}\`, \`${nic.network.name}\` on \`${nic.network.host.name}\`; keep the networks of one host.`,
      );
      break;
    }
    first ??= nic;
  }
  return first?.network?.host;
}

/** The first NIC carries the default route unless another says so, or it says `default: false` itself. */
function chooseDefault(guest: GuestDraft, problems: Problems): void {
  const nic = guest.nics.find((n) => n.entry.default === true) ?? guest.nics.find((n) => n.entry.default !== false);
  if (nic) nic.isDefault = true;
  else if (guest.nics[0]) {
    problems.error(
      'bad-value',
      value(...guest.nics[0].path, 'default'),
      `no NIC of the guest \`${guest.name}\` may carry the default route; leave \`default: false\` out for one of them.`,
    );
  }
}

/** `web: internal` names the network without a key: then it is the whole text. */
const networkPlace = (path: Path): Place => value(...path, 'network');

function resolveInside(guest: GuestDraft, wanted: string, guests: Guests, problems: Problems): void {
  const at = value('guests', guest.name, 'inside');
  const outer = guests.get(wanted.toLowerCase());
  if (!outer) {
    const end = didYouMean(
      wanted,
      [...guests.values()].filter((g) => g.entry.inside === undefined).map((g) => g.name),
    );
    problems.error('unknown-guest', at, `there is no guest \`${wanted}\` to be inside of${end}`);
    return;
  }
  if (outer.entry.inside !== undefined) {
    const message =
      outer === guest
        ? `the guest \`${guest.name}\` cannot be inside itself; name the guest whose port it shares.`
        : `the guest \`${outer.name}\` is itself inside \`${outer.entry.inside}\`; name the guest that has the port.`;
    problems.error('inside-cycle', at, message);
    return;
  }
  guest.outer = outer;
  if (guest.entry.nics[0]?.dns) {
    const message = `the guest \`${guest.name}\` is inside \`${outer.name}\`, whose resolver it uses, so \`dns\` belongs to \`${outer.name}\`; leave it out here.`;
    problems.error('bad-value', value('guests', guest.name, 'dns'), message);
  }
  const [nic] = guest.nics;
  if (!nic?.network) return;
  nic.outer = outer.nics.find((other) => other.network === nic.network);
  if (!nic.outer && outer.nics.every((other) => other.network)) {
    const its = outer.nics.map((other) => other.network?.name).join(', ') || 'none';
    problems.error(
      'inside-not-in-network',
      networkPlace(nic.path),
      `the guest \`${outer.name}\`, which \`${guest.name}\` is inside of, has no NIC in the network \`${nic.network.name}\` (its networks: ${its}); give it one, or change the network here.`,
    );
  }
}

function checkBridgePorts(guests: Guests, problems: Problems): void {
  const ports = new Map<NetworkDraft, number>();
  for (const guest of guests.values()) {
    if (guest.entry.inside !== undefined) continue;
    for (const { network } of guest.nics) if (network && !network.routed) ports.set(network, (ports.get(network) ?? 0) + 1);
  }
  for (const [network, count] of ports) {
    if (count <= BRIDGE_PORTS) continue;
    problems.error(
      'bridge-full',
      key('networks', network.name),
      `the network \`${network.name}\` has ${count} ports, but a Linux bridge takes ${BRIDGE_PORTS}; spread its guests over several networks.`,
    );
  }
}
