/** judge() and the kernel read the same policy: random small policies, random flows, real packets. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import { judge, type Flow } from '../../src/compile/judge.ts';
import { WEFT_DNS_PORT } from '../../src/hoststate/ports.ts';
import type { Probe } from '../../src/twin/prober.ts';
import { OUTSIDE4, OUTSIDE6, withPolicy, type PolicyBed } from './policy-bed.ts';
import type { Small, SmallNetwork, SmallRule } from './small-fabric.ts';

const guests = { a1: { networks: ['a'] }, a2: { networks: ['a'] }, b1: { networks: ['b'] }, l1: { networks: ['lab'] } };
const networks = (a: SmallNetwork, b: SmallNetwork, lab: SmallNetwork): Small['networks'] => ({
  a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64', ...a },
  b: { v4: '10.2.0.0/24', v6: '2001:db8:2::/64', ...b },
  lab: { v4: '10.3.0.0/24', v6: 'fd00:3::/64', ...lab, kind: 'isolated' },
});

const party = fc.constantFrom(
  ...['a1', 'a2', 'b1', 'l1', 'a', 'b', 'lab', 'host', 'any', 'internet', 'a1,b1', 'a,lab', '10.1.0.0/24', '10.2.0.10', '10.0.0.0/8'],
  ...['fd00:1::/64', '2001:db8:2::a', '198.51.100.0/24', '0.0.0.0/0', '::/0', '203.0.113.10', '10.1.0.1', 'fd00:1::1', 'host,a2'],
);
const ports = fc.constantFrom(
  'any',
  'tcp/80',
  'tcp/80,443',
  'udp/53',
  'icmp',
  'tcp/1-100',
  'udp/1-1000 icmp',
  'tcp/53 udp/53',
  'tcp/443 udp/80',
);
const rule: fc.Arbitrary<SmallRule> = fc.record({ from: party, to: party, ports, log: fc.boolean() });
const mode = fc.record({
  egress: fc.constantFrom('allow' as const, 'deny' as const),
  fromHost: fc.constantFrom('allow' as const, 'deny' as const),
  filter: fc.constantFrom('on' as const, 'on' as const, 'on' as const, 'off' as const),
});
const small: fc.Arbitrary<Small> = fc
  .record({
    modes: fc.tuple(mode, mode, mode),
    allow: fc.array(rule, { maxLength: 8 }),
    block: fc.array(rule, { maxLength: 3 }),
  })
  .map(({ modes: [a, b, lab], allow, block }) => ({ networks: networks(a, b, { ...lab, egress: 'deny' }), guests, allow, block }));

const places = ['a1', 'a2', 'b1', 'l1', 'host', 'outside', 'gateway'] as const;
type Place = (typeof places)[number];
interface Question {
  readonly from: Place;
  readonly to: Place;
  readonly family: 4 | 6;
  readonly protocol: 'tcp' | 'udp' | 'icmp';
  readonly port: number;
}
const question: fc.Arbitrary<Question> = fc
  .record({
    from: fc.constantFrom(...places.slice(0, 6)),
    to: fc.constantFrom(...places),
    family: fc.constantFrom(4 as const, 6 as const),
    protocol: fc.constantFrom('tcp' as const, 'tcp' as const, 'udp' as const, 'udp' as const, 'icmp' as const),
    port: fc.constantFrom(53, 80, 443),
  })
  .filter(({ from, to }) => from !== to && !(isOuter(from) && isOuter(to)));
const isOuter = (place: Place): boolean => place === 'host' || place === 'outside' || place === 'gateway';

/** Addresses of both ends, and where the packet passes. */
function flowOf(bed: PolicyBed, { from, to, family, protocol, port }: Question): Flow {
  const guestNetwork = bed.fabric.guests.find((guest) => guest.name === from)?.nics[0]?.network;
  const gateway = bed.fabric.networks.find((network) => network.name === (guestNetwork ?? 'a'));
  const address = (place: Place): string => {
    if (place === 'outside') return family === 4 ? OUTSIDE4 : OUTSIDE6;
    if (place === 'host') return family === 4 ? '203.0.113.10' : '2001:db8:99::10';
    if (place === 'gateway') return (family === 4 ? gateway?.v4?.gateway : gateway?.v6?.gateway) ?? '';
    return bed.address(place, family);
  };
  // The host opens connections from its address on that bridge.
  const near = bed.fabric.networks.find(
    (network) => network.name === bed.fabric.guests.find((guest) => guest.name === to)?.nics[0]?.network,
  );
  const src = from === 'host' ? ((family === 4 ? near?.v4?.gateway : near?.v6?.gateway) ?? '') : address(from);
  const path = from === 'host' ? 'output' : to === 'host' || to === 'gateway' ? 'input' : 'forward';
  return {
    src,
    dst: address(to),
    protocol: protocol === 'icmp' && family === 6 ? 'icmpv6' : protocol,
    path,
    ...(protocol === 'icmp' ? {} : { dport: port }),
  };
}

function probeOf(bed: PolicyBed, asked: Question, flow: Flow): Probe {
  const { from, to, protocol, port } = asked;
  const at = to === 'gateway' ? 'host' : to === 'outside' ? 'outer' : to;
  return {
    from: bed.path(from === 'outside' ? 'outer' : from),
    at: bed.path(at),
    source: flow.src,
    to: flow.dst,
    protocol,
    port,
    timeoutMs: 300,
    ...(to === 'gateway' && port === 53 ? { listenPort: WEFT_DNS_PORT } : {}),
  };
}

it('judges as the kernel does', { timeout: 240_000 }, async () => {
  const routes = ['10.1.0.0/24', '10.2.0.0/24', '10.3.0.0/24', 'fd00:1::/64', '2001:db8:2::/64', 'fd00:3::/64'];
  const first: Small = { networks: networks({}, {}, {}), guests };
  await withPolicy(first, { routes }, async (bed) => {
    let accepted = 0;
    let dropped = 0;
    const property = fc.asyncProperty(
      small,
      fc.uniqueArray(question, { minLength: 60, maxLength: 60, selector: (q) => JSON.stringify(q) }),
      async (next, questions) => {
        await bed.change(next);
        const asked = questions.map((one) => {
          const flow = flowOf(bed, one);
          const { verdict, ruleId } = judge(bed.policy, flow);
          return { flow, want: verdict !== 'drop', verdict, ruleId, probe: probeOf(bed, one, flow) };
        });
        const results = await bed.prober.probeAll(
          asked.map(({ probe }) => probe),
          60,
        );
        const wrong: unknown[] = [];
        for (const [i, one] of asked.entries()) {
          if (one.want) accepted++;
          else dropped++;
          if (results[i]?.delivered === one.want) continue;
          // A busy machine answers late: asked again, with patience.
          const again = await bed.prober.probe({ ...one.probe, timeoutMs: 1500 });
          if (again.delivered !== one.want) wrong.push({ ...one, probe: undefined, delivered: again.delivered });
        }
        assert.deepEqual(wrong, []);
      },
    );
    await fc.assert(property, { numRuns: 18, endOnFailure: true });
    assert.ok(accepted > 200 && dropped > 200, `${accepted} accepted, ${dropped} dropped: the test asks too little`);
  });
});
