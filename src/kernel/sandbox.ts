/**
 * Starts a program in a machine of its own: private mount, process and network namespaces, an empty /run and /etc that can be
 * written without touching the real ones. Everything made inside (namespaces, links, tables, processes, files) is gone when the
 * program ends, however it ends: the kernel removes it, no clean-up has to run. Without root, a user namespace gives the same.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { openKernel } from './open.ts';
import { programPath } from './programs.ts';

/** Exists only in a sandbox's own /run. */
const marker = '/run/weft-sandbox';

/** True when this process runs in a sandbox made by {@link runInSandbox}. */
export function insideSandbox(): boolean {
  return existsSync(marker);
}

/**
 * Runs `argv` in a fresh sandbox with this process's standard input and output, and resolves to its exit status (128 + n for signal n).
 * Ends with this process, kill -9 included (prctl(2) PR_SET_PDEATHSIG, then unshare --kill-child, then the process namespace's own end).
 * Throws WeftError `not-root` (exit 2) where neither root nor a user namespace is to be had.
 */
export async function runInSandbox(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  const unshare = await unshareArguments();
  const args = ['--pdeathsig', 'KILL', '--', programPath('unshare'), ...unshare, '--', programPath('sh'), '-c', setUp, 'sh', ...argv];
  const child = spawn(programPath('setpriv'), args, { stdio: 'inherit', env: { ...process.env, ...env } });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => resolve(code ?? (signal === 'SIGINT' ? 130 : 137)));
  });
}

const namespaces = ['--mount', '--pid', '--net', '--fork', '--kill-child', '--mount-proc'] as const;

/** Tries the cheapest thing that shows whether a sandbox can be had here (about 5 ms). */
async function unshareArguments(): Promise<readonly string[]> {
  const args = process.getuid?.() === 0 ? [...namespaces] : ['--user', '--map-root-user', ...namespaces];
  const tried = await openKernel().tryRun('unshare', [...args, '--', 'true']);
  if (tried.status === 0) return args;
  const message =
    process.getuid?.() === 0
      ? `The kernel refuses a private mount, process and network namespace here (${tried.stderr.trim()}); run this on the machine itself or in a container with CAP_SYS_ADMIN.`
      : `This system gives ordinary users no private namespaces (${tried.stderr.trim()}); run the command with sudo.`;
  throw new WeftError(2, [{ code: 'not-root', severity: 'error', message }]);
}

/**
 * First process of the sandbox. /run becomes empty. /etc becomes a directory of links to the real entries (bound beside it), so that
 * new entries and replaced ones stay private. The shell stays as process 1: it takes in orphans that end, which Node would leave as zombies.
 */
const setUp = `
set -e
PATH=$PATH:/usr/sbin:/sbin
mount -t tmpfs -o mode=755 weft-run /run
mkdir -p /run/netns /run/lock /run/weft-etc
mount --rbind /etc /run/weft-etc
mount -t tmpfs -o mode=755 weft-etc /etc
ln -s /run/weft-etc/* /etc/
cd /run/weft-etc
for entry in *; do [ ! -h "$entry" ] || ln -sfn "$(readlink "$entry")" "/etc/$entry"; done
rm -f /etc/resolv.conf /etc/netns
mkdir /etc/netns
: > /etc/resolv.conf
cd "$OLDPWD"
mount -t sysfs weft-sys /sys 2>/dev/null || true
ip link set lo up
: > ${marker}
set +e
"$@"
exit $?
`;
