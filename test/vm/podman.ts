/**
 * Containers of an ordinary user's Podman, without network, for `weft attach`: busybox on a directory as root file system, no image, no
 * systemd, no cgroup of their own. Works only inside the sandbox (../bed/sandboxed.ts), whose /etc and /run are private.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { insideSandbox } from '../../src/kernel/sandbox.ts';
import type { Kernel } from '../../src/kernel/kernel.ts';

export interface PodmanUser {
  readonly name: string;
  /** Starts a container that sleeps. */
  start(container: string): Promise<PodmanContainer>;
}

export interface PodmanContainer {
  /** Of the container's first process, as this process namespace counts. */
  readonly pid: number;
  /** Runs a shell script inside; resolves to its output, throws unless it exits 0. */
  run(script: string): Promise<string>;
  /** Removes the container and starts it again: a new process and network namespace. */
  restart(): Promise<PodmanContainer>;
  stop(): Promise<void>;
}

/** Makes an ordinary user with subordinate ids (in the sandbox's /etc only) and a root file system of busybox. */
export async function podmanUser(kernel: Kernel, name: string, uid = 1500): Promise<PodmanUser> {
  if (!insideSandbox()) throw new Error('Podman tests run inside the sandbox only.');
  const home = `/run/${name}`;
  const root = `${home}/root`;
  addLine('/etc/passwd', `${name}:x:${uid}:${uid}::${home}:/bin/sh`);
  addLine('/etc/group', `${name}:x:${uid}:`);
  for (const file of ['/etc/subuid', '/etc/subgid']) addLine(file, `${name}:${uid * 100_000}:65536`);
  for (const directory of ['bin', 'proc', 'sys', 'dev', 'tmp', 'etc', 'run']) mkdirSync(`${root}/${directory}`, { recursive: true });
  mkdirSync(`${home}/runtime`, { mode: 0o700 });
  copyFileSync('/bin/busybox', `${root}/bin/busybox`);
  symlinkSync('busybox', `${root}/bin/sh`);
  await kernel.run('chown', ['-R', `${uid}:${uid}`, home]);
  // Absent in the sandbox's fresh /sys; crun wants it even when it is told to make no cgroup.
  await kernel.run('sh', ['-c', '[ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ] || mount -t cgroup2 weft-cgroup /sys/fs/cgroup']);

  const env = { HOME: home, XDG_RUNTIME_DIR: `${home}/runtime`, PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };
  const podman = (args: readonly string[]): Promise<string> =>
    kernel.run(
      'setpriv',
      [
        `--reuid=${uid}`,
        `--regid=${uid}`,
        '--clear-groups',
        '--inh-caps=-all',
        '--',
        'sh',
        '-c',
        'cd && exec "$@"',
        'sh',
        'podman',
        '--cgroup-manager=cgroupfs',
        '--events-backend=file',
        ...args,
      ],
      { env },
    );

  async function start(container: string): Promise<PodmanContainer> {
    const options = ['--cgroups=disabled', '--network=none', '--log-driver=none', '--name', container];
    await podman(['run', '-d', ...options, '--rootfs', root, '/bin/busybox', 'sleep', '100000']);
    const pid = Number((await podman(['inspect', '-f', '{{.State.Pid}}', container])).trim());
    const stop = async (): Promise<void> => void (await podman(['rm', '-f', '-t', '0', container]));
    return {
      pid,
      run: (script) => podman(['exec', container, '/bin/sh', '-c', `PATH=/bin; ${script}`]),
      restart: async () => {
        await stop();
        return start(container);
      },
      stop,
    };
  }
  return { name, start };
}

/** The sandbox's /etc links to the real files: a changed one becomes a copy first. */
function addLine(path: string, line: string): void {
  const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
  rmSync(path, { force: true });
  writeFileSync(path, `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`);
}
