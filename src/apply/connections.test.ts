/** Which connections go: exactly those the new policy does not allow, and those of guests that are none any more. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fabricOf, facts } from '../../test/apply/compiled.ts';
import { hostPolicy } from '../compile/policy.ts';
import type { HostPolicy } from '../compile/policy-model.ts';
import type { Connection } from '../kernel/conntrack.ts';
import { isTakenBack } from './connections.ts';
import { namedPolicies } from './opened.ts';
import { usedDomains } from '../compile/domain-sets.ts';

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

describe('by domain name', () => {
  const rules = (...allow: readonly string[]): HostPolicy => {
    const guests =
      'web: { network: internal, address: 10.0.105.10, egress: deny }\n  two: { network: internal, address: 10.0.105.11, egress: deny }';
    return policy(`allow: [${allow.map((rule) => `"${rule}"`).join(', ')}]`, guests);
  };
  const a = 'web -> a.example.org tcp/443';
  const b = 'web -> b.example.org tcp/443';
  const flow = tcp('10.0.105.10', '198.51.100.1', 443);
  /** `open`: the name whose set holds the flow's destination now. */
  const goes = (now: HostPolicy, before: HostPolicy, open?: string): boolean => {
    const opened = [...usedDomains(now), ...usedDomains(before)].flatMap(({ pattern, set4 }) =>
      pattern === open && set4 !== undefined ? [{ set: set4, address: '198.51.100.1', seconds: 9 }] : [],
    );
    const named = namedPolicies(now, before, opened);
    return isTakenBack(flow, local, named.now, before, new Map(), named.earlier);
  };
  it('stays while the name is in the rules of its guest, open or over', () => {
    assert.equal(goes(rules(a), rules(a), 'a.example.org'), false);
    assert.equal(goes(rules(a), rules(a)), false);
    assert.equal(goes(rules(a), rules(a, 'two -> a.example.org tcp/443')), false);
  });
  it('goes with the name, or when another guest or port is all that is left of it', () => {
    assert.equal(goes(rules(), rules(a)), true);
    assert.equal(goes(rules('two -> a.example.org tcp/443'), rules(a, 'two -> a.example.org tcp/443'), 'a.example.org'), true);
    assert.equal(goes(rules('web -> a.example.org tcp/80'), rules(a), 'a.example.org'), true);
  });
  it('goes when a name that left may have opened it, though another one stays', () => {
    assert.equal(goes(rules(b), rules(a, b)), true);
    assert.equal(goes(rules(b), rules(a, b), 'b.example.org'), false);
    assert.equal(goes(rules(b), rules(a)), true);
  });
  it('goes when another rule had allowed it, and the name has not opened it now', () => {
    assert.equal(goes(rules(a), rules(a, 'web -> 198.51.100.0/24')), true);
    assert.equal(goes(rules(a), rules(a, 'web -> 198.51.100.0/24'), 'a.example.org'), false);
  });
  it('never stays at an address of the fabric', () => {
    const inside = tcp('10.0.105.10', '10.0.105.20', 443);
    const named = namedPolicies(
      rules(a),
      rules(a),
      usedDomains(rules(a)).map(({ set4 = '' }) => ({ set: set4, address: '10.0.105.20', seconds: 9 })),
    );
    assert.equal(isTakenBack(inside, local, named.now, rules(a), new Map(), named.earlier), true);
  });
});

describe('published ports', () => {
  const published = policy(
    'publish: [host udp/53 -> db udp/5353, host tcp/80 -> db, 203.0.113.10 udp/1000-1010 -> web from 198.51.100.0/24]',
  );
  const udp = (
    dst: string,
    dport: number,
    answers: { readonly src?: string; readonly sport?: number } = {},
    src = '198.51.100.7',
  ): Connection => ({
    ...tcp(src, dst, dport, answers),
    protocol: 'udp',
    protocolNumber: 17,
  });

  it('what they translated stays, also to the guest itself; what they no longer translate goes', () => {
    const flow = udp('203.0.113.10', 53, { src: '10.0.105.20', sport: 5353 });
    assert.equal(isTakenBack(flow, local, published, nothing), false);
    assert.equal(
      isTakenBack(udp('203.0.113.10', 53, { src: '10.0.105.20', sport: 5353 }, '10.0.105.20'), local, published, nothing),
      false,
    );
    assert.equal(isTakenBack(flow, local, nothing, published), true);
    assert.equal(isTakenBack(flow, local, policy('publish: [host udp/53 -> web udp/5353]'), published), true);
    assert.equal(isTakenBack(flow, local, policy('publish: [host udp/54 -> db udp/5353]'), published), true);
    assert.equal(isTakenBack(flow, local, policy('publish: [host udp/53 -> db udp/5353 from web]'), published), true);
    assert.equal(isTakenBack(flow, local, policy('publish: [host udp/53 -> db udp/5353]\nblock: [internet -> db]'), published), true);
    assert.equal(isTakenBack(udp('203.0.113.10', 1001, { src: '10.0.105.10' }), local, published, nothing), false);
    assert.equal(isTakenBack(udp('203.0.113.10', 1011, { src: '10.0.105.10' }), local, published, nothing), true);
  });

  it('UDP from before that would pass them by goes; sessions of the host stay', () => {
    for (const dst of ['203.0.113.10', '203.0.113.11']) {
      assert.equal(isTakenBack(udp(dst, 53), new Set([...local, '203.0.113.11']), published, nothing), true, dst);
    }
    assert.equal(isTakenBack(udp('203.0.113.10', 1005), local, published, nothing), true);
    assert.equal(
      isTakenBack(udp('203.0.113.10', 1005, {}, '192.0.2.7'), local, published, nothing),
      false,
      'of others, who may not use it',
    );
    assert.equal(isTakenBack(udp('192.0.2.1', 53, {}, '203.0.113.10'), local, published, nothing), false, 'to another machine');
    assert.equal(
      isTakenBack(udp('10.0.105.1', 53, { sport: 53053 }, '10.0.105.10'), local, published, nothing),
      false,
      'DNS of the gateway',
    );
    assert.equal(isTakenBack(tcp('198.51.100.7', '203.0.113.10', 80), local, published, nothing), false);
  });
});
