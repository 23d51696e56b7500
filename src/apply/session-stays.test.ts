/** Who is logged in by ssh is not locked out: the session's packets on states made by hand and on those on the way. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fabricOf, facts, stateOf } from '../../test/apply/compiled.ts';
import { emptyState } from '../plan/plan.ts';
import { accept, base, ct, drop, field, guestA, has, is, router, rule, table, withTables } from '../prove/concrete/example.ts';
import type { KernelModel } from '../prove/kernel-model.ts';
import { surroundingsOfFacts } from '../prove/model/surroundings.ts';
import { statesOnTheWay } from './on-the-way.ts';
import { sessionStays, sessionThrough, type SessionAnswer } from './session-stays.ts';

const outside = '203.0.113.5 40000 192.0.2.1 22';
const input = (...rules: Parameters<typeof base>[3]): KernelModel =>
  withTables(table('f', [base('input', 'input', 0, rules, { policy: 'drop' })]));
const ssh = rule(is(field('tcp', 'dport'), 22), accept);
const open = rule(has(ct('state'), 'established'), accept);

it('a connection that is answered now has to be answered at every moment', () => {
  const later = (...models: readonly KernelModel[]): { when: string; model: KernelModel }[] =>
    models.map((model, i) => ({ when: `at ${i}`, model }));
  assert.equal(sessionThrough(outside, router, later(router, input(open, ssh)))?.verdict, 'proved');
  const cut = sessionThrough(outside, router, later(input(ssh), input(open), router));
  assert.equal(cut?.verdict, 'refuted');
  assert.equal(cut?.counterexample, 'at 1 it gets no answer any more: the policy of chain input in table inet f stops it');
  assert.match(cut?.text ?? '', /203\.0\.113\.5 -> 192\.0\.2\.1 tcp\/22/);
  // Not answered now: there is nothing to lose.
  assert.equal(sessionThrough(outside, input(open), later(input(open))), undefined);
  // The answer finds no way back.
  const lost = { ...router, routes: router.routes.filter(({ prefix }) => prefix !== '0.0.0.0/0') };
  assert.equal(sessionThrough(outside, router, later(lost))?.verdict, 'refuted');
  // A guest, by IPv6 too.
  const [v4 = '', v6 = ''] = guestA.addresses;
  const guarded = input(rule(is(field('ip', 'saddr'), v4), drop), ssh);
  assert.equal(sessionThrough(`${v4} 40000 10.0.0.1 22`, router, later(guarded))?.verdict, 'refuted');
  assert.equal(sessionThrough(`${v6} 40000 fd00::1 22`, router, later(guarded))?.verdict, 'proved');
  // What is no session that can be judged.
  for (const text of ['', '203.0.113.5 x 192.0.2.1 22', '203.0.113.5 40000 fd00::1 22', 'fe80::5%eth0 40000 fe80::1%eth0 22'])
    assert.equal(sessionThrough(text, router, later(lost)), undefined, text);
});

it('depends on a rule that is not understood: unknown, and the rule is named', () => {
  const odd = input(rule({ limit: { rate: 1, per: 'second' } }, ssh.statements[0] ?? accept, accept));
  const answer = sessionThrough(outside, router, [{ when: 'then', model: odd }]);
  assert.equal(answer?.verdict, 'unknown');
  assert.match(answer?.because ?? '', /^then it depends on the rule `limit/);
});

const file = (subnet: string, rules = ''): string => `
name: demo
networks:
  a: { kind: nat, subnet: ${subnet} }
guests:
  web: { network: a, kind: namespace }
${rules}`;

function change(session: string, before: string | undefined, after: string): SessionAnswer | undefined {
  const { fabric, host } = fabricOf(after);
  const state = stateOf(after);
  const uplink = facts.uplink && { ...facts.uplink, gateways: ['203.0.113.1', 'fe80::1'] };
  const there = { ...facts, ...(uplink ? { uplink } : {}) };
  const around = surroundingsOfFacts(there);
  const old = before === undefined ? emptyState('demo', host) : stateOf(before);
  return sessionStays(session, { before: old, after: state, facts: there, fabric, around });
}

it('what a valid file can cut: a network that has the address of who is logged in, and a guest that may no longer reach the host', () => {
  const session = '10.9.0.77 40000 203.0.113.10 22';
  assert.equal(change(session, undefined, file('10.1.0.0/24'))?.verdict, 'proved');
  const taken = change(session, undefined, file('10.9.0.0/24'));
  assert.equal(taken?.verdict, 'refuted');
  assert.match(taken?.counterexample ?? '', /^once /);
  assert.equal(change(session, file('10.1.0.0/24'), file('10.1.0.0/24')), undefined, 'nothing changes');

  const allowed = file('10.1.0.0/24', 'allow: [web -> host tcp/22]');
  const [address = ''] = stateOf(allowed).neighbors.map((one) => one.address);
  const guest = `${address} 40000 203.0.113.10 22`;
  assert.equal(change(guest, allowed, `${allowed}\nblock: [web -> internet]\n`)?.verdict, 'proved');
  const dropped = change(guest, allowed, file('10.1.0.0/24'));
  assert.equal(dropped?.verdict, 'refuted');
  assert.match(dropped?.counterexample ?? '', /^once the new rules are in it gets no answer any more: /);
});

it('the states on the way: what leaves, rules, settings, and the rest', () => {
  const [before, after] = [stateOf(file('10.1.0.0/24')), stateOf(file('10.2.0.0/24'))];
  const way = statesOnTheWay(before, after);
  assert.deepEqual(way.at(-1)?.state, after);
  const ruled = way.find(({ when }) => when.includes('rules'))?.state;
  assert.deepEqual([ruled?.tables, ruled?.addresses], [after.tables, before.addresses]);
  assert.deepEqual(statesOnTheWay(before, before), []);
});
