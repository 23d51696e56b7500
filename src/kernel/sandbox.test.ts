/** The sandbox keeps what happens in it to itself, hands statuses through, takes in orphans, and ends with the one who started it. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { openKernel } from './open.ts';
import { insideSandbox } from './sandbox.ts';

const directory = mkdtempSync(join(tmpdir(), 'weft-sandbox-'));
after(() => rmSync(directory, { recursive: true }));

/** `runInSandbox` hands its own input and output through, so it is tried in a process of its own. */
const starter = join(directory, 'start.mjs');
writeFileSync(
  starter,
  `import { runInSandbox } from ${JSON.stringify(join(import.meta.dirname, 'sandbox.ts'))};\nprocess.exit(await runInSandbox(['sh', '-c', process.argv[2]]));\n`,
);
const kernel = openKernel();
const inSandbox = (script: string): Promise<{ status: number; stdout: string; stderr: string }> =>
  kernel.tryRun(process.execPath, [starter, script]);

describe('a sandbox', () => {
  it('hands the exit status through', async () => {
    assert.equal((await inSandbox('exit 3')).status, 3);
  });

  it('is not where this test runs', () => assert.equal(insideSandbox(), false));

  it('keeps /run, /etc, namespaces and the network to itself', async () => {
    const resolver = readFileSync('/etc/resolv.conf', 'utf8');
    const script = `set -e
      test -e /run/weft-sandbox
      echo nameserver 192.0.2.1 > /etc/resolv.conf
      mkdir -p /etc/netns/sandbox-test
      ip netns add sandbox-test
      ip link add dev br-sandbox type bridge
      echo x > /run/sandbox-test
      getent passwd root | cut -d: -f1
      readlink -f /etc/os-release
      ip -o link show | grep -v ' lo:'`;
    const { status, stdout, stderr } = await inSandbox(script);
    assert.equal(status, 0, stderr);
    const [user, release, ...links] = stdout.trim().split('\n');
    assert.equal(user, 'root');
    assert.ok(release !== undefined && !release.endsWith('/etc/os-release') && existsSync(release));
    assert.ok(links.length === 1 && links[0]?.includes('br-sandbox'), 'no link of the machine is in there');
    assert.equal(readFileSync('/etc/resolv.conf', 'utf8'), resolver);
    for (const path of ['/run/sandbox-test', '/etc/netns/sandbox-test', '/run/netns/sandbox-test', '/run/weft-sandbox'])
      assert.equal(existsSync(path), false, path);
    assert.doesNotMatch(await kernel.run('ip', ['-o', 'link', 'show']), /br-sandbox/);
  });

  it('takes in orphans that end, so that nobody waits for a zombie', async () => {
    // Node as process 1 would leave it a zombie.
    const orphan = join(directory, 'orphan.mjs');
    const lines = [
      `import { execFileSync } from 'node:child_process';`,
      `import { existsSync } from 'node:fs';`,
      `const pid = execFileSync('sh', ['-c', 'sleep 0.1 >&- & echo $!']).toString().trim();`,
      `setTimeout(() => console.log(existsSync('/proc/' + pid) ? 'there' : 'gone'), 700);`,
    ];
    writeFileSync(orphan, lines.join('\n'));
    const { stdout, stderr } = await inSandbox(`exec ${process.execPath} ${orphan}`);
    assert.equal(stdout.trim(), 'gone', stderr);
  });

  it('ends with the process that started it, even by SIGKILL', async () => {
    const mark = `sleep 98765.${process.pid}`;
    const pid = await kernel.startDetached(process.execPath, [starter, `setsid ${mark} & ${mark}`]);
    const sleepers = (): number => readdirSync('/proc').filter((name) => /^\d+$/.test(name) && commandLine(name) === mark).length;
    await until(() => sleepers() === 2);
    process.kill(pid, 'SIGKILL');
    await until(() => sleepers() === 0);
  });
});

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
}

async function until(done: () => boolean): Promise<void> {
  const end = performance.now() + 30_000;
  while (!done()) {
    assert.ok(performance.now() < end, 'it takes too long');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
