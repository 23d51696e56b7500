/** What holds for every command: help with examples, options before and after the name, exit status, one document, no stack. */
import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { Command } from 'commander';
import { main } from '../../src/cli/program.ts';
import { examples } from '../../src/cli/command.ts';
import { version } from '../../src/cli/version.ts';
import { smallFile, weft, withFiles } from './weft.ts';

/** Runs in this process; for what prints and does nothing else. */
async function inProcess(args: readonly string[]): Promise<{ status: number; out: string; err: string }> {
  let out = '';
  let err = '';
  const status = await main(args, {
    out: (text) => void (out += text),
    err: (text) => void (err += text),
    env: {},
    cwd: '/',
    color: { out: false, err: false },
    interactive: false,
    columns: undefined,
  });
  return { status, out, err };
}

const overview = await inProcess(['--help']);
const names = [...overview.out.matchAll(/^ {2}([a-z]+)(?: |$)/gm)].map((match) => match[1] ?? '').filter((name) => name !== 'help');

test('the overview lists the commands', () => {
  assert.equal(overview.status, 0);
  for (const name of ['check', 'plan', 'apply', 'confirm', 'rollback', 'destroy', 'status', 'show', 'version'])
    assert.ok(names.includes(name), name);
});

for (const name of names) {
  test(`weft ${name} --help has an example that begins with the command`, async () => {
    const { status, out, err } = await inProcess([name, '--help']);
    assert.equal(status, 0);
    assert.equal(err, '');
    assert.match(out, new RegExp(`Examples:\n(?:.*\n)*? +(?:[^\n]*&& |sudo )?weft ${name}\\b`));
    assert.match(out, /--state-dir/, 'global options are shown');
  });
}

test('an example is one line each, under a heading', () => {
  const command = examples(new Command('x'), 'weft x', 'weft x -y');
  let text = '';
  command.configureOutput({ writeOut: (part) => void (text += part) }).outputHelp();
  assert.match(text, /\nExamples:\n {2}weft x\n {2}weft x -y\n$/);
});

test('--version, -V and version say the same', async () => {
  for (const args of [['--version'], ['-V'], ['version']]) assert.deepEqual(await weft(args), { status: 0, out: `${version}\n`, err: '' });
  for (const args of [
    ['version', '--json'],
    ['--json', '--version'],
  ])
    assert.deepEqual(JSON.parse((await weft(args)).out), { version });
});

const usage: readonly { args: readonly string[]; says: RegExp }[] = [
  { args: ['aply'], says: /^error usage: unknown command 'aply' - did you mean apply\?\n$/ },
  { args: ['check', '--jso'], says: /^error usage: unknown option '--jso' - did you mean --json\?\n$/ },
  { args: ['xyzzy'], says: /^error usage: unknown command 'xyzzy': see `weft --help`\n$/ },
  { args: ['check', 'extra'], says: /^error usage: `extra` is more than check takes: see `weft check --help`\n$/ },
  { args: ['check', '-f', ''], says: /^error usage: -f is empty/ },
  { args: ['check', '-f'], says: /^error usage: option '-f, --file <file>' argument missing/ },
];
for (const { args, says } of usage) {
  test(`weft ${args.join(' ')} is a usage error`, async () => {
    const { status, out, err } = await inProcess(args);
    assert.equal(status, 2);
    assert.equal(out, '');
    assert.match(err, says);
  });
}

test('no command: the overview on standard error, exit 2', async () => {
  const { status, out, err } = await inProcess([]);
  assert.deepEqual([status, out], [2, '']);
  assert.match(err, /^Usage: weft/);
});

test('-f and --json count before and after the name', () =>
  withFiles({ 'x.yaml': smallFile }, async (cwd) => {
    const after = await weft(['check', '-f', 'x.yaml', '--json'], { cwd });
    const before = await weft(['-f', 'x.yaml', '--json', 'check'], { cwd });
    assert.deepEqual(before, after);
    assert.equal(after.status, 0);
  }));

