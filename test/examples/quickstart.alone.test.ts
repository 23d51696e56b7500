/**
 * The README's first command as a user types it, from outside any sandbox: within ten seconds, with and without root, and with nothing left,
 * also when it is killed.
 */
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync, cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { openKernel } from '../../src/kernel/open.ts';

const root = join(import.meta.dirname, '../..');
const program = join(root, 'src/cli/main.ts');
const file = join(root, 'examples/quickstart/weft.yaml');
const runtimePackages = ['commander', 'yaml', 'zod'].map((name) => `node_modules/${name}`);
const kernel = openKernel();

/** What of the real machine a rehearsal could have touched. */
async function machine(): Promise<object> {
  return {
    links: JSON.parse(await kernel.run('ip', ['-j', 'link', 'show'])).map((link: { ifname: string }) => link.ifname),
    forwarding: await kernel.readSysctl('net/ipv4/ip_forward'),
    namespaces: existsSync('/run/netns')
      ? readdirSync('/run/netns').filter((name) => name.startsWith('quickstart') || name.startsWith('@'))
      : [],
    resolver: readFileSync('/etc/resolv.conf', 'utf8'),
    config: existsSync('/etc/netns') ? readdirSync('/etc/netns').filter((name) => name.startsWith('quickstart')) : [],
    lock: existsSync(join(root, 'examples/quickstart/weft.lock')),
  };
}

function processesOf(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(text);
      } catch {
        return false;
      }
    });
}

async function until(done: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!done()) {
    assert.ok(performance.now() < end, 'it takes too long');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('weft rehearse', () => {
  it('shows who reached whom, soon, and leaves nothing', async () => {
    const before = await machine();
    const began = performance.now();
    const { status, stdout, stderr } = await kernel.tryRun(process.execPath, [program, 'rehearse', '-f', file]);
    assert.equal(status, 0, stdout + stderr);
    assert.ok(performance.now() - began < 60_000);
    assert.match(stdout, /^web +db +tcp\/5432 +allowed +answered +✓$/m);
    assert.match(stdout, /^web +db +tcp\/5433 +dropped +dropped +✓$/m);
    assert.match(stdout, /^✓ can: web -> db tcp\/5432$/m);
    assert.match(stdout, /^✓ cannot: internet -> db$/m);
    assert.match(stdout, /all as the file says; 2 of 2 expectations hold/);
    assert.doesNotMatch(stdout, /✗/);
    assert.deepEqual(await machine(), before);
  });

  it('answers --json with one document', async () => {
    const { status, stdout, stderr } = await kernel.tryRun(process.execPath, [program, 'rehearse', '-f', file, '--json']);
    assert.equal(status, 0, stderr);
    const answer: {
      ok: boolean;
      probes: { from: string; to: string; ok: boolean; got: string }[];
      expectations: { text: string; verdict: string }[];
    } = JSON.parse(stdout);
    assert.equal(answer.ok, true);
    assert.ok(answer.probes.length >= 10 && answer.probes.every((probe) => probe.ok));
    assert.deepEqual(
      answer.expectations.map(({ text, verdict }) => [text, verdict]),
      [
        ['can: web -> db tcp/5432', 'proved'],
        ['cannot: internet -> db', 'proved'],
      ],
    );
  });

  it('exits 1 and names a counterexample when an expectation does not hold', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'weft-rehearse-'));
    try {
      const wrong = join(directory, 'weft.yaml');
      writeFileSync(wrong, `${readFileSync(file, 'utf8')}  - cannot: web -> db\n  - only: db -> web\n`);
      const { status, stdout } = await kernel.tryRun(process.execPath, [program, 'rehearse', '-f', wrong]);
      assert.equal(status, 1);
      assert.match(stdout, /✗ cannot: web -> db\n    web -> db /);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('refuses a file that the sandbox would not see, and says a missing one is missing', { skip: process.getuid?.() !== 0 }, async () => {
    const directory = mkdtempSync('/run/weft-rehearse-');
    try {
      writeFileSync(join(directory, 'weft.yaml'), readFileSync(file, 'utf8'));
      const hidden = await kernel.tryRun(process.execPath, [program, 'rehearse', '-f', join(directory, 'weft.yaml')]);
      assert.deepEqual([hidden.status, /lies under \/run/.test(hidden.stderr)], [2, true], hidden.stderr);
      const missing = await kernel.tryRun(process.execPath, [program, 'rehearse', '-f', join(directory, 'none.yaml')]);
      assert.equal(missing.status, 2);
      const wrong = await kernel.tryRun(process.execPath, [program, 'rehearse', '-f', join(root, 'package.json')]);
      assert.deepEqual([wrong.status, /package\.json:\d+:\d+: error/.test(wrong.stderr)], [2, true], wrong.stderr);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('works without root', { skip: process.getuid?.() !== 0 }, async () => {
    const nobody = ['--reuid=65534', '--regid=65534', '--clear-groups', '--'];
    const directory = mkdtempSync(join(tmpdir(), 'weft-rehearse-'));
    chmodSync(directory, 0o755);
    try {
      // A checkout in root's home is closed to others; they would have one of their own, and a Node.
      for (const part of ['src', 'package.json', 'examples/quickstart', ...runtimePackages])
        cpSync(join(root, part), join(directory, part), { recursive: true });
      const node = join(directory, 'node');
      copyFileSync(process.execPath, node);
      const args = [
        ...nobody,
        'env',
        '-C',
        directory,
        node,
        join(directory, 'src/cli/main.ts'),
        'rehearse',
        '-f',
        join(directory, 'examples/quickstart/weft.yaml'),
      ];
      const { status, stdout, stderr } = await kernel.tryRun('setpriv', args, { env: { HOME: '/' } });
      // Some systems give ordinary users no namespaces; then it has to say so.
      if (status === 2) assert.match(stderr, /run the command with sudo/);
      else assert.match(stdout, /all as the file says/, stderr);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('leaves nothing after kill -9', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'weft-rehearse-'));
    try {
      const copy = join(directory, 'weft.yaml');
      writeFileSync(copy, readFileSync(file, 'utf8'));
      const before = await machine();
      const pid = await kernel.startDetached(process.execPath, [program, 'rehearse', '-f', copy]);
      // The outer Weft, unshare, the shell and the inner Weft: far enough to have made something, before the end.
      await until(() => processesOf(copy).length >= 4);
      await new Promise((resolve) => setTimeout(resolve, 400));
      process.kill(pid, 'SIGKILL');
      await until(() => processesOf(copy).length === 0);
      assert.deepEqual(await machine(), before);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
