/** init, import and guest: what they write, what they leave, and that nothing is written when anything is wrong. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, readdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { weft, withFiles } from './weft.ts';

const file = `# the lab
name: lab
networks:
  internal: { kind: nat, subnet: 10.0.105.0/24, gateway: 10.0.105.254, range: 10.0.105.10-10.0.105.12 }
guests:
  web: internal # the shop
  # a comment at the end
allow:
  - web -> 1.1.1.1 tcp/80
`;

test('guest add keeps every other byte, decides the address, writes the lock', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    const { status, out, err } = await weft(['guest', 'add', 'db', '--network', 'internal', '--kind', 'container'], { cwd });
    assert.deepEqual([status, err], [0, '']);
    assert.equal(out, 'db is in weft.yaml: 10.0.105.11 in internal, port w-db. `weft apply` makes it so.\n');
    const text = readFileSync(join(cwd, 'weft.yaml'), 'utf8');
    assert.equal(text, file.replace('# the shop\n', '# the shop\n  db: { network: internal, kind: container }\n'));
    const lock = JSON.parse(readFileSync(join(cwd, 'weft.lock'), 'utf8')) as { guests: Record<string, { nics: { v4: string }[] }> };
    assert.deepEqual(Object.fromEntries(Object.entries(lock.guests).map(([name, { nics }]) => [name, nics[0]?.v4])), {
      db: '10.0.105.11',
      web: '10.0.105.10',
    });
    assert.deepEqual(readdirSync(cwd).toSorted(), ['weft.lock', 'weft.yaml'], 'no temporary files');
  }));

test('a guest keeps its address when one before it goes', () =>
  withFiles({ 'weft.yaml': file }, async (cwd) => {
    await weft(['guest', 'add', 'b', '--network', 'internal'], { cwd });
    await weft(['guest', 'add', 'c', '--network', 'internal'], { cwd });
    assert.equal((await weft(['guest', 'remove', 'b'], { cwd })).status, 0);
    const { guests } = JSON.parse((await weft(['show', '--json'], { cwd })).out) as {
      guests: { name: string; nics: { addresses: string[] }[] }[];
    };
    assert.deepEqual(
      guests.map(({ name, nics }) => [name, nics[0]?.addresses[0]]),
      [
        ['web', '10.0.105.10'],
        ['c', '10.0.105.12'],
      ],
    );
  }));

const refused: readonly { name: string; args: readonly string[]; says: RegExp; status?: number }[] = [
  { name: 'a network that is not there', args: ['add', 'db', '--network', 'intern'], says: /unknown-network: .*`internal`/ },
  { name: 'a name that is taken', args: ['add', 'WEB', '--network', 'internal'], says: /weft\.yaml:6:3: error duplicate-name/ },
  { name: 'an address outside', args: ['add', 'db', '--network', 'internal', '--address', '10.9.9.9'], says: /address-outside/ },
  {
    name: 'an address that is taken',
    args: ['add', 'db', '--network', 'internal', '--address', '10.0.105.254'],
    says: /address-(taken|reserved)/,
  },
  { name: 'a kind that is none', args: ['add', 'db', '--network', 'internal', '--kind', 'jail'], says: /bad-value/ },
  { name: 'no network', args: ['add', 'db'], says: /usage: required option '--network <network>' not specified/ },
  { name: 'removing what is not there', args: ['remove', 'wep'], says: /unknown-guest: .*did you mean `web`/ },
  { name: 'removing what a rule names', args: ['remove', 'web'], says: /guest-in-use.*\n(.*\n)*.*weft\.yaml:9:/ },
];
for (const { name, args, says } of refused) {
  test(`guest refuses ${name}, and the file stays`, () =>
    withFiles({ 'weft.yaml': file }, async (cwd) => {
      const { status, out, err } = await weft(['guest', ...args], { cwd });
      assert.deepEqual([status, out], [2, '']);
      assert.match(err, says);
      assert.equal(readFileSync(join(cwd, 'weft.yaml'), 'utf8'), file);
      assert.deepEqual(readdirSync(cwd), ['weft.yaml']);
    }));
}

test('edits at the same time are all kept', () =>
  withFiles({ 'weft.yaml': file.replace('-10.0.105.12', '-10.0.105.99') }, async (cwd) => {
    const names = ['a', 'b', 'c', 'd', 'e'];
    const ran = await Promise.all(names.map((name) => weft(['guest', 'add', name, '--network', 'internal'], { cwd })));
    assert.deepEqual(
      ran.map(({ status, err }) => [status, err]),
      names.map(() => [0, '']),
    );
    const { guests } = JSON.parse((await weft(['show', '--json'], { cwd })).out) as {
      guests: { name: string; nics: { addresses: string[] }[] }[];
    };
    assert.deepEqual(guests.map(({ name }) => name).toSorted(), ['a', 'b', 'c', 'd', 'e', 'web']);
    assert.equal(new Set(guests.map(({ nics }) => nics[0]?.addresses[0])).size, 6);
  }));

test('the mode of the file stays, and a link to it stays a link', () =>
  withFiles({ 'real.yaml': file }, async (cwd) => {
    chmodSync(join(cwd, 'real.yaml'), 0o664);
    symlinkSync('real.yaml', join(cwd, 'weft.yaml'));
    assert.equal((await weft(['guest', 'add', 'db', '--network', 'internal'], { cwd })).status, 0);
    assert.ok(lstatSync(join(cwd, 'weft.yaml')).isSymbolicLink());
    assert.equal(statSync(join(cwd, 'real.yaml')).mode & 0o777, 0o664);
    assert.match(readFileSync(join(cwd, 'real.yaml'), 'utf8'), /db: internal/);
  }));

test('a file named by a link in another directory has one lock, beside itself, and one default name', () =>
  withFiles({}, async (cwd) => {
    for (const name of ['real', 'other']) mkdirSync(join(cwd, name));
    writeFileSync(join(cwd, 'real/weft.yaml'), file.replace('name: lab\n', ''));
    symlinkSync('../real/weft.yaml', join(cwd, 'other/weft.yaml'));
    assert.equal((await weft(['guest', 'add', 'db', '--network', 'internal'], { cwd: join(cwd, 'other') })).status, 0);
    assert.deepEqual(readdirSync(join(cwd, 'real')).toSorted(), ['weft.lock', 'weft.yaml']);
    assert.deepEqual(readdirSync(join(cwd, 'other')), ['weft.yaml']);
    const shown = await Promise.all(['real', 'other'].map((name) => weft(['show', '--json'], { cwd: join(cwd, name) })));
    assert.equal(shown[0]?.out, shown[1]?.out);
    writeFileSync(join(cwd, 'real/weft.lock'), '{');
    assert.match((await weft(['check'], { cwd: join(cwd, 'other') })).err, /real\/weft\.lock:1:\d+: error lock-unreadable/);
  }));

test('an address of each family, and what a plain name would be for other readers of YAML', () =>
  withFiles({ 'weft.yaml': file.replace('10.0.105.0/24', '[10.0.105.0/24, fd00:105::/64]') }, async (cwd) => {
    const args = ['guest', 'add', 'null', '--network', 'internal', '--address', '10.0.105.50', '--address', 'fd00:105::50'];
    assert.equal((await weft(args, { cwd })).status, 0);
    assert.match(
      readFileSync(join(cwd, 'weft.yaml'), 'utf8'),
      /^ {2}"null": \{ network: internal, address: \[10\.0\.105\.50, fd00:105::50\] \}$/m,
    );
  }));

test('init writes a file that is right as it stands and that guest add goes on with; it overwrites nothing', () =>
  withFiles({}, async (cwd) => {
    assert.equal((await weft(['init'], { cwd })).status, 0);
    assert.equal((await weft(['check'], { cwd })).status, 0);
    assert.equal((await weft(['guest', 'add', 'web', '--network', 'internal'], { cwd })).status, 0);
    const before = readFileSync(join(cwd, 'weft.yaml'), 'utf8');
    const again = await weft(['init'], { cwd });
    assert.equal(again.status, 2);
    assert.match(again.err, /weft\.yaml is there already and is not overwritten/);
    assert.equal(readFileSync(join(cwd, 'weft.yaml'), 'utf8'), before);
    assert.match((await weft(['init', '-o', '-'], { cwd })).out, /^networks:$/m);
  }));

test('import hoster writes a weft.yaml', () =>
  withFiles({}, async (cwd) => {
    const network = {
      network_name: 'internal',
      network_gateway: '10.0.105.254',
      network_subnet: '10.0.105.0/24',
      network_range_start: '10.0.105.10',
      network_range_end: '10.0.105.200',
      bridge_interface: 'None',
      apply_bridge_address: true,
      comment: 'Internal Network',
    };
    writeFileSync(join(cwd, 'network_config.json'), JSON.stringify([network]));
    assert.equal((await weft(['import', 'hoster', 'network_config.json'], { cwd })).status, 0);
    const { networks } = JSON.parse((await weft(['show', '--json'], { cwd })).out) as { networks: unknown[] };
    assert.deepEqual(networks, [
      { name: 'internal', kind: 'nat', host: 'host', subnets: ['10.0.105.0/24'], gateways: ['10.0.105.254'], bridge: 'br-internal' },
    ]);
    const one = (change: object): string => JSON.stringify([{ ...network, ...change }], undefined, 2);
    for (const [change, says] of [
      [{ network_gateway: '10.0.106.1' }, /^bad\.json:4:24: error gateway-outside/m],
      [{ network_range_end: '10.0.106.1' }, /^bad\.json:7:26: error range-outside/m],
      [{ network_name: 'internet' }, /^bad\.json:3:21: error reserved-name/m],
    ] as const) {
      writeFileSync(join(cwd, 'bad.json'), one(change));
      const { status, err } = await weft(['import', 'hoster', 'bad.json', '-o', 'other.yaml'], { cwd });
      assert.equal(status, 2);
      assert.match(err, says);
      assert.equal(existsSync(join(cwd, 'other.yaml')), false);
    }
    writeFileSync(join(cwd, 'lan.json'), `\uFEFF${one({ bridge_interface: 'em0', apply_bridge_address: false })}`);
    const lan = await weft(['import', 'hoster', 'lan.json', '-o', 'lan.yaml'], { cwd });
    assert.deepEqual([lan.status, lan.err], [0, '']);
    assert.match(readFileSync(join(cwd, 'lan.yaml'), 'utf8'), /kind: bridged.*\n +interface: em0\n/);
    const again = await weft(['import', 'hoster', 'lan.json', '-o', 'lan.yaml'], { cwd });
    assert.deepEqual([again.status, /lan\.yaml is there already and is not overwritten/.test(again.err)], [2, true]);
    writeFileSync(join(cwd, 'bad.json'), '[{"network_nam": 1}]');
    const bad = await weft(['import', 'hoster', 'bad.json', '-o', 'other.yaml'], { cwd });
    assert.equal(bad.status, 2);
    assert.match(bad.err, /^bad\.json:1:\d+: error /m);
    assert.equal(existsSync(join(cwd, 'other.yaml')), false);
  }));
