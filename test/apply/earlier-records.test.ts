/** A record that the first Weft wrote is read as one of today that says nothing of what came later. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { buildRecord, policyOf, withAttachments } from '../../src/apply/record.ts';
import { openStore } from '../../src/apply/store.ts';
import { emptyState, planChanges } from '../../src/plan/plan.ts';
import { fabricOf, facts } from './compiled.ts';

/** What each object of the first release's records held; `[]` goes into a list, all else that is not named goes as it is. */
const firstRelease: Readonly<Record<string, string>> = {
  '': 'version appliedAt fabric facts state attachments lock file listed names',
  fabric: 'name domain hosts networks guests allow block expect lock groups',
  'fabric.hosts[]': 'name uplink addresses',
  'fabric.networks[]': 'name host kind bridge mac v4 v6 egress fromHost dns mtu filter snat',
  'fabric.guests[]': 'name kind host inside namespace user labels logDropped nics span',
  'fabric.guests[].nics[]': 'guest network index name port mac v4 v6 default egress dns',
  'fabric.allow[]': 'id action from to ports log why text span',
  facts: 'uplink forwarding acceptRa routes features',
  'facts.uplink': 'name mtu addresses v6',
  'facts.features': 'forceForwarding',
  state: 'fabric host links addresses routes neighbors fdb sysctls tables guests services',
  'state.links[]': 'kind name alias mac mtu bridge owner peer',
  'state.fdb[]': 'port mac',
};

function stripped(value: unknown, path = ''): unknown {
  if (Array.isArray(value)) return value.map((entry) => stripped(entry, `${path}[]`));
  if (typeof value !== 'object' || value === null) return value;
  const kept = firstRelease[path]?.split(' ');
  return Object.fromEntries(
    Object.entries(value)
      .filter(([key]) => kept === undefined || kept.includes(key))
      .map(([key, entry]) => [key, stripped(entry, path === '' ? key : `${path}.${key}`)]),
  );
}

const file = `
name: old
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
guests:
  web: { network: internal, kind: namespace, address: 10.0.105.10 }
  db: { network: internal, kind: vm, address: 10.0.105.20 }
allow:
  - web -> db tcp/5432
`;

test('fields that came later are put in, whichever of the records it is', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'weft-records-'));
  try {
    const record = buildRecord({ ...fabricOf(file), facts, attachments: {}, file: '/x/weft.yaml', lockFile: '/x/weft.lock' });
    const store = openStore(directory);
    await store.write('applied', record);
    const path = join(directory, 'applied.json');
    const text = JSON.stringify(stripped(JSON.parse(readFileSync(path, 'utf8'))));
    assert.equal(/"(modules|enslaved|proxies|publish|gateways|bridgeNetfilter)":/.exec(text), null);
    for (const name of ['applied', 'applied.new', 'previous']) writeFileSync(join(directory, `${name}.json`), text);

    for (const name of ['applied', 'next', 'previous'] as const) {
      const read = await store.read(name);
      assert.ok(read);
      assert.deepEqual(read.state, JSON.parse(JSON.stringify(record.state)));
      assert.deepEqual(read.fabric, JSON.parse(JSON.stringify(record.fabric)));
      const known = { uplink: { ...facts.uplink, mac: '' }, features: { ...facts.features, bridgeNetfilter: false } };
      assert.deepEqual(read.facts, { ...facts, ...known });
      // What undo, status, destroy and attach make of it.
      assert.deepEqual(planChanges(read.state, record.state).changes, []);
      assert.ok(planChanges(read.state, emptyState('old', 'x')).steps.length > 0);
      assert.equal(policyOf(read).networks.length, 1);
      assert.deepEqual(withAttachments(read, {}).state, record.state);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
