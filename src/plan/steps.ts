/**
 * The steps a plan consists of, as plain data: what would be run, in order, without running it. `kernel/` executes them
 * (src/kernel/execute.ts), the journal stores their titles, `apply --verbose` prints their commands.
 */
import type { Enslaved, GuestSide, KernelModule, Service, Sysctl } from '../hoststate/model.ts';

export type Step =
  /** Loads them; they stay loaded, also when the change is undone. */
  | { readonly kind: 'modules'; readonly title: string; readonly modules: readonly KernelModule[] }
  /** One `ip -batch`. Stops at the first error and keeps what it did. */
  | { readonly kind: 'ip'; readonly title: string; readonly lines: readonly string[] }
  | { readonly kind: 'bridge'; readonly title: string; readonly lines: readonly string[] }
  /** The interface joins the bridge and the host's own addresses and routes with it; or all of it leaves again (kernel/handover.ts). */
  | { readonly kind: 'enslave' | 'release'; readonly title: string; readonly handover: Enslaved; readonly ownSettings: readonly string[] }
  /** One nft transaction. */
  | { readonly kind: 'nft'; readonly title: string; readonly text: string }
  | { readonly kind: 'sysctls'; readonly title: string; readonly entries: readonly Sysctl[] }
  /** Puts back what a host-wide setting was before Weft, unless somebody else has changed it since. */
  | { readonly kind: 'restore-sysctls'; readonly title: string; readonly keys: readonly string[] }
  | { readonly kind: 'netns-add'; readonly title: string; readonly names: readonly string[] }
  | { readonly kind: 'netns-delete'; readonly title: string; readonly names: readonly string[] }
  /** The inside of guests: interfaces, addresses, routes, resolver. */
  | {
      readonly kind: 'guests';
      readonly title: string;
      readonly guests: readonly { readonly before?: GuestSide; readonly after: GuestSide }[];
    }
  | { readonly kind: 'service-start'; readonly title: string; readonly services: readonly Service[] }
  | {
      readonly kind: 'service-reload';
      readonly title: string;
      readonly services: readonly { readonly before: Service; readonly after: Service }[];
    }
  | { readonly kind: 'service-stop'; readonly title: string; readonly services: readonly Service[] };

/** One line of a plan, as `plan --json` shows it. */
export interface Change {
  readonly action: 'create' | 'update' | 'delete';
  readonly kind: string;
  readonly name: string;
  readonly before?: unknown;
  readonly after?: unknown;
}

export interface Plan {
  readonly changes: readonly Change[];
  readonly steps: readonly Step[];
  /** nft text to try with `nft -c` before the first step; empty when only elements change. */
  readonly check: string;
  /** Something the old policy allowed may no longer be: established connections have to be judged again. */
  readonly narrowing: boolean;
  /** Links and namespaces the steps make, also in place of one of the same name: until they are tagged, only this tells whose they are. */
  readonly makes: { readonly links: readonly string[]; readonly namespaces: readonly string[] };
}
