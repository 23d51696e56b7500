import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AppliedRecord } from '../../src/apply/store.ts';
import type { KernelModel } from '../../src/prove/kernel-model.ts';
import { bridgedGuests } from '../../src/prove/model/bridged-guests.ts';
import { modelOf } from '../../src/prove/model/model-of.ts';
import { modelOfSeen } from '../../src/prove/model/model-of-seen.ts';
import { readCapture } from '../../src/prove/model/read-capture.ts';
import { surroundingsSeen } from '../../src/prove/model/surroundings.ts';
import { isOwnTable } from '../../src/kernel/observe.ts';
import { withHost } from '../bed/host.ts';

const file = `name: model
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
  lab: { kind: isolated, subnet: 10.3.0.0/24 }
  pub: { kind: routed, addresses: [198.51.100.64/29, 2001:db8:7::/64], bootstrap: 172.30.0.0/24 }
  ext: { kind: bridged, interface: em0, subnet: 192.168.118.0/24, gateway: 192.168.118.254, range: 192.168.118.220-192.168.118.230 }
guests:
  web: { network: a, kind: namespace }
  db: { network: a, kind: namespace }
  jail: { inside: web, network: a }
  vm: { network: lab }
  shop: { network: pub, kind: namespace, address: [198.51.100.65, "2001:db8:7::5"] }
  lan: { network: ext, kind: namespace }
allow:
  - web -> db tcp/5432
publish:
  - host tcp/2222 -> web tcp/22
`;

const options = {
  file,
  host: { lans: [{ interface: 'em0', addresses: ['192.168.118.10/24'], outer: ['192.168.118.254'] }] },
};

test('the model of what was applied is the model of what is there', async () => {
  await withHost(options, async (bed) => {
    await bed.weft('apply', '--yes');
    const record = JSON.parse(readFileSync(join(bed.directory, 'state/applied.json'), 'utf8')) as AppliedRecord;
    const seen = readCapture(await bed.json('capture'));
    assert.ok(seen);
    assert.deepEqual(seen.missing, []);
    const guests = bridgedGuests(record.fabric, 'host');
    const actual = comparable(modelOfSeen(seen, guests));
    const inPlace = comparable(modelOf(record.state, record.facts, { bridgedGuests: guests, around: surroundingsSeen(seen, isOwnTable) }));
    for (const [part, expected] of Object.entries(inPlace)) assert.deepEqual(actual[part], expected, part);

    const ofFacts = comparable(modelOf(record.state, record.facts, { bridgedGuests: guests }));
    const told = comparable(withoutUntold(modelOfSeen(seen, guests)));
    for (const [part, expected] of Object.entries(ofFacts)) assert.deepEqual(told[part], expected, part);
  });
});

/** Facts know nothing of what the host does to bridged frames, and of no link-local address. */
function withoutUntold(model: KernelModel): KernelModel {
  const untold = /^fe80::[0-9a-f]{2,}/;
  return {
    ...model,
    interfaces: model.interfaces.map((one) => ({
      ...one,
      addresses: one.addresses.filter((address) => !untold.test(address)),
      ...(one.nfCall && one.name !== 'br-ext' ? { nfCall: { v4: false, v6: false } } : {}),
    })),
    // Of link-local addresses nobody was told, the kernel makes these; br-ext has no other IPv6 address.
    routes: model.routes.filter(
      ({ prefix, link }) =>
        !untold.test(prefix) && !(link === 'eth0' && prefix === 'fe80::/64') && !(link === 'br-ext' && /^f[ef]/.test(prefix)),
    ),
  };
}

/** MACs of ports are the kernel's choice, and nobody asks for them; of settings those that decide something. */
function comparable(model: KernelModel): Record<string, unknown> {
  const { interfaces, routes, stations, tables, sysctls, rules } = model;
  const ports = new Set<string | undefined>(interfaces.flatMap(({ name, portOf }) => (portOf ? [name] : [])));
  const sorted = (values: readonly unknown[]): string[] => values.map((value) => JSON.stringify(value, keys)).sort();
  const keys = [...new Set(JSON.stringify([routes, stations]).matchAll(/"(\w+)":/g))].map((match) => match[1] ?? '').sort();
  return {
    interfaces: interfaces.map(({ mac, ...rest }) => ({ ...rest, ...(rest.name.startsWith('w-') || mac === undefined ? {} : { mac }) })),
    // Nothing is routed to the ports of a bridge.
    routes: sorted(routes.filter(({ type, link }) => type !== 'multicast' || !ports.has(link))),
    stations: sorted(
      stations
        .filter((station) => station.addresses.length > 0)
        .map((station) => ({ ...station, addresses: station.addresses.toSorted() })),
    ),
    tables: tables.toSorted((a, b) => (a.family < b.family ? -1 : 1)),
    rules,
    sysctls: Object.fromEntries(
      Object.entries(sysctls).filter(
        ([key, value]) =>
          value !== '0' && /conf\/(?!default)[^/]+\/(forwarding|force_forwarding|rp_filter)$|ip_forward$|proxy_arp_pvlan/.test(key),
      ),
    ),
  };
}
