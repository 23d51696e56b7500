/** Which connections go: exactly those the new policy does not allow, and those of guests that are none any more. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fabricOf, facts } from '../../test/apply/compiled.ts';
import { hostPolicy } from '../compile/policy.ts';
import type { HostPolicy } from '../compile/policy-model.ts';
import type { Connection } from '../kernel/conntrack.ts';
import { isTakenBack } from './connections.ts';

function policy(rules: string, guests = 'web: { network: internal, address: 10.0.105.10 }'): HostPolicy {
  const { fabric, host } = fabricOf(`
name: demo
networks:
  internal: { kind: nat, subnet: [10.0.105.0/24, fd00:105::/64] }
guests:
  ${guests}
  db: { network: internal, address: [10.0.105.20, "fd00:105::20"] }
${rules}
`);
  return hostPolicy(fabric, host, facts);
}

const local = new Set(['203.0.113.10', '10.0.105.1', 'fd00:105::1', '127.0.0.1']);
const tcp = (src: string, dst: string, dport: number, answers: { readonly src?: string; readonly sport?: number } = {}): Connection => ({
  family: src.includes(':') ? 6 : 4,
  protocol: 'tcp',
  protocolNumber: 6,
  orig: { src, dst, sport: 40000, dport },
  reply: { src: answers.src ?? dst, dst: src, sport: answers.sport ?? dport, dport: 40000 },
  state: 'ESTABLISHED',
  id: 1,
});
const icmp = (src: string, dst: string): Connection => ({
  family: 4,
  protocol: 'icmp',
  protocolNumber: 1,
  orig: { src, dst, icmp: { type: 8, code: 0, id: 7 } },
  reply: { src: dst, dst: src, icmp: { type: 0, code: 0, id: 7 } },
  id: 2,
});

const nothing = policy('');
const allowed = policy('allow: [web -> db tcp/5432]');

describe('between guests', () => {
  const flow = tcp('10.0.105.10', '10.0.105.20', 5432);
  it('what a rule allows stays; what no rule or only another one allows goes', () => {
    assert.equal(isTakenBack(flow, local, allowed, nothing), false);
    assert.equal(isTakenBack(flow, local, nothing, allowed), true);
    assert.equal(isTakenBack(tcp('10.0.105.10', '10.0.105.20', 5433), local, allowed, allowed), true);
    assert.equal(isTakenBack(tcp('10.0.105.20', '10.0.105.10', 5432), local, allowed, allowed), true);
    assert.equal(isTakenBack(tcp('fd00:105::20', 'fd00:105::10', 5432), local, policy('block: [web -> db]'), allowed), true);
    assert.equal(isTakenBack(icmp('10.0.105.10', '10.0.105.20'), local, policy('allow: [web -> db icmp]'), allowed), false);
    assert.equal(isTakenBack(icmp('10.0.105.10', '10.0.105.20'), local, allowed, allowed), true);
  });

  it('a block takes back what an allow still says', () => {
    assert.equal(isTakenBack(flow, local, policy('allow: [web -> db tcp/5432]\nblock: [web -> db]'), allowed), true);
  });
});

describe('with the host', () => {
  it('from the host: as from-host and rules say', () => {
    assert.equal(isTakenBack(tcp('10.0.105.1', '10.0.105.20', 22), local, allowed, allowed), false);
    assert.equal(isTakenBack(tcp('10.0.105.1', '10.0.105.20', 22), local, policy('block: [host -> db]'), allowed), true);
  });

  it('a name asked at the gateway, translated to dnsmasq’s own port, is judged by the port it went to', () => {
    const dns: Connection = { ...tcp('10.0.105.20', '10.0.105.1', 53, { sport: 53053 }), protocol: 'udp', protocolNumber: 17 };
    assert.equal(isTakenBack(dns, local, allowed, allowed), false);
    assert.equal(isTakenBack(tcp('10.0.105.20', '10.0.105.1', 22), local, allowed, allowed), true);
  });
});

it('a lease that is renewed is no connection to cut', () => {
  const renewal: Connection = {
    ...tcp('10.0.105.20', '10.0.105.1', 67),
    protocol: 'udp',
    protocolNumber: 17,
    orig: { src: '10.0.105.20', dst: '10.0.105.1', sport: 68, dport: 67 },
    reply: { src: '10.0.105.1', dst: '10.0.105.20', sport: 67, dport: 68 },
  };
  assert.equal(isTakenBack(renewal, local, allowed, allowed), false);
});

it('what the LAN says to all is not forwarded, and no connection to cut', () => {
  for (const dst of ['224.0.0.251', '255.255.255.255', 'ff02::fb'])
    assert.equal(isTakenBack(tcp(dst.includes(':') ? 'fe80::9' : '192.0.2.9', dst, 5353), local, allowed, allowed), false, dst);
});

describe('with the outer world', () => {
  it('egress stays while it is allowed, also masqueraded', () => {
    const out = {
      ...tcp('10.0.105.20', '198.51.100.7', 443),
      reply: { src: '198.51.100.7', dst: '203.0.113.10', sport: 443, dport: 40000 },
    };
    assert.equal(isTakenBack(out, local, allowed, allowed), false);
    assert.equal(isTakenBack(out, local, policy('block: [db -> internet]'), allowed), true);
  });

  it('what is neither from nor to a guest is nobody’s to cut', () => {
    for (const entry of [tcp('203.0.113.10', '198.51.100.7', 443), tcp('192.0.2.9', '203.0.113.10', 22)]) {
      assert.equal(isTakenBack(entry, local, allowed, allowed), false);
      assert.equal(isTakenBack(entry, local, undefined, allowed), false);
    }
  });
});

describe('of guests that leave', () => {
  const gone = policy('', 'other: { network: internal, address: 10.0.105.11 }');
  it('goes, whether the address is the network’s or Weft leaves altogether', () => {
    assert.equal(isTakenBack(tcp('10.0.105.10', '10.0.105.20', 5432), local, gone, allowed), true);
    assert.equal(isTakenBack(tcp('10.0.105.10', '198.51.100.7', 443), local, gone, allowed), true);
    assert.equal(isTakenBack(tcp('10.0.105.10', '198.51.100.7', 443), local, undefined, allowed), true);
    assert.equal(isTakenBack(tcp('10.0.105.10', '198.51.100.7', 443), local, undefined, undefined), false);
  });
});
