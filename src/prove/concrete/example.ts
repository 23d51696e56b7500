/** A router made by hand, for the unit tests of the interpreter: a bridge `br-lan` with the guests a and b, and `eth0` to the outer world. Used by tests only. */
import type { NftChain, NftExpr, NftFamily, NftRule, NftStatement, NftTable, NftVerdict } from '../../hoststate/nft.ts';
import type { KernelModel, ModelInterface, ModelRoute, ModelRule } from '../kernel-model.ts';
import type { SentPacket } from '../packet-model.ts';

const port = (name: string, bridge: string, isolated: boolean): ModelInterface => ({
  name,
  kind: 'other',
  mac: `02:00:00:00:00:${name.length.toString(16).padStart(2, '0')}`,
  up: true,
  addresses: [],
  portOf: { bridge, isolated, hairpin: false },
});

export const guestA = { port: 'w-a', mac: '02:00:00:00:0a:01', addresses: ['10.0.0.11', 'fd00::11'] };
export const guestB = { port: 'w-b', mac: '02:00:00:00:0b:01', addresses: ['10.0.0.12', 'fd00::12'] };

const route = (family: 4 | 6, table: string, prefix: string, link: string, more: Partial<ModelRoute> = {}): ModelRoute => ({
  family,
  table,
  prefix,
  type: 'unicast',
  link,
  metric: 0,
  ...more,
});

const own = (address: string, link: string): ModelRoute =>
  route(address.includes(':') ? 6 : 4, 'local', `${address}/${address.includes(':') ? 128 : 32}`, link, { type: 'local' });

export const kernelRules: readonly ModelRule[] = ([4, 6] as const).flatMap((family) => [
  { family, preference: 0, action: { table: 'local' } },
  { family, preference: 32766, action: { table: 'main' } },
  { family, preference: 32767, action: { table: 'default' } },
]);

export const router: KernelModel = {
  host: 'r',
  interfaces: [
    { name: 'br-lan', kind: 'bridge', mac: '02:00:00:00:01:01', up: true, addresses: ['10.0.0.1/24', 'fd00::1/64'] },
    { name: 'eth0', kind: 'other', mac: '02:00:00:00:02:01', up: true, addresses: ['192.0.2.1/24', '2001:db8::1/64'] },
    { name: 'lo', kind: 'loopback', up: true, addresses: ['127.0.0.1/8', '::1/128'] },
    port('w-a', 'br-lan', true),
    port('w-b', 'br-lan', true),
  ],
  routes: [
    ...['10.0.0.1', 'fd00::1'].map((address) => own(address, 'br-lan')),
    ...['192.0.2.1', '2001:db8::1'].map((address) => own(address, 'eth0')),
    ...['127.0.0.1', '::1'].map((address) => own(address, 'lo')),
    route(4, 'local', '127.0.0.0/8', 'lo', { type: 'local' }),
    route(4, 'local', '10.0.0.255/32', 'br-lan', { type: 'broadcast' }),
    route(4, 'main', '10.0.0.0/24', 'br-lan'),
    route(6, 'main', 'fd00::/64', 'br-lan', { metric: 256 }),
    route(4, 'main', '192.0.2.0/24', 'eth0'),
    route(6, 'main', '2001:db8::/64', 'eth0', { metric: 256 }),
    route(4, 'main', '0.0.0.0/0', 'eth0', { via: '192.0.2.254' }),
    route(6, 'main', '::/0', 'eth0', { via: '2001:db8::fe', metric: 1024 }),
  ],
  rules: kernelRules,
  stations: [guestA, guestB],
  tables: [],
  sysctls: { 'net/ipv4/ip_forward': '1', 'net/ipv6/conf/all/forwarding': '1' },
  missing: [],
};

export const fromA: SentPacket = {
  origin: { kind: 'interface', name: 'w-a' },
  source: '10.0.0.11',
  destination: '203.0.113.5',
  protocol: 6,
  sport: 40000,
  dport: 443,
};
export const fromOutside: SentPacket = {
  ...fromA,
  origin: { kind: 'interface', name: 'eth0' },
  source: '203.0.113.5',
  destination: '10.0.0.11',
};

export const meta = (key: string): NftExpr => ({ meta: { key } });
export const field = (protocol: string, name: string): NftExpr => ({ payload: { protocol, field: name } });
export const ct = (key: string): NftExpr => ({ ct: { key } });
export const is = (left: NftExpr, right: NftExpr): NftStatement => ({ match: { op: '==', left, right } });
export const has = (left: NftExpr, right: NftExpr): NftStatement => ({ match: { op: 'in', left, right } });
export const isNot = (left: NftExpr, right: NftExpr): NftStatement => ({ match: { op: '!=', left, right } });
export const accept: NftVerdict = { accept: null };
export const drop: NftVerdict = { drop: null };
export const rule = (...statements: NftStatement[]): NftRule => ({ statements });

type Base = NonNullable<NftChain['base']>;

export const base = (
  name: string,
  hook: Base['hook'],
  priority: number,
  rules: readonly NftRule[],
  more: Partial<Base> = {},
): NftChain => ({
  name,
  base: { type: 'filter', hook, priority, policy: 'accept', ...more },
  rules,
});

export const table = (name: string, chains: readonly NftChain[], more: Partial<NftTable> = {}, family: NftFamily = 'inet'): NftTable => ({
  family,
  name,
  sets: [],
  maps: [],
  chains,
  ...more,
});

export const withTables = (...tables: readonly NftTable[]): KernelModel => ({ ...router, tables });
