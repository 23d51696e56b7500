/** QEMU: the arguments that put a virtual machine on its TAPs; see qemu-system(1), -netdev tap and -device virtio-net-pci. */
import type { ExportedFile } from './file.ts';
import type { GuestNetwork } from './guest-network.ts';

/** One file, `arguments`, a NIC a line. No word needs quoting: `qemu-system-x86_64 … $(weft export qemu web)`. */
export function qemu({ nics }: GuestNetwork): readonly ExportedFile[] {
  const lines = nics.map(({ port, mac, mtu }, index) => {
    const device = `virtio-net-pci,netdev=net${index},mac=${mac}${mtu === 1500 ? '' : `,host_mtu=${mtu}`}`;
    return `-netdev tap,id=net${index},ifname=${port},script=no,downscript=no -device ${device}\n`;
  });
  return [{ name: 'arguments', content: lines.join('') }];
}
