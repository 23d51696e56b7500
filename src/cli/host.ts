/**
 * Which host of the file this machine is (design.md section 2): `--host`, else the hostname, else the one whose address is here,
 * else exit status 2. A file with one host means this one.
 */
import { hostname, networkInterfaces } from 'node:os';
import { didYouMean } from '../fabric/did-you-mean.ts';
import type { Fabric } from '../fabric/model.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { CliContext } from './context.ts';

/** What tells one machine from another. */
export interface Machine {
  readonly hostname: string;
  /** Canonical texts of all addresses on its interfaces. */
  readonly addresses: readonly string[];
}

export function chooseHost(fabric: Fabric, ctx: CliContext): string {
  // Asking ten thousand interfaces for their addresses takes its time, and one host needs no choice.
  const needed = fabric.hosts.length > 1 && ctx.options.host === undefined;
  return hostOf(fabric, ctx.options.host, needed ? thisMachine() : { hostname: hostname(), addresses: [] });
}

/** Throws WeftError (exit 2): `unknown-host` for a wanted host that is not in the file, `host-ambiguous` when nothing decides. */
export function hostOf(fabric: Pick<Fabric, 'hosts'>, wanted: string | undefined, machine: Machine): string {
  const names = fabric.hosts.map(({ name }) => name);
  const named = (name: string): string | undefined => names.find((candidate) => candidate.toLowerCase() === name.toLowerCase());
  if (wanted !== undefined) {
    const found = named(wanted);
    if (found !== undefined) return found;
    throw refused('unknown-host', `--host ${wanted}: the file has no such host${didYouMean(wanted, names)}`);
  }
  const [only, ...others] = names;
  if (only !== undefined && others.length === 0) return only;
  const byName = named(machine.hostname) ?? named(machine.hostname.split('.')[0] ?? '');
  if (byName !== undefined) return byName;
  const here = fabric.hosts.filter(({ addresses }) => addresses.some((address) => machine.addresses.includes(address)));
  const [byAddress, ...more] = here;
  if (byAddress !== undefined && more.length === 0) return byAddress.name;
  throw refused(
    'host-ambiguous',
    `this machine is called ${machine.hostname} and has ${here.length > 1 ? 'addresses of several' : 'no address of any'} of the file's hosts (${names.join(', ')}): say which one it is with --host NAME.`,
  );
}

export function thisMachine(): Machine {
  const addresses = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
  return { hostname: hostname(), addresses };
}

function refused(code: 'unknown-host' | 'host-ambiguous', message: string): WeftError {
  return new WeftError(2, [{ code, severity: 'error', message }]);
}
