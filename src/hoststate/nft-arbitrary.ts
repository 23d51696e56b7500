/** Random tables of everything the compiler emits, for the property tests of printer, reader and difference. Used by tests only. */
import fc from 'fast-check';
import { publishMaps, publishRules } from './nft-arbitrary-publish.ts';
import type { NftChain, NftExpr, NftMap, NftRule, NftSet, NftStatement, NftTable, NftVerdict } from './nft.ts';

const oneOf = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);
const meta = (key: string): NftExpr => ({ meta: { key } });
const field = (protocol: string, name: string): NftExpr => ({ payload: { protocol, field: name } });
const raw = (offset: number, len: number): NftExpr => ({ payload: { base: 'th', offset, len } });
const match = (left: NftExpr, right: NftExpr, op: '==' | '!=' | 'in' = '=='): NftStatement => ({ match: { op, left, right } });

const linkName = oneOf('w-x', 'w-web', 'br-internal', 'w-db_1', 'lo', 'tcp', 'any', 'ip');
const ip4 = fc.tuple(oneOf(10, 172, 192, 203), fc.nat(3), fc.nat(3), fc.nat(255)).map((parts) => parts.join('.'));
const ip6 = fc
  .tuple(oneOf('fd00', '2001:db8'), fc.nat(3), fc.nat(0xfffe))
  .map(([net, a, b]) => `${net}:${(a + 1).toString(16)}::${(b + 1).toString(16)}`);
const mac = fc.nat(0xffff).map((n) => `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`);
const port = fc.integer({ min: 1, max: 65535 });
const portRange = fc.tuple(port, port).map(([a, b]): NftExpr => ({ range: [Math.min(a, b), Math.max(a, b)] }));
const prefix4 = fc
  .tuple(ip4, fc.integer({ min: 8, max: 32 }))
  .map(([addr, len]): NftExpr => ({ prefix: { addr: networkOf(addr, len), len } }));
const range4 = fc
  .tuple(ip4, fc.nat(200))
  .map(([addr, n]): NftExpr => ({ range: [addr, addr.replace(/\d+$/, (last) => String(Math.min(255, Number(last) + n)))] }));
const protocol = oneOf<NftExpr>('tcp', 'udp', 'sctp', 'icmp', 'ipv6-icmp', 47, 89, 255);
const mac48 = fc.nat(0xffffff).map((n) => 0x020000000000 + n);
const target128 = fc.tuple(ip6, fc.nat(0xffff)).map(([, n]) => `0xfd00010500000000000000000000${n.toString(16).padStart(4, '0')}`);

function networkOf(addr: string, len: number): string {
  const value = addr.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
  const network = value - (value % 2 ** (32 - len));
  return [24, 16, 8, 0].map((shift) => Math.floor(network / 2 ** shift) % 256).join('.');
}

const concat = (...parts: readonly fc.Arbitrary<NftExpr>[]): fc.Arbitrary<NftExpr> =>
  fc.tuple(...parts).map((values): NftExpr => ({ concat: values }));

interface SetShape {
  readonly name: string;
  readonly key: NftSet['key'];
  readonly element: fc.Arbitrary<NftExpr>;
  readonly flags?: NftSet['flags'];
}

const sharedSets: readonly SetShape[] = [
  { name: 'port_mac', key: { types: ['ifname', 'ether_addr'] }, element: concat(linkName, mac) },
  { name: 'port_ip4', key: { types: ['ifname', 'ipv4_addr'] }, element: concat(linkName, ip4) },
  { name: 'port_ip6', key: { types: ['ifname', 'ipv6_addr'] }, element: concat(linkName, ip6) },
  { name: 'port_chaddr', key: { typeof: [meta('iifname'), raw(288, 48)] }, element: concat(linkName, mac48) },
  { name: 'port_nd', key: { typeof: [meta('iifname'), raw(64, 128)] }, element: concat(linkName, target128) },
  { name: 'known4', key: { types: ['ipv4_addr'] }, element: ip4 },
  { name: 'bridges', key: { types: ['ifname'] }, element: linkName },
  { name: 's_tuples4', key: { types: ['ipv4_addr', 'inet_proto', 'inet_service'] }, element: concat(ip4, protocol, port) },
  { name: 's_tuples6', key: { types: ['ipv6_addr', 'inet_proto', 'inet_service'] }, element: concat(ip6, protocol, port) },
];
/** Their elements must not overlap, so each range is in a network of its own. */
const intervalSet: fc.Arbitrary<NftSet> = fc
  .uniqueArray(fc.tuple(fc.nat(250), fc.oneof(oneOf(24, 25, 30, 32), fc.tuple(fc.nat(100), fc.nat(100)))), {
    maxLength: 6,
    selector: ([net]) => net,
  })
  .map((parts) =>
    parts.map(([net, shape]): NftExpr =>
      typeof shape === 'number'
        ? { prefix: { addr: `10.${net}.0.0`, len: shape } }
        : { range: [`10.${net}.0.${shape[0]}`, `10.${net}.0.${shape[0] + shape[1]}`] },
    ),
  )
  .map((elements): NftSet => ({ name: 'nets', key: { types: ['ipv4_addr'] }, flags: ['interval'], elements }));

