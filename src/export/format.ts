/** The formats of `weft export`, each a pure function from a guest's network to the text of one or more files. */
import { cloudInit } from './cloud-init.ts';
import type { GuestNetwork } from './guest-network.ts';
import { ifupdown } from './ifupdown.ts';
import { libvirt } from './libvirt.ts';
import { networkd } from './networkd.ts';
import { qemu } from './qemu.ts';
import type { ExportedFile } from './file.ts';

export const formats = ['cloud-init', 'libvirt', 'ifupdown', 'networkd', 'qemu'] as const;

export type Format = (typeof formats)[number];

export const exporters: Readonly<Record<Format, (network: GuestNetwork) => readonly ExportedFile[]>> = {
  'cloud-init': cloudInit,
  libvirt,
  ifupdown,
  networkd,
  qemu,
};

/** Formats that connect a TAP to a virtual machine; the others configure the inside of a guest, whatever it is. */
export const forVmOnly: ReadonlySet<Format> = new Set(['libvirt', 'qemu']);
