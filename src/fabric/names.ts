/**
 * The one name space of hosts, networks, guests and groups (design.md section 2, "Flows"): unique without regard to case,
 * without the reserved words and, for what gets an interface, without the keywords of nft and ip.
 */
import { basename } from 'node:path';
import type { ConfigFile, FileModel } from '../config/model.ts';
import { keywordOf } from './keywords.ts';
import { key } from './problems.ts';
import type { Problems } from './problems.ts';

export type NameKind = 'host' | 'network' | 'guest' | 'group';

/** Lower-case name to what it names, with the name as written. */
export type Names = ReadonlyMap<string, { readonly kind: NameKind; readonly name: string }>;

/** What a host is called when the file names none. */
export const DEFAULT_HOST = 'host';

/** `localhost` would take the loopback's name away from the host, which resolves guests by name. */
const RESERVED = new Map([
  ['host', 'the host that the other side lives on'],
  ['any', 'everything'],
  ['internet', 'all outer addresses'],
  ['none', 'no network at all'],
  ['localhost', 'the loopback address'],
]);

/** Reports `duplicate-name`, `reserved-name` and `interface-name-keyword`; of two equal names the first is kept. */
export function collectNames(model: FileModel, problems: Problems): Names {
  const names = new Map<string, { kind: NameKind; name: string }>();
  const hosts = Object.keys(model.hosts ?? {});
  const add = (kind: NameKind, section: Section, name: string): void => {
    const lower = name.toLowerCase();
    const at = key(section, name);
    const reserved = RESERVED.get(lower);
    // The only host may be called by the name it has anyway, so that `hosts: { host: { uplink: eth1 } }` can be written.
    if (reserved !== undefined && !(kind === 'host' && lower === DEFAULT_HOST && hosts.length === 1)) {
      problems.error('reserved-name', at, `\`${name}\` means ${reserved} in flows; give the ${kind} another name.`);
      return;
    }
    const first = names.get(lower);
    if (first) {
      problems.error(
        'duplicate-name',
        at,
        `the ${kind} \`${name}\` has the name of the ${first.kind} \`${first.name}\`; hosts, networks, guests and groups share one name space, without regard to case: rename one of them.`,
        { message: `the ${first.kind} \`${first.name}\` is here`, at: key(SECTION[first.kind], first.name) },
      );
      return;
    }
    names.set(lower, { kind, name });
    const program = kind === 'guest' || kind === 'network' ? keywordOf(lower) : undefined;
    if (program) {
      const other = freeName(`${name}-${kind === 'guest' ? 'guest' : 'net'}`, model);
      problems.error('interface-name-keyword', at, `\`${name}\` is a keyword of \`${program}\`; call the ${kind} \`${other}\` instead.`);
    }
  };
  for (const kind of KINDS) for (const name of Object.keys(model[SECTION[kind]] ?? {})) add(kind, SECTION[kind], name);
  return names;
}

/** `name:`, else the directory's name made a DNS label: `/srv/My Fabric` becomes `my-fabric`. */
export function fabricName(config: ConfigFile): string {
  if (config.model.name !== undefined) return config.model.name.toLowerCase();
  const label = basename(config.directory)
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^[^a-z]+/, '')
    .slice(0, 40)
    .replace(/-+$/, '');
  return label === '' ? 'weft' : label;
}

/** `domain:`, in lower case. */
export const fabricDomain = (model: FileModel): string => (model.domain ?? 'weft.internal').toLowerCase();

type Section = 'hosts' | 'networks' | 'guests' | 'groups';
const KINDS: readonly NameKind[] = ['host', 'network', 'guest', 'group'];
const SECTION: Readonly<Record<NameKind, Section>> = { host: 'hosts', network: 'networks', guest: 'guests', group: 'groups' };

function freeName(wanted: string, model: FileModel): string {
  const taken = new Set(KINDS.flatMap((kind) => Object.keys(model[SECTION[kind]] ?? {})).map((name) => name.toLowerCase()));
  let name = wanted;
  for (let i = 2; taken.has(name.toLowerCase()); i++) name = `${wanted}${i}`;
  return name;
}
