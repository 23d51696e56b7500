/**
 * The order of a plan's steps, for random files and the way from any to any other: whatever comes goes up after its rules are in, whatever leaves
 * goes down before its rules leave, and forwarding is on only while rules stand (design.md 5.3). Steps as data; nothing is run.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import fc from 'fast-check';
import type { HostState, Link, PortLink } from '../../src/hoststate/model.ts';
import { emptyState, planChanges } from '../../src/plan/plan.ts';
import type { Plan } from '../../src/plan/steps.ts';
import { stateOf } from './compiled.ts';
import { fileOf, shape } from './random-file.ts';

const state: fc.Arbitrary<HostState> = fc.oneof(
  { weight: 1, arbitrary: fc.constant(emptyState('law', 'host')) },
  {
    weight: 9,
    arbitrary: fc
      .tuple(shape, fc.boolean(), fc.constantFrom('law', 'other'))
      .map(([one, attached, name]) => stateOf(fileOf(one).replace('name: law', `name: ${name}`), { attached })),
  },
);

/** Every line and setting in the order it is made, with `nft` for the one transaction. */
const commands = (plan: Plan): string[] =>
  plan.steps.flatMap((step) => {
    switch (step.kind) {
      case 'ip':
      case 'bridge':
        return [...step.lines];
      case 'nft':
        return ['nft'];
      case 'sysctls':
        return step.entries.map(({ key, value }) => `set ${key} ${value}`);
      case 'restore-sysctls':
        return step.keys.map((key) => `restore ${key}`);
      default:
        return [step.kind];
    }
  });

const isPort = (link: Link): link is PortLink => link.kind === 'tap' || link.kind === 'veth';

/** Checks the order by walking through the commands with what each of them leaves behind. */
function walk(before: HostState, after: HostState): void {
  const plan = planChanges(before, after);
  const lines = commands(plan);
  const told = (): string => `${lines.join('\n')}\n${JSON.stringify([before, after].map((one) => one.links))}`;
  assert.ok(lines.filter((line) => line === 'nft').length <= 1, told());
  const nft = lines.includes('nft') ? lines.indexOf('nft') : -1;
  const ports = new Map(after.links.filter(isPort).map((link) => [link.name, link] as const));
  const up = new Set(before.links.filter(isPort).map((link) => link.name));
  const guarded = new Map(before.links.filter(isPort).map((link) => [link.name, link.bridge] as const));
  const isolated = new Set(up);
  const doomed: string[] = [];
  for (const [index, line] of lines.entries()) {
    const [, name = ''] = / (?:dev|name) (\S+)/.exec(line) ?? [];
    if (/^link del dev|^link set dev \S+ down$/.test(line)) {
      up.delete(name);
      assert.ok(nft < 0 || index < nft, `${line} after the rules\n${told()}`);
    }
    if (/^link set dev \S+ group 22360$/.test(line)) doomed.push(name);
    if (line === 'link del group 22360') for (const one of doomed.splice(0)) up.delete(one);
    if (/^(tuntap|link) add/.test(line)) {
      assert.ok(!up.has(name), `${line}: still there\n${told()}`);
      guarded.delete(name);
      isolated.delete(name);
    }
    if (/ master /.test(line) && line.startsWith('link set')) {
      assert.ok(!up.has(name), `${line}: while it is up\n${told()}`);
      guarded.set(name, / master (\S+)/.exec(line)?.[1] ?? '');
      isolated.delete(name);
    }
    if (/ nomaster/.test(line)) guarded.delete(name);
    if (/isolated on/.test(line)) isolated.add(name);
    if (line.startsWith('link set dev') && line.endsWith(' up') && ports.has(name)) {
      assert.ok(index > nft, `${line} before the rules\n${told()}`);
      const port = ports.get(name);
      // Routed ports are on no bridge; on a shared wire the bridge's own table and the bridge's frames in the inet hooks keep guests apart.
      const alone = port?.bridge === undefined || port.shared === true;
      assert.ok(alone || isolated.has(name), `${line} not isolated\n${told()}`);
      assert.equal(guarded.get(name), port?.bridge, `${line} on another bridge\n${told()}`);
      up.add(name);
    }
    if (/^set .*forward.* 1$/.test(line) && !line.includes('/br-'))
      assert.ok(nft < 0 || index > nft, `${line} before the rules\n${told()}`);
    if (line.startsWith('restore ')) assert.ok(nft < 0 || index < nft, `${line} after the rules\n${told()}`);
    if (line === 'nft') {
      // Whatever is up now is of both states, on the same bridge, with the same inside.
      for (const one of up) {
        const old = before.links.find((link) => link.name === one);
        const now = ports.get(one);
        assert.ok(
          old && isPort(old) && now && old.bridge === now.bridge && old.kind === now.kind,
          `${one} is up while its rules change\n${told()}`,
        );
      }
    }
  }
  assert.deepEqual([...up].sort(), [...ports.keys()].sort(), told());
}

it('nothing is open in between, from any file to any other', () => {
  fc.assert(
    fc.property(state, state, (before, after) => walk(before, after)),
    { numRuns: 150 },
  );
});

it('equal states have no changes and no steps', () => {
  fc.assert(
    fc.property(state, (one) => {
      const copy = JSON.parse(JSON.stringify(one)) as HostState;
      const { changes, steps, narrowing, makes, check } = planChanges(one, copy);
      assert.deepEqual(
        { changes, steps, narrowing, makes, check },
        {
          changes: [],
          steps: [],
          narrowing: false,
          makes: { links: [], namespaces: [] },
          check: '',
        },
      );
    }),
    { numRuns: 40 },
  );
});

it('what it says that it makes is what its lines make', () => {
  fc.assert(
    fc.property(state, state, (before, after) => {
      const plan = planChanges(before, after);
      const made = commands(plan).flatMap((line) => /^(?:link add name|tuntap add dev) (\S+)/.exec(line)?.[1] ?? []);
      assert.deepEqual([...plan.makes.links].sort(), made.sort());
      const namespaces = plan.steps.flatMap((step) => (step.kind === 'netns-add' ? step.names : []));
      assert.deepEqual([...plan.makes.namespaces].sort(), [...namespaces].sort());
      const there = before.guests.flatMap((guest) => (guest.netns.kind === 'made' ? [guest.netns.namespace] : []));
      const removed = plan.steps.flatMap((step) => (step.kind === 'netns-delete' ? step.names : []));
      const left = [...there.filter((name) => !removed.includes(name)), ...namespaces].sort();
      assert.deepEqual(left, after.guests.flatMap((guest) => (guest.netns.kind === 'made' ? [guest.netns.namespace] : [])).sort());
    }),
    { numRuns: 60 },
  );
});
