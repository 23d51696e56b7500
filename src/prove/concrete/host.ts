/** A {@link KernelModel} with what the walk looks up all the time found at once. Made once for each model. */
import type { NftChain, NftTable } from '../../hoststate/nft.ts';
import type { KernelModel, ModelInterface, ModelRoute, ModelRule, Station } from '../kernel-model.ts';
import type { Hook } from './value.ts';

export interface BaseChain {
  readonly table: NftTable;
  readonly chain: NftChain;
  readonly type: 'filter' | 'nat' | 'route';
  readonly priority: number;
}

/** Which hooks they are in, as far as the order of the walk goes. `device`: netdev's, and inet's at ingress. */
type Layer = 'ip' | 'bridge' | 'device';

export interface Host {
  readonly model: KernelModel;
  interface(name: string): ModelInterface | undefined;
  /** Names of the bridge's ports. */
  ports(bridge: string): readonly string[];
  stationsAt(port: string): readonly Station[];
  /** In the order of priorities. The family of a chain of the layer `ip` may not be the packet's: see {@link BaseChain.table}. */
  chains(layer: Layer, hook: Hook, device?: string): readonly BaseChain[];
  routes(family: 4 | 6, table: string): readonly ModelRoute[];
  /** By preference. */
  rules(family: 4 | 6): readonly ModelRule[];
  /** A number; undefined where the setting is not in the model. */
  setting(key: string): number | undefined;
  /** One of these parts of the host could not be read. */
  missing(...parts: readonly string[]): string | undefined;
}

const made = new WeakMap<KernelModel, Host>();

export function hostOf(model: KernelModel): Host {
  const known = made.get(model);
  if (known) return known;
  const host = makeHost(model);
  made.set(model, host);
  return host;
}

function makeHost(model: KernelModel): Host {
  const interfaces = new Map(model.interfaces.map((one) => [one.name, one]));
  const ports = Map.groupBy(
    model.interfaces.filter(({ portOf }) => portOf),
    ({ portOf }) => portOf?.bridge ?? '',
  );
  const stations = Map.groupBy(model.stations, ({ port }) => port);
  const chains = Map.groupBy(baseChains(model.tables), ({ key }) => key);
  const sorted = new Map([...chains].map(([key, list]) => [key, list.map(({ base }) => base).toSorted((a, b) => a.priority - b.priority)]));
  const routes = Map.groupBy(model.routes, ({ family, table }) => `${family} ${tableName(table)}`);
  const rules = new Map(([4, 6] as const).map((family) => [family, rulesOf(model.rules, family)]));
  return {
    model,
    interface: (name) => interfaces.get(name),
    ports: (bridge) => (ports.get(bridge) ?? []).map(({ name }) => name),
    stationsAt: (port) => stations.get(port) ?? [],
    chains: (layer, hook, device = '') => sorted.get(`${layer} ${hook} ${device}`) ?? [],
    routes: (family, table) => routes.get(`${family} ${tableName(table)}`) ?? [],
    rules: (family) => rules.get(family) ?? [],
    setting: (key) => (model.sysctls[key] === undefined ? undefined : Number(model.sysctls[key])),
    missing: (...parts) => parts.find((part) => model.missing.includes(part)),
  };
}

/** Later tables first: of equal priority, what registered last is called first (nf_hook_entries_grow). */
function* baseChains(tables: readonly NftTable[]): Generator<{ key: string; base: BaseChain }> {
  for (const table of tables.toReversed()) {
    if (table.family === 'arp') continue;
    for (const chain of table.chains) {
      if (!chain.base) continue;
      const { type, hook, priority, devices } = chain.base;
      const base = { table, chain, type, priority };
      if (hook === 'ingress' || hook === 'egress') {
        for (const device of devices ?? []) yield { key: `device ${hook} ${device}`, base };
      } else yield { key: `${table.family === 'bridge' ? 'bridge' : 'ip'} ${hook} `, base };
    }
  }
}

const tableNames: Readonly<Record<string, string>> = { '253': 'default', '254': 'main', '255': 'local' };
const tableName = (table: string): string => tableNames[table] ?? table;

/** Without any, the kernel's own. */
function rulesOf(rules: readonly ModelRule[], family: 4 | 6): readonly ModelRule[] {
  const own = rules.filter((rule) => rule.family === family);
  return own.toSorted((a, b) => a.preference - b.preference);
}
