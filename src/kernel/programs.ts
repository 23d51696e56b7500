/**
 * Where programs are, and which Debian package brings a missing one. Programs are looked up by Weft itself and not by the
 * child: `sudo` and `su` often leave /usr/sbin out of PATH, and through `nsenter` a missing program would look like a failed one.
 */
import { accessSync, constants, statSync } from 'node:fs';
import { WeftError } from '../diagnostic/diagnostic.ts';

const found = new Map<string, string>();

/** Absolute path of `program`. Throws WeftError `program-missing` (exit 2), naming the package to install. */
export function programPath(program: string): string {
  const known = found.get(program);
  if (known !== undefined) return known;
  const candidates = program.includes('/') ? [program] : searchPath().map((directory) => `${directory}/${program}`);
  const path = candidates.find(isExecutable);
  if (path === undefined) throw programMissing(program);
  found.set(program, path);
  return path;
}

/** True when `program` is installed. */
export function hasProgram(program: string): boolean {
  try {
    programPath(program);
    return true;
  } catch {
    return false;
  }
}

const packages: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  bridge: 'iproute2',
  ss: 'iproute2',
  nft: 'nftables',
  conntrack: 'conntrack',
  dnsmasq: 'dnsmasq-base',
  wg: 'wireguard-tools',
  'wireguard-go': 'wireguard-go',
  tcpdump: 'tcpdump',
  perl: 'perl-base',
  flock: 'util-linux',
  nsenter: 'util-linux',
  setpriv: 'util-linux',
  modprobe: 'kmod',
  resolvectl: 'systemd-resolved',
  caddy: 'caddy',
  ssh: 'openssh-client',
  sh: 'dash',
};

function programMissing(program: string): WeftError {
  const name = packages[program];
  const remedy = name === undefined ? 'install it and run the command again' : `install it with: apt install ${name}`;
  return new WeftError(2, [
    { code: 'program-missing', severity: 'error', message: `The program ${program}, which Weft needs here, is not installed: ${remedy}.` },
  ]);
}

function searchPath(): string[] {
  const own = (process.env['PATH'] ?? '').split(':').filter((directory) => directory.startsWith('/'));
  return [...new Set([...own, '/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'])];
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
