import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { containsCidr } from 'cidr-tools';
import * as fc from 'fast-check';
import { parseConfig } from '../config/read.ts';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { buildFabric } from './build.ts';
import { formatLock, readLock } from './lock.ts';
import type { Fabric, Lock, Nic } from './model.ts';

/** A file as plain values; JSON is YAML. */
interface File {
  name: string;
  networks: Record<string, { kind: string; subnet: string[]; gateway?: string; range?: string }>;
  guests: Record<string, GuestValue>;
}
type GuestValue = { nics: NicValue[] } | ({ inside: string } & NicValue);
interface NicValue {
  network: string;
  address?: string[];
  mac?: string;
}

const SUBNETS = { a: ['10.0.1.0/28', 'fd00:1::/64'], b: ['10.0.2.0/27', 'fd00:2::/112'], c: ['10.0.3.0/24'] };
const START: File = {
  name: 'demo',
  networks: {
    a: { kind: 'nat', subnet: SUBNETS.a, gateway: '10.0.1.2' },
    b: { kind: 'isolated', subnet: SUBNETS.b, range: '10.0.2.4-10.0.2.20' },
    c: { kind: 'nat', subnet: SUBNETS.c },
  },
  guests: {},
};

function build(file: File, lock: Lock | undefined): { fabric: Fabric | undefined; diagnostics: Diagnostic[] } {
  const diagnostics: Diagnostic[] = [];
  const config = parseConfig('weft.yaml', '/srv/demo', JSON.stringify(file), (d) => diagnostics.push(d));
  return { fabric: config && buildFabric(config, lock, (d) => diagnostics.push(d)), diagnostics };
}

const allNics = (fabric: Fabric): Nic[] => fabric.guests.flatMap((guest) => guest.nics);

type Edit = (file: File) => void;

const guestName = fc.constantFrom('g1', 'g2', 'g3', 'g4', 'g5', 'g6', 'g7', 'g8', 'G9', 'constructor', 'g10', 'g11');
const address = {
  a: fc.constantFrom('10.0.1.1', '10.0.1.3', '10.0.1.9', 'fd00:1::5'),
  b: fc.constantFrom('10.0.2.3', '10.0.2.4', '10.0.2.5', 'fd00:2::5'),
  c: fc.constantFrom('10.0.3.2', '10.0.3.200'),
};
const nic = fc.constantFrom('a' as const, 'b' as const, 'c' as const).chain((network) =>
  fc.record(
    {
      network: fc.constant(network),
      address: address[network].map((one) => [one]),
      mac: fc.constantFrom('52:54:00:00:00:01', '52:54:00:00:00:02'),
    },
    { requiredKeys: ['network'] },
  ),
);
const plainNic = fc.constantFrom('a', 'b', 'c').map((network) => ({ network }));
const someNics = fc.uniqueArray(fc.oneof({ weight: 3, arbitrary: plainNic }, { weight: 1, arbitrary: nic }), {
  selector: (n) => n.network,
  maxLength: 3,
  minLength: 1,
});

const edit: fc.Arbitrary<Edit> = fc.oneof(
  fc.tuple(guestName, someNics, fc.boolean()).map(([name, nics, first]): Edit => (file) => {
    const { [name]: _, ...others } = file.guests;
    file.guests = first ? { [name]: { nics }, ...others } : { ...others, [name]: { nics } };
  }),
  fc.tuple(guestName, guestName, plainNic).map(([name, outer, { network }]): Edit => (file) => {
    file.guests[name] = { inside: outer, network };
  }),
  guestName.map((name): Edit => (file) => {
    delete file.guests[name];
  }),
  fc.constant<Edit>((file) => {
    file.guests = Object.fromEntries(Object.entries(file.guests).toReversed());
  }),
  fc.constant<Edit>((file) => {
    for (const guest of Object.values(file.guests)) if ('nics' in guest) guest.nics.reverse();
  }),
  fc.constantFrom('demo', 'renamed').map((name): Edit => (file) => {
    file.name = name;
  }),
);

