/** The ssh session that somebody is logged in through: what a change must not cut. */
import { readFileSync } from 'node:fs';

/** No session is nested deeper. */
const MOST_PARENTS = 64;

/**
 * `client port server port` (sshd(8), SSH_CONNECTION). sudo(8) takes the variable out of the environment, so under it the processes above are asked, which root may
 * (proc(5), /proc/PID/environ). Undefined: nobody came that way, or the variable is there and empty, which says not to look.
 */
export function sshConnection(env: NodeJS.ProcessEnv = process.env, parent: number = process.ppid): string | undefined {
  const own = env['SSH_CONNECTION'];
  if (own !== undefined) return own === '' ? undefined : own;
  if (env['SUDO_UID'] === undefined) return undefined;
  let pid = parent;
  for (let i = 0; i < MOST_PARENTS && pid > 1; i++) {
    const found = /(?:^|\0)SSH_CONNECTION=([^\0]+)/.exec(read(pid, 'environ'))?.[1];
    if (found !== undefined) return found;
    pid = Number(/^PPid:\s*(\d+)/m.exec(read(pid, 'status'))?.[1] ?? 0);
  }
  return undefined;
}

/** Empty when the process has ended, or is not ours to look at. */
function read(pid: number, name: 'environ' | 'status'): string {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}
