/**
 * What can be left out of a file with wrong parts, so that the rest is still looked at: a person sees at once that a rule is misspelt and
 * that two subnets overlap. Left out is only what nothing else in the file depends on.
 */
import type * as z from 'zod';
import { placedIssues } from './issues.ts';
import type { Path } from './model.ts';
import type { Entries, Tree } from './tree.ts';

/** Lists whose entries nobody refers to. */
const LISTS = new Set(['allow', 'block', 'publish', 'expect']);
/** Keys without which a guest, network or host is still the same for everything else. */
const LEAVES = new Set(['address', 'mac', 'dns', 'user', 'log', 'egress', 'snat', 'mtu', 'filter', 'from-host', 'macs', 'manage', 'why']);

/** The tree without what is wrong in it; undefined when something wrong cannot be missed. */
export function leaveOut(tree: Tree, issues: readonly z.core.$ZodIssue[]): Tree | undefined {
  const paths: Path[] = [];
  for (const { issue, path } of placedIssues(issues)) {
    const wrong = issue.code === 'unrecognized_keys' && path.length > 0 ? issue.keys.map((key) => [...path, key]) : [path];
    for (const one of wrong) {
      const out = partOf(one, issue.code === 'unrecognized_keys');
      if (out === undefined) return undefined;
      paths.push(out);
    }
  }
  const entries = new Map(tree.entries);
  return { ...tree, root: without(tree.root, paths, entries), entries };
}

/** The path to leave out for a problem at `path`. */
function partOf(path: Path, unknownKey: boolean): Path | undefined {
  if (typeof path[0] === 'string' && LISTS.has(path[0]) && path.length > 1) return path.slice(0, 2);
  if (unknownKey && path.length > 1) return path;
  const leaf = path.findIndex((step, index) => index > 1 && typeof step === 'string' && LEAVES.has(step));
  return leaf < 0 ? undefined : path.slice(0, leaf + 1);
}

/** A copy of the containers on the way; their entries, with the places in the file, come along. */
function without(value: unknown, paths: readonly Path[], entries: Map<object, Entries>): unknown {
  const known = typeof value === 'object' && value !== null ? entries.get(value) : undefined;
  if (typeof value !== 'object' || value === null || known === undefined || paths.length === 0) return value;
  const byStep = Map.groupBy(paths, ([step]) => step);
  const steps: readonly (string | number)[] = known.keys ?? known.offsets.flatMap((_, i) => (i % 4 === 0 ? [i / 4] : []));
  const kept = steps.flatMap((step, index) => {
    const below = byStep.get(step) ?? [];
    if (below.some((path) => path.length === 1)) return [];
    const child: unknown = Reflect.get(value, step);
    const rest = below.map((path) => path.slice(1));
    return [{ step, child: without(child, rest, entries), offsets: known.offsets.slice(index * 4, index * 4 + 4) }];
  });
  const offsets = kept.flatMap((entry) => entry.offsets);
  const copy = known.keys ? Object.fromEntries(kept.map(({ step, child }) => [step, child])) : kept.map(({ child }) => child);
  entries.set(copy, { ...(known.keys && { keys: kept.map(({ step }) => String(step)) }), offsets });
  return copy;
}
