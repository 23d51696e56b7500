/** The connection table: every kind of entry is read, and exactly the named ones are deleted. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { deleteConnections, listConnections, parseConnection } from './conntrack.ts';
import { readGeneration } from './generation.ts';
import { openKernel } from './open.ts';

const root = openKernel();
const namespace = `kt-conntrack-${process.pid}`;
const kernel = root.at(`/run/netns/${namespace}`);
before(() => root.run('ip', ['netns', 'add', namespace]));
after(() => root.run('ip', ['netns', 'del', namespace]));

test('a line with NAT, and one of ICMP, whose tuples have ids of their own', () => {
  assert.deepEqual(
    parseConnection(
      'tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=203.0.113.1 sport=1234 dport=2222 src=10.0.105.2 dst=10.0.0.1 sport=22 dport=1234 [ASSURED] mark=0 use=1 id=2710194018',
    ),
    {
      family: 4,
      protocol: 'tcp',
      protocolNumber: 6,
      orig: { src: '10.0.0.1', dst: '203.0.113.1', sport: 1234, dport: 2222 },
      reply: { src: '10.0.105.2', dst: '10.0.0.1', sport: 22, dport: 1234 },
      state: 'ESTABLISHED',
      id: 2710194018,
    },
  );
  const ping = parseConnection(
    'icmpv6   58 29 src=::1 dst=::1 type=128 code=0 id=13067 src=::1 dst=::1 type=129 code=0 id=13067 mark=0 use=1 id=3066599386',
  );
  assert.deepEqual(ping?.orig, { src: '::1', dst: '::1', icmp: { type: 128, code: 0, id: 13067 } });
  assert.equal(ping.id, 3066599386);
  assert.equal(
    parseConnection('unknown  89 99 src=10.0.0.1 dst=10.0.0.2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 mark=0 use=1 id=1')?.protocol,
    '89',
  );
  assert.equal(parseConnection(''), undefined);
  assert.equal(parseConnection('conntrack v1.4.7 (conntrack-tools): 8 flow entries have been shown.'), undefined);
});

const ports = '--sport 1 --dport 2';
const kinds = [
  `-p tcp -s 10.0.0.1 -d 10.0.0.2 ${ports} --state ESTABLISHED`,
  `-p udp -s 10.0.0.1 -d 10.0.0.2 ${ports} -r 10.0.0.9 -q 10.0.0.8 --reply-port-src 53 --reply-port-dst 99`,
  `-p udp -s 10.0.0.1 -d 10.0.0.2 ${ports} --zone 5`,
  `-p sctp -s 10.0.0.1 -d 10.0.0.2 ${ports} --state ESTABLISHED --orig-vtag 1 --reply-vtag 2`,
  '-p gre -s 10.0.0.1 -d 10.0.0.2 --srckey 1 --dstkey 2',
  '-p 89 -s 10.0.0.1 -d 10.0.0.2',
  '-p icmp -s 10.0.0.1 -d 10.0.0.2 --icmp-type 8 --icmp-code 0 --icmp-id 7',
  `-p tcp -s fd00::1 -d fd00::2 ${ports} --state ESTABLISHED`,
  '-p icmpv6 -s fd00::1 -d fd00::2 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 7',
];

test('each kind of entry is deleted, and nothing else', async () => {
  for (const kind of kinds) {
    const neighbours = kinds.filter((other) => other !== kind);
    for (const line of kinds) await kernel.run('conntrack', ['-A', ...line.split(' '), '-t', '100']);
    const all = await listConnections(kernel);
    assert.equal(all.length, kinds.length);
    const last = all.find((entry) => kind.includes(`-s ${entry.orig.src} `) && sameKind(kind, entry));
    assert(last, kind);
    assert.equal(await deleteConnections(kernel, [last]), 1, kind);
    const left = await listConnections(kernel);
    assert.deepEqual(new Set(left.map(({ id }) => id)), new Set(all.filter((entry) => entry !== last).map(({ id }) => id)));
    assert.equal(left.length, neighbours.length);
    assert.equal(await deleteConnections(kernel, [last]), 0, 'a second time is no error');
    assert.equal(await deleteConnections(kernel, [{ ...(left[0] ?? last), id: 1 }]), 0, 'another id is another connection');
    assert.equal(await deleteConnections(kernel, await listConnections(kernel)), neighbours.length);
  }
});

function sameKind(kind: string, entry: { protocol: string; zone?: number; protocolNumber: number }): boolean {
  const protocol = kind.split(' ')[1];
  return (
    (protocol === entry.protocol || protocol === String(entry.protocolNumber)) && kind.includes('--zone') === (entry.zone !== undefined)
  );
}

test('thousands are deleted at once, not one by one', async () => {
  const input = Array.from(
    { length: 20_000 },
    (_, i) =>
      `-A -p tcp -s 10.${i >> 14}.${(i >> 7) & 127}.${(i & 127) + 1} -d 10.200.0.1 --sport ${1024 + i} --dport 80 --state ESTABLISHED -t 600\n`,
  );
  // conntrack cannot read from the socket that Node's pipes are.
  await kernel.run('sh', ['-c', 'cat | conntrack -R -'], { input: input.join('') });
  const all = await listConnections(kernel);
  assert.equal(all.length, 20_000);
  const begun = performance.now();
  assert.equal(await deleteConnections(kernel, all.slice(0, 10_000)), 10_000);
  const took = performance.now() - begun;
  assert(took < 20_000, `${took} ms`);
  assert.equal((await listConnections(kernel)).length, 10_000);
});

test('the generation changes with every commit, of any table, and with nothing else', async () => {
  const first = await readGeneration(kernel);
  assert.match(first ?? '', /^\d+ net:\[\d+\] [0-9a-f-]{36}$/);
  assert.equal(await readGeneration(kernel), first);
  await kernel.run('nft', ['-j', 'list', 'ruleset']);
  await kernel.run('nft', ['-c', '-f', '-'], { input: 'add table ip x\n' });
  assert.equal(await readGeneration(kernel), first);
  await kernel.run('nft', ['-f', '-'], { input: 'add table ip x\nadd set ip x s { type ipv4_addr; }\n' });
  const second = await readGeneration(kernel);
  assert.notEqual(second, first);
  await kernel.run('nft', ['-f', '-'], { input: 'add element ip x s { 10.0.0.1 }\n' });
  assert.notEqual(await readGeneration(kernel), second);
  assert.notEqual(await readGeneration(root), first, 'another namespace is another generation');
});
