/**
 * libvirt: the `<interface>` elements of a domain, one a file as `virsh attach-device` takes them. The TAP is there already and
 * stays Weft's: type ethernet, `managed='no'` (libvirt.org/formatdomain.html, "Generic ethernet connection").
 */
import type { ExportedFile } from './file.ts';
import type { GuestNetwork } from './guest-network.ts';

/** `eth0.xml`, `eth1.xml`, … All texts in them are names, addresses and numbers: nothing has to be escaped. */
export function libvirt({ guest, nics }: GuestNetwork): readonly ExportedFile[] {
  return nics.map(({ name, network, mac, port, mtu }) => {
    const lines = [
      // XML 1.0, 2.5: two dashes would end the comment.
      `<!-- ${`${guest}: ${name} in ${network}`.replaceAll('--', '-')} -->`,
      "<interface type='ethernet'>",
      `  <mac address='${mac}'/>`,
      `  <target dev='${port}' managed='no'/>`,
      "  <model type='virtio'/>",
      `  <mtu size='${mtu}'/>`,
      '</interface>',
    ];
    return { name: `${name}.xml`, content: lines.map((line) => `${line}\n`).join('') };
  });
}
