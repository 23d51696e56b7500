/** The documents and texts of the commands that need only the file, and the choice of the host. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { WeftError } from '../../src/diagnostic/diagnostic.ts';
import { hostOf } from '../../src/cli/host.ts';
import { table } from '../../src/cli/table.ts';
import { smallFile, weft, withFiles } from './weft.ts';

test('check --json has the stable shape', () =>
  withFiles({ 'weft.yaml': smallFile }, async (cwd) => {
    const { status, out } = await weft(['check', '--json'], { cwd });
    assert.equal(status, 0);
    const { proofs, ...document } = JSON.parse(out) as { proofs: { verdict: string }[] };
    assert.deepEqual(document, { ok: true, problems: [], expectations: [{ text: 'can: a -> b tcp/80', verdict: 'proved' }] });
    assert.ok(proofs.length > 0 && proofs.every(({ verdict }) => verdict === 'proved'));
  }));

test('check answers no when an expectation does not hold, with a packet and its line', () =>
  withFiles({ 'weft.yaml': `${smallFile}  - cannot: a -> b\n  - isolated: lab\n` }, async (cwd) => {
    const { status, out, err } = await weft(['check', '--json'], { cwd });
    assert.equal(status, 1);
    const { ok, expectations } = JSON.parse(out) as { ok: boolean; expectations: { verdict: string; counterexample?: string }[] };
    assert.equal(ok, false);
    assert.deepEqual(
      expectations.map(({ verdict }) => verdict),
      ['proved', 'refuted', 'proved'],
    );
    assert.match(
      expectations[1]?.counterexample ?? '',
      /^a \(192\.168\.77\.2\) -> b \(192\.168\.77\.9\) tcp\/80 is delivered, by `a -> b tcp\/80` \(weft\.yaml:8\)$/,
    );
    assert.match(err, /^weft\.yaml:11:13: error expectation-refuted: /m);
  }));

test('check lists every problem with its place, and changes nothing', () =>
  withFiles({ 'weft.yaml': smallFile.replace('a: lab', 'a: lap').replace('tcp/80\nexpect', 'tcp/0\nexpect') }, async (cwd) => {
    const { status, out, err } = await weft(['check', '--json'], { cwd });
    assert.equal(status, 2);
    const { ok, problems } = JSON.parse(out) as {
      ok: boolean;
      problems: { file: string; line: number; column: number; severity: string }[];
    };
    assert.equal(ok, false);
    assert.ok(problems.length >= 1);
    for (const { file, line, column } of problems) assert.match(err, new RegExp(`^${file}:${line}:${column}: error `, 'm'));
  }));

test('check has the same shape when there is no file', () =>
  withFiles({}, async (cwd) => {
    const { status, out } = await weft(['check', '--json'], { cwd });
    const { ok, problems, expectations } = JSON.parse(out) as { ok: boolean; problems: { code: string }[]; expectations: unknown[] };
    assert.deepEqual([status, ok, problems.map(({ code }) => code), expectations], [2, false, ['file-not-found'], []]);
  }));

test('check in words', () =>
  withFiles({ 'weft.yaml': smallFile }, async (cwd) => {
    const { out } = await weft(['check'], { cwd });
    assert.match(
      out,
      /^weft\.yaml is fine: 1 host, 1 network, 2 guests, 1 rule, 1 expectation\.\nProved: [^\n]*\n\nEXPECTATION +VERDICT\ncan: a -> b tcp\/80 +proved\n/,
    );
  }));

test('show --json has the stable shape', () =>
  withFiles({ 'weft.yaml': smallFile }, async (cwd) => {
    const { out } = await weft(['show', '--json'], { cwd });
    const shown = JSON.parse(out) as { host: string; networks: unknown[]; guests: { nics: { mac: string }[] }[] };
    assert.equal(shown.host, 'host');
    assert.deepEqual(shown.networks, [
      { name: 'lab', kind: 'isolated', host: 'host', subnets: ['192.168.77.0/24'], gateways: ['192.168.77.1'], bridge: 'br-lab' },
    ]);
    const b = shown.guests[1];
    const mac = b?.nics[0]?.mac ?? '';
    assert.match(mac, /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
    assert.deepEqual(b, {
      name: 'b',
      kind: 'namespace',
      host: 'host',
      namespace: 'small-b',
      nics: [
        {
          network: 'lab',
          interface: 'eth0',
          port: 'w-b',
          mac,
          addresses: ['192.168.77.9'],
          gateways: ['192.168.77.1'],
          dns: ['192.168.77.1'],
          mtu: 1500,
          default: true,
        },
      ],
    });
  }));

test('show names a host for every guest, null where a guest without network could be on any', () =>
  withFiles({ 'weft.yaml': `hosts: { a: {}, b: {} }\nguests: { off: none }\n`, 'one.yaml': 'guests: { off: none }\n' }, async (cwd) => {
    const hostOfGuest = async (...args: string[]): Promise<unknown> =>
      (JSON.parse((await weft(['show', '--json', ...args], { cwd })).out) as { guests: { host: unknown }[] }).guests[0]?.host;
    assert.equal(await hostOfGuest('-f', 'one.yaml'), 'host');
    assert.equal(await hostOfGuest('--host', 'a'), null);
  }));

const fabric = {
  hosts: [
    { name: 'vps', addresses: ['203.0.113.10'] },
    { name: 'Home', addresses: [] },
  ],
};
const machine = { hostname: 'elsewhere', addresses: ['127.0.0.1'] };
const choices: readonly { name: string; wanted?: string; machine: typeof machine; is: string | RegExp }[] = [
  { name: '--host, in any case', wanted: 'home', machine, is: 'Home' },
  { name: '--host before the hostname', wanted: 'vps', machine: { ...machine, hostname: 'home' }, is: 'vps' },
  { name: 'the hostname', machine: { ...machine, hostname: 'home' }, is: 'Home' },
  { name: 'the hostname up to its first dot', machine: { ...machine, hostname: 'vps.example.org' }, is: 'vps' },
  { name: 'the one whose address is here', machine: { ...machine, addresses: ['127.0.0.1', '203.0.113.10'] }, is: 'vps' },
  { name: 'none of these', machine, is: /host-ambiguous: .*--host NAME/ },
  { name: 'a host that is not there', wanted: 'vsp', machine, is: /unknown-host: .*vps/ },
];
for (const { name, wanted, machine: here, is } of choices) {
  test(`this host is: ${name}`, () => {
    if (typeof is === 'string') assert.equal(hostOf(fabric, wanted, here), is);
    else {
      assert.throws(
        () => hostOf(fabric, wanted, here),
        (error) =>
          error instanceof WeftError && error.exitCode === 2 && is.test(error.diagnostics.map((d) => `${d.code}: ${d.message}`).join()),
      );
    }
  });
}

test('a file with one host means this machine, whatever it is called', () => {
  assert.equal(hostOf({ hosts: [{ name: 'host', addresses: [] }] }, undefined, machine), 'host');
});

test('tables: widest cell, colours do not count, empty cells are a dash, no blanks at the end', () => {
  const green = '\u001b[32mok\u001b[39m';
  assert.equal(
    table(
      ['A', 'LONG'],
      [
        ['xyz', green],
        ['', 'b'],
      ],
    ),
    `A    LONG\nxyz  ${green}\n-    b`,
  );
});
