/**
 * Names of bridges and ports: short enough for the kernel (IFNAMSIZ: 15 characters and a NUL), lower case, and never two
 * guests or networks with the same one after the cut.
 */
import type { GuestDraft, NetworkDraft } from './drafts.ts';
import { key } from './problems.ts';
import type { Problems } from './problems.ts';

/** Longest name of an interface (linux/if.h: IFNAMSIZ 16 with its NUL). */
export const INTERFACE_NAME_LENGTH = 15;
const BRIDGE = 'br-';
const PORT = 'w-';

/** `br-internal`, cut to 15 characters. */
export const bridgeName = (network: string): string => `${BRIDGE}${network.toLowerCase()}`.slice(0, INTERFACE_NAME_LENGTH);

/** `w-vm1` for NIC 0, `w-vm1_1` for the next; the guest's part is cut so that the index always stays. */
export function portName(guest: string, index: number): string {
  const suffix = index === 0 ? '' : `_${index}`;
  return `${PORT}${guest.toLowerCase()}`.slice(0, INTERFACE_NAME_LENGTH - suffix.length) + suffix;
}

/** Reports `interface-name-collision` for each bridge or port whose name an earlier one has. */
export function checkInterfaceNames(networks: readonly NetworkDraft[], guests: readonly GuestDraft[], problems: Problems): void {
  const bridges = new Map<string, NetworkDraft>();
  for (const network of networks) {
    if (network.routed) continue;
    const first = bridges.get(network.bridge);
    if (first) {
      const kept = INTERFACE_NAME_LENGTH - BRIDGE.length;
      problems.error(
        'interface-name-collision',
        key('networks', network.name),
        `the networks \`${first.name}\` and \`${network.name}\` would both get the bridge \`${network.bridge}\`, because only the first ${kept} characters fit into its name; rename one so that they differ there.`,
        { message: `\`${first.name}\` is here`, at: key('networks', first.name) },
      );
    } else bridges.set(network.bridge, network);
  }
  const ports = new Map<string, GuestDraft>();
  for (const guest of guests) {
    if (guest.entry.inside !== undefined) continue;
    for (const nic of guest.nics) {
      const first = ports.get(nic.port);
      if (first && first !== guest) {
        const kept = INTERFACE_NAME_LENGTH - PORT.length - (nic.index === 0 ? 0 : `_${nic.index}`.length);
        problems.error(
          'interface-name-collision',
          key('guests', guest.name),
          `the guests \`${first.name}\` and \`${guest.name}\` would both get the port \`${nic.port}\`, because only the first ${kept} characters fit into its name; rename one so that they differ there.`,
          { message: `\`${first.name}\` is here`, at: key('guests', first.name) },
        );
        break;
      }
      ports.set(nic.port, guest);
    }
  }
}
