/** ./weft itself, on a copy of this checkout: first use, use at the same time, through a link, after a change; and what it costs. */
import assert from 'node:assert/strict';
import { execFile, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { version } from '../../src/cli/version.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const copy = mkdtempSync(join(tmpdir(), 'weft-launcher-'));
const launcher = join(copy, 'weft');
/** The Node that runs this test is the system's, as far as the launcher can tell. */
const env = { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env['PATH']}` };

before(() => {
  for (const part of ['weft', 'scripts', 'src', 'package.json', 'package-lock.json'])
    cpSync(join(root, part), join(copy, part), { recursive: true });
  // Links to the packages, in a directory of its own: whatever npm did here, it would not do to this checkout.
  mkdirSync(join(copy, 'node_modules'));
  for (const name of readdirSync(join(root, 'node_modules'))) {
    if (!name.startsWith('.')) symlinkSync(join(root, 'node_modules', name), join(copy, 'node_modules', name));
  }
  writeFileSync(join(copy, 'node_modules/.package-lock.json'), '{}');
});
after(() => rmSync(copy, { recursive: true, force: true }));

test('first use from six places at the same time builds once and works everywhere', async () => {
  const runs = await Promise.all(Array.from({ length: 6 }, () => run(launcher, ['version', '--json'], { env })));
  for (const { stdout } of runs) assert.deepEqual(JSON.parse(stdout), { version });
  assert.ok(existsSync(join(copy, 'dist/stamp')));
});

test('through a link, also a relative one, from another directory', async () => {
  const bin = join(copy, 'bin');
  mkdirSync(bin);
  symlinkSync(launcher, join(bin, 'absolute'));
  symlinkSync('../weft', join(bin, 'relative'));
  symlinkSync('relative', join(bin, 'twice'));
  for (const name of ['absolute', 'relative', 'twice'])
    assert.equal((await run(join(bin, name), ['--version'], { cwd: '/', env })).stdout, `${version}\n`);
  assert.equal(
    (await run('weft', ['--version'], { cwd: '/', env: { ...env, PATH: `${copy}${delimiter}${env.PATH}` } })).stdout,
    `${version}\n`,
  );
});

test('a changed source is bundled again', async () => {
  appendFileSync(join(copy, 'src/cli/version.ts'), "\nprocess.stderr.write('changed\\n');\n");
  assert.match((await run(launcher, ['--version'], { env })).stderr, /changed/);
});

test('a source that cannot be bundled is a clear error, not an old answer', async () => {
  const broken = join(copy, 'src/cli/broken.ts');
  writeFileSync(broken, 'export const =');
  appendFileSync(join(copy, 'src/cli/main.ts'), "\nimport './broken.ts';\n");
  const { status, stderr } = spawnSync(launcher, ['--version'], { env, encoding: 'utf8' });
  assert.equal(status, 2);
  assert.match(stderr, /broken\.ts/);
  assert.match(stderr, /weft: error: building dist\/ from src\/ failed/);
  rmSync(broken);
  cpSync(join(root, 'src/cli/main.ts'), join(copy, 'src/cli/main.ts'));
  assert.equal((await run(launcher, ['--version'], { env })).stdout, `${version}\n`);
});

test('missing programs are named with their packages and reasons before anything is tried', () => {
  // A path with nothing but a shell's needs, and an apt-get that only says what it was asked.
  const bin = join(copy, 'few');
  mkdirSync(bin);
  for (const program of ['find', 'uname', 'dirname', 'mkdir', 'flock', 'cat', 'tail', 'cp', 'stat', 'id', 'env', 'ls', 'sh', 'mv'])
    symlinkSync(spawnSync('sh', ['-c', `command -v ${program}`], { encoding: 'utf8' }).stdout.trim(), join(bin, program));
  writeFileSync(join(bin, 'apt-get'), '#!/bin/sh\necho "apt-get $*"\nexit 100\n');
  chmodSync(join(bin, 'apt-get'), 0o755);
  // The launcher adds the system's own directories; a copy of it does not.
  const text = spawnSync('sed', ['-e', '/^PATH=/d', launcher], { encoding: 'utf8' }).stdout;
  writeFileSync(launcher, text);
  const setup = join(copy, 'scripts/setup');
  writeFileSync(setup, spawnSync('sed', ['-e', '/^PATH=/d', setup], { encoding: 'utf8' }).stdout);
  const { status, stderr } = spawnSync(launcher, ['-f', 'x', 'plan'], { env: { PATH: bin, HOME: copy }, encoding: 'utf8' });
  assert.equal(status, 2);
  if (process.getuid?.() === 0) {
    assert.match(stderr, /installing Debian packages that are missing .*\n(?: {2}\S+: .+\n)* {2}nftables: the firewall\n/);
    assert.match(stderr, /apt-get .* install -y --no-install-recommends .*nftables/);
    assert.match(stderr, /weft: error: apt-get could not install .*nftables.*: see above/);
  }
  const quiet = spawnSync(launcher, ['check', '-f', '/none'], { env: { PATH: bin, HOME: copy }, encoding: 'utf8' });
  assert.doesNotMatch(quiet.stderr, /installing/, 'check needs no program');

  // Somebody who is not root, and has no sudo or may not use it, is told all of it at once, and nothing is tried.
  rmSync(join(bin, 'id'));
  const sudos = ['', '#!/bin/sh\necho "sudo $*" >&2\nexit 1\n'];
  writeFileSync(join(bin, 'id'), '#!/bin/sh\necho 1000\n', { mode: 0o755 });
  for (const sudo of sudos) {
    if (sudo !== '') writeFileSync(join(bin, 'sudo'), sudo, { mode: 0o755 });
    const told = spawnSync(launcher, ['-f', 'x', 'plan'], { env: { PATH: bin, HOME: copy }, encoding: 'utf8' });
    assert.equal(told.status, 2);
    assert.match(
      told.stderr,
      /^weft: error: Debian packages are missing, .*have root run this once, .*:\n {2}apt-get update && apt-get install --no-install-recommends .*nftables.*\n$/,
    );
  }
});

test('--version costs at most 1.5 times an empty node', () => {
  const milliseconds = (program: string, args: readonly string[]): number => {
    const from = performance.now();
    assert.equal(spawnSync(program, args, { env, stdio: 'ignore' }).status, 0);
    return performance.now() - from;
  };
  const weft = join(root, 'weft');
  milliseconds(weft, ['--version']);
  const ratios = Array.from({ length: 41 }, (_, i) => {
    if (i % 2 === 0) {
      const bare = milliseconds(process.execPath, ['-e', '0']);
      return milliseconds(weft, ['--version']) / bare;
    }
    const ours = milliseconds(weft, ['--version']);
    return ours / milliseconds(process.execPath, ['-e', '0']);
  }).toSorted((a, b) => a - b);
  const median = ratios[20] ?? Number.NaN;
  assert.ok(median <= 1.5, `median of ${ratios.length} paired runs: ${median.toFixed(2)}`);
});
