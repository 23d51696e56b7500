/**
 * The time since boot: a deadline in it neither waits longer nor comes earlier when somebody sets the clock, and after a reboot it is known to be
 * another boot's.
 */
import { uptime } from 'node:os';
import type { Kernel } from './kernel.ts';

export interface BootTime {
  /** /proc/sys/kernel/random/boot_id: another one after every boot. */
  readonly boot: string;
  /** Milliseconds since then, time asleep included. */
  readonly ms: number;
}

export async function bootTime(kernel: Kernel): Promise<BootTime> {
  return { boot: (await kernel.readSysctl('kernel/random/boot_id')) ?? '', ms: uptime() * 1000 };
}