function checkSound(fabric: Fabric): void {
  const subnets = new Map(fabric.networks.map((network) => [network.name, network]));
  const addresses = allNics(fabric).flatMap((n) => [n.v4, n.v6].filter((text) => text !== undefined));
  for (const network of fabric.networks) addresses.push(...[network.v4?.gateway, network.v6?.gateway].filter((text) => text !== undefined));
  assert.equal(new Set(addresses).size, addresses.length, `an address twice in ${addresses.join(' ')}`);
  const macs = fabric.guests.filter((guest) => guest.inside === undefined).flatMap((guest) => guest.nics.map((n) => n.mac));
  macs.push(...fabric.networks.flatMap((network) => network.mac ?? []));
  assert.equal(new Set(macs).size, macs.length, `a MAC twice in ${macs.join(' ')}`);
  for (const mac of macs) assert.match(mac, /^(?:02|52):/);
  for (const guest of fabric.guests) assert.equal(guest.nics.filter((n) => n.default).length, guest.nics.length === 0 ? 0 : 1);
  for (const n of allNics(fabric)) {
    const network = subnets.get(n.network);
    for (const [own, subnet] of [
      [n.v4, network?.v4?.subnet],
      [n.v6, network?.v6?.subnet],
    ] as const) {
      assert.equal(own === undefined, subnet === undefined);
      if (own !== undefined && subnet !== undefined) assert.ok(containsCidr(subnet, own), `${own} is not in ${subnet}`);
    }
  }
}

/** What stays in the file as it was keeps what it had. */
function checkKept(before: Fabric, after: Fabric, file: File): void {
  for (const [name, mac] of before.networks.map((network) => [network.name, network.mac] as const)) {
    assert.equal(after.networks.find((network) => network.name === name)?.mac, mac);
  }
  for (const guest of after.guests) {
    const old = before.guests.find((other) => other.name === guest.name);
    const entry = file.guests[guest.name];
    for (const n of guest.nics) {
      const was = old?.nics.find((other) => other.network === n.network);
      const declared = entry && ('nics' in entry ? entry.nics.find((other) => other.network === n.network) : entry);
      if (!was || !old) continue;
      if (!declared?.address?.some((text) => text.includes('.'))) assert.equal(n.v4, was.v4);
      if (!declared?.address?.some((text) => text.includes(':'))) assert.equal(n.v6, was.v6);
      if (guest.inside === undefined && old.inside === undefined && declared?.mac === undefined) assert.equal(n.mac, was.mac);
    }
  }
}