const someSet = ({ name, key, element, flags }: SetShape): fc.Arbitrary<NftSet> =>
  fc.array(element, { maxLength: 5 }).map((elements): NftSet => ({ name, key, flags: flags ?? [], elements }));

const chainNames = ['a_1', 'a_2', 'a_3'];
const verdict: fc.Arbitrary<NftVerdict> = fc.oneof(
  oneOf<NftVerdict>({ accept: null }, { drop: null }, { return: null }),
  oneOf(...chainNames).map((target): NftVerdict => ({ jump: { target } })),
);
/** Chains that are jumped to must not jump on, or random tables would have loops. */
const leafVerdict = oneOf<NftVerdict>({ accept: null }, { drop: null }, { return: null });

const addresses4 = fc.array(fc.oneof(ip4, prefix4, range4), { minLength: 1, maxLength: 5 }).map((set): NftExpr => ({ set }));
const ports = fc.array(fc.oneof(port, portRange), { minLength: 1, maxLength: 5 }).map((set): NftExpr => ({ set }));
const subset = (...words: readonly string[]): fc.Arbitrary<NftExpr> =>
  fc.subarray([...words], { minLength: 1 }).map((set): NftExpr => ({ set }));

/** Matches that stand in any table with an ip header. */
const matches: fc.Arbitrary<readonly NftStatement[]> = fc.oneof(
  oneOf<readonly NftStatement[]>(
    [match({ ct: { key: 'state' } }, { '|': ['established', 'related'] }, 'in')],
    [match({ ct: { key: 'state' } }, 'invalid', 'in')],
    [match({ ct: { key: 'status' } }, 'dnat', 'in')],
    [
      match({ ct: { key: 'state' } }, 'new', 'in'),
      match({ '&': [field('tcp', 'flags'), { '|': ['fin', 'syn', 'rst', 'ack'] }] }, 'syn', '!='),
    ],
    [match({ fib: { result: 'type', flags: ['saddr', 'oif'] } }, 'local', '!=')],
    [match({ fib: { result: 'type', flags: ['daddr'] } }, 'local')],
    [match(meta('iifname'), '@bridges')],
    [match(meta('oifname'), '@bridges', '!=')],
    [match({ concat: [meta('iifname'), field('ip', 'daddr')] }, '@port_ip4')],
    [match({ concat: [meta('iifname'), field('ip6', 'saddr')] }, '@port_ip6')],
    [match({ concat: [field('ip', 'saddr'), meta('l4proto'), field('th', 'dport')] }, '@s_tuples4')],
    [match({ concat: [field('ip6', 'saddr'), meta('l4proto'), field('th', 'dport')] }, '@s_tuples6')],
    [match(field('ip', 'saddr'), '@nets')],
    [match(field('ip', 'daddr'), '@known4', '!=')],
    [match(meta('nfproto'), 'ipv4')],
    [match(meta('nfproto'), 'ipv4'), match(field('ip', 'saddr'), '@nets')],
    [match(meta('nfproto'), 'ipv6'), match(meta('l4proto'), 'ipv6-icmp')],
    [match(meta('l4proto'), 'icmp')],
    [match(field('icmp', 'type'), 'redirect')],
    [match(field('udp', 'dport'), 67), match({ concat: [meta('iifname'), raw(288, 48)] }, '@port_chaddr', '!=')],
    [match(field('icmpv6', 'type'), 'nd-neighbor-advert'), match({ concat: [meta('iifname'), raw(64, 128)] }, '@port_nd', '!=')],
    [match(field('icmpv6', 'type'), 'nd-neighbor-solicit'), match(field('ip6', 'hoplimit'), 255, '!=')],
  ),
  protocol.map((value) => [match(meta('l4proto'), value)]),
  fc
    // Of one alone nft makes that protocol's own words of what follows.
    .tuple(
      fc.subarray<NftExpr>(['icmp', 'ipv6-icmp', 'tcp', 'udp'], { minLength: 2 }).map((set): NftExpr => ({ set })),
      oneOf('==' as const, '!=' as const),
    )
    .map(([value, op]) => [match(meta('l4proto'), value, op)]),
  fc
    .tuple(addresses4, oneOf('saddr', 'daddr'), oneOf('==' as const, '!=' as const))
    .map(([value, name, op]) => [match(field('ip', name), value, op)]),
  fc.tuple(ip6, oneOf('saddr', 'daddr')).map(([addr, name]) => [match(field('ip6', name), { prefix: { addr, len: 128 } })]),
  oneOf(8, 32, 64).map((len) => [
    match(field('ip6', 'saddr'), { prefix: { addr: len === 64 ? 'fe80::' : len === 32 ? '2001:db8::' : 'ff00::', len } }),
  ]),
  fc
    .tuple(oneOf('tcp', 'udp', 'sctp', 'th'), oneOf('sport', 'dport'), ports, oneOf('==' as const, '!=' as const))
    .map(([proto, name, value, op]) =>
      proto === 'th'
        ? [match(meta('l4proto'), { set: ['tcp', 'udp'] }), match(field(proto, name), value, op)]
        : [match(field(proto, name), value, op)],
    ),
  fc.tuple(oneOf('tcp', 'udp'), port).map(([proto, value]) => [match(meta('l4proto'), proto), match(field(proto, 'dport'), value)]),
  subset(
    'nd-router-solicit',
    'nd-router-advert',
    'nd-neighbor-solicit',
    'nd-neighbor-advert',
    'nd-redirect',
    'mld-listener-report',
    'mld2-listener-report',
    'mld-listener-query',
    'echo-request',
  ).map((set) => [match(field('icmpv6', 'type'), set)]),
  subset('echo-request', 'echo-reply', 'destination-unreachable', 'time-exceeded', 'redirect').map((set) => [
    match(field('icmp', 'type'), set),
  ]),
  linkName.map((name) => [match(meta('oifname'), name)]),
);

