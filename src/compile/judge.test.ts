/** What packets cannot tell judge(): the guest behind a link-local address of its own choice, and who is a DHCP server. Everything else: test/policy/judge.test.ts. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { smallFabric, smallFacts } from '../../test/policy/small-fabric.ts';
import { judge, type Flow } from './judge.ts';
import { hostPolicy } from './policy.ts';

const fabric = smallFabric({
  networks: { a: { v4: '10.1.0.0/24', v6: 'fd00:1::/64' } },
  guests: { web: { networks: ['a'] }, db: { networks: ['a'] } },
  allow: [{ from: 'web', to: 'host', ports: 'tcp/22' }],
  block: [{ from: 'host', to: 'db' }],
});
const policy = hostPolicy(fabric, 'host', smallFacts);
const macOf = (name: string): string => fabric.guests.find((guest) => guest.name === name)?.nics[0]?.mac ?? '';
const verdict = (flow: Flow): string => judge(policy, flow).verdict;

it('knows a guest by its MAC where its link-local address is nobody’s', () => {
  const ssh = { src: 'fe80::1234', dst: 'fe80::1', protocol: 'tcp', dport: 22, path: 'input' } as const;
  assert.equal(verdict({ ...ssh, guestMac: macOf('web') }), 'accept');
  assert.equal(verdict({ ...ssh, dport: 23, guestMac: macOf('web') }), 'drop');
  assert.equal(verdict({ ...ssh, guestMac: macOf('db') }), 'drop');
  assert.equal(verdict(ssh), 'not-ours');
  assert.equal(verdict({ ...ssh, src: '2001:db8::1', dst: '2001:db8:99::10', guestMac: macOf('db') }), 'not-ours');
  const out = { src: 'fe80::1', dst: 'fe80::1234', protocol: 'tcp', dport: 22, path: 'output' } as const;
  assert.equal(verdict({ ...out, guestMac: macOf('web') }), 'accept');
  assert.equal(verdict({ ...out, guestMac: macOf('db') }), 'drop');
});

it('lets clients ask the DHCP server of their own network only', () => {
  const src = fabric.guests[0]?.nics[0]?.v4 ?? '';
  const ask = (dst: string): string => verdict({ src, dst, protocol: 'udp', sport: 68, dport: 67, path: 'input' });
  assert.deepEqual(['10.1.0.1', '255.255.255.255', '203.0.113.10'].map(ask), ['accept', 'accept', 'drop']);
});
