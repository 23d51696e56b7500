/**
 * Mutants: the compiled state with one thing wrong. Every one is refuted by the proofs that are always on, with a packet of which the kernel says the same, or is shown to change nothing
 * that a proof is about.
 */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { AppliedRecord } from '../../src/apply/store.ts';
import { isOwnTable } from '../../src/kernel/observe.ts';
import type { KernelModel } from '../../src/prove/kernel-model.ts';
import { modelOf } from '../../src/prove/model/model-of.ts';
import { readCapture } from '../../src/prove/model/read-capture.ts';
import { surroundingsSeen } from '../../src/prove/model/surroundings.ts';
import type { HostState } from '../../src/hoststate/model.ts';
import { withHost } from '../bed/host.ts';
import { arrivalOf, isSo, putInPlace, replays, takeBack, type Bench } from './mutants/confirm.ts';
import { judge, type Judgement } from './mutants/judge.ts';
import { mutantsOf, type Mutant } from './mutants/mutate.ts';
import { unspokenOf } from './mutants/unspoken.ts';
import { openWire } from './mutants/wire.ts';

const file = `name: mut
networks:
  a: { kind: nat, subnet: [10.1.0.0/24, fd00:1::/64] }
  lab: { kind: isolated, subnet: 10.3.0.0/24 }
  pub: { kind: routed, addresses: [198.51.100.64/29, 2001:db8:7::/64] }
guests:
  web: { network: a, kind: namespace, address: [10.1.0.2, "fd00:1::2"] }
  db: { network: a, kind: namespace, address: [10.1.0.3, "fd00:1::3"] }
  quiet: { network: a, kind: namespace, address: [10.1.0.4, "fd00:1::4"], egress: deny }
  vm: { network: lab, kind: namespace, address: 10.3.0.2 }
  vm2: { network: lab, kind: namespace, address: 10.3.0.3 }
  shop: { network: pub, kind: namespace, address: [198.51.100.65, "2001:db8:7::5"] }
groups: { all: [web, db, quiet] }
allow:
  - web -> db tcp/5432
  - all -> all tcp/9000-9001
  - internet -> shop tcp/80,443 udp/443
  - shop -> host tcp/22
  - vm -> vm2 udp/5
  - quiet -> 9.9.9.0/24 tcp/443
  - 192.0.2.0/24 -> shop icmp
block:
  - web -> host udp/53
  - shop -> 8.8.8.0/24
publish:
  - host tcp/2222 -> web tcp/22
  - host udp/5000-5001 -> db udp/6000-6001 from 198.51.0.0/16
`;

test('every mutant is refuted with a packet that the kernel confirms, or changes nothing', { timeout: 280_000 }, async (t) => {
  await withHost({ file }, async (bed) => {
    await bed.weft('apply', '--yes');
    const { state, facts, fabric } = JSON.parse(readFileSync(join(bed.directory, 'state/applied.json'), 'utf8')) as AppliedRecord;
    const seen = readCapture(await bed.json('capture'));
    assert(seen);
    const around = { ...surroundingsSeen(seen, isOwnTable), tables: [] };
    const model = (of: HostState): KernelModel => modelOf(of, facts, { around });
    const mutants = chosen(mutantsOf(state), Number(process.env['SEED'] ?? 1));
    const judgements = judge(
      { fabric, host: state.host, model: model(state) },
      mutants.map((mutant) => model(mutant.state)),
    );
    const wire = await openWire(bed, state);
    const bench: Bench = { kernel: bed.host.kernel, wire, state, model: model(state) };
    const counts = new Map<string, number>();
    const wrong: string[] = [];
    for (const [i, mutant] of mutants.entries()) {
      const judgement = judgements[i];
      assert(judgement);
      const word = await verdictOn(mutant, judgement, bench, model(mutant.state));
      if (word.startsWith('WRONG')) wrong.push(`${mutant.what}\n  ${word}`);
      else counts.set(word, (counts.get(word) ?? 0) + 1);
      if (process.env['SHOW'] !== undefined) console.log(word, '|', mutant.what);
    }
    await wire.close();
    const numbers = [...counts].toSorted(([, a], [, b]) => b - a).map(([word, number]) => `${number} ${word}`);
    t.diagnostic(`${mutants.length} mutants: ${numbers.join('; ')}`);
    assert.deepEqual(wrong, []);
    const decided = [...counts].reduce((sum, [word, number]) => (/^(refuted|equal)/.test(word) ? sum + number : sum), 0);
    assert(decided >= 200 && (counts.get(CONFIRMED) ?? 0) >= 120, numbers.join('; '));
  });
});

const CONFIRMED = 'refuted, and the kernel confirms it';

/** One of few words, or what is wrong in many. */
async function verdictOn(mutant: Mutant, judgement: Judgement, bench: Bench, model: KernelModel): Promise<string> {
  const unspoken = unspokenOf(mutant);
  switch (judgement.kind) {
    case 'same':
      return unspoken === undefined ? 'equal: no flow tells' : `not proved: ${unspoken}`;
    case 'beyond':
      return `not proved: ${judgement.flows}`;
    case 'unknown':
      return unspoken === undefined ? `WRONG: unknown to ${judgement.proof}` : `unknown: ${unspoken}`;
    case 'different':
      return `WRONG: not refuted, and not equal: ${JSON.stringify(judgement.flow)}`;
    case 'refuted':
      break;
  }
  const { evidence, proof } = judgement;
  if (evidence === undefined) return `WRONG: ${proof} without a packet: ${judgement.because}`;
  const arrives = arrivalOf(bench.model, evidence.sent);
  const said = `${proof} ${JSON.stringify(evidence)}`;
  if (!(await putInPlace(bench, mutant))) return 'refused by nft';
  if (!replays(evidence, model, bench.model)) {
    await takeBack(bench, mutant);
    return `WRONG: the interpreter says otherwise: ${said}`;
  }
  const there = await isSo(bench, evidence, { arrives, expected: true });
  await takeBack(bench, mutant);
  const before = await isSo(bench, evidence, { arrives, expected: false });
  if (before.so) return `WRONG: so of what was compiled: ${said} ${JSON.stringify(before.journey)}`;
  if (there.so) return CONFIRMED;
  // Whom it does not know for good the host asks for.
  if (mutant.kind === 'neighbour' && mutant.what.endsWith('left out')) return 'refuted, while the kernel finds the guest by ARP or ND';
  return `WRONG: the kernel says otherwise: ${said} ${JSON.stringify(there.journey)}`;
}

/** Of each kind alike, as far as there are so many; few of those of which no proof speaks. */
function chosen(all: readonly Mutant[], seed: number): Mutant[] {
  let next = seed >>> 0;
  const random = (): number => (next = (Math.imul(next, 1_664_525) + 1_013_904_223) >>> 0) / 2 ** 32;
  const most = { spoken: 245, unspoken: 15 };
  const found: Mutant[] = [];
  for (const [sort, list] of Map.groupBy(all, (mutant) => (unspokenOf(mutant) === undefined ? 'spoken' : 'unspoken'))) {
    const groups = [...Map.groupBy(list, ({ kind }) => kind).values()].map((group) =>
      group.map((mutant) => ({ mutant, at: random() })).toSorted((a, b) => a.at - b.at),
    );
    const some: Mutant[] = [];
    for (let round = 0; some.length < most[sort] && groups.some(({ length }) => length > round); round++)
      for (const group of groups) {
        const one = group[round];
        if (one && some.length < most[sort]) some.push(one.mutant);
      }
    found.push(...some);
  }
  return found;
}
