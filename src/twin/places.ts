/**
 * Where in the twin a party of a flow stands: the namespace to probe from or to, and the address to use. Large parties are sampled; few
 * guests are shared by all probes, because each namespace that takes part costs an agent process.
 */
import { gatewaysOf, prefixesOf } from '../fabric/addressing.ts';
import type { Fabric, Guest, Nic, Party } from '../fabric/model.ts';
import { resolveFlow } from '../fabric/resolve.ts';
import type { Family } from '../net/ip.ts';
import { parseIp, parsePrefix, prefixContains } from '../net/ip.ts';
import { firstHost } from '../fabric/outer-lans.ts';
import type { TwinPlan } from './twin-fabric.ts';

/** One address of a party, and the namespace it lives in. */
export interface Place {
  /** Guest name, `guest.network` where it has several NICs, the host's name, `internet`, or a prefix as written. */
  readonly label: string;
  readonly kind: 'guest' | 'host' | 'outside';
  readonly namespace: string;
  readonly address: string;
  readonly family: Family;
  /** Of guests: its network. */
  readonly network?: string;
  readonly guest?: string;
}

export interface Places {
  /** Addresses that stand for the party; `others` decides what `host` means: the gateway of the guest on the other side. */
  of(party: Party, other: Place | undefined): readonly Place[];
  /** All guests' places, in file order, sampled to the budget. */
  readonly guests: readonly Place[];
  readonly outside: readonly Place[];
  /**
   * Whether a packet can be sent between them and be answered: one family, two namespaces, and guests with several NICs send by the one that
   * has the address. (What a guest sends by another NIC is forged in the port's eyes, whatever the rules say.)
   */
  meet(from: Place, to: Place): boolean;
  /** The host as this guest's gateway. */
  gatewayOf(place: Place): Place | undefined;
  /** Guests of this host there are, and how many of them take part. */
  readonly total: number;
  readonly taken: number;
}

/** How many guests that something names take part at most, and how many where nothing names them. */
export interface GuestBudget {
  readonly named: number;
  readonly others: number;
}

const usualBudget: GuestBudget = { named: 256, others: 20 };

export function placesOf(plan: TwinPlan, hostNamespace: string, outerNamespace: string, budget: GuestBudget = usualBudget): Places {
  const { fabric } = plan;
  const local = fabric.guests.filter((guest) => guest.host === plan.host && guest.nics.length > 0);
  const chosen = new Set(chooseGuests(fabric, local, budget).map((guest) => guest.name));
  const byGuest = new Map(local.filter((guest) => chosen.has(guest.name)).map((guest) => [guest.name, guestPlaces(fabric, guest)]));
  const outsidePlace = (address: string, label: string): Place => ({
    label,
    kind: 'outside',
    namespace: outerNamespace,
    address,
    family: familyOf(address),
  });
  const outside = plan.outside.map((address) => outsidePlace(address, 'internet'));
  const guests = [...byGuest.values()].flat();

  const hostPlace = (address: string): Place => ({
    label: plan.host,
    kind: 'host',
    namespace: hostNamespace,
    address,
    family: familyOf(address),
  });
  const uplink = plan.bedHost.addresses.map((address) => hostPlace(address.split('/')[0] ?? ''));
  function gatewayOf(place: Place): Place | undefined {
    const network = fabric.networks.find((one) => one.name === place.network);
    const lan = plan.lans.find((one) => one.network === place.network);
    // The outer network's router is not the host.
    const there = lan?.host.map((own) => own.split('/')[0] ?? '').find((own) => familyOf(own) === place.family);
    if (lan !== undefined) return there === undefined ? undefined : hostPlace(there);
    const address = network && gatewaysOf(network).find((gateway) => familyOf(gateway) === place.family);
    return address === undefined ? undefined : hostPlace(address);
  }

  const meet = (from: Place, to: Place): boolean =>
    from.family === to.family && from.namespace !== to.namespace && leavesByOwn(fabric, from, to) && leavesByOwn(fabric, to, from);

  function of(party: Party, other: Place | undefined): readonly Place[] {
    switch (party.kind) {
      case 'guests': {
        const names = [...new Set(party.endpoints.map((endpoint) => endpoint.guest))];
        return names.flatMap((name) => {
          const wanted = new Set(party.endpoints.filter((endpoint) => endpoint.guest === name).map((endpoint) => endpoint.nic));
          const guest = fabric.guests.find((one) => one.name === name);
          const addresses = new Set(guest?.nics.filter((nic) => wanted.has(nic.index)).flatMap((nic) => [nic.v4, nic.v6]));
          return (byGuest.get(name) ?? []).filter((place) => addresses.has(place.address));
        });
      }
      case 'prefix':
        return inPrefix(party.prefix, party.text);
      case 'internet':
        return outside;
      case 'any':
        return [...guests, ...outside];
      case 'domain':
        // Nobody answers for it in the twin.
        return [];
      case 'host':
      case 'named-host': {
        if (party.kind === 'named-host' && party.host !== plan.host) return [];
        const gateway = other && gatewayOf(other);
        return gateway ? [gateway] : uplink;
      }
    }
  }

  /** Guests in the prefix; else the host, if it is its address; else the first address of it, played by the outer world. */
  function inPrefix(text: string, label: string): readonly Place[] {
    const prefix = parsePrefix(text);
    if (!prefix) return [];
    const holds = (place: Place): boolean => {
      const ip = parseIp(place.address);
      return ip !== undefined && prefixContains(prefix, ip);
    };
    const mine = guests.filter(holds);
    const beside = plan.lans
      .flatMap((lan) => [...lan.neighbours, ...lan.routers].map((address) => outsidePlace(address, label)))
      .filter(holds);
    if (mine.length > 0 || beside.length > 0) return [...mine, ...beside];
    const own = [...uplink, ...guests.flatMap((place) => gatewayOf(place) ?? [])].filter(holds);
    if (own.length > 0) return own.slice(0, 1);
    return [outsidePlace(firstHost(text), label)];
  }

  return { of, guests, outside, gatewayOf, meet, total: local.length, taken: byGuest.size };
}

