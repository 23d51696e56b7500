/** What could be wrong with a compiled host state by one thing: every rule, verdict, match, element, route, neighbour, forwarding entry, setting and port in turn. */
import type { HostState } from '../../../src/hoststate/model.ts';
import { printRule, elementTexts } from '../../../src/hoststate/nft-print.ts';
import type { NftMap, NftMapElement, NftRule, NftSet, NftTable } from '../../../src/hoststate/nft.ts';
import { alteredStatements, alteredValue, anotherMac } from './alter.ts';

export interface Mutant {
  /** What is wrong, in words. */
  readonly what: string;
  /** Of the tables: where, for telling what it could matter to. */
  readonly place?: { readonly family: string; readonly name: string; readonly text: string };
  readonly kind: MutantKind;
  readonly state: HostState;
  /** Beside the tables: what makes it so on a host that stands, and what takes it back; lines of a shell. */
  readonly live?: { readonly make: string; readonly undo: string };
}

export type MutantKind =
  'rule' | 'verdict' | 'match' | 'policy' | 'element' | 'route' | 'neighbour' | 'forwarding entry' | 'setting' | 'port';

export function mutantsOf(state: HostState): Mutant[] {
  return [...state.tables.flatMap((table) => tableMutants(state, table)), ...otherMutants(state)];
}

function tableMutants(state: HostState, table: NftTable): Mutant[] {
  const found: Mutant[] = [];
  const add = (kind: MutantKind, name: string, text: string, how: string, changed: NftTable): void => {
    const place = { family: table.family, name, text };
    const tables = state.tables.map((one) => (one === table ? changed : one));
    found.push({ what: `${table.family} ${name} | ${text} | ${how}`, place, kind, state: { ...state, tables } });
  };
  for (const chain of table.chains) {
    const replaced = (rules: readonly NftRule[]): NftTable => ({
      ...table,
      chains: table.chains.map((one) => (one === chain ? { ...one, rules } : one)),
    });
    for (const [i, rule] of chain.rules.entries()) {
      add('rule', chain.name, printRule(rule), 'left out', replaced(chain.rules.toSpliced(i, 1)));
      for (const { how, kind, statements } of alteredStatements(rule.statements)) {
        const text = printRule(rule);
        add(kind, chain.name, text, how, replaced(chain.rules.with(i, { ...rule, statements })));
      }
    }
    const { base } = chain;
    if (base)
      add('policy', chain.name, `policy ${base.policy}`, 'the other', {
        ...table,
        chains: table.chains.map((one) =>
          one === chain ? { ...one, base: { ...base, policy: base.policy === 'accept' ? 'drop' : 'accept' } } : one,
        ),
      });
  }
  for (const set of table.sets) {
    for (const [i, element] of set.elements.entries()) {
      const text = elementTexts(set, [element]).join('');
      const replaced = (elements: NftSet['elements']): NftTable => ({
        ...table,
        sets: table.sets.map((one) => (one === set ? { ...one, elements } : one)),
      });
      add('element', set.name, text, 'left out', replaced(set.elements.toSpliced(i, 1)));
      for (const { how, value } of alteredValue(element)) add('element', set.name, text, how, replaced(set.elements.with(i, value)));
    }
  }
  for (const map of table.maps) {
    for (const [i, element] of map.elements.entries()) {
      const text = elementTexts(map, [element]).join('');
      const replaced = (elements: NftMap['elements']): NftTable => ({
        ...table,
        maps: table.maps.map((one) => (one === map ? { ...one, elements } : one)),
      });
      add('element', map.name, text, 'left out', replaced(map.elements.toSpliced(i, 1)));
      for (const { how, value } of alteredElement(element)) add('element', map.name, text, how, replaced(map.elements.with(i, value)));
    }
  }
  return found;
}

function alteredElement([key, data]: NftMapElement): { how: string; value: NftMapElement }[] {
  return [
    ...alteredValue(key).map(({ how, value }) => ({ how, value: [value, data] as const })),
    ...(isVerdictWord(data)
      ? []
      : alteredValue(data as never).map(({ how, value }) => ({ how: `data ${how}`, value: [key, value] as const }))),
    ...('object' === typeof data && 'drop' in data ? [{ how: 'accepts', value: [key, { accept: null }] as const }] : []),
    ...('object' === typeof data && 'accept' in data ? [{ how: 'drops', value: [key, { drop: null }] as const }] : []),
  ];
}

const isVerdictWord = (data: NftMapElement[1]): boolean =>
  typeof data === 'object' && ['accept', 'drop', 'return', 'continue', 'jump', 'goto'].some((word) => word in data);

/** What hangs on the host's links, and its settings. */
function otherMutants(state: HostState): Mutant[] {
  const { routes, neighbors, fdb, sysctls, links } = state;
  const mutant = (kind: MutantKind, what: string, changed: Partial<HostState>, make: string, undo: string): Mutant => ({
    what,
    kind,
    state: { ...state, ...changed },
    live: { make, undo },
  });
  return [
    ...routes.map((route, i) => {
      const words = 'unreachable' in route ? `unreachable ${route.prefix}` : `${route.prefix} dev ${route.link}`;
      const line = `${words}${route.metric === undefined ? '' : ` metric ${route.metric}`} proto 87`;
      return mutant(
        'route',
        `route ${route.prefix} left out`,
        { routes: routes.toSpliced(i, 1) },
        `ip route del ${line}`,
        `ip route add ${line}`,
      );
    }),
    ...neighbors.flatMap((one, i) => {
      const { address, link, mac } = one;
      const undo = `ip neigh replace ${address} lladdr ${mac} dev ${link} nud permanent`;
      const other = anotherMac(mac);
      return [
        mutant(
          'neighbour',
          `neighbour ${address} left out`,
          { neighbors: neighbors.toSpliced(i, 1) },
          `ip neigh del ${address} dev ${link}`,
          undo,
        ),
        mutant(
          'neighbour',
          `neighbour ${address} with another MAC`,
          { neighbors: neighbors.with(i, { ...one, mac: other }) },
          `ip neigh replace ${address} lladdr ${other} dev ${link} nud permanent`,
          undo,
        ),
      ];
    }),
    ...fdb.map(({ mac, port }, i) =>
      mutant(
        'forwarding entry',
        `forwarding entry ${mac} left out`,
        { fdb: fdb.toSpliced(i, 1) },
        `bridge fdb del ${mac} dev ${port} master static`,
        `bridge fdb replace ${mac} dev ${port} master static`,
      ),
    ),
    ...sysctls.flatMap((one, i) => {
      const { key, value } = one;
      const other = value === '0' ? '1' : '0';
      if (value !== '0' && value !== '1') return [];
      const set = (to: string): string => `echo ${to} > /proc/sys/${key}`;
      return [mutant('setting', `setting ${key} ${other}`, { sysctls: sysctls.with(i, { ...one, value: other }) }, set(other), set(value))];
    }),
    ...links.flatMap((link, i) =>
      'bridge' in link && link.bridge !== undefined && link.shared === undefined
        ? [
            mutant(
              'port',
              `port ${link.name} not isolated`,
              { links: links.with(i, { ...link, shared: true }) },
              `bridge link set dev ${link.name} isolated off`,
              `bridge link set dev ${link.name} isolated on`,
            ),
          ]
        : [],
    ),
  ];
}
