/**
 * A link or namespace that somebody else has made is never taken over, and never removed: where a name is wanted anew, it must be free. (A plan of the file
 * is checked in prepare.ts, with the file's words.)
 */
import { existsSync } from 'node:fs';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { HostState } from '../hoststate/model.ts';
import { existingLinks } from '../kernel/links.ts';
import type { ApplyContext } from './context.ts';

/** Throws WeftError `name-in-use` (exit 2). `observed` is what of Weft is there. */
export async function refuseTaken({ kernel }: ApplyContext, observed: HostState, wanted: HostState): Promise<void> {
  const own = new Set(observed.links.map((link) => link.name));
  const links = await existingLinks(
    kernel,
    wanted.links.map((link) => link.name).filter((name) => !own.has(name)),
  );
  const made = ({ guests }: HostState): string[] => guests.flatMap(({ netns }) => (netns.kind === 'made' ? [netns.namespace] : []));
  const ownNamespaces = new Set(made(observed));
  const namespaces = made(wanted).filter((name) => !ownNamespaces.has(name) && existsSync(`/run/netns/${name}`));
  const taken = [...links.map((name) => `an interface called ${name}`), ...namespaces.map((name) => `a network namespace called ${name}`)];
  if (taken.length === 0) return;
  const message = `this host already has ${taken.join(' and ')}, which Weft did not make; nothing was changed. Remove or rename it and try again`;
  throw new WeftError(2, [{ code: 'name-in-use', severity: 'error', message }]);
}