const plain: fc.Arbitrary<readonly NftStatement[]> = oneOf<readonly NftStatement[]>(
  [],
  [{ counter: null }],
  [{ log: { prefix: 'weft d 1a2b3c4d', group: 87 } }],
  [{ limit: { rate: 10, per: 'second', burst: 5 } }, { log: { prefix: 'weft a x', group: 87, snaplen: 128 } }],
  [{ limit: { rate: 3, per: 'minute', burst: 20 } }, { log: { group: 87 } }],
);

const rule = (last: fc.Arbitrary<NftVerdict>): fc.Arbitrary<NftRule> =>
  fc
    .tuple(fc.array(matches, { maxLength: 2 }), plain, last, fc.option(fc.nat(0xffff), { nil: undefined }))
    .map(([parts, middle, end, id]): NftRule => ({
      statements: [...parts.flat(), ...middle, end],
      ...(id === undefined ? {} : { comment: `weft:${id}` }),
    }))
    .filter(({ statements }) => isCoherent(statements));

/** nft refuses rules that contradict themselves (`tcp dport … udp dport …`, ip and ip6 fields in one rule). */
function isCoherent(statements: readonly NftStatement[]): boolean {
  const text = JSON.stringify(statements);
  const families = [/"ip"|"ipv4"|"icmp"|_ip4|s_tuples4|@nets|known4/, /"ip6"|"ipv6"|ipv6-icmp|icmpv6|port_ip6/].filter((pattern) =>
    pattern.test(text),
  );
  const transports = [...text.matchAll(/"protocol":"(tcp|udp|sctp|icmp|icmpv6|th)"/g)].map((found) => found[1]);
  const numbers = [...text.matchAll(/"l4proto"\}\},?"right":(\{"set"|"[a-z0-9-]+"|\d+)/g)].map((found) =>
    (found[1] ?? '').replaceAll('"', '').replace('ipv6-icmp', 'icmpv6'),
  );
  // Lookups by raw field or by protocol name none: nothing else of layer 4 beside them.
  const opaque = /"base":"th"|s_tuples/.test(text);
  const named = new Set([...transports.filter((word) => word !== 'th'), ...numbers]);
  return (
    families.length <= 1 &&
    named.size + (transports.includes('th') && !numbers.includes('{set') ? 1 : 0) <= 1 &&
    !(opaque && statements.length > 4) &&
    !statements.some((statement, i) => isMergedWith(statement, statements[i + 1]))
  );
}

