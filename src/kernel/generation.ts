/**
 * The number that the kernel raises with every committed change of a namespace's nftables ruleset: whoever has read the ruleset
 * before can tell in some milliseconds that it is still the same, however large.
 */
import type { Kernel } from './kernel.ts';
import { askNetfilter } from './netlink.ts';

/**
 * `GENERATION NAMESPACE BOOT`, equal exactly while this boot's namespace has seen no commit by anybody: nft, iptables-nft, firewalld, Docker.
 * Not seen: elements that packets or time add to and take from dynamic sets, counters, and legacy iptables. Undefined where the kernel
 * cannot be asked (no Perl, no permission): then everything has to be read.
 */
export async function readGeneration(kernel: Kernel): Promise<string | undefined> {
  try {
    const [[reply], place] = await Promise.all([
      askNetfilter(kernel, [{ type: getGeneration, family: 0, acknowledge: false, attributes: Buffer.alloc(0) }]),
      // In another namespace the links of /proc/self have to be read from inside it; the boot is the same everywhere.
      kernel.run('readlink', ['/proc/self/ns/net']),
    ]);
    const generation = reply?.attributes.get(1);
    const boot = await kernel.readSysctl('kernel/random/boot_id');
    return generation?.length === 4 && boot !== undefined ? `${generation.readUInt32BE()} ${place.trim()} ${boot}` : undefined;
  } catch {
    return undefined;
  }
}

/** NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN; attribute 1 of the answer is NFTA_GEN_ID, big-endian. */
const getGeneration = 0x0a10;
