/** The commands that look at a running host, in a machine of their own: capture and logs around a real apply. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { openKernel } from '../../src/kernel/open.ts';
import { type Ran, weft } from './weft.ts';

const directory = mkdtempSync(join(tmpdir(), 'weft-host-'));
const env = { WEFT_STATE_DIR: '/run/state', WEFT_RUN_DIR: '/run/run' };
const cli = (...args: string[]): Promise<Ran> => weft(args, { cwd: directory, env });
const kernel = openKernel();

before(async () => {
  const lines = [
    'link add name eth0 type veth peer name outer',
    'addr add 198.51.100.2/24 dev eth0',
    // Link-local addresses would be tentative at first, and one look differ from the next.
    'link set dev eth0 addrgenmode none',
    'link set dev outer addrgenmode none',
    'link set dev eth0 up',
    'link set dev outer up',
  ];
  await kernel.run('ip', ['-batch', '-'], { input: `${lines.join('\n')}\nlink set dev lo up\nroute add default via 198.51.100.1\n` });
  writeFileSync(
    join(directory, 'weft.yaml'),
    `name: lg
networks: { internal: { kind: nat, subnet: 10.0.105.0/24 } }
guests:
  web: { network: internal, kind: namespace, log: dropped }
  db: { network: internal, kind: namespace }
allow:
  - { from: web, to: db, ports: icmp, log: true }
`,
  );
});
after(async () => {
  await cli('destroy', '--yes');
  rmSync(directory, { recursive: true });
});

test('capture has every part by its documented name, and the programs’ own output in it', async () => {
  const { status, out } = await cli('capture');
  assert.equal(status, 0);
  const document = JSON.parse(out) as Record<string, unknown> & { missing: { part: string }[] };
  const missing = new Set(document.missing.map(({ part }) => part));
  for (const part of [
    'nftables',
    'links',
    'addresses',
    'routes4',
    'routes6',
    'rules4',
    'rules6',
    'neighbors',
    'bridge',
    'sysctls',
    'wireguard',
  ])
    assert.ok(part in document || missing.has(part), part);
  assert.equal(document['host'], 'host', 'the name the file gives this host');
  const own = {
    nftables: ['nft', '-j', 'list', 'ruleset'],
    links: ['ip', '-j', '-d', 'link'],
    addresses: ['ip', '-j', 'addr'],
    routes4: ['ip', '-j', '-4', 'route', 'show', 'table', 'all'],
    routes6: ['ip', '-j', '-6', 'route', 'show', 'table', 'all'],
    rules4: ['ip', '-j', '-4', 'rule'],
    rules6: ['ip', '-j', '-6', 'rule'],
    bridge: ['bridge', '-j', '-d', 'link'],
  };
  for (const [part, [program = '', ...args]] of Object.entries(own))
    assert.deepEqual(document[part], JSON.parse((await kernel.run(program, args)) || '[]'), part);
  const written = await cli('capture', '-o', 'c.json');
  assert.deepEqual([written.status, written.out], [0, 'Wrote c.json.\n']);
  assert.deepEqual(Object.keys(JSON.parse(readFileSync(join(directory, 'c.json'), 'utf8')) as object), Object.keys(document));
});

test('logs before any apply says so', async () => {
  const { status, err } = await cli('logs');
  assert.equal(status, 2);
  assert.match(err, /^error not-applied: .*weft apply/);
});

test('only apply writes the lock and touches the host; wrong files touch nothing', async () => {
  const look = async (): Promise<unknown> => {
    const { stdout } = await kernel.tryRun('sh', [
      '-c',
      'ip -d addr; ip route show table all; nft list ruleset; sysctl -a 2>/dev/null | grep forwarding',
    ]);
    return stdout.replaceAll(/valid_lft \S+ preferred_lft \S+/g, '');
  };
  const untouched = await look();
  for (const command of ['check', 'show', 'plan']) {
    const { status, err } = await cli(command);
    assert.equal(status, 0, `${command}: ${err}`);
  }
  writeFileSync(join(directory, 'bad.yaml'), 'networks: { a: { kind: nat, subnet: 10.0.0.1/24 } }\n');
  for (const args of [['check'], ['show'], ['plan'], ['rehearse'], ['apply', '--yes'], ['guest', 'add', 'x', '--network', 'a']]) {
    const { status, err } = await cli(...args, '-f', 'bad.yaml');
    assert.equal(status, 2, args.join(' '));
    assert.match(err, /^bad\.yaml:1:37: error bad-prefix: .*\n +networks: .*\n +\^+$/m);
  }
  assert.deepEqual(await look(), untouched);
  assert.deepEqual(readdirSync(directory).toSorted(), ['bad.yaml', 'c.json', 'weft.yaml']);
  assert.equal(existsSync('/run/state/applied.json'), false);
});

test('apply without a terminal and without --yes changes nothing', async () => {
  const { status, err } = await cli('apply');
  assert.equal(status, 2);
  assert.match(err, /^error usage: .*--yes/);
});

test('logs shows who reached whom, with the line of the file', async () => {
  const applied = await cli('apply', '--yes');
  assert.equal(applied.status, 0, applied.err);
  await kernel.at('/run/netns/lg-web').run('ping', ['-c1', '-W1', '10.0.105.3']);
  await kernel.at('/run/netns/lg-db').tryRun('ping', ['-c1', '-W1', '10.0.105.2']);
  await sleep(300);
  const { out } = await cli('logs');
  assert.match(out, /^\S+ \S+ accepted web -> db icmp \(.*weft\.yaml:7: web -> db icmp\)$/m);
  assert.match(out, /^\S+ \S+ dropped {2}db -> web icmp \(no rule allows it\)$/m);
  const { packets } = JSON.parse((await cli('logs', 'db', '-n', '1', '--json')).out) as { packets: object[] };
  assert.equal(packets.length, 1);
  const unknown = await cli('logs', 'wep');
  assert.equal(unknown.status, 2);
  assert.match(unknown.err, /unknown-guest: .*web/);
});
