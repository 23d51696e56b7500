/** The concrete interpreter against the kernel: random rulesets, real packets. */
import '../bed/sandboxed.ts';
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { compare } from './compare.ts';
import { edges, filterTable, natTable } from './random-ruleset.ts';
import { openRouterBed, type RouterBed } from './router-bed.ts';

let bed: RouterBed;
before(async () => void (bed = await openRouterBed()));
after(() => bed.close());

test('random rulesets of several tables, priorities, NAT, marks and settings: what is said is what packets do', async () => {
  let [tried, sent] = [0, 0];
  const kinds = new Map<string, number>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(filterTable, { minLength: 1, maxLength: 3 }),
      fc.array(natTable, { maxLength: 2 }),
      fc.constantFrom('0', '0', '1', '2'),
      fc.nat(),
      async (filters, nats, filter, seed) => {
        const tables = [...filters.map((make, i) => make(`f${i}`)), ...nats.map((make, i) => make(`n${i}`))];
        if (!(await bed.load(tables.join('')))) return;
        const settings = { 'net/ipv4/conf/all/rp_filter': filter };
        for (const [key, value] of Object.entries(settings)) await bed.router.writeSysctl(key, value);
        let state = seed;
        const random = (): number => (state = (state * 1103515245 + 12345) % 2147483648) / 2147483648;
        const packets = edges(random);
        const fates = await compare(bed, await bed.model(settings), packets, tables.join(''));
        tried++;
        sent += packets.length;
        for (const fate of fates) kinds.set(/^(answered|delivered|policy)$/.test(fate) ? fate : 'dropped', (kinds.get(fate) ?? 0) + 1);
      },
    ),
    { numRuns: 24, endOnFailure: true, seed: 4 },
  );
  assert(tried > 4 && sent > 150, `${tried} rulesets, ${sent} packets`);
  assert(kinds.has('answered') && kinds.has('dropped'));
});