describe('the lock never reshuffles', () => {
  test('over any sequence of additions, removals and reorderings', () => {
    let built = 0;
    const run = (edits: readonly Edit[]): void => {
      let file = structuredClone(START);
      let current: Fabric | undefined;
      for (const apply of edits) {
        const next = structuredClone(file);
        apply(next);
        const { fabric, diagnostics } = build(next, current?.lock);
        // A refused file changes nothing: neither the file as applied nor the lock.
        if (!fabric) continue;
        built++;
        checkSound(fabric);
        assert.deepEqual(
          diagnostics.filter((d) => d.code === 'lock-reallocated'),
          [],
        );
        if (current) checkKept(current, fabric, next);
        const read = readLock(formatLock(fabric.lock), 'weft.lock', (d) => assert.fail(d.message));
        assert.deepEqual(read, fabric.lock);
        const again = build(next, read).fabric;
        assert.deepEqual(again?.lock, fabric.lock);
        assert.deepEqual(JSON.stringify(again), JSON.stringify(fabric));
        file = next;
        current = fabric;
      }
    };
    fc.assert(fc.property(fc.array(edit, { minLength: 4, maxLength: 12 }), run), { numRuns: 150 });
    assert.ok(built > 500, `only ${built} files were built: the test tests little`);
  });

  test('the lock is the same text whatever the order of the file', () => {
    const guests = Object.fromEntries(['x', 'y', 'z'].map((name) => [name, { nics: [{ network: 'a' }, { network: 'c' }] }]));
    const { fabric } = build({ ...START, guests }, undefined);
    assert.ok(fabric);
    const reversed = build({ ...START, guests: Object.fromEntries(Object.entries(guests).toReversed()) }, fabric.lock).fabric;
    assert.equal(reversed && formatLock(reversed.lock), formatLock(fabric.lock));
  });

  test('a subnet that changes moves only its own guests, and says so', () => {
    const guests = { x: { nics: [{ network: 'a' }, { network: 'c' }] } };
    const before = build({ ...START, guests }, undefined).fabric;
    const { fabric, diagnostics } = build(
      { ...START, networks: { ...START.networks, a: { kind: 'nat', subnet: ['10.9.0.0/24', 'fd00:1::/64'] } }, guests },
      before?.lock,
    );
    const [first, second] = fabric?.guests[0]?.nics ?? [];
    const [oldFirst, oldSecond] = before?.guests[0]?.nics ?? [];
    assert.deepEqual([first?.v4, first?.v6, first?.mac], ['10.9.0.2', oldFirst?.v6, oldFirst?.mac]);
    assert.deepEqual(second, oldSecond);
    assert.deepEqual(
      diagnostics.map((d) => [d.severity, d.code]),
      [['warning', 'lock-reallocated']],
    );
  });

  test('a declared address that the lock keeps for another is free once that guest is gone, moved or declares its own', () => {
    const lock: Lock = { version: 1, guests: { x: { nics: [{ network: 'c', mac: '02:00:00:00:00:01', v4: '10.0.3.9' }] } } };
    const y = { nics: [{ network: 'c', address: ['10.0.3.9'] }] };
    const outcome = (x: GuestValue | undefined): (string | undefined)[] => {
      const { fabric, diagnostics } = build({ ...START, guests: x ? { x, y } : { y } }, lock);
      return [...diagnostics.map((d) => d.code), fabric?.guests.find((guest) => guest.name === 'x')?.nics[0]?.v4];
    };
    assert.deepEqual(outcome({ nics: [{ network: 'c' }] }), ['lock-conflict', undefined]);
    assert.deepEqual(outcome({ nics: [{ network: 'c', address: ['10.0.3.7'] }] }), ['10.0.3.7']);
    assert.deepEqual(outcome({ nics: [{ network: 'a' }] }), ['10.0.1.1']);
    assert.deepEqual(outcome(undefined), [undefined]);
  });

  test('a locked address outside a range made smaller is kept', () => {
    const lock: Lock = { version: 1, guests: { x: { nics: [{ network: 'b', mac: '02:00:00:00:00:01', v4: '10.0.2.30' }] } } };
    const { fabric, diagnostics } = build({ ...START, guests: { x: { nics: [{ network: 'b' }] } } }, lock);
    assert.deepEqual([fabric?.guests[0]?.nics[0]?.v4, diagnostics], ['10.0.2.30', []]);
  });

  test('two guests with one address in a lock somebody edited: the first in the file keeps it', () => {
    const nics = [{ network: 'c', mac: '02:00:00:00:00:01', v4: '10.0.3.9' }];
    const guests = { x: { nics: [{ network: 'c' }] }, y: { nics: [{ network: 'c' }] } };
    const { fabric, diagnostics } = build({ ...START, guests }, { version: 1, guests: { x: { nics }, y: { nics } } });
    assert.deepEqual(
      diagnostics.map((d) => d.message),
      ['weft.lock keeps 10.0.3.9 for the guest `y`, but it keeps it for `x` too; it gets another address.'],
    );
    assert.deepEqual(
      fabric?.guests.map((guest) => guest.nics[0]?.v4),
      ['10.0.3.9', '10.0.3.2'],
    );
    assert.notEqual(fabric?.guests[0]?.nics[0]?.mac, fabric?.guests[1]?.nics[0]?.mac);
  });

  test('a guest that was inside another does not take its MAC along', () => {
    const vm = { nics: [{ network: 'a' }] };
    const before = build({ ...START, guests: { vm, jail: { inside: 'vm', network: 'a' } } }, undefined).fabric;
    const after = build({ ...START, guests: { jail: { nics: [{ network: 'a' }] }, vm } }, before?.lock).fabric;
    assert.ok(before && after);
    const macs = new Map(after.guests.map((guest) => [guest.name, guest.nics[0]?.mac]));
    assert.equal(macs.get('vm'), before.guests[0]?.nics[0]?.mac);
    assert.notEqual(macs.get('jail'), macs.get('vm'));
  });
});