/** Those that rules and expectations name, in their order, so that each is tried with somebody; others fill up. */
export function chooseGuests(fabric: Fabric, local: readonly Guest[], budget: GuestBudget): readonly Guest[] {
  if (local.length <= budget.others) return local;
  const byName = new Map(local.map((guest) => [guest.name, guest]));
  const named = new Set<Guest>();
  for (const party of partiesOf(fabric)) {
    if (party.kind !== 'guests') continue;
    // Two of each party, so that one big group does not use the budget up.
    const members = new Set(party.endpoints.flatMap(({ guest }) => byName.get(guest) ?? []));
    for (const guest of [...members].slice(0, 2)) named.add(guest);
  }
  const chosen = new Set<Guest>();
  const namespaces = new Set<string>();
  const take = (guests: Iterable<Guest>, atMost: number): void => {
    for (const guest of guests) {
      const namespace = guest.inside ?? guest.name;
      if (!namespaces.has(namespace) && namespaces.size >= atMost) continue;
      namespaces.add(namespace);
      if (chosen.size < 2 * atMost) chosen.add(guest);
    }
  };
  take(named, budget.named);
  take(local, budget.others);
  return local.filter((guest) => chosen.has(guest));
}

function partiesOf(fabric: Fabric): readonly Party[] {
  const flows = fabric.expect.flatMap((entry) => ('flow' in entry ? [entry.flow] : entry.kind === 'exposed' ? entry.flows : []));
  const sides = flows.flatMap((flow) => resolveFlow(fabric, flow, undefined, () => undefined) ?? []);
  const published = fabric.publish.map(({ from, to }) => ({
    from: from ?? [],
    to: [{ kind: 'guests', text: to.guest, endpoints: [to] } as const],
  }));
  return [...fabric.block, ...fabric.allow, ...published, ...sides].flatMap(({ from, to }) => [...from, ...to]);
}

/** Every address of every NIC. */
function guestPlaces(fabric: Fabric, guest: Guest): readonly Place[] {
  const outer = fabric.guests.find((one) => one.name === (guest.inside ?? guest.name));
  if (outer?.namespace === undefined) return [];
  const namespace = `/run/netns/${outer.namespace}`;
  return guest.nics.flatMap((nic: Nic) =>
    [nic.v4, nic.v6].flatMap((address): Place | readonly Place[] => {
      if (address === undefined) return [];
      const label = guest.nics.length > 1 ? `${guest.name}.${nic.network}` : guest.name;
      return { label, kind: 'guest', namespace, address, family: familyOf(address), network: nic.network, guest: guest.name };
    }),
  );
}

/** Inside the guest, a subnet's NIC comes before the default one. */
function leavesByOwn(fabric: Fabric, from: Place, to: Place): boolean {
  const guest = fabric.guests.find((one) => one.name === from.guest);
  const outer = fabric.guests.find((one) => one.name === (guest?.inside ?? guest?.name));
  if (outer === undefined || outer.nics.length < 2) return true;
  const target = parseIp(to.address);
  const holds = (nic: Nic): boolean => {
    const network = fabric.networks.find((one) => one.name === nic.network);
    return (network ? prefixesOf(network) : []).some((text) => {
      const prefix = parsePrefix(text);
      return prefix !== undefined && target !== undefined && prefixContains(prefix, target);
    });
  };
  const way = outer.nics.find(holds) ?? outer.nics.find((nic) => nic.default);
  return way?.network === from.network;
}

function familyOf(address: string): Family {
  return address.includes(':') ? 6 : 4;
}