/** Neighbouring fields of one header, asked for one after the other, are one comparison to nft, which lists the first field first. */
function isMergedWith(one: NftStatement, next: NftStatement | undefined): boolean {
  const [before, after] = [one, next].map((statement) => /"field":"([sd])(port|addr)"/.exec(JSON.stringify(statement ?? null)));
  return before?.[1] === 'd' && after?.[1] === 's' && before[2] === after[2];
}

const special: fc.Arbitrary<NftRule> = fc.oneof(
  oneOf<NftRule>(
    { statements: [{ vmap: { key: field('ip', 'daddr'), data: '@to4' } }] },
    { statements: [{ vmap: { key: field('ip6', 'saddr'), data: '@from6' } }] },
    {
      statements: [
        {
          vmap: {
            key: { ct: { key: 'state' } },
            data: {
              set: [
                ['established', { accept: null }],
                ['related', { accept: null }],
                ['invalid', { drop: null }],
              ],
            },
          },
        },
      ],
    },
    {
      statements: [
        match(field('tcp', 'flags'), 'syn', 'in'),
        { mangle: { key: { 'tcp option': { name: 'maxseg', field: 'size' } }, value: { rt: { key: 'mtu' } } } },
      ],
    },
  ),
);

const nat = (hook: 'prerouting' | 'output' | 'postrouting'): fc.Arbitrary<NftRule> =>
  fc
    .tuple(
      matches.filter((parts) => !/icmp|ip6|ipv6|fib|state/.test(JSON.stringify(parts))),
      hook === 'postrouting'
        ? fc.oneof(
            oneOf<NftStatement>({ masquerade: null }),
            ip4.map((addr): NftStatement => ({ snat: { family: 'ip', addr } })),
          )
        : fc.oneof(
            port.map((value): NftStatement => ({ redirect: { port: value } })),
            port.map((value): NftStatement => ({ dnat: { family: 'ip', addr: field('ip', 'daddr'), port: value } })),
            fc.tuple(ip4, port).map(([addr, value]): NftStatement => ({ dnat: { family: 'ip', addr, port: value } })),
            ip4.map((addr): NftStatement => ({ dnat: { family: 'ip', addr } })),
          ),
    )
    .map(([parts, last]): NftRule => ({
      statements: [
        match(field('ip', 'daddr'), '@known4'),
        match(field('udp', 'dport'), 53),
        ...parts.filter((part) => !/"(tcp|udp|sctp|th|l4proto)"/.test(JSON.stringify(part))),
        last,
      ],
    }));

const verdictMap = (name: string, type: string, key: fc.Arbitrary<string>): fc.Arbitrary<NftMap> =>
  fc
    .uniqueArray(fc.tuple(key, verdict), { maxLength: 5, selector: ([value]) => value })
    .map((elements): NftMap => ({ name, key: { types: [type] }, flags: [], elements }));

const leaves: fc.Arbitrary<NftChain[]> = fc.tuple(
  ...chainNames.map((name) => fc.array(rule(leafVerdict), { maxLength: 4 }).map((rules): NftChain => ({ name, rules }))),
);

/** `table inet NAME`, the policy. */
export const inetTable: fc.Arbitrary<NftTable> = fc
  .tuple(
    fc.tuple(...sharedSets.map(someSet)),
    intervalSet,
    verdictMap('to4', 'ipv4_addr', ip4),
    verdictMap('from6', 'ipv6_addr', ip6),
    publishMaps,
    leaves,
    fc.array(fc.oneof(rule(verdict), special), { maxLength: 8 }),
    fc.tuple(
      fc.array(nat('prerouting'), { maxLength: 2 }),
      fc.array(nat('output'), { maxLength: 2 }),
      fc.array(nat('postrouting'), { maxLength: 2 }),
    ),
  )
  .map(([sets, nets, to4, from6, published, chains, forward, [prerouting, output, postrouting]]): NftTable => ({
    family: 'inet',
    name: 'weft',
    sets: [...sets, nets],
    maps: [to4, from6, ...published],
    chains: [
      ...chains,
      { name: 'publish4', rules: publishRules },
      { name: 'forward', base: { type: 'filter', hook: 'forward', priority: 0, policy: 'accept' }, rules: forward },
      { name: 'nat_prerouting', base: { type: 'nat', hook: 'prerouting', priority: -100, policy: 'accept' }, rules: prerouting },
      { name: 'nat_output', base: { type: 'nat', hook: 'output', priority: -100, policy: 'accept' }, rules: output },
      { name: 'nat_postrouting', base: { type: 'nat', hook: 'postrouting', priority: 100, policy: 'accept' }, rules: postrouting },
    ],
  }));