test('without -f: weft.yaml in the working directory, else an error that says what to do', async () => {
  await withFiles({ 'weft.yaml': smallFile }, async (cwd) => assert.equal((await weft(['check'], { cwd })).status, 0));
  await withFiles({}, async (cwd) => {
    const { status, err } = await weft(['check'], { cwd });
    assert.equal(status, 2);
    assert.match(err, /^error file-not-found: there is no weft\.yaml in .* -f FILE, .*`weft init`\n$/);
  });
});

test('a weft.yaml that is a link to nowhere is not passed over for /etc/weft/weft.yaml', () =>
  withFiles({}, async (cwd) => {
    symlinkSync('nowhere.yaml', join(cwd, 'weft.yaml'));
    const { status, err } = await weft(['check'], { cwd });
    assert.equal(status, 2);
    assert.match(err, /^weft\.yaml:1:1: error file-not-found: /);
  }));

test('a working directory that is gone is said in a sentence', () =>
  withFiles({}, async (cwd) => {
    const script = `process.cwd = () => { throw new Error('ENOENT: uv_cwd') };`;
    const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(script)}`;
    const { status, err, out } = await weft(['check', '--json'], { cwd, env: { NODE_OPTIONS } });
    assert.equal(status, 2);
    assert.match(err, /^error file-not-found: the working directory has been removed: .*\n$/);
    assert.equal((JSON.parse(out) as { ok: boolean }).ok, false);
  }));

test('under --json standard output is one document, also when the command fails', () =>
  withFiles({ 'weft.yaml': smallFile, 'bad.yaml': 'networks: 3\n' }, async (cwd) => {
    for (const args of [
      ['check'],
      ['show'],
      ['version'],
      ['check', '-f', 'bad.yaml'],
      ['show', '-f', 'bad.yaml'],
      ['check', '-f', 'none.yaml'],
      ['aply'],
      [],
      ['guest'],
      ['guest', 'ad'],
      ['--nope', 'check'],
      ['explain'],
      ['show', '--host', 'elsewhere'],
      ['guest', 'add', 'x', '--network', 'nowhere'],
      ['guest', 'remove', 'nobody'],
      ['import', 'hoster', 'none.json', '-o', 'new.yaml'],
      ['init'],
      ['capture', '-o', 'none/x.json'],
    ]) {
      const { out, err, status } = await weft([...args, '--json'], { cwd });
      assert.doesNotThrow(() => JSON.parse(out), `${args.join(' ')}: ${out}`);
      if (status !== 0) {
        const document = JSON.parse(out) as { ok: unknown; problems: { message: unknown }[] };
        assert.equal(document.ok, false);
        assert.equal(typeof document.problems[0]?.message, 'string');
        assert.notEqual(err, '');
      }
    }
  }));

test('a reader that goes away is no error', () =>
  withFiles({ 'weft.yaml': smallFile }, async (cwd) => {
    const { status, err } = await weft(['show', '--json'], { cwd, closeOut: true });
    assert.deepEqual({ status, err }, { status: 0, err: '' });
  }));

test('an unexpected error is one sentence; the stack only with WEFT_DEBUG=1', () =>
  withFiles({ 'weft.yaml': smallFile }, async (cwd) => {
    const script = `import { Command } from 'commander'; Command.prototype.parseAsync = () => { throw new TypeError('boom') };`;
    const NODE_OPTIONS = `--import=data:text/javascript,${encodeURIComponent(script.replace("'commander'", `'${import.meta.resolve('commander')}'`))}`;
    const plain = await weft(['check'], { cwd, env: { NODE_OPTIONS } });
    assert.equal(plain.status, 2);
    assert.match(plain.err, /^error internal: Weft itself went wrong \(boom\), and nothing was changed; please report .*WEFT_DEBUG=1\n$/);
    const debug = await weft(['check'], { cwd, env: { NODE_OPTIONS, WEFT_DEBUG: '1' } });
    assert.match(debug.err, /TypeError: boom\n +at /);
  }));

test('WEFT_TIMING=1 adds phases on standard error', () =>
  withFiles({ 'weft.yaml': smallFile }, async (cwd) => {
    assert.match(
      (await weft(['check'], { cwd, env: { WEFT_TIMING: '1' } })).err,
      /^timing start [\d.]+\ntiming check [\d.]+\n(.*\n)*timing peak-rss \d+\n$/,
    );
  }));
