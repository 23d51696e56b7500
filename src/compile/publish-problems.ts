/** What only this host can tell of published ports: that an address is not here, or that a program of the host waits on the port, which nobody would reach any more. */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { Fabric, Network, Publish } from '../fabric/model.ts';
import type { Listener } from '../hoststate/listeners.ts';
import type { HostFacts } from '../hoststate/model.ts';
import { localNetworks } from './local-nics.ts';
import { familyOf } from './prefixes.ts';

/** Codes: `address-not-of-host`, `published-port-in-use`; errors, at the entry's place. */
export function publishProblems(fabric: Fabric, hostName: string, facts: HostFacts): Diagnostic[] {
  const networks = localNetworks(fabric, hostName);
  const declared = fabric.hosts.find((host) => host.name === hostName)?.addresses ?? [];
  const own = new Set([
    ...declared,
    ...gatewaysOf(networks),
    ...facts.routes.map(({ prefix }) => bare(prefix)),
    ...(facts.uplink?.addresses ?? []).map(bare),
  ]);
  return fabric.publish
    .filter(({ host }) => host === hostName)
    .flatMap((entry) => {
      if (entry.address !== undefined && !own.has(entry.address)) return [notHere(entry, facts)];
      const found = (facts.listening ?? []).find((socket) => isTakenBy(socket, entry, fabric, networks));
      return found ? [inUse(entry, found)] : [];
    });
}

const bare = (prefix: string): string => prefix.replace(/\/\d+$/, '');

/** Weft's own; that of a bridged network is another machine. */
const gatewaysOf = (networks: readonly Network[]): string[] =>
  networks.flatMap(({ kind, v4, v6 }) => (kind === 'bridged' ? [] : [v4?.gateway, v6?.gateway].filter((gateway) => gateway !== undefined)));

function notHere(entry: Publish, facts: HostFacts): Diagnostic {
  const there =
    facts.uplink && facts.uplink.addresses.length > 0
      ? `; its uplink ${facts.uplink.name} has ${facts.uplink.addresses.map(bare).join(', ')}`
      : '';
  return {
    code: 'address-not-of-host',
    severity: 'error',
    message: `${entry.address ?? ''} is not an address of this host${there}: publish at one of its own, or name the address under \`hosts:\` when it is routed here.`,
    span: entry.span,
  };
}

/** Whether packets for the socket are those that the entry translates. */
function isTakenBy(socket: Listener, entry: Publish, fabric: Fabric, networks: readonly Network[]): boolean {
  if (!entry.ports.some(({ protocol, first, last }) => protocol === socket.protocol && first <= socket.port && socket.port <= last))
    return false;
  if (!familiesOf(entry, fabric).some((family) => socket.families.includes(family))) return false;
  // Guests' DHCP, and whatever else hears a network of Weft only.
  if (socket.link === 'lo' || networks.some(({ bridge }) => bridge === socket.link)) return false;
  const { address } = socket;
  if (entry.address !== undefined) return address === undefined || address === entry.address;
  return address === undefined || !(isElsewhere(address) || gatewaysOf(networks).includes(address));
}

/** Not an address at which anything is published. */
const isElsewhere = (address: string): boolean => address.startsWith('127.') || address === '::1' || /^fe[89ab]/.test(address);

function familiesOf({ address, to }: Publish, fabric: Fabric): (4 | 6)[] {
  if (address !== undefined) return [familyOf(address)];
  const nic = fabric.guests.find((guest) => guest.name === to.guest)?.nics[to.nic];
  return [nic?.v4, nic?.v6].flatMap((own) => (own === undefined ? [] : [familyOf(own)]));
}

function inUse(entry: Publish, { protocol, port, address, program }: Listener): Diagnostic {
  const who = program === undefined ? 'A program of this host' : `The program ${program} of this host`;
  const where = address === undefined ? '' : ` of ${address}`;
  return {
    code: 'published-port-in-use',
    severity: 'error',
    message: `${who} waits on ${protocol}/${port}${where}, where \`${entry.text}\` would take its connections: publish another port, publish at another address, or stop the program.`,
    span: entry.span,
  };
}
