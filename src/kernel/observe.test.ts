/** Observation, facts and capture of a namespace that plays a host, made by plain `ip` and `nft` commands. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { capture, withoutKeys } from './capture.ts';
import { comparable } from './comparable.ts';
import { readFacts } from './facts.ts';
import { legacyTables, observe } from './observe.ts';
import { openKernel } from './open.ts';

const root = openKernel();
const namespace = `kt-observe-${process.pid}`;
const kernel = root.at(`/run/netns/${namespace}`);
const ip = (lines: string) => kernel.run('ip', ['-batch', '-'], { input: lines });
const nft = (input: string) => kernel.run('nft', ['-f', '-'], { input });

before(async () => {
  await root.run('ip', ['netns', 'add', namespace]);
  await ip(`link set dev lo up
link add name eth0 mtu 1400 type veth peer name far
link set dev far addrgenmode none up
link set dev eth0 addrgenmode none up
addr add 192.0.2.2/24 dev eth0
addr add 2001:db8::2/64 dev eth0 nodad
route add default via 192.0.2.1 metric 50
route add default via 192.0.2.3 metric 10
route add default via fe80::1 dev eth0
route add 10.9.0.0/16 via 192.0.2.1
route add blackhole 10.66.0.0/16
`);
});
after(() => root.run('ip', ['netns', 'del', namespace]));

const bridge = `link add name br-x address 02:00:00:00:00:01 type bridge stp_state 0 mcast_snooping 0
link set dev br-x alias weft:demo:bridge:x addrgenmode none up
tuntap add dev w-a mode tap
link set dev w-a alias weft:demo:port:a master br-x addrgenmode none
link set dev w-a type bridge_slave isolated on learning off flood off
link set dev w-a up
addr add 10.5.0.1/24 dev br-x
route add 10.6.0.0/24 dev br-x proto 87
neigh replace 10.5.0.2 lladdr 02:00:00:00:00:05 dev br-x nud permanent
`;

test('an untouched host has nothing of Weft, and its facts', async () => {
  const seen = await observe(kernel);
  assert.deepEqual(seen.own, {
    modules: [],
    links: [],
    enslaved: [],
    addresses: [],
    routes: [],
    neighbors: [],
    proxies: [],
    fdb: [],
    sysctls: [],
    tables: [],
  });
  const facts = await readFacts(kernel);
  assert.deepEqual(facts.uplink, {
    name: 'eth0',
    mtu: 1400,
    mac: seen.links.find(({ name }) => name === 'eth0')?.mac,
    gateways: ['192.0.2.3', '192.0.2.1', 'fe80::1'],
    addresses: ['192.0.2.2/24', '2001:db8::2/64'],
    v6: true,
  });
  assert.deepEqual(facts.forwarding, { v4: false, v6: false });
  assert.deepEqual(facts.acceptRa, ['eth0', 'far']);
  assert.deepEqual(
    facts.routes.map(({ prefix }) => prefix),
    ['10.9.0.0/16', '192.0.2.0/24', '192.0.2.2/32', '2001:db8::/64', '2001:db8::2/128'],
  );
  assert.equal((await readFacts(kernel, { uplink: 'far' })).uplink?.name, 'far');
  assert.equal((await readFacts(kernel, { uplink: 'nope' })).uplink, undefined);
  assert.deepEqual(await legacyTables(kernel), []);
});

test("Weft's part is told from the rest, and facts do not change by it", async () => {
  const untouched = await readFacts(kernel);
  const first = await capture(kernel, 'h');
  await ip(bridge);
  await kernel.run('bridge', ['fdb', 'replace', '02:00:00:00:00:05', 'dev', 'w-a', 'master', 'static']);
  await nft('table inet weft {\nchain c {\ntcp dport 22 accept\n}\n}\ntable ip docker {\nchain c {\n}\n}\ntable ip weft {\n}\n');
  const wanted = [
    { key: 'net/ipv4/conf/br-x/proxy_arp_pvlan', value: '1', link: 'br-x' },
    { key: 'net/ipv4/conf/nope/forwarding', value: '1' },
  ];
  const { own, foreign, generation, links } = await observe(kernel, { sysctls: wanted });
  assert.deepEqual(own, {
    modules: [],
    links: [
      { kind: 'bridge', name: 'br-x', alias: 'weft:demo:bridge:x', mac: '02:00:00:00:00:01', mtu: 1500 },
      { kind: 'tap', name: 'w-a', alias: 'weft:demo:port:a', bridge: 'br-x', mtu: 1500 },
    ],
    enslaved: [],
    addresses: [{ link: 'br-x', address: '10.5.0.1/24' }],
    routes: [{ prefix: '10.6.0.0/24', link: 'br-x' }],
    neighbors: [{ link: 'br-x', address: '10.5.0.2', mac: '02:00:00:00:00:05' }],
    proxies: [],
    fdb: [{ port: 'w-a', mac: '02:00:00:00:00:05' }],
    sysctls: [{ key: 'net/ipv4/conf/br-x/proxy_arp_pvlan', value: '0', link: 'br-x' }],
    tables: [
      {
        family: 'inet',
        name: 'weft',
        sets: [],
        maps: [],
        chains: [
          {
            name: 'c',
            rules: [
              {
                statements: [{ match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: 22 } }, { accept: null }],
              },
            ],
          },
        ],
      },
    ],
  });
  assert.deepEqual(
    foreign.map((table) => `${table.family} ${table.name}`),
    ['ip docker', 'ip weft'],
  );
  assert.deepEqual(new Set(links.map(({ name }) => name)), new Set(['lo', 'far', 'eth0', 'br-x', 'w-a']));
  assert.deepEqual(await readFacts(kernel), untouched);

  assert(generation !== undefined);
  const known = { generation, tables: [], foreign: [] };
  assert.deepEqual((await observe(kernel, { known })).own.tables, [], 'an unchanged ruleset is not read again');
  await nft('add chain inet weft d\n');
  assert.equal((await observe(kernel, { known })).own.tables[0]?.chains.length, 2);

  assert.notDeepEqual(comparable(await capture(kernel, 'h')), comparable(first));
  await ip('link del dev w-a\nlink del dev br-x\n');
  await nft('delete table inet weft\ndelete table ip docker\ndelete table ip weft\n');
  assert.deepEqual(comparable(await capture(kernel, 'h')), comparable(first));
});

test('a capture is the output of plain tools; counters and traffic do not matter when two are compared', async () => {
  await nft(
    'table ip x {\nset s {\ntype ipv4_addr\nelements = { 10.0.0.1, 10.0.0.2 }\n}\nchain c {\ntype filter hook output priority 0; policy accept;\ncounter accept\n}\n}\n',
  );
  const first = await capture(kernel, 'h');
  assert.equal(first.version, 1);
  assert.deepEqual(first.links, JSON.parse(await kernel.run('ip', ['-j', '-d', 'link'])));
  assert.deepEqual(first.nftables, JSON.parse(await kernel.run('nft', ['-j', 'list', 'ruleset'])));
  assert.equal(first.sysctls?.['net/ipv4/ip_forward'], '0');
  assert(first.missing.every(({ part }) => part === 'wireguard'));
  await kernel.tryRun('ping', ['-c1', '-W1', '127.0.0.1']);
  await kernel.tryRun('ping', ['-c1', '-W1', '192.0.2.9']);
  assert.deepEqual(comparable(await capture(kernel, 'h')), comparable(first));
  for (const change of ['net/ipv4/ip_forward', 'net/ipv6/conf/eth0/accept_ra']) {
    const old = (await kernel.readSysctl(change)) ?? '';
    await kernel.writeSysctl(change, '1' === old ? '0' : '1');
    assert.notDeepEqual(comparable(await capture(kernel, 'h')), comparable(first), change);
    await kernel.writeSysctl(change, old);
  }
  await nft('add element ip x s { 10.0.0.3 }\n');
  assert.notDeepEqual(comparable(await capture(kernel, 'h')), comparable(first));
});

test("WireGuard's secrets stay out of a capture", () => {
  const dump =
    'wg0\tPRIVATE\tPUBLIC\t51820\toff\nwg0\tPEER\tPRESHARED\t192.0.2.1:51820\t10.0.0.0/8\t0\t0\t0\toff\nwg0\tPEER2\t(none)\t(none)\t10.0.0.0/8\t0\t0\t0\toff\n';
  const hidden = withoutKeys(dump);
  assert.doesNotMatch(hidden, /PRIVATE|PRESHARED/);
  assert.match(hidden, /wg0\t\(hidden\)\tPUBLIC\t51820\toff\nwg0\tPEER\t\(hidden\)\t192.0.2.1:51820/);
  assert.match(hidden, /PEER2\t\(none\)\t\(none\)/);
});
