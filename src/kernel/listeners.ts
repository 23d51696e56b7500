/** The sockets of this host that wait for somebody, as far as they are in question. */
import { setTimeout as sleep } from 'node:timers/promises';
import { readListeners, type Listener } from '../hoststate/listeners.ts';
import type { Kernel } from './kernel.ts';

/** A question under way (DNS, NTP) has an unconnected UDP socket too, which is gone by then. */
const SECOND_LOOK_MS = 700;

/** Sockets that `inQuestion` accepts, of TCP and UDP; those of UDP when they stay. Which program has them is asked only then. */
export async function listeners(kernel: Kernel, inQuestion: (socket: Listener) => boolean): Promise<Listener[]> {
  const look = async (...more: string[]): Promise<Listener[]> =>
    readListeners(await kernel.run('ss', ['-H', '-lntu', ...more])).filter(inQuestion);
  const first = await look();
  if (first.length === 0) return [];
  if (first.some(({ protocol }) => protocol === 'udp')) await sleep(SECOND_LOOK_MS);
  return look('-p');
}
