/** Names of links: which of some are taken, which belong to a group. */
import { isRecord } from '../hoststate/nft-json.ts';
import { isOwnLink, readLinks } from '../hoststate/observe-links.ts';
import { runJson } from './json.ts';
import type { Kernel } from './kernel.ts';

/** More names than this are looked up in one listing of all links. */
const SINGLY = 8;

/** Those of `names` that an interface of this namespace bears. */
export async function existingLinks(kernel: Kernel, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  if (names.length <= SINGLY) {
    const found = await Promise.all(
      names.map(async (name) => (await kernel.tryRun('ip', ['-o', 'link', 'show', 'dev', name])).status === 0),
    );
    return names.filter((_, index) => found[index]);
  }
  const there = new Set(namesIn(await kernel.run('ip', ['-o', 'link', 'show'])));
  return names.filter((name) => there.has(name));
}

/** Those of `names` that an interface bears which is not Weft's. */
export async function foreignAmong(kernel: Kernel, names: readonly string[]): Promise<string[]> {
  if (names.length === 0) return [];
  const links = readLinks(await runJson(kernel, 'ip', ['-j', '-d', 'link', 'show']));
  return links.filter((link) => names.includes(link.name) && !isOwnLink(link)).map((link) => link.name);
}

/** Names of the links of a group (ip-link(8)). */
export async function linksOfGroup(kernel: Kernel, group: number): Promise<string[]> {
  return namesIn(await kernel.run('ip', ['-o', 'link', 'show', 'group', String(group)]));
}

/** Links with an alias of that beginning and the name under /run/netns of the namespace their far end is in, where it has one. */
export async function farEnds(kernel: Kernel, alias: string): Promise<{ readonly alias: string; readonly namespace: string }[]> {
  const [links, ids] = await Promise.all([
    runJson(kernel, 'ip', ['-j', '-d', 'link', 'show']),
    runJson(kernel, 'ip', ['-j', 'netns', 'list-id']),
  ]);
  const names = new Map(records(ids).map(({ nsid, name }) => [nsid, name]));
  return records(links).flatMap(({ ifalias, link_netnsid: id }) => {
    const namespace = id === undefined ? undefined : names.get(id);
    return typeof ifalias === 'string' && ifalias.startsWith(alias) && typeof namespace === 'string' ? [{ alias: ifalias, namespace }] : [];
  });
}

const records = (json: unknown): Readonly<Record<string, unknown>>[] => (Array.isArray(json) ? json : []).filter(isRecord);
const namesIn = (text: string): string[] => [...text.matchAll(/^\d+: ([^:@]+)/gm)].flatMap((match) => match[1] ?? []);