describe('weft.lock as text', () => {
  const lock: Lock = {
    version: 1,
    networks: { lab: { mac: '02:00:00:00:00:09' } },
    guests: {
      web: { nics: [{ network: 'lab', mac: '02:00:00:00:00:01', v4: '10.0.0.2', v6: 'fd00::2' }] },
      offline: { nics: [] },
      jail: { nics: [{ network: 'lab', mac: '02:00:00:00:00:01', inside: 'web', v4: '10.0.0.3' }] },
    },
  };

  test('sorted, a line for each guest', () => {
    assert.equal(
      formatLock(lock),
      `{
  "about": "Written by weft apply, guest add and guest remove: the addresses and MACs it chose. Commit this file; do not edit it.",
  "version": 1,
  "networks": {
    "lab": { "mac": "02:00:00:00:00:09" }
  },
  "guests": {
    "jail": { "nics": [{ "network": "lab", "mac": "02:00:00:00:00:01", "inside": "web", "v4": "10.0.0.3" }] },
    "offline": { "nics": [] },
    "web": { "nics": [{ "network": "lab", "mac": "02:00:00:00:00:01", "v4": "10.0.0.2", "v6": "fd00::2" }] }
  }
}
`,
    );
  });

  const whole = formatLock(lock);
  const remedy = '; take the last good version of weft.lock from version control, or delete it to have addresses and MACs chosen anew.';
  const damaged: readonly (readonly [name: string, text: string, says: string])[] = [
    ['empty', '', `1 the lock is damaged: it is not JSON${remedy}`],
    ['cut off', whole.slice(0, whole.indexOf('"offline"')), `9 the lock is damaged: it is not JSON${remedy}`],
    ['a comma lost', whole.replace('"version": 1,', '"version": 1'), `4 the lock is damaged: it is not JSON${remedy}`],
    ['no guests', '{ "version": 1 }', `1 the lock is damaged: it has no \`guests\`${remedy}`],
    [
      'a newer version',
      whole.replace('"version": 1', '"version": 2'),
      `1 the lock has version 2 and this Weft reads version 1, so a newer one wrote it or it is damaged${remedy}`,
    ],
    ['a merge conflict', whole.replace('  "guests"', '<<<<<<< HEAD\n  "guests"'), `7 the lock holds an unresolved merge conflict${remedy}`],
    [
      'a MAC that is none',
      whole.replace('"02:00:00:00:00:01", "v4"', '"02-00-00-00-00-01", "v4"'),
      `10 the lock is damaged at the guest \`web\`${remedy}`,
    ],
    ['an address that is none', whole.replace('10.0.0.3', '10.0.0.300'), `8 the lock is damaged at the guest \`jail\`${remedy}`],
    ['an address of the other family', whole.replace('10.0.0.3', 'fd00::3'), `8 the lock is damaged at the guest \`jail\`${remedy}`],
    ['an address written otherwise', whole.replace('fd00::2', 'FD00::2'), `10 the lock is damaged at the guest \`web\`${remedy}`],
    ['NICs that are no list', whole.replace('"nics": []', '"nics": 5'), `9 the lock is damaged at the guest \`offline\`${remedy}`],
    ['a bridge without its MAC', whole.replace('"mac": "02:00:00:00:00:09"', ''), `5 the lock is damaged at the network \`lab\`${remedy}`],
  ];
  for (const [name, text, says] of damaged) {
    test(name, () => {
      const said: string[] = [];
      const read = readLock(text, 'weft.lock', (d) => {
        assert.deepEqual([d.code, d.severity, d.span?.file], ['lock-unreadable', 'error', 'weft.lock']);
        said.push(`${d.span?.line} ${d.message}`);
      });
      assert.equal(read, undefined);
      assert.deepEqual(said, [says]);
    });
  }

  test('any text is read or refused, never thrown at', () => {
    const piece = fc.constantFrom('{', '}', '[', ']', '"guests":', '"version": 1', '"nics":', ',', 'null', '"x"', ':', '1');
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.array(piece).map((pieces) => pieces.join('')),
        ),
        (text) => {
          let reported = 0;
          const read = readLock(text, 'weft.lock', () => reported++);
          assert.equal(reported, read ? 0 : 1);
        },
      ),
      { numRuns: 300 },
    );
  });
});
