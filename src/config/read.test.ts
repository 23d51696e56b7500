import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import type { ConfigFile } from './model.ts';
import { MAX_FILE_BYTES, parseConfig, readConfig } from './read.ts';

const directory = mkdtempSync(join(tmpdir(), 'weft-read-'));
after(() => rmSync(directory, { recursive: true }));

function read(text: string): ConfigFile {
  const config = parseConfig('weft.yaml', '/etc/weft', text, (problem) => assert.fail(problem.message));
  assert.ok(config);
  return config;
}

function problemsOf(text: string): string[] {
  const found: string[] = [];
  parseConfig('weft.yaml', '/etc/weft', text, ({ code, span, message }) =>
    found.push(`${span?.line}:${span?.column}-${span?.endColumn} ${code} ${message}`),
  );
  return found;
}

const example = readFileSync(new URL('../../test/fixtures/design-example.yaml', import.meta.url), 'utf8');

test('the example of the design is accepted as it stands', () => {
  const { model } = read(example);
  assert.deepEqual(Object.keys(model.networks), ['internal', 'lab', 'external', 'public', 'home-net']);
  assert.deepEqual(model.networks['internal'], {
    kind: 'nat',
    host: 'vps',
    subnet: ['10.0.105.0/24', 'fd00:105::/64'],
    gateway: ['10.0.105.254'],
    range: { from: '10.0.105.10', to: '10.0.105.200' },
    snat: '203.0.113.11',
    egress: { kind: 'allow' },
    fromHost: 'allow',
    dns: ['10.0.105.254'],
    mtu: 1500,
  });
  assert.deepEqual(model.guests['offline'], { nics: [], nicPaths: [] });
  assert.deepEqual(model.guests['vm1']?.nicPaths, [
    ['guests', 'vm1', 'nics', 0],
    ['guests', 'vm1', 'nics', 1],
  ]);
  assert.deepEqual(
    model.allow.map((rule) => [rule.flow.text, rule.log, rule.why]),
    [
      ['web -> db tcp/5432', false, undefined],
      ['internet -> vm1 tcp/80,443 udp/443', false, undefined],
      ['awesomeVmName -> 192.168.118.0/24', false, undefined],
      ['web -> db icmp', true, 'health checks'],
    ],
  );
  assert.deepEqual(
    model.expect.map((entry) => entry.text),
    [
      'can: web -> db tcp/5432',
      'cannot: internet -> db',
      'only: web -> db',
      'via: home-net -> internet through vps',
      'seen-as: internal -> internet 203.0.113.11',
      'isolated: lab',
      'exposed: internet -> vm1 tcp/80,443 udp/443; internet -> web tcp/22',
    ],
  );
});

test('the same file with carriage returns, as JSON-like braces, or with a byte order mark is the same', () => {
  const plain = read('name: demo\nnetworks:\n  a: { kind: nat, subnet: 10.0.0.0/24 }\nguests:\n  web: a\n').model;
  assert.deepEqual(read('name: demo\r\nnetworks:\r\n  a: { kind: nat, subnet: 10.0.0.0/24 }\r\nguests:\r\n  web: a\r\n').model, plain);
  assert.deepEqual(
    read('{"name": "demo", "networks": {"a": {"kind": "nat", "subnet": "10.0.0.0/24"}}, "guests": {"web": "a"}}').model,
    plain,
  );
  const path = join(directory, 'bom.yaml');
  writeFileSync(path, '\ufeffname: demo\nnetworks:\n  a: { kind: nat, subnet: 10.0.0.0/24 }\nguests:\n  web: a\n');
  assert.deepEqual(readConfig(path, (problem) => assert.fail(problem.message))?.model, plain);
});

test('sections may be empty, keys with nothing behind them too', () => {
  const { model } = read('hosts:\nnetworks:\nguests:\ngroups:\nallow:\nblock:\npublish:\nlinks:\ningress:\nexpect:\n');
  assert.deepEqual(model, { networks: {}, guests: {}, groups: {}, allow: [], block: [], publish: [], links: {}, expect: [] });
  assert.deepEqual(read('hosts:\n  vps:\n').model.hosts, { vps: {} });
});

test('filter is on or off in every spelling of YAML', () => {
  for (const [written, meant] of Object.entries({ on: 'on', off: 'off', true: 'on', false: 'off', yes: 'on', no: 'off', '"off"': 'off' })) {
    for (const directive of ['', '%YAML 1.1\n---\n']) {
      const network = read(`${directive}networks:\n  a: { kind: nat, subnet: 10.0.0.0/24, filter: ${written} }\n`).model.networks['a'];
      assert.equal(network?.filter, meant, `${directive}${written}`);
    }
  }
});

test('a MAC that YAML 1.1 would read in base 60 is a text', () => {
  const { model } = read('networks:\n  a: { kind: nat, subnet: 10.0.0.0/24 }\nguests:\n  web: { network: a, mac: 52:54:00:11:22:33 }\n');
  assert.equal(model.guests['web']?.nics[0]?.mac, '52:54:00:11:22:33');
});

test('anchors and merge keys work, and problems in them point at what was merged', () => {
  const base = 'networks:\n  a: &net { kind: nat, subnet: 10.0.0.0/24, mtu: 1400 }\n  b: { <<: *net, subnet: 10.0.1.0/24 }\n';
  assert.deepEqual(read(base).model.networks['b'], { kind: 'nat', subnet: ['10.0.1.0/24'], mtu: 1400 });
  assert.deepEqual(problemsOf(base.replace('1400', '14')), [
    '2:50-52 bad-value `mtu` must be a whole number from 576 to 65535, such as 1500, not the number `14`.',
  ]);
});

