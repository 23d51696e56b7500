/**
 * Domain names when connections are judged. A connection outlives the answer that opened it: its address leaves the name's set, the connection goes on. So it is not
 * enough to ask what the sets hold now; and a name that left the file takes its connections along, whatever its set held.
 */
import { usedDomains } from '../compile/domain-sets.ts';
import type { HostPolicy } from '../compile/policy-model.ts';
import type { OpenedAddress } from '../kernel/opened.ts';

export interface NamedPolicies {
  /** The new policy with what the sets hold now. */
  readonly now: HostPolicy | undefined;
  /**
   * To tell what a name opened earlier, of which no set knows any more: dropped by `before`, in which names that have left stand for every address, and accepted by
   * `after`, in which those that stayed do. Undefined when no name stayed.
   */
  readonly earlier?: { readonly before: HostPolicy; readonly after: HostPolicy };
}

/** `opened`: what the kernel's sets hold now. */
export function namedPolicies(
  after: HostPolicy | undefined,
  before: HostPolicy | undefined,
  opened: readonly OpenedAddress[],
): NamedPolicies {
  if (!after) return { now: undefined };
  const addresses = Map.groupBy(opened, ({ set }) => set.slice(0, -1));
  const held = (set: string): ReadonlySet<string> => new Set(addresses.get(set)?.map(({ address }) => address));
  const used = usedDomains(after);
  const now = { ...after, opened: new Map(used.map(({ set }) => [set, held(set)])) };
  const earlier = before ? usedDomains(before) : [];
  const known = new Set(earlier.map(({ pattern }) => pattern));
  const common = new Set(used.map(({ pattern }) => pattern).filter((pattern) => known.has(pattern)));
  if (!before || common.size === 0) return { now };
  const stayed = used.filter(({ pattern }) => common.has(pattern));
  return {
    now,
    earlier: {
      before: { ...before, opened: new Map(earlier.map(({ pattern, set }) => [set, common.has(pattern) ? held(set) : 'all'])) },
      after: { ...after, opened: new Map(stayed.map(({ set }) => [set, 'all'])) },
    },
  };
}
