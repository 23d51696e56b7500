/** Random small files: networks of all kinds and both families, guests of all kinds, rules. All of them are valid. */
import fc from 'fast-check';

const subnets = [
  ['10.1.0.0/24', 'fd00:1::/64'],
  ['10.2.0.0/28', undefined],
  ['192.168.9.0/24', 'fd00:9::/80'],
] as const;
const routed = [
  ['192.0.2.16/29, 192.0.2.40', '2001:db8:51::/64'],
  ['192.0.2.64/28', '2001:db8:52::/64'],
  ['192.0.2.128/29', '2001:db8:53::/64'],
] as const;
/** What the uplink of the bed is in (test/bed/host.ts). */
const outer = { interface: 'eth0', v4: '203.0.113.0/24', v6: '2001:db8:cb00::/64' } as const;

type Kind = 'nat' | 'isolated' | 'routed' | 'bridged';

export interface Shape {
  readonly networks: readonly { readonly kind: Kind; readonly v6: boolean; readonly deny: boolean; readonly off: boolean }[];
  readonly guests: readonly {
    readonly networks: readonly number[];
    readonly kind: 'vm' | 'namespace' | 'container';
    readonly log: boolean;
  }[];
  readonly rules: readonly {
    readonly from: number;
    readonly to: number;
    readonly ports: string;
    readonly block: boolean;
    readonly log: boolean;
  }[];
  readonly publish: readonly { readonly guest: number; readonly ports: string; readonly other: boolean; readonly limited: boolean }[];
}

export const shape: fc.Arbitrary<Shape> = fc.record({
  networks: fc
    .array(
      fc.record({
        kind: fc.constantFrom<Kind[]>('nat', 'nat', 'isolated', 'routed', 'bridged'),
        v6: fc.boolean(),
        deny: fc.boolean(),
        off: fc.boolean(),
      }),
      { minLength: 1, maxLength: 3 },
    )
    // There is one interface to be bridged to.
    .map((all) =>
      all.map((one, i) => (one.kind === 'bridged' && all.findIndex(({ kind }) => kind === 'bridged') < i ? { ...one, kind: 'nat' } : one)),
    ),
  guests: fc.array(
    fc.record({
      networks: fc.uniqueArray(fc.nat(2), { minLength: 0, maxLength: 2 }),
      kind: fc.constantFrom('vm' as const, 'namespace' as const, 'container' as const),
      log: fc.boolean(),
    }),
    { maxLength: 5 },
  ),
  rules: fc.array(
    fc.record({
      from: fc.nat(7),
      to: fc.nat(7),
      ports: fc.constantFrom('', 'tcp/80', 'tcp/80,443 udp/53', 'icmp', 'udp/1000-2000', 'sctp/99'),
      block: fc.boolean(),
      log: fc.boolean(),
    }),
    { maxLength: 6 },
  ),
  publish: fc.array(fc.record({ guest: fc.nat(4), ports: fc.constantFrom('80', '90-95'), other: fc.boolean(), limited: fc.boolean() }), {
    maxLength: 3,
  }),
});

/** The file of a shape; fabric `law`. */
export function fileOf({ networks, guests, rules, publish }: Shape): string {
  const lines = ['name: law', 'networks:'];
  networks.forEach(({ kind, v6, deny, off }, i) => {
    const more = `${deny && kind !== 'isolated' ? ', egress: deny' : ''}${off ? ', filter: off' : ''}`;
    lines.push(`  n${i}: { kind: ${kind}, ${whereOf(kind, i, v6)}${more} }`);
  });
  lines.push('guests:');
  guests.forEach((guest, i) => {
    const own = guest.networks.filter((n) => n < networks.length);
    const nics =
      own.length === 0
        ? 'network: none'
        : own.length === 1
          ? `network: n${own[0]}`
          : `nics: [${own.map((n) => `{ network: n${n} }`).join(', ')}]`;
    lines.push(`  g${i}: { ${nics}, kind: ${guest.kind}${guest.log && own.length > 0 ? ', log: dropped' : ''} }`);
  });
  if (guests.length === 0) lines[lines.length - 1] = 'guests: {}';
  const parties = [
    ...networks.map((_, i) => `n${i}`),
    'host',
    ...guests.flatMap((guest, i) => (guest.networks.some((n) => n < networks.length) ? [`g${i}`] : [])),
  ];
  const party = (n: number): string => parties[n % parties.length] ?? 'host';
  const usable = rules.filter(({ from, to }) => party(from) !== 'host' || party(to) !== 'host');
  for (const block of [false, true]) {
    const chosen = usable.filter((rule) => rule.block === block);
    if (chosen.length === 0) continue;
    lines.push(block ? 'block:' : 'allow:');
    for (const { from, to, ports, log } of chosen) {
      lines.push(`  - { from: ${party(from)}, to: ${party(to)}${ports === '' ? '' : `, ports: "${ports}"`}${log ? ', log: true' : ''} }`);
    }
  }
  // The default NIC is the first; nothing is published for guests of isolated and bridged networks.
  const open = guests.flatMap(({ networks: own }, i) => {
    const first = own.find((n) => n < networks.length);
    const kind = first === undefined ? undefined : networks[first]?.kind;
    return kind === 'nat' || kind === 'routed' ? [`g${i}`] : [];
  });
  if (publish.length === 0 || open.length === 0) return `${lines.join('\n')}\n`;
  lines.push('publish:');
  publish.forEach(({ guest, ports, other, limited }, i) => {
    const [first = 0, last = first] = ports.split('-').map((port) => Number(port) + 1000 * i);
    const asked = last === first ? String(first) : `${first}-${last}`;
    const target = other ? ` tcp/${asked.replaceAll(/\d+/g, (port) => String(Number(port) + 5000))}` : '';
    lines.push(`  - host tcp/${asked} -> ${open[guest % open.length]}${target}${limited ? ' from n0, 198.51.100.0/24' : ''}`);
  });
  return `${lines.join('\n')}\n`;
}

function whereOf(kind: Kind, i: number, v6: boolean): string {
  const list = ([v4, six]: readonly [string, string | undefined]): string => (v6 && six !== undefined ? `[${v4}, "${six}"]` : `[${v4}]`);
  if (kind === 'bridged') return `interface: ${outer.interface}, subnet: ${list([outer.v4, outer.v6])}`;
  if (kind === 'routed') return `addresses: ${list(routed[i] ?? routed[0])}`;
  return `subnet: ${list(subnets[i] ?? subnets[0])}`;
}
