/** Starting, repeating, losing, restarting and stopping services; what is left is looked for in the process table and on disk. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileDnsmasq } from '../../src/compile/dnsmasq.ts';
import { WeftError } from '../../src/diagnostic/diagnostic.ts';
import type { DnsmasqService } from '../../src/hoststate/model.ts';
import { observeServices, reloadService, serviceStatus, startService, startServices, stopService } from '../../src/kernel/services.ts';
import { makeBed } from './bed.ts';
import type { Bed } from './bed.ts';
import { ask, udhcpc } from './clients.ts';
import { fabric, facts, guest, network } from './fixture.ts';

const networks = [
  network('one', { v4: { subnet: '10.0.1.0/24', gateway: '10.0.1.1', range: { from: '10.0.1.2', to: '10.0.1.254' } } }),
  network('two', {
    mac: '02:00:00:00:ff:02',
    v4: { subnet: '10.0.2.0/24', gateway: '10.0.2.1', range: { from: '10.0.2.2', to: '10.0.2.254' } },
  }),
];
const web = guest('web', [{ network: 'one', v4: '10.0.1.10', mac: '02:00:00:00:01:10' }]);
const described = fabric(networks, [web]);

describe('services', () => {
  let bed: Bed;
  let services: readonly DnsmasqService[];
  let one: DnsmasqService;
  const pidOf = (name: string): number => Number(readFileSync(join(bed.dirs.run, 'services', name, 'pid'), 'utf8'));
  const directory = (name: string): string => join(bed.dirs.run, 'services', name);

  /** All dnsmasq processes of this bed, by their configuration's path. */
  function processes(): readonly number[] {
    return readdirSync('/proc')
      .filter((entry) => /^\d+$/.test(entry) && commandOf(entry).includes(`--conf-file=${bed.dirs.run}/`))
      .map(Number);
  }

  beforeEach(async () => {
    bed = await makeBed(described);
    services = compileDnsmasq(described, 'host', facts, { resolvFile: '/dev/null' });
    const [first] = services;
    assert.ok(first);
    one = first;
  });
  afterEach(async () => {
    for (const { name } of services) await stopService(bed.host, name, bed.dirs);
    await bed.close();
  });

  it('start, say so, and leave nothing when stopped', async () => {
    assert.equal(serviceStatus(bed.host, one.name, bed.dirs), 'absent');
    assert.deepEqual(observeServices(bed.dirs), []);
    await startServices(bed.host, services, bed.dirs);
    assert.equal(serviceStatus(bed.host, one.name, bed.dirs), 'running');
    assert.deepEqual(
      observeServices(bed.dirs, bed.host),
      services.map((service) => ({ name: service.name, alive: true, service })),
    );
    assert.equal(processes().length, 2);
    // Reported only once it answers.
    assert.deepEqual((await ask(bed.host, '10.0.1.1', 'web')).records, ['10.0.1.10']);
    for (const service of services) await stopService(bed.host, service.name, bed.dirs);
    assert.deepEqual(processes(), []);
    assert.deepEqual(existsSync(bed.dirs.run) ? readdirSync(bed.dirs.run) : [], []);
    assert.ok(!existsSync(bed.dirs.state));
    await stopService(bed.host, one.name, bed.dirs);
  });

  it('run without root and live on in their own session', async () => {
    await startService(bed.host, one, bed.dirs);
    const status = readFileSync(`/proc/${pidOf(one.name)}/status`, 'utf8');
    assert.doesNotMatch(status, /^Uid:\t0/m);
    assert.match(status, /^PPid:\t1$/m);
    const session = readFileSync(`/proc/${pidOf(one.name)}/stat`, 'utf8')
      .split(') ')[1]
      ?.split(' ')[3];
    assert.notEqual(session, readFileSync('/proc/self/stat', 'utf8').split(') ')[1]?.split(' ')[3]);
  });

  it('started twice are one process, also side by side with a changed neighbour', async () => {
    await startServices(bed.host, services, bed.dirs);
    const pids = services.map(({ name }) => pidOf(name));
    await startServices(bed.host, services, bed.dirs);
    assert.deepEqual(
      services.map(({ name }) => pidOf(name)),
      pids,
    );
    assert.equal(processes().length, 2);
  });

  it('restart when the configuration changes, and only then', async () => {
    await startServices(bed.host, services, bed.dirs);
    const [before, neighbour] = services.map(({ name }) => pidOf(name));
    const changed = compileDnsmasq(fabric([network('one', { ...networks[0], mtu: 1300 })], [web]), 'host', facts, {
      resolvFile: '/dev/null',
    })[0];
    assert.ok(changed);
    await reloadService(bed.host, one, changed, bed.dirs);
    assert.notEqual(pidOf(one.name), before);
    assert.equal(pidOf('dnsmasq-two'), neighbour);
    assert.equal((await udhcpc(bed, bed.inside('web')))?.['mtu'], '1300');
    assert.deepEqual(observeServices(bed.dirs)[0]?.service, changed);
  });

  it('that died are seen, and started again', async () => {
    await startService(bed.host, one, bed.dirs);
    process.kill(pidOf(one.name), 'SIGKILL');
    await sleep(50);
    assert.equal(serviceStatus(bed.host, one.name, bed.dirs), 'dead');
    assert.equal(observeServices(bed.dirs)[0]?.alive, false);
    await startService(bed.host, one, bed.dirs);
    assert.equal(serviceStatus(bed.host, one.name, bed.dirs), 'running');
    assert.deepEqual((await ask(bed.host, '10.0.1.1', 'web')).records, ['10.0.1.10']);
  });

  it('interrupted before the reload was told are not certain, and mended by the next start', async () => {
    await startService(bed.host, one, bed.dirs);
    // As after kill -9 between writing the files and the signal.
    writeFileSync(join(directory(one.name), 'dhcp-hosts'), '02:00:00:00:01:11,id:*,10.0.1.11\n');
    rmSync(join(directory(one.name), 'service.json'));
    assert.deepEqual(observeServices(bed.dirs), [{ name: one.name, alive: true, service: undefined }]);
    await startService(bed.host, one, bed.dirs);
    assert.equal((await udhcpc(bed, bed.inside('web')))?.['ip'], '10.0.1.10');
    assert.equal(processes().length, 1);
  });

  it('that were not told of new names yet differ from what is wanted, until they are', async () => {
    await startServices(bed.host, services, bed.dirs);
    // As after kill -9 when the shared file was written for the first of them.
    const named = services.map((service) => ({ ...service, names: '10.0.1.77 fresh\n' }));
    const [first] = named;
    assert.ok(first);
    await startService(bed.host, first, bed.dirs);
    const differs = observeServices(bed.dirs).map(({ service }) => service?.kind === 'dnsmasq' && service.names !== first.names);
    assert.deepEqual(differs, [false, true]);
    await startServices(bed.host, named, bed.dirs);
    assert.deepEqual(
      observeServices(bed.dirs).map(({ service }) => service),
      named,
    );
    await sleep(100);
    assert.deepEqual((await ask(bed.host, '10.0.2.1', 'fresh')).records, ['10.0.1.77']);
  });

  it('show an edited file', async () => {
    await startService(bed.host, one, bed.dirs);
    writeFileSync(join(directory(one.name), 'dhcp-hosts'), 'mischief\n');
    assert.notDeepEqual(observeServices(bed.dirs)[0]?.service, one);
    await startService(bed.host, one, bed.dirs);
    assert.deepEqual(observeServices(bed.dirs)[0]?.service, one);
    writeFileSync(join(directory(one.name), 'dnsmasq.conf'), 'port=0\n');
    assert.equal(observeServices(bed.dirs)[0]?.service, undefined);
  });

  it('never take a stranger for their process', async () => {
    await startService(bed.host, one, bed.dirs);
    process.kill(pidOf(one.name), 'SIGKILL');
    const stranger = await bed.background(bed.host, 'sleep', ['60']);
    writeFileSync(join(directory(one.name), 'pid'), `${stranger}\n`);
    assert.equal(serviceStatus(bed.host, one.name, bed.dirs), 'dead');
    await stopService(bed.host, one.name, bed.dirs);
    assert.match(commandOf(String(stranger)), /sleep/);
  });

  it("fail with the program's own words and leave nothing", async () => {
    const wrong = { ...one, config: `${one.config}no-such-option\n` };
    await assert.rejects(startService(bed.host, wrong, bed.dirs), (error) => {
      assert.ok(error instanceof WeftError);
      assert.match(error.message, /^The DHCP and DNS server of network one does not start: bad option at line \d+ of /);
      return true;
    });
    assert.deepEqual(readdirSync(bed.dirs.run), []);
    await bed.host.run('ip', ['link', 'del', 'br-two']);
    await assert.rejects(startServices(bed.host, services, bed.dirs), /answers on no address of br-two; is the bridge there and up/);
    assert.equal(serviceStatus(bed.host, 'dnsmasq-one', bed.dirs), 'running');
    assert.equal(serviceStatus(bed.host, 'dnsmasq-two', bed.dirs), 'absent');
  });

  it('name the port that another program holds', async () => {
    const hold = `import { createSocket } from 'node:dgram'; createSocket('udp4').bind(53053, '0.0.0.0', () => console.log('bound'));`;
    const logFile = join(bed.directory, 'holder.log');
    const holder = await bed.host.startDetached(process.execPath, ['--input-type=module', '-e', hold], { logFile });
    try {
      while (!readFileSync(logFile, 'utf8').includes('bound')) await sleep(10);
      await assert.rejects(startService(bed.host, one, bed.dirs), (error) => {
        assert.ok(error instanceof WeftError);
        assert.equal(error.diagnostics[0]?.code, 'port-in-use');
        assert.match(error.message, /^another program holds port 53053, .* network one .*`ss -lnptu sport = :53053`/);
        return true;
      });
    } finally {
      process.kill(holder);
    }
  });

  it('run as root where dnsmasq cannot reach its files', async () => {
    const closed = join(bed.directory, 'closed');
    mkdirSync(closed, { mode: 0o700 });
    const dirs = { run: join(closed, 'run'), state: bed.dirs.state };
    await startService(bed.host, one, dirs);
    try {
      assert.match(
        readFileSync(`/proc/${readFileSync(join(dirs.run, 'services', one.name, 'pid'), 'utf8').trim()}/status`, 'utf8'),
        /^Uid:\t0/m,
      );
      await reloadService(bed.host, one, { ...one, names: `10.0.1.99 new\n` }, dirs);
      assert.deepEqual((await ask(bed.host, '10.0.1.1', 'new')).records, ['10.0.1.99']);
    } finally {
      await stopService(bed.host, one.name, dirs);
    }
  });

  it('answer beside a server on 0.0.0.0:53, and do not disturb it', async () => {
    const args = ['--keep-in-foreground', '--conf-file=/dev/null', '--user=root', '--no-resolv', '--no-hosts', '--pid-file='];
    await bed.background(bed.host, 'dnsmasq', [...args, '--address=/web/192.0.2.53']);
    await sleep(200);
    const held = await bed.host.run('ss', ['-Hlntu', 'sport', '=', '53']);
    assert.match(held, /^udp .* 0\.0\.0\.0:53 /m);
    assert.match(held, /^tcp .* 0\.0\.0\.0:53 /m);
    await startServices(bed.host, services, bed.dirs);
    await bed.inside('web').run('ip', ['addr', 'add', '10.0.1.10/24', 'dev', 'eth0']);
    for (const extra of [[], ['+tcp']]) {
      assert.deepEqual((await ask(bed.inside('web'), '10.0.1.1', 'web', 'A', extra)).records, ['10.0.1.10']);
      assert.deepEqual((await ask(bed.host, '10.0.1.1', 'web', 'A', extra)).records, ['10.0.1.10']);
      assert.deepEqual(await ask(bed.host, '127.0.0.1', 'web', 'A', extra), { status: 'NOERROR', records: ['192.0.2.53'] }, extra.join());
    }
    assert.equal((await udhcpc(bed, bed.inside('web')))?.['dns'], '10.0.1.1');
  });
});

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}
