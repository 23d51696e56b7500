/** Rulesets of other programs for measuring: many rules, IPv4 and IPv6, in the two shapes in which people have them. */
import { normalizeTable } from '../src/hoststate/nft-normal.ts';
import type { NftChain, NftExpr, NftRule, NftStatement, NftTable } from '../src/hoststate/nft.ts';
import type { KernelModel, ModelInterface, ModelRoute } from '../src/prove/kernel-model.ts';
import { impliedRoutes } from '../src/prove/model/implied-routes.ts';
import { sequence } from './generate.ts';

export type ForeignShape = 'zones' | 'flat';

const ZONES = 20;

/** A router with an uplink and 19 inner networks; its `rules` rules are in chains of their interfaces, as a zone firewall has them, or all in one. */
export function foreignHost(shape: ForeignShape, rules: number): KernelModel {
  const interfaces = Array.from({ length: ZONES }, (_, i): ModelInterface => {
    const addresses = i === 0 ? ['198.51.100.2/24', '2001:db8:1::2/64'] : [`10.${i}.0.1/16`, `fd00:${i}::1/64`];
    return { name: `eth${i}`, kind: 'other', mac: `02:00:00:00:00:${String(i).padStart(2, '0')}`, up: true, addresses };
  });
  const routes: ModelRoute[] = [
    ...interfaces.flatMap((one) => impliedRoutes(one, true)),
    { family: 4, table: 'main', prefix: '0.0.0.0/0', type: 'unicast', link: 'eth0', via: '198.51.100.1', metric: 0 },
    { family: 6, table: 'main', prefix: '::/0', type: 'unicast', link: 'eth0', via: '2001:db8:1::1', metric: 1024 },
  ];
  const forwarding = Object.fromEntries(
    interfaces.flatMap(({ name }) => ['ipv4', 'ipv6'].map((family) => [`net/${family}/conf/${name}/forwarding`, '1'])),
  );
  const sysctls = { 'net/ipv4/ip_forward': '1', 'net/ipv4/conf/all/forwarding': '1', 'net/ipv6/conf/all/forwarding': '1', ...forwarding };
  return {
    host: shape,
    interfaces,
    routes,
    rules: [],
    stations: [],
    tables: [normalizeTable(tableOf(shape, rules))],
    sysctls,
    missing: [],
  };
}

const match = (left: NftExpr, right: NftExpr, op: '==' | 'in' = '=='): NftStatement => ({ match: { op, left, right } });
const name = (key: 'iifname' | 'oifname', zone: number): NftStatement => match({ meta: { key } }, `eth${zone}`);
const state = (words: readonly string[]): NftStatement => match({ ct: { key: 'state' } }, { '|': words }, 'in');

function tableOf(shape: ForeignShape, rules: number): NftTable {
  const random = sequence(rules);
  const below = (count: number): number => Math.floor(random() * count);
  const replies: NftRule = { statements: [state(['established', 'related']), { accept: null }] };
  const base = { type: 'filter', hook: 'forward', priority: 0, policy: 'drop' } as const;
  if (shape === 'flat')
    return table([
      { name: 'forward', base, rules: [replies, ...Array.from({ length: rules }, () => ruleOf(below, below(ZONES), below(ZONES)))] },
    ]);
  const zones = Array.from({ length: ZONES }, (_, zone): NftChain => {
    const own = Array.from({ length: Math.ceil(rules / ZONES) }, () =>
      ruleOf(below, zone, (zone + 1 + below(ZONES - 1)) % ZONES, 'oifname'),
    );
    return { name: `zone_${zone}`, rules: [...own, { statements: [{ drop: null }] }] };
  });
  const leads = zones.map(({ name: target }, zone): NftRule => ({ statements: [name('iifname', zone), { goto: { target } }] }));
  return table([{ name: 'forward', base, rules: [replies, ...leads] }, ...zones]);
}

const table = (chains: readonly NftChain[]): NftTable => ({ family: 'inet', name: 'filter', sets: [], maps: [], chains });

/** Of four rules three are IPv4's; one of eight drops. */
function ruleOf(below: (count: number) => number, from: number, to: number, more?: 'oifname'): NftRule {
  const v6 = below(4) === 0;
  const protocol = v6 ? 'ip6' : 'ip';
  const address = (zone: number): NftExpr => {
    if (zone === 0)
      return v6
        ? { prefix: { addr: `2001:db8:${(below(64) + 16).toString(16)}::`, len: 48 } }
        : { prefix: { addr: `203.0.${below(64)}.0`, len: 24 } };
    if (v6) return `fd00:${zone}::${(below(200) + 2).toString(16)}`;
    return below(3) === 0 ? { prefix: { addr: `10.${zone}.${below(64)}.0`, len: 24 } } : `10.${zone}.${below(64)}.${below(250) + 2}`;
  };
  const transport = below(5) === 0 ? 'udp' : 'tcp';
  const port =
    below(6) === 0
      ? { range: [8000, 8000 + below(90) + 1] as const }
      : [22, 25, 53, 80, 123, 443, 3306, 5432, 8080, 1024 + below(2000)][below(10)];
  return {
    statements: [
      ...(more === undefined ? [] : [name(more, to)]),
      ...(below(3) === 0 ? [] : [match({ payload: { protocol, field: 'saddr' } }, address(from))]),
      match({ payload: { protocol, field: 'daddr' } }, address(to)),
      match({ payload: { protocol: transport, field: 'dport' } }, port ?? 80),
      below(8) === 0 ? { drop: null } : { accept: null },
    ],
  };
}
