/** Names, and the zones of reverse lookups against a naive reckoning. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatIp, parseIp, parsePrefix, prefixContains } from '../net/ip.ts';
import { fabric, guest, network } from '../../test/services/fixture.ts';
import type { Fabric } from '../fabric/model.ts';
import { hostsText, namedAddresses, outerLookingNames, reverseZones } from './names.ts';

const textOf = (described: Fabric): string => hostsText(namedAddresses(described));

const internal = network('Internal', {
  v4: { subnet: '10.0.105.0/24', gateway: '10.0.105.254', range: { from: '10.0.105.10', to: '10.0.105.200' } },
});
const lab = network('lab', { v6: { subnet: 'fd00:77::/64', gateway: 'fd00:77::1' } });
const nic = { mac: '02:00:00:00:00:01' };

describe('names', () => {
  it('are sorted, in lower case, and speak of the default NIC where no network is named', () => {
    const guests = [
      guest('web', [
        { network: 'lab', v6: 'fd00:77::5', ...nic },
        { network: 'Internal', v4: '10.0.105.5', ...nic },
      ]),
      guest('DB', [{ network: 'Internal', v4: '10.0.105.20', ...nic }]),
      guest('offline', []),
    ];
    assert.equal(
      textOf(fabric([internal, lab], guests)),
      `10.0.105.20 db.internal.weft.internal db.internal db.weft.internal db
fd00:77::5 web.lab.weft.internal web.lab web.weft.internal web
10.0.105.5 web.internal.weft.internal web.internal
10.0.105.254 gateway.internal.weft.internal gateway.internal
fd00:77::1 gateway.lab.weft.internal gateway.lab
`,
    );
  });

  it('leave `gateway` to a guest of that name', () => {
    const text = textOf(fabric([internal], [guest('gateway', [{ network: 'Internal', v4: '10.0.105.7', ...nic }])]));
    assert.equal(text, '10.0.105.7 gateway.internal.weft.internal gateway.internal gateway.weft.internal gateway\n');
  });

  it('prefer the network where the domain has the same name', () => {
    const guests = [
      guest('web', [
        { network: 'Internal', v4: '10.0.105.5', ...nic },
        { network: 'lab', v6: 'fd00:77::5', ...nic },
      ]),
    ];
    const lines = textOf(fabric([internal, lab], guests, { domain: 'lab' })).split('\n');
    assert.equal(lines[0], '10.0.105.5 web.internal.lab web.internal web');
    assert.equal(lines[1], 'fd00:77::5 web.lab.lab web.lab');
  });

  it('outside the domain are listed once', () => {
    const guests = [guest('web', [{ network: 'Internal', v4: '10.0.105.5', v6: 'fd00::5', ...nic }])];
    assert.deepEqual(outerLookingNames(namedAddresses(fabric([internal], guests)), 'weft.internal'), ['gateway.internal', 'web.internal']);
  });
});

describe('reverse zones', () => {
  it('are cut at octets and nibbles', () => {
    assert.deepEqual(reverseZones('10.0.105.0/24'), ['105.0.10.in-addr.arpa']);
    assert.deepEqual(reverseZones('10.0.105.64/31'), ['64.105.0.10.in-addr.arpa', '65.105.0.10.in-addr.arpa']);
    assert.equal(reverseZones('172.16.80.0/20').length, 16);
    assert.deepEqual(reverseZones('172.16.80.0/20').slice(0, 2), ['80.16.172.in-addr.arpa', '81.16.172.in-addr.arpa']);
    assert.deepEqual(reverseZones('fd00:105::/64'), ['0.0.0.0.0.0.0.0.5.0.1.0.0.0.d.f.ip6.arpa']);
    assert.deepEqual(reverseZones('nonsense'), []);
  });

  it('hold the names of exactly the addresses of the prefix', () => {
    const octet = fc.integer({ min: 0, max: 255 });
    fc.assert(
      fc.property(octet, octet, octet, octet, fc.integer({ min: 1, max: 32 }), octet, octet, (a, b, c, d, length, x, y) => {
        const parsed = parsePrefix(`${a}.${b}.${c}.${d}/${length}`);
        const ip = parseIp(`${a}.${b}.${x}.${y}`);
        assert.ok(parsed && ip);
        const name = `.${formatIp(ip).split('.').toReversed().join('.')}.in-addr.arpa`;
        const zones = reverseZones(`${formatIp(parsed)}/${length}`);
        assert.equal(
          zones.some((zone) => name.endsWith(`.${zone}`)),
          prefixContains(parsed, ip),
        );
      }),
    );
  });
});
