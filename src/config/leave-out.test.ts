/** A wrong part does not hide what else is wrong, and causes nothing that is right to be called wrong. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { checkFile } from '../fabric/check-file.ts';

/** `LINE:COLUMN code` of each problem, in the order of the file. */
function said(text: string): string[] {
  const directory = mkdtempSync(join(tmpdir(), 'weft-parts-'));
  try {
    const path = join(directory, 'weft.yaml');
    writeFileSync(path, text);
    const { diagnostics, fabric } = checkFile(path);
    assert.equal(fabric, undefined);
    return diagnostics.map(({ code, span }) => `${span?.line}:${span?.column} ${code}`);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test('what is misspelt and what does not fit together are shown at once, each at its place', () => {
  assert.deepEqual(
    said(`networks:
  a: { kind: nat, subnet: 10.0.0.0/24, colour: red }
  b: { kind: nat, subnet: 10.0.0.128/25, mtu: 12 }
guests:
  web: { network: a, adress: 10.0.0.5 }
  db: { network: a, address: 10.9.9.9 }
  cache: { nics: [{ network: b, address: 10.0.0.300 }, { network: zz }] }
allow:
  - web - db
  - webb -> db tcp/80
  - { from: web, to: db, ports: http }
  - { form: web, to: db }
  - db -> wep
expect:
  - cant: web -> db
  - can: wbe -> db
`),
    [
      '2:40 unknown-key',
      '3:27 subnet-overlap',
      '3:47 bad-value',
      '5:22 unknown-key',
      '6:30 address-outside',
      '7:42 bad-address',
      '7:67 unknown-network',
      '9:5 bad-flow',
      '10:5 unknown-party',
      '11:33 bad-ports',
      '12:7 unknown-key',
      '13:11 unknown-party',
      '15:5 unknown-key',
      '16:10 unknown-party',
    ],
  );
});

const alone: readonly { name: string; text: string; says: string[] }[] = [
  { name: 'a section', text: 'guest: { web: a }\nallow: [web -> web]\n', says: ['1:1 unknown-key'] },
  { name: 'a network', text: 'networks: { a: { kind: natt, subnet: 10.0.0.0/24 } }\nguests: { web: a }\n', says: ['1:24 bad-value'] },
  { name: 'a subnet', text: 'networks: { a: { kind: nat, subnt: 10.0.0.0/24 } }\nguests: { web: a }\n', says: ['1:29 unknown-key'] },
  {
    name: 'a name',
    text: 'networks: { a: { kind: nat, subnet: 10.0.0.0/24 } }\nguests: { w_b: a }\nallow: [w-b -> a]\n',
    says: ['2:11 bad-name'],
  },
  {
    name: 'a gateway (the address that then is the gateway’s is not said to be taken)',
    text: 'networks: { a: { kind: nat, subnet: 10.0.0.0/24, gatway: 10.0.0.254 } }\nguests: { web: { network: a, address: 10.0.0.1 } }\n',
    says: ['1:50 unknown-key'],
  },
  {
    name: 'a label (the group of it is not said to be empty)',
    text: 'networks: { a: { kind: nat, subnet: 10.0.0.0/24 } }\nguests: { web: { network: a, label: { role: db } } }\ngroups: { dbs: { label: role=db } }\nallow: [a -> dbs]\n',
    says: ['2:30 unknown-key'],
  },
];
for (const { name, text, says } of alone) {
  test(`what depends on it is not called wrong: ${name}`, () => assert.deepEqual(said(text), says));
}