test('an alias bomb is refused quickly', () => {
  const levels = Array.from(
    { length: 12 },
    (_, i) =>
      `l${i}: &l${i} [${
        i === 0
          ? 'x'
          : Array(10)
              .fill(`*l${i - 1}`)
              .join(', ')
      }]`,
  );
  const [problem] = problemsOf(`${levels.join('\n')}\n`);
  assert.match(problem ?? '', /aliases of this file make it larger/);
});

test('names of JavaScript are names like others', () => {
  const { model } = read(
    'networks:\n  constructor: { kind: nat, subnet: 10.0.0.0/24 }\nguests:\n  toString: constructor\n  hasOwnProperty: constructor\n',
  );
  assert.deepEqual(Object.keys(model.guests), ['toString', 'hasOwnProperty']);
  assert.match(problemsOf('guests:\n  __proto__: a\n')[0] ?? '', /^2:3-12 yaml-syntax `__proto__`/);
  assert.match(problemsOf('guests:\n  web: { network: a, __proto__: 1 }\n')[0] ?? '', /^2:22-31 yaml-syntax `__proto__`/);
  assert.match(problemsOf('guests:\n  web: { network: a, constructor: 1 }\n')[0] ?? '', /^2:22-33 unknown-key/);
});

test('the long form of a rule takes texts and lists, and its parties have places', () => {
  const config = read(
    'allow:\n  - from: [web, "db, vault"]\n    to:\n      - lab\n      - 10.0.0.0/8\n    ports: [tcp/80 udp/53, tcp/81]\n    why: because\n',
  );
  const [rule] = config.model.allow;
  assert.ok(rule);
  assert.equal(rule.flow.text, 'web,db,vault -> lab,10.0.0.0/8 tcp/80-81 udp/53');
  const places = [...rule.flow.from, ...rule.flow.to].map(({ offset, length = 1 }) => {
    const { line, column, endColumn } = config.span(rule.path, 'value', { offset, length });
    return `${line}:${column}-${endColumn}`;
  });
  assert.deepEqual(places, ['2:12-15', '2:18-20', '2:22-27', '4:9-12', '5:9-19']);
});

test('places: value, key, missing key, inside quotes, inside lists', () => {
  const config = read(example);
  const at = (...args: Parameters<ConfigFile['span']>): string => {
    const { file, line, column, endColumn } = config.span(...args);
    return `${file}:${line}:${column}-${endColumn} ${example.split('\n')[line - 1]?.slice(column - 1, endColumn - 1)}`;
  };
  assert.equal(at(['guests', 'db', 'address']), 'weft.yaml:47:14-25 10.0.105.20');
  assert.equal(at(['guests', 'db', 'address'], 'key'), 'weft.yaml:47:5-12 address');
  assert.equal(at(['guests', 'db', 'egress']), 'weft.yaml:45:3-5 db');
  assert.equal(at(['guests', 'nobody']), 'weft.yaml:43:1-7 guests');
  assert.equal(at(['guests', 'vm1', 'nics', 1, 'address']), 'weft.yaml:56:39-49 10.0.105.2');
  assert.equal(at(['allow', 1], 'value', { offset: 12, length: 3 }), 'weft.yaml:68:17-20 vm1');
  assert.equal(at(['expect', 6, 'exposed', 1], 'value', { offset: 12, length: 3 }), 'weft.yaml:87:66-69 web');
  // A single one where a list is possible, and a network without its key: the value itself.
  assert.equal(at(['guests', 'db', 'address', 0]), 'weft.yaml:47:14-25 10.0.105.20');
  assert.equal(at(['guests', 'web', 'network']), 'weft.yaml:44:8-16 internal');
  assert.equal(at(['guests', 'web', 'network'], 'value', { offset: 0, length: 2 }), 'weft.yaml:44:8-10 in');
  assert.equal(at(['guests', 'web', 'network'], 'key'), 'weft.yaml:44:3-6 web');
  assert.match(at([]), /^weft\.yaml:2:1-/);
});

test('the file itself: missing, a directory, not UTF-8, too large', () => {
  const said = (path: string): string => {
    const found: Diagnostic[] = [];
    assert.equal(
      readConfig(path, (problem) => found.push(problem)),
      undefined,
    );
    assert.equal(found.length, 1);
    assert.equal(found[0]?.span?.file, path);
    return `${found[0]?.code}: ${found[0]?.message}`;
  };
  assert.equal(
    said(join(directory, 'none.yaml')),
    'file-not-found: there is no such file; `weft init` writes one, `-f FILE` names another.',
  );
  assert.equal(said(directory), 'file-unreadable: this is a directory; name the file in it.');
  const binary = join(directory, 'binary.yaml');
  writeFileSync(binary, Buffer.from('name: caf\xe9\n', 'latin1'));
  assert.equal(said(binary), 'file-unreadable: the file is not UTF-8 text; save it as UTF-8.');
  const large = join(directory, 'large.yaml');
  writeFileSync(large, '');
  truncateSync(large, MAX_FILE_BYTES + 1);
  assert.equal(said(large), 'file-unreadable: the file has 65 MiB, at most 64 are read; split the fabric.');
});
