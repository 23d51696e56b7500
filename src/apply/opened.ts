/**
 * Domain names when connections are judged. A connection outlives the answer that opened it: its address leaves the name's set, the connection goes on. So it is not
 * enough to ask what the sets hold now; and a name that left the file takes its connections along, whatever its set held.
 */
import { domainsOf } from '../compile/domain-sets.ts';
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

export function namedPolicies(
  after: HostPolicy | undefined,
  before: HostPolicy | undefined,
  opened: readonly OpenedAddress[],
): NamedPolicies {
  if (!after) return { now: undefined };
  const bySet = Map.groupBy(opened, ({ set }) => set);
  const held = new Map(
    domainsOf(after).map(({ pattern, set4, set6 }) => {
      const addresses = [set4, set6].flatMap((set) => (set === undefined ? [] : (bySet.get(set) ?? []))).map(({ address }) => address);
      return [pattern, new Set(addresses)];
    }),
  );
  const now = { ...after, opened: held };
  const earlierNames = before ? domainsOf(before).map(({ pattern }) => pattern) : [];
  if (!before || !earlierNames.some((name) => held.has(name))) return { now };
  const stayed = new Map(earlierNames.flatMap((name) => (held.has(name) ? [[name, 'all'] as const] : [])));
  return {
    now,
    earlier: {
      before: { ...before, opened: new Map(earlierNames.map((name) => [name, held.get(name) ?? 'all'])) },
      after: { ...after, opened: stayed },
    },
  };
}
