/** `weft explain` away from any host: what it says of the file's flows, its documents, and its advice taken at its word. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { weft, withFiles } from './weft.ts';

const file = `name: demo
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
  lab: { kind: isolated, subnet: 192.168.77.0/24 }
guests:
  web: { network: internal, address: 10.0.105.10 }
  db: { network: internal, address: 10.0.105.20 }
  vault: lab
allow:
  - web -> db tcp/5432
block:
  - host -> vault
publish:
  - host tcp/2222 -> web tcp/22
`;

interface Answer {
  readonly flow: string;
  readonly verdict: string;
  readonly packet: { readonly source: string; readonly destination: string; readonly dport?: number; readonly protocol: string };
  readonly arrives?: {
    readonly at: object;
    readonly packet: { readonly destination: string; readonly dport?: number; readonly source: string };
  };
  readonly steps: readonly {
    readonly where: string;
    readonly rule: string;
    readonly effect: string;
    readonly source?: { file: string; line: number };
  }[];
  readonly blockers: readonly { readonly where: string; readonly rule: string }[];
  readonly advice?: { readonly text: string; readonly lines?: readonly string[] };
  readonly families: readonly { readonly family: number; readonly verdict: string }[];
  readonly combinations: number;
}

async function explain(
  cwd: string,
  flow: string,
  ...more: readonly string[]
): Promise<{ readonly status: number | null; readonly answer: Answer }> {
  const { status, out, err } = await weft(['explain', flow, '--json', ...more], { cwd });
  assert.equal(err, '');
  return { status, answer: JSON.parse(out) as Answer };
}

test('an allowed flow: every step, the deciding line, both families', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    const { status, answer } = await explain(cwd, 'web -> db tcp/5432');
    assert.deepEqual([status, answer.flow, answer.verdict], [0, 'web -> db tcp/5432', 'accepted']);
    assert.deepEqual(answer.packet, {
      from: 'w-web',
      mac: (answer.packet as { mac?: string }).mac,
      source: '10.0.105.10',
      destination: '10.0.105.20',
      protocol: 'tcp',
      sport: 40000,
      dport: 5432,
    });
    const deciding = answer.steps.filter(({ source }) => source);
    assert.deepEqual(
      deciding.map(({ effect, source }) => [effect, source]),
      [['accept', { file: 'weft.yaml', line: 10 }]],
    );
    assert.deepEqual(
      answer.families.map(({ family, verdict }) => [family, verdict]),
      [
        [4, 'accepted'],
        [6, 'accepted'],
      ],
    );
    assert.deepEqual(answer.blockers, []);
  }));

test('what is dropped passes once the file says what is advised', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    for (const flow of ['web -> db tcp/80', 'db -> host tcp/22', 'internet -> db tcp/443', '203.0.113.77 -> db udp/53']) {
      const { status, answer } = await explain(cwd, flow);
      assert.deepEqual([status, answer.verdict], [1, 'dropped'], flow);
      const [section, line] = answer.advice?.lines ?? [];
      assert(section && line, flow);
      await withFiles({ 'weft.yaml': file.replace(section, `${section}\n${line}`) }, async (other) => {
        const mended = await explain(other, flow);
        assert.deepEqual([mended.status, mended.answer.verdict], [0, 'accepted'], `${flow} with ${line}`);
      });
    }
  }));

test('a block is named with its line; an isolated network stays one; all that drops is listed', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    const blocked = await explain(cwd, 'host -> vault');
    assert.deepEqual(
      blocked.answer.steps.filter(({ source }) => source).map(({ effect, source }) => [effect, source?.line]),
      [['drop', 12]],
    );
    assert.match(blocked.answer.advice?.text ?? '', /^`block` wins over everything else: take out `host -> vault` \(weft\.yaml:12\)/);
    const isolated = await explain(cwd, 'vault -> internet');
    assert.match(isolated.answer.advice?.text ?? '', /^`lab` is isolated/);
    assert(isolated.answer.blockers.length >= 3);
  }));

test('published ports are asked for where they are published; masquerading is seen', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    const { answer } = await explain(cwd, 'internet -> web tcp/22');
    assert.deepEqual(
      [answer.verdict, answer.packet.dport, answer.arrives?.packet.destination, answer.arrives?.packet.dport],
      ['accepted', 2222, '10.0.105.10', 22],
    );
    const out = await explain(cwd, 'db -> internet udp/53');
    assert.notEqual(out.answer.arrives?.packet.source, '10.0.105.20');
    assert.equal(out.answer.verdict, 'accepted');
    const { out: text, status } = await weft(['explain', 'internal -> internet icmp'], { cwd });
    assert.equal(status, 0);
    assert.match(text, /^internal -> internet icmp: accepted \(IPv4\)\n {2}icmp 10\.0\.105\.10 -> /);
    assert.match(text, /means 4 combinations of guests, addresses and ports on host\.$/m);
  }));

test('a captured document without a file: literal addresses, and what is not in it is named', () => {
  const nftables = {
    nftables: [
      { table: { family: 'inet', name: 't' } },
      { chain: { family: 'inet', table: 't', name: 'f', type: 'filter', hook: 'forward', prio: 0, policy: 'drop' } },
    ],
  };
  const links = [
    { ifname: 'lo', flags: ['LOOPBACK', 'UP'], link_type: 'loopback', address: '00:00:00:00:00:00' },
    ...['eth0', 'eth1'].map((ifname, i) => ({
      ifname,
      flags: ['UP', 'LOWER_UP'],
      link_type: 'ether',
      address: `02:00:00:00:00:0${i}`,
      operstate: 'UP',
    })),
  ];
  const routes4 = [
    { dst: 'default', gateway: '192.0.2.1', dev: 'eth0', table: 'main' },
    { dst: '10.1.0.0/16', dev: 'eth1', table: 'main' },
  ];
  const sysctls = { 'net/ipv4/ip_forward': '1' };
  const document = {
    version: 1,
    host: 'old',
    nftables,
    links,
    addresses: [],
    routes4,
    routes6: [],
    rules4: [],
    rules6: [],
    neighbors: [],
    fdb: [],
    sysctls,
  };
  return withFiles({ 'host.json': JSON.stringify({ ...document, rules4: undefined }), 'bad.json': '[]' }, async (cwd) => {
    const { status, answer } = await explain(cwd, '203.0.113.7 -> 10.1.2.3 tcp/22', '--state', 'host.json');
    assert.deepEqual([status, answer.verdict, (answer as { missing?: unknown }).missing], [1, 'unknown', ['rules4']]);
    const whole = {
      ...document,
      rules4: [
        { priority: 0, src: 'all', table: 'local' },
        { priority: 32766, src: 'all', table: 'main' },
      ],
    };
    await withFiles({ 'host.json': JSON.stringify(whole) }, async (other) => {
      const known = await explain(other, '203.0.113.7 -> 10.1.2.3 tcp/22', '--state', 'host.json');
      assert.deepEqual(known.answer.blockers, [{ where: 'inet t f', rule: 'policy' }]);
      assert.match(known.answer.advice?.text ?? '', /^The table inet t is not Weft's/);
    });
    const bad = await weft(['explain', '203.0.113.7 -> 10.1.2.3 tcp/22', '--state', 'bad.json'], { cwd });
    assert.deepEqual(
      [bad.status, bad.err],
      [2, 'error file-unreadable: bad.json is no captured state of a host: make one with `weft capture > FILE`\n'],
    );
  });
});

test('a flow that is none, or that nobody here can send, is wrong input', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    for (const [flow, says] of [
      ['web db', /^error bad-flow: `web db`: there is no `->` in this flow/],
      ['web -> nobody', /^error unknown-party: `nobody` is not a guest, network, host or group/],
      ['vault -> 2001:db8::1', /^error usage: `vault -> 2001:db8::1` is no packet on host/],
    ] as const) {
      const { status, err } = await weft(['explain', flow], { cwd });
      assert.equal(status, 2);
      assert.match(err, says);
    }
  }));

test('what is published for some is not accepted for all', () =>
  withFiles(
    {
      'weft.yaml': `
name: some
networks: { internal: { kind: nat, subnet: 10.0.105.0/24 } }
guests: { web: internal }
publish:
  - host tcp/2222 -> web tcp/22 from 198.51.100.0/24
`,
    },
    async (cwd) => {
      const all = await explain(cwd, 'internet -> web tcp/22');
      assert.deepEqual([all.status, all.answer.verdict], [1, 'dropped']);
      assert.match(
        all.answer.blockers[0]?.rule ?? '',
        /does not get to web but ends at the host itself: it is published for 198\.51\.100\.0\/24 only/,
      );
      assert.match(all.answer.advice?.text ?? '', /widen `from`/);
      assert.equal((await explain(cwd, '198.51.100.0/24 -> web tcp/22')).answer.verdict, 'accepted');
    },
  ));
