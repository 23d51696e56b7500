/** Where benchmarks run: a machine of its own (private network, mounts and processes), and in it a host with an uplink. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { insideSandbox, runInSandbox } from '../src/kernel/sandbox.ts';

export const root = join(import.meta.dirname, '..');
export const weft = join(root, 'weft');

/** For `ip -batch -`: eth0, whose far end is in the same namespace, and a default route by it. */
export const uplink =
  'link add name eth0 type veth peer name outer\nlink set dev outer up\naddr add 198.51.100.2/24 dev eth0\nlink set dev eth0 up\nlink set dev lo up\nroute add default via 198.51.100.1\n';

/** Puts in place what is missing (`packages`: lists as scripts/setup takes them), then runs this program once more, in a sandbox, and `everything` there. */
export async function onStage(packages: readonly string[], everything: () => Promise<void>): Promise<void> {
  if (insideSandbox()) return everything();
  if (packages.length > 0) execFileSync(join(root, 'scripts/setup'), ['packages', ...packages], { cwd: root, stdio: 'inherit' });
  execFileSync(weft, ['version', '--json'], { stdio: ['ignore', 'ignore', 'inherit'] });
  process.exitCode = await runInSandbox([process.execPath, ...process.argv.slice(1)]);
}