const guardRules: fc.Arbitrary<NftRule[]> = fc.subarray<NftRule>([
  { statements: [match({ concat: [meta('iifname'), field('ether', 'saddr')] }, '@port_mac', '!='), { drop: null }] },
  { statements: [match(field('ether', 'type'), '8021q'), { drop: null }] },
  {
    statements: [
      {
        vmap: {
          key: field('ether', 'type'),
          data: {
            set: [
              ['arp', { jump: { target: 'a_1' } }],
              ['ip', { jump: { target: 'a_2' } }],
              ['ip6', { jump: { target: 'a_3' } }],
            ],
          },
        },
      },
    ],
  },
  {
    statements: [
      match(field('ether', 'type'), 'arp'),
      match({ concat: [meta('iifname'), field('arp', 'saddr ip')] }, '@port_ip4'),
      { accept: null },
    ],
  },
  { statements: [match({ concat: [meta('iifname'), field('arp', 'saddr ether')] }, '@port_mac', '!='), { drop: null }] },
  {
    statements: [
      match(field('arp', 'operation'), { set: ['request', 'reply'] }),
      match(field('arp', 'daddr ip'), '@known4', '!='),
      { drop: null },
    ],
  },
  { statements: [match(field('arp', 'saddr ip'), '0.0.0.0'), { accept: null }] },
  {
    statements: [
      match(field('ether', 'type'), 'ip'),
      match({ concat: [meta('iifname'), field('ip', 'saddr')] }, '@port_ip4', '!='),
      { drop: null },
    ],
  },
  {
    statements: [
      match(field('ip', 'saddr'), '0.0.0.0'),
      match(field('udp', 'sport'), 68),
      match(field('udp', 'dport'), 67),
      { accept: null },
    ],
  },
  { statements: [match(field('udp', 'sport'), { set: [67, 547] }), { drop: null }] },
  {
    statements: [
      match(field('ether', 'type'), 'ip6'),
      match(field('icmpv6', 'type'), { set: ['nd-router-advert', 'nd-redirect'] }),
      { drop: null },
    ],
  },
  { statements: [match(field('ip6', 'saddr'), '::'), match(field('icmpv6', 'type'), 'nd-neighbor-solicit'), { accept: null }] },
  {
    statements: [
      match(field('icmpv6', 'type'), 'nd-neighbor-advert'),
      match({ concat: [meta('iifname'), raw(64, 128)] }, '@port_nd', '!='),
      { drop: null },
    ],
  },
  {
    statements: [
      match(field('udp', 'dport'), 67),
      match({ concat: [meta('iifname'), raw(288, 48)] }, '@port_chaddr', '!='),
      { drop: null },
    ],
  },
  { statements: [{ drop: null }] },
]);

/** `table netdev NAME`, anti-spoofing, on devices that need not exist. */
export const netdevTable: fc.Arbitrary<NftTable> = fc
  .tuple(fc.tuple(...sharedSets.map(someSet)), guardRules, fc.uniqueArray(linkName, { maxLength: 3 }))
  .map(([sets, rules, devices]): NftTable => ({
    family: 'netdev',
    name: 'weft',
    sets: sets.map((set) => (set.name === 'port_nd' || set.name === 'port_chaddr' ? { ...set, key: set.key } : set)),
    maps: [],
    chains: [
      ...chainNames.map((name): NftChain => ({ name, rules: [] })),
      { name: 'guard', rules },
      ...devices.map((device): NftChain => ({
        name: `p_${device}`,
        base: { type: 'filter', hook: 'ingress', priority: -500, policy: 'accept', devices: [device] },
        rules: [{ statements: [{ jump: { target: 'guard' } }] }],
      })),
    ],
  }));
