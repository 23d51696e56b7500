/** What a plan says of published ports: other tables that drop them, and datagrams that cannot be cut. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fabricOf, facts } from '../../test/apply/compiled.ts';
import { hostPolicy } from '../compile/policy.ts';
import type { NftTable } from '../hoststate/nft.ts';
import { dropWarnings, translationWarnings } from './foreign.ts';
import { uncuttable } from './uncut.ts';

const fabric = (rules: string, egress = 'deny') =>
  fabricOf(`
name: demo
networks:
  front: { kind: nat, subnet: 10.1.0.0/24, egress: ${egress} }
guests:
  web: front
${rules}
`).fabric;

it('a foreign chain that drops a published port is named', () => {
  const rules: NftTable['chains'][number]['rules'] = [
    { statements: [{ match: { op: '==', left: { payload: { protocol: 'tcp', field: 'dport' } }, right: 22 } }, { drop: null }] },
  ];
  const table: NftTable = {
    family: 'ip',
    name: 'filter',
    sets: [],
    maps: [],
    chains: [{ name: 'FORWARD', base: { type: 'filter', hook: 'forward', priority: 0, policy: 'accept' }, rules }],
  };
  const messages = (text: string): string[] => dropWarnings([table], fabric(text), 'host', facts).map(({ message }) => message);
  assert.match(
    messages('publish: [host tcp/2222 -> web tcp/22]').join(),
    /rule `tcp dport 22 drop` drops the published host tcp\/2222 -> web tcp\/22/,
  );
  assert.deepEqual(messages('publish: [host tcp/22 -> web tcp/2222]'), []);
});

it('a foreign rule that translates a published port is named once; one that may not match is not', () => {
  const named = (...rules: NftTable['chains'][number]['rules']): string[] => {
    const chain = { name: 'PREROUTING', base: { type: 'nat', hook: 'prerouting', priority: -100, policy: 'accept' }, rules } as const;
    const table: NftTable = { family: 'inet', name: 'other', sets: [], maps: [], chains: [chain] };
    return translationWarnings([table], fabric('publish: [host tcp/2222 -> web tcp/22, host udp/53 -> web]'), 'host', facts).map(
      ({ message }) => message,
    );
  };
  const redirect = { redirect: { port: 9 } };
  const port = (protocol: string, right: number) =>
    ({ match: { op: '==', left: { payload: { protocol, field: 'dport' } }, right } }) as const;
  const [told = '', ...more] = named({ statements: [port('tcp', 2222), redirect] }, { statements: [port('udp', 54), redirect] });
  assert.match(told, /its rule `tcp dport 2222 redirect to :9` translates tcp\/2222 as well.*\(host tcp\/2222 -> web tcp\/22\)/);
  assert.deepEqual(more, []);
  assert.equal(named({ statements: [redirect] }).length, 1);
  assert.deepEqual(named({ statements: [port('tcp', 2222), { unknown: { xt: { type: 'match', name: 'recent' } } }, redirect] }), []);
  assert.deepEqual(named({ statements: [port('tcp', 2222), { accept: null }] }, { statements: [redirect] }).length, 1, 'udp/53');
});

it('UDP that the guest may send by itself is not cut when its port is withdrawn', () => {
  const warned = (before: string, after: string, egress: string): number => {
    const now = fabric(after, egress);
    return uncuttable(fabric(before, egress), now, () => hostPolicy(now, 'host', facts)).length;
  };
  const udp = 'publish: [host udp/53 -> web]';
  assert.equal(warned(udp, '', 'allow'), 1);
  assert.equal(warned(udp, '', 'deny'), 0);
  assert.equal(warned('publish: [host tcp/53 -> web]', '', 'allow'), 0);
  assert.equal(warned(udp, udp, 'allow'), 0);
  assert.equal(warned('publish: [host udp/53 -> web from 198.51.100.0/24]', udp, 'allow'), 0, 'more may use it now');
  assert.equal(warned(udp, 'publish: [host udp/53 -> web from 192.0.2.0/24]', 'allow'), 1);
});
