/** The configuration as text; what it does is tested with real clients in test/services/. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fabric, facts, guest, network } from '../../test/services/fixture.ts';
import { compileDnsmasq } from './dnsmasq.ts';

const v4 = { subnet: '10.0.105.0/24', gateway: '10.0.105.254', range: { from: '10.0.105.10', to: '10.0.105.200' } };
const v6 = { subnet: 'fd00:105::/64', gateway: 'fd00:105::1' };
const internal = network('internal', { v4, v6 });
const web = guest('web', [{ network: 'internal', v4: '10.0.105.10', v6: 'fd00:105::10', mac: '02:00:00:00:01:10' }]);

describe('the DHCP and DNS server of a network', () => {
  it('is compiled to this', () => {
    const [service, ...more] = compileDnsmasq(fabric([internal], [web]), 'host', facts);
    assert.deepEqual(more, []);
    assert.deepEqual(service?.files, {
      'dhcp-hosts': '02:00:00:00:01:10,id:*,10.0.105.10,[fd00:105::10]\n',
      'dns-servers': 'server=/gateway.internal/\nserver=/web.internal/\n',
    });
    assert.deepEqual(service?.resolved, {
      link: 'br-internal',
      servers: ['10.0.105.254', 'fd00:105::1'],
      domains: ['weft.internal', '~105.0.10.in-addr.arpa', '~0.0.0.0.0.0.0.0.5.0.1.0.0.0.d.f.ip6.arpa'],
    });
    assert.equal(
      service?.config,
      `pid-file=@DIR@/pid
interface=br-internal
except-interface=lo
bind-dynamic
port=53053
leasefile-ro
dhcp-authoritative
no-hosts
addn-hosts=@NAMES@/hosts
dhcp-ignore-names
domain-needed
local=/weft.internal/
local=/0.0.0.0.0.0.0.0.5.0.1.0.0.0.d.f.ip6.arpa/
local=/105.0.10.in-addr.arpa/
cache-size=2000
max-ttl=86400
max-cache-ttl=86400
resolv-file=/etc/resolv.conf
dns-loop-detect
servers-file=@DIR@/dns-servers
dhcp-range=10.0.105.0,static,255.255.255.0,3600
dhcp-range=fd00:105::,static,off-link,64,300
enable-ra
ra-param=br-internal,mtu:1500,0,1800
quiet-ra
dhcp-ignore=tag:!known
dhcp-hostsfile=@DIR@/dhcp-hosts
no-ping
dhcp-broadcast
dhcp-option-force=option:mtu,1500
domain=internal.weft.internal
dhcp-option=tag:!second,option:router,10.0.105.254
dhcp-option=tag:second,option:router
dhcp-option=option:dns-server,10.0.105.254
dhcp-option=tag:second,option:dns-server
dhcp-option=tag:second,option:domain-name
dhcp-option=tag:!second,option:domain-search,internal.weft.internal,weft.internal
dhcp-option=option6:dns-server,[fd00:105::1]
dhcp-option=tag:!second,option6:domain-search,internal.weft.internal,weft.internal
`,
    );
  });

  it('needs no restart for another plain guest, and one for a guest with exceptions', () => {
    const config = (...guests: Parameters<typeof fabric>[1]): string | undefined =>
      compileDnsmasq(fabric([internal], guests), 'host', facts)[0]?.config;
    const db = guest('db', [{ network: 'internal', v4: '10.0.105.11', mac: '02:00:00:00:01:11' }]);
    const own = guest('own', [{ network: 'internal', v4: '10.0.105.12', mac: '02:00:00:00:01:12', dns: ['1.1.1.1'] }]);
    assert.equal(config(web, db), config(web));
    assert.notEqual(config(web, own), config(web));
  });

  it('does not depend on the order of the file', () => {
    const db = guest('db', [{ network: 'internal', v4: '10.0.105.11', mac: '02:00:00:00:01:11' }]);
    const lab = network('lab', { kind: 'isolated', v4: { ...v4, subnet: '10.0.106.0/24', gateway: '10.0.106.254' } });
    assert.deepEqual(
      compileDnsmasq(fabric([internal, lab], [web, db]), 'host', facts),
      compileDnsmasq(fabric([lab, internal], [db, web]), 'host', facts),
    );
  });

  it('belongs to networks of this host only, but knows the names of all', () => {
    const there = network('there', { host: 'other', v4: { ...v4, subnet: '10.9.0.0/24', gateway: '10.9.0.1' } });
    const far = guest('far', [{ network: 'there', v4: '10.9.0.2', mac: '02:00:00:00:09:02' }], { host: 'other' });
    const services = compileDnsmasq(fabric([internal, there], [web, far]), 'host', facts);
    assert.deepEqual(
      services.map(({ name }) => name),
      ['dnsmasq-internal'],
    );
    assert.match(services[0]?.names ?? '', /^10\.9\.0\.2 far\.there\.weft\.internal/m);
    assert.match(services[0]?.config ?? '', /^local=\/0\.9\.10\.in-addr\.arpa\/$/m);
    assert.doesNotMatch(services[0]?.files['dhcp-hosts'] ?? '', /10\.9/);
  });

  const configOf = (more: Parameters<typeof network>[1], hostFacts = facts): string =>
    compileDnsmasq(fabric([network('internal', { v4, v6, ...more })], [web]), 'host', hostFacts, { resolvFile: '/r' })[0]?.config ?? '';

  it('asks the name servers of the file, unless they are its own gateway', () => {
    assert.match(configOf({ dns: ['9.9.9.9', 'fd00::9'] }), /^no-resolv\nserver=9\.9\.9\.9\nserver=fd00::9$/m);
    assert.match(configOf({ dns: ['10.0.105.254'] }), /^resolv-file=\/r$/m);
    assert.doesNotMatch(configOf({ dns: ['10.0.105.254'] }), /^(server=|no-resolv)/m);
  });

  it('asks nobody for an isolated network', () => {
    const config = configOf({ kind: 'isolated', dns: ['9.9.9.9'] });
    assert.match(config, /^no-resolv\nlocal=\/#\/$/m);
    assert.doesNotMatch(config, /^(server=|servers-file|resolv-file|dns-loop-detect)/m);
  });

  it("takes the MTU of the file, else the uplink's, at most 1500", () => {
    const uplink = { name: 'up', mac: '02:00:00:00:aa:01', gateways: [], mtu: 1420, addresses: [], v6: true };
    assert.match(configOf({ mtu: 1400 }), /option:mtu,1400$/m);
    assert.match(configOf({}, { ...facts, uplink }), /option:mtu,1420$/m);
    assert.match(
      configOf({}, { ...facts, uplink: { ...uplink, mtu: 9000, mac: '02:00:00:00:aa:01', gateways: [] } }),
      /^ra-param=br-internal,mtu:1500,/m,
    );
  });

  it('prefers another router where this one leads nowhere', () => {
    assert.match(configOf({}), /^ra-param=br-internal,mtu:1500,0,1800$/m);
    assert.match(configOf({ kind: 'isolated' }), /^ra-param=br-internal,mtu:1500,low,0,1800$/m);
    const uplink = { name: 'up', mac: '02:00:00:00:aa:01', gateways: [], mtu: 1500, addresses: [], v6: false };
    assert.match(configOf({}, { ...facts, uplink }), /^ra-param=br-internal,mtu:1500,low,0,1800$/m);
  });
});
