/** The relay against name servers that lie, keep silent and refuse, and against sets that are not there: what it answers, and what it opens. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import dnsPacket, { type Answer } from 'dns-packet';
import { WeftError } from '../../src/diagnostic/diagnostic.ts';
import type { RelayService, RelayUpstream } from '../../src/hoststate/model.ts';
import { openKernel } from '../../src/kernel/open.ts';
import { observeServices, serviceStatus, startService, stopService } from '../../src/kernel/services.ts';
import { readOpened, writeOpened } from '../../src/kernel/opened.ts';
import { answerTo, type Relay } from '../../src/relay/answer.ts';
import { matcherOf } from '../../src/relay/matching.ts';
import { Openings } from '../../src/relay/openings.ts';
import { frame, messagesOf } from '../../src/relay/stream.ts';
import { serversOf } from '../../src/relay/upstream.ts';

const kernel = openKernel();
const closing: (() => void)[] = [];
const logged: string[] = [];

before(async () => {
  await kernel.run('ip', ['link', 'set', 'dev', 'lo', 'up']);
  const sets = 'set n_good4 { type ipv4_addr; flags timeout; }\nset n_small4 { type ipv4_addr; size 2; flags timeout; }';
  await kernel.run('nft', ['-f', '-'], { input: `table inet weft {\n${sets}\n}\n` });
});
after(() => {
  for (const close of closing) close();
});

type Serve = (query: Buffer, from: RemoteInfo, socket: Socket) => void;

/** A name server on port 53 of one of the loopback's addresses. */
async function serve(address: string, answer: Serve): Promise<void> {
  const socket = createSocket('udp4');
  socket.bind(53, address);
  await once(socket, 'listening');
  socket.on('message', (query, from) => answer(query, from, socket));
  closing.push(() => socket.close());
}

const query = (name: string): Buffer =>
  dnsPacket.encode({ type: 'query', id: 4711, flags: dnsPacket.RECURSION_DESIRED, questions: [{ type: 'A', name }] });

function reply(to: Buffer, addresses: readonly string[], more: dnsPacket.Packet = {}): Buffer {
  const { id, questions = [] } = dnsPacket.decode(to);
  const answers = addresses.map((data): Answer => ({ type: 'A', name: questions[0]?.name ?? '', data, ttl: 100 }));
  return dnsPacket.encode({ type: 'response', id: id ?? 0, questions, answers, ...more });
}

function relayOf(servers: readonly string[]): Relay {
  return {
    config: { graceSeconds: 60, longestSeconds: 1000 },
    upstream: { kind: 'servers', servers },
    matching: matcherOf([
      { pattern: 'good.test', set4: 'n_good4' },
      { pattern: 'small.test', set4: 'n_small4' },
      { pattern: 'gone.test', set4: 'n_gone4' },
    ]),
    openings: new Openings((addresses) => writeOpened(kernel, addresses)),
    log: (line) => logged.push(line),
  };
}

const said = (answer: Buffer | undefined): string => {
  assert.ok(answer);
  const packet = dnsPacket.decode(answer);
  const records = (packet.answers ?? []).map((record) => (record.type === 'A' ? record.data : record.type));
  return (packet.flags ?? 0) % 16 === 0 ? records.join(' ') : `failure ${(packet.flags ?? 0) % 16}`;
};
const open = async (set: string): Promise<string[]> =>
  (await readOpened(kernel))
    .filter((one) => one.set === set)
    .map(({ address, seconds }) => `${address} ${seconds > 150 && seconds <= 160 ? 160 : seconds}`);

test('opens what the server said, and nothing that somebody else said in its place', async () => {
  const elsewhere = createSocket('udp4');
  elsewhere.bind(5353, '127.0.0.2');
  await once(elsewhere, 'listening');
  closing.push(() => elsewhere.close());
  await serve('127.0.0.2', (asked, from, socket) => {
    const forged = reply(asked, ['198.51.100.66']);
    // The right words from another port, and from the right place another id and another question.
    elsewhere.send(forged, from.port, from.address);
    socket.send(reply(asked, ['198.51.100.67'], { id: 4712 }), from.port, from.address);
    socket.send(reply(asked, ['198.51.100.68'], { questions: [{ type: 'A', name: 'bad.test' }] }), from.port, from.address);
    socket.send(Buffer.from('nonsense'), from.port, from.address);
    setTimeout(() => socket.send(reply(asked, ['198.51.100.1']), from.port, from.address), 50);
  });
  const relay = relayOf(['127.0.0.2']);
  assert.equal(said(await answerTo(query('good.test'), 'udp', relay)), '198.51.100.1');
  assert.deepEqual(await open('n_good4'), ['198.51.100.1 160']);
  // A name that is not of the file is answered all the same, below one of it too.
  assert.equal(said(await answerTo(query('www.good.test'), 'udp', relay)), '198.51.100.1');
  assert.deepEqual(await open('n_good4'), ['198.51.100.1 160']);
});

