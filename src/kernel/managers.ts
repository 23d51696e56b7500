/** Which other program sets an interface up, as far as it says so: systemd-networkd, NetworkManager, DHCP clients. Changes nothing. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { isRecord } from '../hoststate/nft-json.ts';
import { runJson } from './json.ts';
import type { Kernel } from './kernel.ts';
import { existingLinks } from './links.ts';

export type Manager =
  | { readonly kind: 'networkd'; readonly file: string }
  | { readonly kind: 'networkmanager' }
  | { readonly kind: 'dhcp-client'; readonly program: string; readonly pid: number }
  /** An address with a lifetime, and nobody to be seen who renews it. */
  | { readonly kind: 'lease'; readonly address: string };

/** Empty when nobody will undo what Weft moves; an interface that is yet to be made is nobody's. */
export async function managersOf(kernel: Kernel, name: string): Promise<readonly Manager[]> {
  if ((await existingLinks(kernel, [name])).length === 0) return [];
  const links = await runJson(kernel, 'ip', ['-j', '-4', 'addr', 'show', 'dev', name]);
  const all = await runJson(kernel, 'ip', ['-j', 'link', 'show', 'dev', name]);
  const [link] = Array.isArray(all) ? all.filter(isRecord) : [];
  const index = typeof link?.['ifindex'] === 'number' ? String(link['ifindex']) : '';
  const found = [...networkd(index), ...networkManager(index), ...(await dhcpClients(kernel, name))];
  return found.length > 0 ? found : leases(links);
}

/** sd_network(3): the state of a link, in the words of an environment file. */
function networkd(index: string): Manager[] {
  const state = textOf(`/run/systemd/netif/links/${index}`);
  const admin = /^ADMIN_STATE=(.*)$/m.exec(state)?.[1];
  if (admin === undefined || admin === 'unmanaged') return [];
  return [{ kind: 'networkd', file: /^NETWORK_FILE=(.*)$/m.exec(state)?.[1] ?? '' }];
}

/** What NetworkManager keeps of a device it has seen: `managed=full`, or nothing of the sort. */
function networkManager(index: string): Manager[] {
  const state = textOf(`/run/NetworkManager/devices/${index}`);
  return /^managed=(full|true|assume)/m.test(state) || /^connection-uuid=/m.test(state) ? [{ kind: 'networkmanager' }] : [];
}

const clients = /^(dhclient|dhcpcd|udhcpc|dhcp6c|pump)$/;

/** Clients in this network namespace with the interface among their arguments. */
async function dhcpClients(kernel: Kernel, name: string): Promise<Manager[]> {
  const own = (await kernel.run('readlink', ['/proc/self/ns/net'])).trim();
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid): Manager[] => {
      const words = textOf(`/proc/${pid}/cmdline`).split('\0');
      const program = textOf(`/proc/${pid}/comm`).trim();
      if (!clients.test(program) || !words.some((word) => word === name || word === `-i${name}`)) return [];
      return namespaceOf(pid) === own ? [{ kind: 'dhcp-client', program, pid: Number(pid) }] : [];
    });
}

function leases(links: unknown): Manager[] {
  const addresses = (Array.isArray(links) ? links : [])
    .filter(isRecord)
    .flatMap((link) => (Array.isArray(link['addr_info']) ? link['addr_info'] : []));
  return addresses
    .filter(isRecord)
    .flatMap(({ dynamic, local }): Manager[] => (dynamic === true && typeof local === 'string' ? [{ kind: 'lease', address: local }] : []));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function namespaceOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return '';
  }
}
