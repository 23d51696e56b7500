/** systemd-networkd: one .network file a NIC, matched by its MAC, so that the name of the interface does not matter; see systemd.network(5). */
import type { ExportedFile } from './file.ts';
import type { GuestNetwork, GuestNic, Resolver } from './guest-network.ts';
import { isPointToPoint, isV6 } from './guest-network.ts';

/** `10-weft-eth0.network`, `10-weft-eth1.network`, … for /etc/systemd/network. */
export function networkd({ guest, nics, resolver }: GuestNetwork): readonly ExportedFile[] {
  return nics.map((nic) => {
    const name = `10-weft-${nic.name}.network`;
    const lines = [`# ${guest}: /etc/systemd/network/${name}, in ${nic.network}`, ...sections(nic, resolver)];
    return { name, content: lines.map((line) => `${line}\n`).join('') };
  });
}

function sections(nic: GuestNic, resolver: Resolver): string[] {
  return [
    '[Match]',
    `MACAddress=${nic.mac}`,
    // A bridge or VLAN that the guest makes on the NIC has the same MAC, but is not of this type.
    'Type=ether',
    '',
    '[Link]',
    `MTUBytes=${nic.mtu}`,
    '',
    '[Network]',
    'DHCP=no',
    'IPv6AcceptRA=no',
    ...nic.addresses.map((address) => `Address=${address}`),
    ...(nic.default ? [...resolver.servers.map((server) => `DNS=${server}`), `Domains=${resolver.domains.join(' ')}`] : []),
    ...nic.routes.flatMap(({ prefix, via }) => [
      '',
      '[Route]',
      `Destination=${prefix}`,
      ...(via === undefined ? ['Scope=link'] : [`Gateway=${via}`]),
      ...(via !== undefined && (isV6(prefix) || isPointToPoint(nic)) ? ['GatewayOnLink=yes'] : []),
    ]),
  ];
}
