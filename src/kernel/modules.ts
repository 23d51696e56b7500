/** Kernel modules that Weft needs: whether they are loaded, whether they can be, and loading them. */
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { KernelModule } from '../hoststate/model.ts';
import type { Kernel } from './kernel.ts';
import { sysctlPath } from './open.ts';

/** The setting that is there when the module is, built in or loaded. */
export const moduleSign: Readonly<Record<KernelModule, string>> = { br_netfilter: 'net/bridge/bridge-nf-call-iptables' };

/** What a module does by itself as soon as it is loaded, and is not to: every bridge's frames would pass the IP firewall (Linux, net/bridge/br_netfilter_hooks.c). */
const offAtOnce: Readonly<Record<KernelModule, readonly string[]>> = {
  br_netfilter: ['net/bridge/bridge-nf-call-iptables', 'net/bridge/bridge-nf-call-ip6tables', 'net/bridge/bridge-nf-call-arptables'],
};

/** Whether modprobe(8) finds it. Loads nothing. */
export async function canLoad(kernel: Kernel, module: KernelModule): Promise<boolean> {
  try {
    return (await kernel.tryRun('modprobe', ['--dry-run', '--quiet', module])).status === 0;
  } catch (error) {
    if (error instanceof WeftError) return false;
    throw error;
  }
}

/**
 * Loads it and switches off what it does to others, in one go that outlives Weft. It stays loaded: others may have come to need it. Throws WeftError
 * `feature-missing` when the kernel will not have it.
 */
export async function loadModule(kernel: Kernel, module: KernelModule): Promise<void> {
  const off = offAtOnce[module].map((key) => `echo 0 > ${sysctlPath(key)}`);
  const script = `"$1" "$2" && ${off.join(' && ')}`;
  const { status, stderr } = await kernel.tryRun('sh', ['-c', script, 'sh', kernel.programPath('modprobe'), module]);
  if (status === 0) return;
  const message = `The kernel module ${module}, which filters what a bridge forwards, could not be loaded: ${stderr.trim() || 'modprobe said nothing'}. Load it where modules may be loaded (\`modprobe ${module}\`, and ${module} in /etc/modules-load.d/weft.conf), or leave networks of kind bridged out.`;
  throw new WeftError(3, [{ code: 'feature-missing', severity: 'error', message }]);
}
