/** Edits keep every other byte of the file. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { ConfigFile } from '../config/model.ts';
import { parseConfig } from '../config/read.ts';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { addGuest, removeGuest } from './guests.ts';
import type { NewGuest } from './guests.ts';

const example = readFileSync(new URL('../../test/fixtures/design-example.yaml', import.meta.url), 'utf8');

function read(text: string): ConfigFile {
  const config = parseConfig('weft.yaml', '/etc/weft', text, (problem) => assert.fail(problem.message));
  assert.ok(config);
  return config;
}

function add(text: string, guest: NewGuest): string {
  const added = addGuest(read(text), guest, (problem) => assert.fail(problem.message));
  assert.ok(added !== undefined);
  return added;
}

function remove(text: string, name: string): string {
  const removed = removeGuest(read(text), name, (problem) => assert.fail(problem.message));
  assert.ok(removed !== undefined);
  return removed;
}

const refusal = (edit: (report: (problem: Diagnostic) => void) => string | undefined): Diagnostic[] => {
  const found: Diagnostic[] = [];
  assert.equal(
    edit((problem) => found.push(problem)),
    undefined,
  );
  return found;
};

const nets = 'networks:\n  n: { kind: nat, subnet: 10.0.0.0/24 }\n';

test('adds behind the last guest, in the style of the file', () => {
  const cases: [before: string, after: string][] = [
    [`${nets}guests:\n  web: n # the front\n\n# rules\nallow:\n`, `${nets}guests:\n  web: n # the front\n  new: n\n\n# rules\nallow:\n`],
    [
      `${nets}guests:\n    web:\n        network: n\n        # last word on web\n    # about nothing\n`,
      `${nets}guests:\n    web:\n        network: n\n    new: n\n        # last word on web\n    # about nothing\n`,
    ],
    [`${nets}guests:\n  web: n`, `${nets}guests:\n  web: n\n  new: n\n`],
    [`${nets}guests: # none yet\n  # web: n\nallow:\n`, `${nets}guests: # none yet\n  new: n\n  # web: n\nallow:\n`],
    [`${nets}guests:`, `${nets}guests:\n  new: n\n`],
    [`${nets}guests: {} # none yet\nallow: []\n`, `${nets}guests: # none yet\n  new: n\nallow: []\n`],
    [`${nets}guests: {}`, `${nets}guests:\n  new: n\n`],
    [`${nets}guests: ~ # none yet\nallow: []\n`, `${nets}guests: # none yet\n  new: n\nallow: []\n`],
    [`${nets}guests: null`, `${nets}guests:\n  new: n\n`],
    [
      `{ networks: { n: { kind: nat, subnet: 10.0.0.0/24 } }, guests: {} }`,
      `{ networks: { n: { kind: nat, subnet: 10.0.0.0/24 } }, guests: { new: n } }`,
    ],
    [`${nets}guests: { web: n } # one\n`, `${nets}guests: { web: n, new: n } # one\n`],
    [`guests: {\n  web: n, # front\n}\n${nets}`, `guests: {\n  web: n, new: n, # front\n}\n${nets}`],
    [`${nets}# the end\n`, `${nets}\nguests:\n  new: n\n# the end\n`],
    [
      '{ networks: { n: { kind: nat, subnet: 10.0.0.0/24 } } }\n',
      '{ networks: { n: { kind: nat, subnet: 10.0.0.0/24 } }, guests: { new: n } }\n',
    ],
    [
      `${nets}guests:\n  web:\n    network: n\n    labels:\n      a: >-\n        b\n\n# end\n`,
      `${nets}guests:\n  web:\n    network: n\n    labels:\n      a: >-\n        b\n  new: n\n\n# end\n`,
    ],
    [`${nets}guests:\r\n  web: n\r\nallow:\r\n`, `${nets}guests:\r\n  web: n\r\n  new: n\r\nallow:\r\n`],
  ];
  for (const [before, after] of cases) assert.equal(add(before, { name: 'new', network: 'n' }), after);
});

test('writes the short form, or a map with what was given', () => {
  assert.match(
    add(nets, { name: 'a', network: 'n', address: '10.0.0.7', dns: '1.1.1.1', kind: 'container' }),
    /^ {2}a: \{ network: n, address: 10\.0\.0\.7, dns: 1\.1\.1\.1, kind: container \}$/m,
  );
  assert.match(add(nets, { name: 'a', network: 'none' }), /^ {2}a: none$/m);
  assert.match(
    add(nets, { name: 'a', network: 'n', address: ['10.0.0.7'], dns: ['1.1.1.1', '::1'] }),
    /^ {2}a: \{ network: n, address: \[10\.0\.0\.7\], dns: \[1\.1\.1\.1, "::1"\] \}$/m,
  );
  assert.match(add(nets, { name: 'Null', network: 'n' }), /^ {2}"Null": n$/m);
  assert.match(add(nets, { name: 'a', network: 'n', address: 'fd00::' }), /address: "fd00::"/);
  assert.match(add('networks:\n  "null": { kind: nat, subnet: 10.0.0.0/24 }\n', { name: 'a', network: 'null' }), /^ {2}a: "null"$/m);
});

test('the example keeps every byte but the new line', () => {
  const text = add(example, { name: 'new', network: 'internal', kind: 'namespace' });
  const line = '  new: { network: internal, kind: namespace }\n';
  assert.equal(text.replace(line, ''), example);
  assert.equal(remove(text, 'new'), example);
});

test('adding and removing gives the file back, whatever it looks like', () => {
  const comment = fc.constantFrom('', ' # c', '\n  # own line', '\n', '\n\n');
  const entry = fc.constantFrom(': n', ': { network: n }', ':\n    network: n', ':\n    nics:\n    - network: n\n      address: 10.0.0.9');
  const guests = fc
    .array(fc.tuple(entry, comment), { minLength: 1, maxLength: 4 })
    .map((list) => list.map(([value, c], i) => `  g${i}${value}${c}\n`).join(''));
  fc.assert(
    fc.property(guests, fc.constantFrom('', 'allow:\n', '# end\n', '\n\nallow:\n'), (list, tail) => {
      const text = `${nets}guests:\n${list}${tail}`;
      const added = add(text, { name: 'new', network: 'n', address: '10.0.0.5' });
      assert.equal(Object.keys(read(added).model.guests).at(-1), 'new');
      assert.equal(remove(added, 'new'), text);
    }),
  );
});

test('removes a guest with its own lines, and nothing else', () => {
  const text = `${nets}guests:\n  # about web\n  web: n # front\n  # about db\n  db:\n    # inside db\n    network: n\n    address: 10.0.0.9 # fixed\n\n  # the rest\n  last: n\n`;
  assert.equal(remove(text, 'web'), text.replace('  web: n # front\n', ''));
  assert.equal(remove(text, 'DB'), text.replace(/ {2}db:[^]*fixed\n/, ''));
  assert.equal(remove(text, 'last'), text.replace('  last: n\n', ''));
  assert.equal(remove(`${nets}guests: { a: n, b: n, c: n }\n`, 'b'), `${nets}guests: { a: n, c: n }\n`);
  assert.equal(remove(`${nets}guests: { a: n, b: n }\n`, 'b'), `${nets}guests: { a: n }\n`);
  assert.equal(remove(`${nets}guests: { a: n }\n`, 'a'), `${nets}guests: {  }\n`);
  assert.equal(remove(`${nets}guests:\n  a: n`, 'a'), `${nets}guests:\n`);
  const long = (list: string): string => `${nets}guests: {\n${list}}\n`;
  const [first, second] = ['  a: n, # first\n', '  b: n # second\n'];
  assert.equal(remove(long(first + second), 'b'), long(first));
  assert.equal(remove(long(first + second), 'a'), long(second));
});

test('a guest named elsewhere stays, with all the places', () => {
  const [problem] = refusal((report) => removeGuest(read(example), 'db', report));
  assert.equal(problem?.code, 'guest-in-use');
  assert.equal(problem.message, '`db` is still named in 6 other places; take it out there first.');
  assert.deepEqual(
    problem.related?.map(({ message, span }) => `${span?.line}:${span?.column} ${message}`),
    [
      '64:15 it is in the group `databases`',
      '67:12 a rule of `allow` names it',
      '70:22 a rule of `allow` names it',
      '81:20 an expectation names it',
      '82:25 an expectation names it',
      '83:20 an expectation names it',
    ],
  );
  const lines = (name: string): (number | undefined)[] | undefined =>
    refusal((report) => removeGuest(read(example), name, report))[0]?.related?.map(({ span }) => span?.line);
  assert.deepEqual(lines('vm1'), [57, 68, 87]);
  assert.deepEqual(lines('nextcloud'), [79]);
  assert.deepEqual(lines('web'), [67, 70, 74, 81, 83, 87]);
});

test('what cannot be is refused with a remedy, and without a place in a file that does not exist', () => {
  const said = (guest: NewGuest): string[] =>
    refusal((report) => addGuest(read(example), guest, report)).map(
      ({ code, message, span }) => `${code} ${span?.line ?? '-'}: ${message}`,
    );
  assert.deepEqual(said({ name: 'web', network: 'internal' }), ['duplicate-name 44: there is a guest `web` already; choose another name.']);
  assert.deepEqual(said({ name: 'WEB', network: 'internal' }), ['duplicate-name 44: there is a guest `web` already; choose another name.']);
  assert.deepEqual(said({ name: 'x', network: 'internl' }), ['unknown-network -: there is no network `internl`; did you mean `internal`?']);
  assert.deepEqual(said({ name: 'x', network: 'internal', address: '10.0.0' }), [
    'bad-address -: `10.0.0` is not an IPv4 or IPv6 address; write it as 10.0.0.5 or fd00::5.',
  ]);
  assert.deepEqual(said({ name: 'x', network: 'internal', kind: 'lxc' }), [
    'bad-value -: `kind` must be `vm`, `container` or `namespace`, not `lxc`.',
  ]);
  assert.match(said({ name: 'x_y', network: 'internal' })[0] ?? '', /^bad-name -: .*`x-y` would do/);
  assert.match(said({ name: 'x', network: 'internal', dns: '1.1.1.1 }, evil: { network: lab' })[0] ?? '', /^bad-address/);
  assert.deepEqual(
    refusal((report) => removeGuest(read(example), 'dbb', report)).map((d) => d.message),
    ['there is no guest `dbb`; did you mean `db`?'],
  );
  const merged = read(`${nets}guests:\n  web: &g { network: n }\n  db: *g\n`);
  const [anchored] = refusal((report) => removeGuest(merged, 'web', report));
  assert.equal(
    anchored?.message,
    '`web` cannot be cut out of the file as it is written (does another entry use its anchor?); edit the file by hand.',
  );
  assert.equal(anchored.span?.line, 4);
});
