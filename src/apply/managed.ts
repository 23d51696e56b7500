/**
 * Somebody else who sets up the interface that is to join a bridge would take back what Weft moves, or be lost with it: told before anything changes, with what to set.
 * Of an uplink that Weft sets up (`manage: true`) it is told too.
 */
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { Enslaved } from '../hoststate/model.ts';
import type { Kernel } from '../kernel/kernel.ts';
import { managersOf, type Manager } from '../kernel/managers.ts';

/** `joining`: what is to join and is not there yet. Code `interface-managed`, errors; a lease that nobody renews is a warning. */
export async function managedInterfaces(kernel: Kernel, joining: readonly Enslaved[]): Promise<Diagnostic[]> {
  const found = await Promise.all(
    joining.map(async (handover) => (await managersOf(kernel, handover.interface)).map((manager) => managed(handover, manager))),
  );
  return found.flat();
}

/** Of an uplink with `manage: true`. Code `interface-managed`, warnings: what is there stays, for now. */
export async function otherManagers(kernel: Kernel, uplink: string): Promise<Diagnostic[]> {
  return (await managersOf(kernel, uplink)).map((manager) => ({
    code: 'interface-managed',
    severity: 'warning',
    message: `${others(uplink, manager)} (docs/routed.md, "The uplink itself")`,
  }));
}

function others(name: string, manager: Manager): string {
  switch (manager.kind) {
    case 'networkd':
      return `${name} is set up by systemd-networkd too${manager.file === '' ? '' : ` (${manager.file})`}, which takes away what it does not know whenever it sets ${name} up again. Once this is applied, write /etc/systemd/network/05-weft-${name}.network with "[Match]", "Name=${name}", "[Link]", "Unmanaged=yes", and have Weft start at boot with \`weft install\``;
    case 'networkmanager':
      return `${name} is set up by NetworkManager too, which takes away what it does not know whenever it sets ${name} up again. Once this is applied, write /etc/NetworkManager/conf.d/weft.conf with "[keyfile]" and "unmanaged-devices=interface-name:${name};interface-name:w-*", and have Weft start at boot with \`weft install\``;
    case 'dhcp-client':
      return `${name} gets addresses and routes from ${manager.program} (pid ${manager.pid}) too, which may take them away. Once this is applied, take ${name} out of what starts it, and have Weft start at boot with \`weft install\``;
    case 'lease':
      return `the address ${manager.address} on ${name} has a lifetime, so it came by DHCP and will go: \`weft restore\` or \`weft watch\` set it again then`;
  }
}

function managed(handover: Enslaved, manager: Manager): Diagnostic {
  return {
    code: 'interface-managed',
    severity: manager.kind === 'lease' ? 'warning' : 'error',
    message: messages[manager.kind](handover, manager),
  };
}

type Message = (handover: Enslaved, manager: Manager) => string;

const PAGE = 'docs/bridged.md has the whole of it';

const messages: Readonly<Record<Manager['kind'], Message>> = {
  networkd: ({ interface: name, bridge }, manager) => {
    const file = manager.kind === 'networkd' && manager.file !== '' ? ` (${manager.file})` : '';
    return `${name} is set up by systemd-networkd${file}, which would take the host's addresses back from ${bridge}. Write /etc/systemd/network/05-weft-${name}.network with "[Match]", "Name=${name}", "[Link]", "Unmanaged=yes"; copy the [Network] part of the old file to /etc/systemd/network/05-weft-${bridge}.network under "[Match]", "Name=${bridge}", with "KeepConfiguration=yes" and "ConfigureWithoutCarrier=yes" added; run \`networkctl reload\` and apply again (${PAGE})`;
  },
  networkmanager: ({ interface: name, bridge }) =>
    `${name} is set up by NetworkManager, which would take the host's addresses back from ${bridge}. Write /etc/NetworkManager/conf.d/weft.conf with "[keyfile]" and "unmanaged-devices=interface-name:${name};interface-name:${bridge};interface-name:w-*", run \`nmcli general reload\` and \`nmcli device set ${name} managed no\`, have the host's addresses set by systemd-networkd or /etc/network/interfaces from then on, and apply again (${PAGE})`,
  'dhcp-client': ({ interface: name, bridge }, manager) => {
    const [program, pid] = manager.kind === 'dhcp-client' ? [manager.program, manager.pid] : ['', 0];
    const stop = program === 'dhclient' ? `\`dhclient -x ${name}\`` : `\`kill ${pid}\``;
    return `${name} gets its address from ${program} (pid ${pid}), which would hear no answers once ${name} is on ${bridge}. Have it run on ${bridge} (in /etc/network/interfaces: "iface ${name} inet manual" and "iface ${bridge} inet dhcp"), stop it for now with ${stop}, which keeps the address, apply again, and then start it on ${bridge} (${PAGE})`;
  },
  lease: ({ interface: name, bridge }, manager) =>
    `the address ${manager.kind === 'lease' ? manager.address : ''} on ${name} has a lifetime, so it came by DHCP, and no client is to be seen; it moves to ${bridge}, where a DHCP client has to renew it, or the host loses it (${PAGE})`,
};
