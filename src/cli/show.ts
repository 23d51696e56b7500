/** The work of `weft show`: the fabric as a document (stable, design.md section 3) and as tables. Reads no kernel. */
import { formatPorts } from '../config/flow-format.ts';
import { gatewaysOf, nameServersOf, NEXT_HOP_6, nextHop4, prefixesOf } from '../fabric/addressing.ts';
import type { Fabric, Guest, Network, Nic, Publish } from '../fabric/model.ts';
import type { CliContext } from './context.ts';
import { loadFabric } from './file.ts';
import { chooseHost } from './host.ts';
import { table } from './table.ts';

/** Of a network that declares none; on an uplink with less, `apply` uses that. */
const defaultMtu = 1500;

export function runShow(ctx: CliContext): void {
  const { fabric } = loadFabric(ctx);
  const host = chooseHost(fabric, ctx);
  ctx.answer(showDocument(fabric, host), () => showText(fabric, host));
}

export function showDocument(fabric: Fabric, host: string): object {
  const networks = networksByName(fabric);
  return {
    host,
    hosts: fabric.hosts.map(({ name, uplink, addresses: list }) => ({
      name,
      ...(uplink === undefined ? {} : { uplink }),
      addresses: list,
    })),
    networks: fabric.networks.map((network) => ({
      name: network.name,
      kind: network.kind,
      host: network.host,
      subnets: subnets(network),
      gateways: gatewaysOf(network),
      ...(network.bridge === undefined ? {} : { bridge: network.bridge }),
      ...(network.kind !== 'routed' || network.bootstrap === undefined ? {} : { bootstrap: network.bootstrap }),
    })),
    guests: fabric.guests.map((guest) => guestDocument(fabric, guest, networks)),
    publish: fabric.publish.map((one) => publishDocument(fabric, one)),
  };
}

function publishDocument(fabric: Fabric, { host, address, ports, to, from, text }: Publish): object {
  const nic = fabric.guests.find((guest) => guest.name === to.guest)?.nics[to.nic];
  return {
    host,
    // null: every address of the host.
    address: address ?? null,
    ports: hostPorts(ports),
    guest: to.guest,
    network: nic?.network ?? null,
    addresses: nic ? addresses(nic) : [],
    guestPorts: guestPorts(ports),
    ...(from === undefined ? {} : { from: from.map((party) => party.text) }),
    text,
  };
}

const hostPorts = (ports: Publish['ports']): string =>
  formatPorts(ports.map(({ protocol, first, last }) => ({ protocol, ranges: [{ from: first, to: last }] })));

const guestPorts = (ports: Publish['ports']): string =>
  formatPorts(ports.map(({ protocol, first, last, target }) => ({ protocol, ranges: [{ from: target, to: target + last - first }] })));

/** One guest as `show --json` has it. */
export function guestDocument(fabric: Fabric, guest: Guest, networks = networksByName(fabric)): object {
  return {
    name: guest.name,
    kind: guest.kind,
    // A guest without a network is on no host in particular once there are several.
    host: guest.host ?? null,
    ...(guest.namespace === undefined ? {} : { namespace: guest.namespace }),
    ...(guest.inside === undefined ? {} : { inside: guest.inside }),
    nics: guest.nics.map((nic) => nicDocument(nic, networks.get(nic.network))),
  };
}

function networksByName(fabric: Fabric): ReadonlyMap<string, Network> {
  return new Map(fabric.networks.map((network) => [network.name, network]));
}

function nicDocument(nic: Nic, network: Network | undefined): object {
  return {
    network: nic.network,
    interface: nic.name,
    port: nic.port,
    mac: nic.mac,
    addresses: addresses(nic),
    gateways: [
      ...(nic.v4 === undefined ? [] : [network && nextHop4(network)]),
      ...(nic.v6 === undefined || network === undefined ? [] : [network.kind === 'bridged' ? network.v6?.gateway : NEXT_HOP_6]),
    ].filter((gateway) => gateway !== undefined),
    ...(nic.bootstrap === undefined ? {} : { bootstrap: nic.bootstrap }),
    dns:
      nic.dns.length > 0
        ? nic.dns
        : network === undefined
          ? []
          : network.kind === 'routed' || network.kind === 'bridged'
            ? nameServersOf(network, nic)
            : gatewaysOf(network),
    mtu: network?.mtu ?? defaultMtu,
    default: nic.default,
  };
}

function showText(fabric: Fabric, host: string): string {
  const parts = [
    table(
      ['HOST', 'UPLINK', 'ADDRESSES'],
      fabric.hosts.map(({ name, uplink, addresses: list }) => [
        name === host ? `${name} (this one)` : name,
        uplink ?? 'default route',
        list.join(' '),
      ]),
    ),
    table(
      ['NETWORK', 'KIND', 'HOST', 'SUBNETS', 'GATEWAYS', 'BRIDGE'],
      fabric.networks.map((network) => [
        network.name,
        network.kind,
        network.host,
        subnets(network).join(' '),
        gatewaysOf(network).join(' '),
        network.bridge ?? 'none',
      ]),
    ),
    table(['GUEST', 'KIND', 'NETWORK', 'PORT', 'MAC', 'ADDRESSES'], fabric.guests.flatMap(guestRows)),
  ];
  if (fabric.publish.length > 0) parts.push(table(['PUBLISHED', 'PORTS', 'GUEST', 'PORTS', 'FROM'], fabric.publish.map(publishRow)));
  return parts.join('\n\n');
}

function publishRow({ host, address, ports, to, from }: Publish): readonly string[] {
  return [address ?? host, hostPorts(ports), to.guest, guestPorts(ports), from?.map((party) => party.text).join(',') ?? 'everybody'];
}

function guestRows(guest: Guest): readonly (readonly string[])[] {
  const kind = guest.inside === undefined ? guest.kind : `inside ${guest.inside}`;
  if (guest.nics.length === 0) return [[guest.name, kind, 'none', '', '', '']];
  return guest.nics.map((nic) => [guest.name, kind, nic.network, nic.port, nic.mac, addresses(nic).join(' ')]);
}

/** Of a routed network the prefixes it lists. */
const subnets = (network: Network): readonly string[] => (network.kind === 'routed' ? network.prefixes : prefixesOf(network));

function addresses({ v4, v6 }: Nic): readonly string[] {
  return [v4, v6].filter((address) => address !== undefined);
}
