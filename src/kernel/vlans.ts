/** VLAN interfaces (802.1Q): what a name says of one, and whether this kernel can make any. */
import type { Kernel } from './kernel.ts';

/** `em0.10` is number 10 of em0; undefined for a name that says of no VLAN, or of a number there is not (1 to 4094). */
export function vlanOf(name: string): { readonly parent: string; readonly id: number } | undefined {
  const [, parent, digits] = /^(.+)\.([1-9]\d{0,3})$/.exec(name) ?? [];
  const id = Number(digits);
  return parent === undefined || id > 4094 ? undefined : { parent, id };
}

/**
 * Whether the kernel has VLANs (8021q), which it loads by itself where it is a module. Asked for one of no interface, it always refuses, and by the reason one can tell: the
 * kind of link is looked up first (net/core/rtnetlink.c). Nothing is made either way.
 */
export async function hasVlans(kernel: Kernel): Promise<boolean> {
  const { stderr } = await kernel.tryRun('ip', ['link', 'add', 'name', 'weft-vlan', 'type', 'vlan', 'id', '1']);
  return !/Unknown device type|not supported/i.test(stderr);
}
