/** The door itself: what comes back from programs, in this and in another namespace, and the lock that outlives no one. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { commandLine } from './command-line.ts';
import { lockHolder, takeLock } from './lock.ts';
import { openKernel } from './open.ts';
import { readSysctls, writeSysctls } from './sysctls.ts';

const root = openKernel();
const namespace = `kt-open-${process.pid}`;
const directory = mkdtempSync(join(tmpdir(), 'weft-open-'));
before(() => root.run('ip', ['netns', 'add', namespace]));
after(async () => {
  rmSync(directory, { recursive: true });
  await root.run('ip', ['netns', 'del', namespace]);
});
const inside = openKernel({ netns: `/run/netns/${namespace}` });

const code = (expected: string) => (error: unknown) => error instanceof WeftError && error.diagnostics[0]?.code === expected;

test('input, output, error output and exit status come back, in the C locale', async () => {
  const result = await root.tryRun('sh', ['-c', 'cat; echo "$LC_ALL $X" >&2; exit 3'], {
    input: 'hello',
    env: { X: 'x', LC_ALL: 'de_DE' },
  });
  assert.deepEqual(result, { status: 3, stdout: 'hello', stderr: 'C x\n' });
});

test('large input and output pass, and a program that does not read its input is no error', async () => {
  const input = 'line\n'.repeat(200_000);
  assert.equal((await root.run('cat', [], { input })).length, input.length);
  assert.equal((await root.tryRun('true', [], { input })).status, 0);
});

test('a failure names the command and what it said', async () => {
  await assert.rejects(root.run('sh', ['-c', 'echo no such luck >&2; exit 1']), (error: unknown) => {
    assert(error instanceof WeftError);
    assert.equal(error.exitCode, 2);
    assert.match(error.message, /^`sh -c 'echo no such luck .*` failed with exit status 1: no such luck$/);
    return true;
  });
});

test('a missing program is named with its package, here and in another namespace', async () => {
  for (const kernel of [root, inside]) {
    await assert.rejects(kernel.tryRun('no-such-program', []), code('program-missing'));
    assert.throws(() => kernel.programPath('no-such-program'), /no-such-program, which Weft needs here, is not installed/);
  }
});

test('a program that hangs is killed, even when a grandchild keeps its output open', async () => {
  const begun = Date.now();
  await assert.rejects(root.run('sh', ['-c', 'sleep 30 & sleep 30'], { timeoutMs: 100 }), /still running after 0.1 s and was killed/);
  assert(Date.now() - begun < 20_000);
});

test('a program that the terminal ended before it began is started again; one that has said something, or that ends so each time, is not run on', async () => {
  const script = (signal: string, said: string): string => `
    echo . >> "$0"; [ "$(wc -l < "$0")" -gt "$1" ] && { cat; exit; }
    ${said}
    kill -${signal} $$`;
  const started = (name: string): number => readFileSync(join(directory, name), 'utf8').length / 2;
  for (const [name, signal] of [
    ['interrupted', 'INT'],
    ['hung-up', 'HUP'],
  ] as const) {
    assert.equal(
      await inside.run('sh', ['-c', script(signal, ''), join(directory, name), '1'], { input: 'to the second' }),
      'to the second',
    );
    assert.equal(started(name), 2);
  }
  const said = await root.tryRun('sh', ['-c', script('INT', 'echo half'), join(directory, 'said'), '1']);
  assert.deepEqual(said, { status: 130, stdout: 'half\n', stderr: '' });
  assert.equal(started('said'), 1);
  assert.equal((await root.tryRun('sh', ['-c', script('TERM', ''), join(directory, 'told'), '1'])).status, 143);
  assert.equal(started('told'), 1);
  assert.equal((await root.tryRun('sh', ['-c', script('INT', ''), join(directory, 'always'), '100'])).status, 130);
  assert.equal(started('always'), 6);
});

test('a namespace that is gone is said to be gone', async () => {
  await assert.rejects(root.at('/run/netns/kt-nowhere').run('true', []), /network namespace \/run\/netns\/kt-nowhere cannot be entered/);
});

test('programs and settings belong to the namespace', async () => {
  const links: unknown = JSON.parse(await inside.run('ip', ['-j', 'link']));
  assert(Array.isArray(links) && links.length === 1);
  const outside = await root.readSysctl('net/ipv4/ip_default_ttl');
  await inside.writeSysctl('net/ipv4/ip_default_ttl', '33');
  assert.equal(await inside.readSysctl('net/ipv4/ip_default_ttl'), '33');
  assert.equal(await root.readSysctl('net/ipv4/ip_default_ttl'), outside);
  assert.equal(await inside.readSysctl('net/ipv4/conf/nope/forwarding'), undefined);
  assert.equal(await root.readSysctl('net/ipv4/conf/nope/forwarding'), undefined);
  await assert.rejects(inside.writeSysctl('net/ipv4/ip_default_ttl', 'many'), code('program-failed'));
  await assert.rejects(inside.readSysctl('../../etc/passwd'), code('program-failed'));
});

test('many settings are written in order and read in one process', async () => {
  const told: string[] = [];
  const kernel = openKernel({ netns: `/run/netns/${namespace}`, onCommand: (line) => told.push(line) });
  await writeSysctls(kernel, [
    { key: 'net/ipv4/ip_default_ttl', value: '40' },
    { key: 'net/ipv4/ip_local_port_range', value: '20000 30001' },
    { key: 'net/ipv4/ip_default_ttl', value: '41' },
  ]);
  assert.equal(told.length, 1);
  const values = await readSysctls(kernel, ['net/ipv4/ip_default_ttl', 'net/ipv4/ip_local_port_range', 'net/ipv4/conf/nope/forwarding']);
  assert.deepEqual(
    [...values],
    [
      ['net/ipv4/ip_default_ttl', '41'],
      ['net/ipv4/ip_local_port_range', '20000\t30001'],
    ],
  );
  assert.equal((await readSysctls(root, ['kernel/ostype', 'net/nope'])).get('kernel/ostype'), 'Linux');
  await assert.rejects(
    writeSysctls(kernel, [
      { key: 'net/ipv4/nope', value: '1' },
      { key: 'net/ipv4/ip_default_ttl', value: '50' },
    ]),
    /net\/ipv4\/nope = 1/,
  );
  assert.equal(await kernel.readSysctl('net/ipv4/ip_default_ttl'), '41');
});

test('only commands that change something are told, secrets never', async () => {
  const told: string[] = [];
  const kernel = openKernel({ onCommand: (line) => told.push(line) });
  await kernel.run('ip', ['-j', 'link', 'show', 'dev', 'lo']);
  await kernel.run('sh', ['-c', 'cat >/dev/null'], { input: 'a b\n' });
  await kernel.run('sh', ['-c', 'cat >/dev/null'], { input: 'private key', secret: true });
  assert.deepEqual(told, ["sh -c 'cat >/dev/null' <<'END'\na b\nEND", "sh -c 'cat >/dev/null'"]);
  assert.equal(commandLine('/run/netns/a b', 'ip', ['link', "x'y"], undefined), "nsenter --net='/run/netns/a b' -- ip link 'x'\\''y'");
});

test('a detached program goes on by itself and writes to its log', async () => {
  const logFile = join(directory, 'log');
  const pid = await inside.startDetached('sh', ['-c', 'echo $$; exec sleep 60'], { logFile });
  try {
    for (let i = 0; i < 100 && readFileSync(logFile, 'utf8') === ''; i++) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.equal(readFileSync(logFile, 'utf8'), `${pid}\n`);
    // Field 6 of /proc/PID/stat: its own session (proc_pid_stat(5)).
    assert.equal(readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[5], String(pid));
  } finally {
    process.kill(pid);
  }
});

test('the lock has one holder, says who, and is free again at once after release and after kill -9', async () => {
  const path = join(directory, 'run', 'lock');
  const first = await takeLock(root, path);
  assert(first);
  assert.equal(await takeLock(root, path), undefined);
  assert.equal(lockHolder(path)?.pid, process.pid);
  await first.release();
  await first.release();
  assert.equal(readFileSync(path, 'utf8'), '', 'nobody holds it, and nobody is named');

  const program = `import { takeLock } from ${JSON.stringify(import.meta.resolve('./lock.ts'))};
    import { openKernel } from ${JSON.stringify(import.meta.resolve('./open.ts'))};
    console.log((await takeLock(openKernel(), ${JSON.stringify(path)})) !== undefined);
    setInterval(() => undefined, 1000);`;
  const other = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
  assert.equal(String((await once(other.stdout, 'data'))[0]).trim(), 'true');
  assert.equal(await takeLock(root, path), undefined);
  assert.equal(lockHolder(path)?.pid, other.pid);
  other.kill('SIGKILL');
  await once(other, 'exit');
  const begun = Date.now();
  let again = await takeLock(root, path);
  while (!again && Date.now() - begun < 20_000) again = await takeLock(root, path);
  assert(again, 'free within a second');
  await again.release();
});

test('the lock is taken although the terminal ended its holder before it began', async () => {
  const flock = join(directory, 'flock');
  writeFileSync(flock, `#!/bin/sh\n[ -e "$0.again" ] || { touch "$0.again"; kill -INT $$; }\nexec flock "$@"\n`, { mode: 0o755 });
  const kernel = { ...root, programPath: (program: string) => (program === 'flock' ? flock : root.programPath(program)) };
  const lock = await takeLock(kernel, join(directory, 'run', 'interrupted-lock'));
  assert(lock);
  await lock.release();
});

test('a lock whose file its last holder took away just then is taken anew', async () => {
  const path = join(directory, 'run', 'removed-lock');
  const flock = join(directory, 'slow-flock');
  // Opens the file, and finds it gone when it has locked it.
  writeFileSync(
    flock,
    `#!/bin/sh\n[ -e "$0.again" ] || { touch "$0.again"; exec 7>"$4"; rm "$4"; flock 7; exec cat; }\nexec flock "$@"\n`,
    { mode: 0o755 },
  );
  const kernel = { ...root, programPath: (program: string) => (program === 'flock' ? flock : root.programPath(program)) };
  const lock = await takeLock(kernel, path);
  assert(lock);
  const second = await takeLock(root, path);
  await second?.release();
  await lock.release();
  assert.equal(second, undefined, 'it is locked for all');
});

test('a holder that does not say who it is, or was killed, is not named', async () => {
  const path = join(directory, 'run', 'late-lock');
  const lock = await takeLock(root, path);
  assert(lock);
  const line = readFileSync(path, 'utf8');
  const gone = spawn('true');
  await once(gone, 'exit');
  for (const stale of ['', line.replace(/"pid":\d+/, `"pid":${gone.pid}`)]) {
    writeFileSync(path, stale);
    assert.equal(lockHolder(path), undefined);
  }
  writeFileSync(path, line);
  assert.equal(lockHolder(path)?.pid, process.pid);
  await lock.release();
  assert.equal(lockHolder(path), undefined);
});
