/** Names as guests and the host see them, and what is asked of the outer world: by dig, with a second dnsmasq as the host's resolver. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileDnsmasq } from '../../src/compile/dnsmasq.ts';
import type { Fabric } from '../../src/fabric/model.ts';
import type { DnsmasqService } from '../../src/hoststate/model.ts';
import { reloadService, startServices } from '../../src/kernel/services.ts';
import { makeBed } from './bed.ts';
import type { Bed } from './bed.ts';
import { ask, dhclient, udhcpc } from './clients.ts';
import { fabric, facts, guest, network } from './fixture.ts';

const networks = [
  network('internal', {
    v4: { subnet: '10.0.105.0/24', gateway: '10.0.105.254', range: { from: '10.0.105.10', to: '10.0.105.200' } },
    v6: { subnet: 'fd00:105::/64', gateway: 'fd00:105::1' },
  }),
  network('lab', {
    kind: 'isolated',
    mac: '02:00:00:00:ff:02',
    v4: { subnet: '192.168.77.0/24', gateway: '192.168.77.1', range: { from: '192.168.77.2', to: '192.168.77.254' } },
  }),
];
const web = guest('web', [{ network: 'internal', v4: '10.0.105.10', v6: 'fd00:105::10', mac: '02:00:00:00:01:10' }]);
const others = [
  guest('DB', [
    { network: 'internal', v4: '10.0.105.20', v6: 'fd00:105::20', mac: '02:00:00:00:01:20' },
    { network: 'lab', v4: '192.168.77.20', mac: '02:00:00:00:02:20' },
  ]),
  guest('jail', [{ network: 'internal', v4: '10.0.105.55', mac: '02:00:00:00:01:20', port: 'w-db' }], { inside: 'DB' }),
  guest('vault', [{ network: 'lab', v4: '192.168.77.30', mac: '02:00:00:00:02:30' }]),
];
const described = fabric(networks, [web, ...others]);

describe('names', () => {
  let bed: Bed;
  let services: readonly DnsmasqService[] = [];
  let upstreamLog = '';
  const questions = (): string => readFileSync(upstreamLog, 'utf8').replaceAll(/^.*query\[(?!A\]|AAAA\]|PTR\]|MX\]).*$/gm, '');
  const compile = (next: Fabric): readonly DnsmasqService[] =>
    compileDnsmasq(next, 'host', facts, { resolvFile: join(bed.directory, 'resolv.conf') });

  /** Makes the running services those of another file, as an apply does. */
  async function become(next: Fabric): Promise<void> {
    const now = compile(next);
    for (const service of now) {
      const earlier = services.find(({ name }) => name === service.name);
      if (earlier) await reloadService(bed.host, earlier, service, bed.dirs);
    }
    services = now;
  }

  /** Asks until the answer is as wanted. */
  async function soon(name: string, wanted: { status: string; records: readonly string[] }): Promise<void> {
    const end = performance.now() + 15_000;
    let got = await ask(bed.inside('web'), '10.0.105.254', name);
    while (JSON.stringify(got) !== JSON.stringify(wanted) && performance.now() < end) {
      await sleep(10);
      got = await ask(bed.inside('web'), '10.0.105.254', name);
    }
    assert.deepEqual(got, wanted);
  }

  before(async () => {
    bed = await makeBed(described);
    upstreamLog = join(bed.directory, 'upstream.log');
    writeFileSync(upstreamLog, '', { mode: 0o666 });
    writeFileSync(join(bed.directory, 'resolv.conf'), 'nameserver 127.0.0.1\n');
    await bed.background(bed.host, 'dnsmasq', [
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--user=root', '--no-resolv', '--no-hosts', '--pid-file='],
      ...['--bind-interfaces', '--listen-address=127.0.0.1', '--log-queries', `--log-facility=${upstreamLog}`],
      ...['--address=/outer.example/198.51.100.7', '--ptr-record=9.2.0.192.in-addr.arpa,nine.example', '--address=/late.internal/'],
    ]);
    services = compile(described);
    await startServices(bed.host, services, bed.dirs);
    // dig needs addresses; the answers must not depend on leases.
    await bed.inside('web').run('ip', ['addr', 'add', '10.0.105.10/24', 'dev', 'eth0']);
    await bed.inside('web').run('ip', ['addr', 'add', 'fd00:105::10/128', 'dev', 'eth0']);
    await bed.inside('web').run('ip', ['-6', 'route', 'add', 'default', 'via', 'fe80::1', 'dev', 'eth0']);
    await bed.inside('vault').run('ip', ['addr', 'add', '192.168.77.30/24', 'dev', 'eth0']);
  });
  after(() => bed.close());

  it('resolves every form of a name, of guests in other networks and inside others too', async () => {
    const inside = bed.inside('web');
    for (const name of ['db', 'DB', 'db.internal', 'db.weft.internal', 'db.internal.weft.internal']) {
      assert.deepEqual((await ask(inside, '10.0.105.254', name)).records, ['10.0.105.20'], name);
      assert.deepEqual((await ask(inside, '10.0.105.254', name, 'AAAA')).records, ['fd00:105::20'], name);
    }
    for (const name of ['db.lab', 'db.lab.weft.internal'])
      assert.deepEqual((await ask(inside, '10.0.105.254', name)).records, ['192.168.77.20'], name);
    for (const name of ['jail', 'jail.internal', 'jail.internal.weft.internal'])
      assert.deepEqual((await ask(inside, '10.0.105.254', name)).records, ['10.0.105.55'], name);
    assert.deepEqual((await ask(inside, '10.0.105.254', 'vault.lab')).records, ['192.168.77.30']);
    assert.deepEqual((await ask(inside, '10.0.105.254', 'gateway.internal')).records, ['10.0.105.254']);
    assert.deepEqual((await ask(inside, '10.0.105.254', 'db', 'A', ['+tcp'])).records, ['10.0.105.20']);
    assert.deepEqual((await ask(inside, 'fd00:105::1', 'db', 'AAAA')).records, ['fd00:105::20']);
  });

  it('gives the full name for an address', async () => {
    const full: Readonly<Record<string, string>> = {
      '10.0.105.20': 'db.internal.weft.internal.',
      'fd00:105::20': 'db.internal.weft.internal.',
      '192.168.77.20': 'db.lab.weft.internal.',
      '10.0.105.55': 'jail.internal.weft.internal.',
      '10.0.105.254': 'gateway.internal.weft.internal.',
    };
    for (const [address, name] of Object.entries(full))
      assert.deepEqual((await ask(bed.inside('web'), '10.0.105.254', address, 'PTR')).records, [name]);
  });

  it('resolves for the host itself', async () => {
    assert.deepEqual((await ask(bed.host, '10.0.105.254', 'db')).records, ['10.0.105.20']);
    assert.deepEqual((await ask(bed.host, 'fd00:105::1', 'db', 'AAAA')).records, ['fd00:105::20']);
    assert.deepEqual((await ask(bed.host, '192.168.77.1', 'db.internal.weft.internal')).records, ['10.0.105.20']);
  });

  it("asks the host's resolver for the rest", async () => {
    assert.deepEqual(await ask(bed.inside('web'), '10.0.105.254', 'outer.example'), { status: 'NOERROR', records: ['198.51.100.7'] });
    assert.deepEqual((await ask(bed.inside('web'), '10.0.105.254', '192.0.2.9', 'PTR')).records, ['nine.example.']);
  });

  it("never asks it for the fabric's own zones, plain names, or what a known name does not have", async () => {
    writeFileSync(upstreamLog, '');
    const inside = bed.inside('web');
    const answers: Record<string, string> = {};
    for (const [name, type] of [
      ['nobody.weft.internal', 'A'],
      ['nobody', 'A'],
      ['10.0.105.77', 'PTR'],
      ['192.168.77.77', 'PTR'],
      ['fd00:105::77', 'PTR'],
      ['jail.internal', 'AAAA'],
      ['jail', 'AAAA'],
      ['jail.internal.weft.internal', 'MX'],
    ] as const)
      answers[`${name} ${type}`] = (await ask(inside, '10.0.105.254', name, type)).status;
    assert.deepEqual(answers, {
      'nobody.weft.internal A': 'NXDOMAIN',
      'nobody A': 'NXDOMAIN',
      '10.0.105.77 PTR': 'NXDOMAIN',
      '192.168.77.77 PTR': 'NXDOMAIN',
      'fd00:105::77 PTR': 'NXDOMAIN',
      'jail.internal AAAA': 'NOERROR',
      'jail AAAA': 'NOERROR',
      'jail.internal.weft.internal MX': 'NOERROR',
    });
    assert.doesNotMatch(questions(), /query\[/);
  });

  it("follows the host's resolver when its file changes", async () => {
    const file = join(bed.directory, 'resolv.conf');
    writeFileSync(file, 'nameserver 127.0.0.99\n');
    await sleep(1200);
    assert.notEqual((await ask(bed.inside('web'), '10.0.105.254', 'second.outer.example')).records[0], '198.51.100.7');
    writeFileSync(file, 'nameserver 127.0.0.1\n');
    await sleep(1200);
    assert.deepEqual((await ask(bed.inside('web'), '10.0.105.254', 'third.outer.example')).records, ['198.51.100.7']);
  });

  it("survives a host whose name server is Weft's own gateway", async () => {
    const file = join(bed.directory, 'resolv.conf');
    writeFileSync(file, 'nameserver 10.0.105.254\n');
    await sleep(1200);
    const began = performance.now();
    assert.deepEqual(await ask(bed.inside('web'), '10.0.105.254', 'fourth.outer.example'), { status: 'REFUSED', records: [] });
    assert.ok(performance.now() - began < 4000, 'at once');
    assert.deepEqual((await ask(bed.inside('web'), '10.0.105.254', 'db')).records, ['10.0.105.20']);
    writeFileSync(file, 'nameserver 10.0.105.254\nnameserver 127.0.0.1\n');
    await sleep(1200);
    assert.deepEqual((await ask(bed.inside('web'), '10.0.105.254', 'fifth.outer.example')).records, ['198.51.100.7']);
    writeFileSync(file, 'nameserver 127.0.0.1\n');
    await sleep(1200);
  });

  it('answers an isolated network from the fabric alone, at once, without a packet to anyone', async () => {
    const capture = join(bed.directory, 'leaks');
    const args = ['-i', 'any', '-n', '--immediate-mode', '-l', 'ip or ip6', 'and', 'not', 'net', '192.168.77.0/24', 'and', 'not', 'icmp6'];
    const pid = await bed.host.startDetached('tcpdump', args, { logFile: capture });
    await waitFor(() => readFileSync(capture, 'utf8').includes('listening on'));
    const vault = bed.inside('vault');
    const began = performance.now();
    assert.deepEqual((await ask(vault, '192.168.77.1', 'web')).records, ['10.0.105.10']);
    for (const [name, type] of [
      ['outer.example', 'A'],
      ['outer.example', 'AAAA'],
      ['nobody', 'A'],
      ['192.0.2.9', 'PTR'],
      ['vault.elsewhere', 'A'],
    ] as const)
      assert.deepEqual(await ask(vault, '192.168.77.1', name, type), { status: 'NXDOMAIN', records: [] }, name);
    assert.equal((await ask(vault, '192.168.77.1', 'vault.lab', 'AAAA')).status, 'NOERROR');
    assert.ok(performance.now() - began < 4500, 'no waiting');
    await sleep(100);
    process.kill(pid, 'SIGINT');
    await waitFor(() => readFileSync(capture, 'utf8').includes('packets captured'));
    assert.match(readFileSync(capture, 'utf8'), /^0 packets captured$/m);
  });

  it('serves a new guest at once by the same process: its name, also one asked for before, and its lease', async () => {
    const late = guest('late', [{ network: 'internal', v4: '10.0.105.66', v6: 'fd00:105::66', mac: '02:00:00:00:01:66' }]);
    assert.equal((await ask(bed.inside('web'), '10.0.105.254', 'late.internal')).status, 'NXDOMAIN');
    const stranger = await bed.plug('late', 'br-internal', '02:00:00:00:01:66');
    const pid = readFileSync(join(bed.dirs.run, 'services/dnsmasq-internal/pid'), 'utf8');
    // dnsmasq 2.90 does not survive every configuration's reload once it has given a lease.
    assert.equal((await udhcpc(bed, bed.inside('DB')))?.['ip'], '10.0.105.20');
    await become(fabric(networks, [web, ...others, late]));
    await soon('late', { status: 'NOERROR', records: ['10.0.105.66'] });
    await soon('late.internal', { status: 'NOERROR', records: ['10.0.105.66'] });
    assert.deepEqual((await ask(bed.inside('vault'), '192.168.77.1', 'late')).records, ['10.0.105.66']);
    for (const claimed of ['web', 'intruder'])
      assert.equal((await udhcpc(bed, stranger, ['-x', `hostname:${claimed}`, '-F', claimed]))?.['ip'], '10.0.105.66');
    assert.equal((await dhclient(bed, stranger, { family: 6, claims: 'intruder' }))?.['new_ip6_address'], 'fd00:105::66');
    assert.equal(readFileSync(join(bed.dirs.run, 'services/dnsmasq-internal/pid'), 'utf8'), pid);
    // What it called itself in DHCP is nobody's name.
    for (const type of ['A', 'AAAA']) assert.equal((await ask(bed.inside('web'), '10.0.105.254', 'intruder', type)).status, 'NXDOMAIN');
    assert.deepEqual((await ask(bed.inside('web'), '10.0.105.254', 'web')).records, ['10.0.105.10']);
  });

  it('forgets a removed guest at once, its running lease notwithstanding', async () => {
    const earlier = services.find(({ name }) => name === 'dnsmasq-internal');
    assert.match(earlier?.files['dhcp-hosts'] ?? '', /10\.0\.105\.66/, 'the test before this one has to run first');
    await become(described);
    await soon('late', { status: 'NXDOMAIN', records: [] });
    await soon('late.weft.internal', { status: 'NXDOMAIN', records: [] });
    await soon('late.internal', { status: 'NXDOMAIN', records: [] });
    assert.equal(await udhcpc(bed, bed.inside('late')), undefined);
  });

  it('leases the address of a removed guest to its successor', async () => {
    const heir = guest('heir', [{ network: 'internal', v4: '10.0.105.66', v6: 'fd00:105::66', mac: '02:00:00:00:01:67' }]);
    const inside = await bed.plug('heir', 'br-internal', '02:00:00:00:01:67');
    await become(fabric(networks, [web, ...others, heir]));
    await soon('heir', { status: 'NOERROR', records: ['10.0.105.66'] });
    assert.equal((await udhcpc(bed, inside))?.['ip'], '10.0.105.66');
    assert.equal((await dhclient(bed, inside, { family: 6 }))?.['new_ip6_address'], 'fd00:105::66');
  });
});

async function waitFor(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 2000 && !condition(); i++) await sleep(10);
  assert.ok(condition());
}
