/** Entries are taken out of the connection table and put back as they were, whatever they are of; nobody else's are touched, and nothing begins meanwhile. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { listConnections, type Connection } from './conntrack.ts';
import { startLineProcess } from './line-process.ts';
import { openKernel } from './open.ts';
import { keepTranslated } from './translated.ts';

const root = openKernel();
const namespace = `kt-translated-${process.pid}`;
const kernel = root.at(`/run/netns/${namespace}`);
before(() => root.run('ip', ['netns', 'add', namespace]));
after(() => root.run('ip', ['netns', 'del', namespace]));

const ports = '--sport 1000 --dport 53';
const v4 = '-s 10.0.0.1 -d 10.9.9.9';
const kinds = [
  `-p tcp ${v4} ${ports} --state ESTABLISHED --src-nat 192.0.2.1:2000 -u SEEN_REPLY,ASSURED --mark 7`,
  `-p tcp ${v4} --sport 1001 --dport 53 --state SYN_SENT --src-nat 192.0.2.1`,
  `-p tcp ${v4} --sport 1002 --dport 53 --state TIME_WAIT --src-nat 192.0.2.1 --dst-nat 10.9.9.8:54 -u SEEN_REPLY,ASSURED`,
  `-p udp ${v4} ${ports} --src-nat 192.0.2.1:2000`,
  `-p udp ${v4} ${ports} --src-nat 192.0.2.1:2001 --zone 5`,
  `-p sctp ${v4} ${ports} --state ESTABLISHED --orig-vtag 1 --reply-vtag 2 --src-nat 192.0.2.1:2000`,
  `-p 89 ${v4} --src-nat 192.0.2.1`,
  `-p icmp ${v4} --icmp-type 8 --icmp-code 0 --icmp-id 7 --src-nat 192.0.2.1`,
  `-p tcp -s fd00::1 -d fd00::2 ${ports} --state ESTABLISHED --src-nat 2001:db8::1`,
  '-p icmpv6 -s fd00::1 -d fd00::2 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 7 --src-nat 2001:db8::1',
];
const others = [`-p tcp ${v4} --sport 2 --dport 2 --state ESTABLISHED --src-nat 192.0.2.77`, `-p udp -s 192.0.2.1 -d 10.9.9.9 ${ports}`];

const move = { addresses: new Set(['192.0.2.1', '2001:db8::1']), links: ['em0', 'br-lan'] } as const;
const plain = (entries: readonly Connection[]): string[] => entries.map((entry) => JSON.stringify({ ...entry, id: 0 })).sort();
/** With what the connection table tells besides: marks, [ASSURED], [UNREPLIED]. */
const words = async (): Promise<string[]> =>
  (await Promise.all(['ipv4', 'ipv6'].map((family) => kernel.run('conntrack', ['-L', '-f', family]))))
    .flatMap((list) => list.split('\n'))
    .map((line) => line.replace(/^(\S+ +\d+) \d+/, '$1'))
    .sort();

test('each kind of entry is another one afterwards, and says the same', async () => {
  const ended: string[] = [];
  const events = startLineProcess(kernel, 'conntrack', ['-E', '-e', 'DESTROY'], { onLine: (line) => ended.push(line) });
  /** All that has ended until now has been told. */
  const told = async (marker: string): Promise<void> => {
    for (const until = Date.now() + 30_000; !ended.some((line) => line.includes(`src=${marker} `)); await sleep(50)) {
      assert.ok(Date.now() < until, 'no events');
      await kernel.run('conntrack', ['-I', '-p', 'udp', '-s', marker, '-d', '10.7.7.1', ...ports.split(' '), '-t', '100']);
      await kernel.run('conntrack', ['-D', '-s', marker]);
    }
  };
  await told('10.7.7.7');
  for (const kind of [...kinds, ...others]) await kernel.run('conntrack', ['-I', ...kind.split(' '), '-t', '1000']);
  const [entries, said] = [await listConnections(kernel), await words()];
  assert.equal(entries.length, kinds.length + others.length);
  let during = '';
  await keepTranslated(kernel, move, async () => void (during = await kernel.run('nft', ['list', 'ruleset'])));
  assert.deepEqual(plain(await listConnections(kernel)), plain(entries));
  assert.deepEqual(await words(), said);
  const seconds = (await kernel.run('conntrack', ['-L'])).split('\n').flatMap((line) => /^\S+ +\d+ (\d+)/.exec(line)?.[1] ?? []);
  assert.ok(
    seconds.every((left) => Number(left) > 900 && Number(left) <= 1000),
    String(seconds),
  );
  await told('10.7.7.8');
  await events.stop();
  assert.equal(ended.filter((line) => !line.includes('src=10.7.7.')).length, kinds.length, ended.join('\n'));
  assert.ok(!ended.some((line) => line.includes('192.0.2.77')), ended.join('\n'));
  assert.match(during, /iifname @links ct state new drop/);
  assert.equal(await kernel.run('nft', ['list', 'ruleset']), '');
});

test('nothing is held any more when the move fails', async () => {
  await assert.rejects(
    keepTranslated(kernel, move, () => Promise.reject(new Error('no'))),
    /^Error: no$/,
  );
  assert.equal(await kernel.run('nft', ['list', 'ruleset']), '');
});