test('asks the next server when one is silent, refuses, fails or is not there', async () => {
  await serve('127.0.0.3', () => undefined);
  await serve('127.0.0.4', (asked, from, socket) => socket.send(reply(asked, [], { flags: 5 }), from.port, from.address));
  await serve('127.0.0.5', (asked, from, socket) => socket.send(reply(asked, ['198.51.100.5']), from.port, from.address));
  for (const first of ['127.0.0.3', '127.0.0.4', '127.0.0.9'])
    assert.equal(said(await answerTo(query('other.test'), 'udp', relayOf([first, '127.0.0.5']))), '198.51.100.5', first);
  assert.equal(said(await answerTo(query('other.test'), 'udp', relayOf(['127.0.0.9', '127.0.0.4']))), 'failure 5');
  assert.equal(said(await answerTo(query('other.test'), 'udp', relayOf([]))), 'failure 2');
});

test('an address that cannot be opened is not told', async () => {
  await serve('127.0.0.6', (asked, from, socket) =>
    socket.send(reply(asked, ['198.51.100.71', '198.51.100.72', '198.51.100.73']), from.port, from.address),
  );
  const relay = relayOf(['127.0.0.6']);
  const [gone, small, other] = await Promise.all(
    ['gone.test', 'small.test', 'good.test'].map(async (name) => said(await answerTo(query(name), 'udp', relay))),
  );
  assert.deepEqual([gone, small, other], ['failure 2', 'failure 2', '198.51.100.71 198.51.100.72 198.51.100.73']);
  assert.deepEqual(await open('n_small4'), []);
  assert.match(logged.join('\n'), /^gone\.test is not answered, because its addresses cannot be opened: /m);
});

test('asks over TCP what was asked over TCP', async () => {
  const server = createServer((socket) => messagesOf(socket, (asked) => socket.write(frame(reply(asked, ['198.51.100.8'])))));
  server.listen(53, '127.0.0.8');
  await once(server, 'listening');
  closing.push(() => server.close());
  assert.equal(said(await answerTo(query('good.test'), 'tcp', relayOf(['127.0.0.8']))), '198.51.100.8');
  assert.equal((await open('n_good4')).includes('198.51.100.8 160'), true);
});

test('follows the resolv.conf of the host, without the gateways of Weft itself', () => {
  const file = join(mkdtempSync('/run/weft-relay-'), 'resolv.conf');
  const upstream: RelayUpstream = { kind: 'follow', file, except: ['10.0.105.254', 'fd00:105::1'] };
  assert.deepEqual(serversOf(upstream), []);
  writeFileSync(
    file,
    '# nameserver 192.0.2.1\nnameserver 10.0.105.254\n nameserver  192.0.2.2 # mine\nnameserver FD00:105:0::1\nnameserver nonsense\noptions edns0\nnameserver 2001:db8::53\n',
  );
  assert.deepEqual(serversOf(upstream), ['192.0.2.2', '2001:db8::53']);
});

test('runs once as a service, takes new names over without a restart, and says who is in its way', async () => {
  const directory = mkdtempSync('/run/weft-relay-');
  const dirs = { run: join(directory, 'run'), state: join(directory, 'state') };
  const pid = (): string => readFileSync(join(dirs.run, 'services/relay/pid'), 'utf8');
  const service = (pattern: string, address = '127.87.0.1'): RelayService => ({
    kind: 'relay',
    name: 'relay',
    config: {
      listeners: [{ address, port: 53054, upstream: { kind: 'servers', servers: ['127.0.0.5'] }, domains: [{ pattern, set4: 'n_good4' }] }],
      graceSeconds: 60,
      longestSeconds: 1000,
    },
  });
  const asked = async (address: string, name: string): Promise<string> =>
    (await kernel.run('dig', ['+short', '+tries=1', `@${address}`, '-p', '53054', name])).trim();
  const holder = createSocket('udp4');
  holder.bind(53054, '0.0.0.0');
  await once(holder, 'listening');
  await assert.rejects(startService(kernel, service('a.test'), dirs), (error) => {
    assert.ok(error instanceof WeftError);
    assert.match(error.message, /another program holds port 53054/);
    return true;
  });
  assert.equal(serviceStatus(kernel, 'relay', dirs), 'absent');
  holder.close();

  await startService(kernel, service('a.test'), dirs);
  const first = pid();
  assert.deepEqual(observeServices(dirs, kernel), [{ name: 'relay', alive: true, service: service('a.test') }]);
  assert.equal(await asked('127.87.0.1', 'a.test'), '198.51.100.5');
  assert.equal((await open('n_good4')).includes('198.51.100.5 160'), true);
  // What is open comes back with the set.
  await kernel.run('nft', ['flush', 'set', 'inet', 'weft', 'n_good4']);
  await startService(kernel, service('b.test', '127.87.0.2'), dirs);
  assert.equal(pid(), first);
  assert.equal((await open('n_good4')).includes('198.51.100.5 160'), true);
  assert.equal(await asked('127.87.0.2', 'b.test'), '198.51.100.5');
  await assert.rejects(asked('127.87.0.1', 'b.test'));

  await stopService(kernel, 'relay', dirs);
  assert.equal(serviceStatus(kernel, 'relay', dirs), 'absent');
  await assert.rejects(asked('127.87.0.2', 'b.test'));
});
