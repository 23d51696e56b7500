/** What is wrong with a bridged network on this host: the interface it is to take, the addresses its guests are to have, what the kernel can do. Pure, from the facts. */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { Fabric, Network } from '../fabric/model.ts';
import type { HostFacts, HostInterface } from '../hoststate/model.ts';
import { outerInterface, resolversOn } from './links.ts';

/**
 * Codes: `interface-missing`, `interface-unfit`, `feature-missing` (no br_netfilter, or no VLANs to make one of), `address-taken`, `bad-value` for an MTU that the interface does not carry (errors); `dns-missing` (a warning).
 */
export function outerProblems(network: Network, fabric: Fabric, facts: HostFacts): Diagnostic[] {
  if (network.kind !== 'bridged' || network.interface === undefined) return [];
  const link = outerInterface(network, facts);
  if (link === undefined) return [error('interface-missing', missing(network.name, network.interface))];
  if (link.unfit === 'no-vlans') return [error('feature-missing', withoutVlans(network.name, link))];
  if (link.unfit !== undefined) return [error('interface-unfit', unfit(network.name, link, link.unfit))];
  return [
    ...(facts.features.bridgeNetfilter ? [] : [error('feature-missing', NO_NETFILTER)]),
    ...tooLarge(network, link),
    ...takenAddresses(network, fabric, facts),
    ...withoutResolver(network, fabric, facts),
  ];
}

const error = (code: Diagnostic['code'], message: string): Diagnostic => ({ code, severity: 'error', message });

const NO_NETFILTER =
  'This kernel has no filter with connection tracking for what a bridge forwards (no /proc/sys/net/bridge), and `modprobe` finds no module br_netfilter, which Weft would load: install the package with the kernel’s modules (linux-modules-extra or alike), take a kernel that has it, or use a network of kind `nat` or `routed` instead.';

function missing(network: string, name: string): string {
  const [, parent, digits] = /^(.+)\.(\d+)$/.exec(name) ?? [];
  const other = 'or name another one with `interface:`';
  if (parent === undefined)
    return `This host has no interface ${name}, which the network \`${network}\` is to be on; bring it up, ${other}.`;
  const id = Number(digits);
  if (id < 1 || id > 4094 || digits?.startsWith('0') === true)
    return `This host has no interface ${name}, which the network \`${network}\` is to be on, and VLANs are numbered from 1 to 4094, without zeros before it, so it cannot be made; write another number, ${other}.`;
  return `This host has no interface ${name}, which the network \`${network}\` is to be on, and no interface ${parent} to make that VLAN of; bring ${parent} up, ${other}.`;
}

const withoutVlans = (network: string, { name, vlan }: HostInterface): string =>
  `The network \`${network}\` is to be on ${name}, which is not there, and this kernel cannot make VLANs (it has no 8021q): load the module with \`modprobe 8021q\` or take a kernel that has it, or name an interface that is there, such as ${vlan?.parent ?? ''}, with \`interface:\`.`;

function unfit(network: string, link: HostInterface, why: Exclude<NonNullable<HostInterface['unfit']>, 'no-vlans'>): string {
  // A VLAN that is yet to be made is as fit as what it is made of.
  const name = link.vlan?.parent ?? link.name;
  const alternative = 'use a network of kind `nat`, behind this host, instead';
  if (why === 'wireless')
    return `The network \`${network}\` cannot be bridged to ${name}, because it is a wireless interface: an access point drops frames whose source MAC is not the station's own, so guests would reach nobody; ${alternative}, or take a wired interface.`;
  if (why === 'down')
    return `The interface ${name} of the network \`${network}\` is down; bring it up (\`ip link set ${name} up\`, and in the configuration of the network so that it is after a reboot) and try again.`;
  if (why === 'loopback')
    return `The network \`${network}\` cannot be bridged to ${name}, the loopback interface; name the one that leads to the outer network.`;
  if (why === 'bridge')
    return `The interface ${name} of the network \`${network}\` is a bridge already, and a bridge cannot be a port of another; take it apart and name its physical interface here, so that Weft makes the bridge.`;
  if (why === 'no-ethernet')
    return `The network \`${network}\` cannot be bridged to ${name}, which carries no Ethernet frames (a tunnel, PPP or a mobile link); ${alternative}.`;
  return `The interface ${name} of the network \`${network}\` is a port of ${why.master} already; take it out there (\`ip link set ${name} nomaster\`), or name ${why.master}'s own outer interface if ${why.master} is a bond.`;
}

function tooLarge(network: Network, link: HostInterface): Diagnostic[] {
  if (network.mtu === undefined || network.mtu <= link.mtu) return [];
  const message = `The network \`${network.name}\` has an MTU of ${network.mtu}, but ${link.name} carries ${link.mtu} only; lower \`mtu:\`, or leave it out to get that of ${link.name}.`;
  return [error('bad-value', message)];
}

/** Two machines with one address, one of them this host. */
function takenAddresses(network: Network, fabric: Fabric, facts: HostFacts): Diagnostic[] {
  const own = new Set(
    [facts.uplink, ...facts.interfaces].flatMap((link) => (link?.addresses ?? []).map((text) => text.replace(/\/\d+$/, ''))),
  );
  const problem = (address: string, whose: string, remedy: string): Diagnostic =>
    error('address-taken', `The address ${address} ${whose} is this host's own on ${network.interface ?? ''}; ${remedy}.`);
  const gateways = [network.v4?.gateway, network.v6?.gateway].filter((address) => address !== undefined && own.has(address));
  return [
    ...gateways.map((address) =>
      problem(
        address ?? '',
        `is the gateway of the network \`${network.name}\` in the file, but it`,
        'name the router of the outer network with `gateway:`',
      ),
    ),
    ...fabric.guests.flatMap((guest) =>
      guest.nics
        .filter((nic) => nic.network === network.name)
        .flatMap((nic) => [nic.v4, nic.v6])
        .filter((address) => address !== undefined && own.has(address))
        .map((address) => ({
          ...problem(
            address ?? '',
            `of the guest \`${guest.name}\``,
            'give the guest another one, or set `range:` so that it leaves this one out',
          ),
          span: guest.span,
        })),
    ),
  ];
}

function withoutResolver(network: Network, fabric: Fabric, facts: HostFacts): Diagnostic[] {
  if (network.dns.length > 0 || resolversOn(network, facts).length > 0) return [];
  if (!fabric.guests.some((guest) => guest.nics.some((nic) => nic.network === network.name && nic.default && nic.dns.length === 0)))
    return [];
  const subnets = [network.v4?.subnet, network.v6?.subnet].filter((subnet) => subnet !== undefined).join(', ');
  return [
    {
      code: 'dns-missing',
      severity: 'warning',
      message: `This host has no address in ${subnets} on ${network.interface ?? ''}, so guests of the network \`${network.name}\` get no name server from it; name one with \`dns:\` under the network.`,
    },
  ];
}
