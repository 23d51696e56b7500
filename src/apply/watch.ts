/**
 * Follows what others change and mends it: `weft watch`. Events only wake it; it then looks as `status` does, and goes back to the record by the transaction that
 * every change is. It holds the lock while it mends and not a moment longer, and leaves alone what a person is about to change or has to confirm.
 */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { WeftError, type Diagnostic } from '../diagnostic/diagnostic.ts';
import { bootTime } from '../kernel/clock.ts';
import { followChanges, type Culprit } from '../kernel/follow.ts';
import { moduleSign } from '../kernel/modules.ts';
import { serviceStatus } from '../kernel/services.ts';
import { readSysctls } from '../kernel/sysctls.ts';
import type { ObserveOptions } from '../kernel/observe.ts';
import type { Change } from '../plan/steps.ts';
import { inWords } from '../plan/words.ts';
import { attainable } from './attainable.ts';
import { findDrift, type Drift } from './drift.ts';
import { createCulprits } from './culprits.ts';
import { createPace, lookDelay } from './pace.ts';
import { isOverdue } from './repair.ts';
import { withLock } from './session.ts';
import type { AppliedRecord, Store } from './store.ts';
import { refuseTaken } from './taken.ts';
import type { ApplyContext } from './context.ts';
import { transact } from './transaction.ts';
import { problemsOf } from './undo.ts';
import { concernsOf, concernsRules, type Concerns } from './watched.ts';

export interface Mended {
  readonly kind: string;
  readonly name: string;
  readonly text: string;
  /** Who changed it last, where the kernel says: of rules and sets only. */
  readonly by?: Culprit;
}

export type WatchEvent =
  | { readonly event: 'watching'; readonly fabric: string; readonly host: string }
  | { readonly event: 'idle'; readonly why: 'nothing is applied' | 'a change waits to be confirmed' }
  | { readonly event: 'mended'; readonly changes: readonly Mended[] }
  | { readonly event: 'fought'; readonly things: readonly string[]; readonly pauseMs: number; readonly by: readonly Culprit[] }
  | { readonly event: 'failed'; readonly problems: readonly Diagnostic[]; readonly pauseMs: number }
  | { readonly event: 'warning'; readonly problem: Diagnostic }
  | { readonly event: 'lost' };

/** How often it looks at what nobody tells of: settings, services, the record. */
const POLL_MS = 400;
/** How often it looks at everything, whatever was told. */
const SCAN_MS = 60_000;
/** After this long without a look the next event is taken for news again, see {@link lookDelay}. */
const CALM_MS = 5000;
/** After so many looks in a row during which something changed it mends what it has seen. */
const MOST_RESTLESS = 4;
/** How soon it tries again while another run of Weft is at work. */
const BUSY_MS = 300;

/** What is known of the record that stands. */
interface Standing {
  readonly mark: string;
  readonly record: AppliedRecord;
  readonly concerns: Concerns;
  readonly settings: readonly { readonly key: string; readonly value: string }[];
  /** Settings that are there while a module is. */
  readonly signs: readonly string[];
  readonly services: readonly string[];
}

/** Until `stop`. Throws WeftError `program-missing`, and `foreign-state` when the records are another namespace's. */
export async function watchHost(context: ApplyContext, tell: (event: WatchEvent) => void, stop: AbortSignal): Promise<void> {
  const { kernel, store } = context;
  const pace = createPace();
  const culprits = createCulprits();
  let standing: Standing | undefined;
  let known: ObserveOptions['known'];
  let idle = '';
  let fruitless = 0;
  /** Looks in a row during which something changed. */
  let restless = 0;
  /** When to look next, and when the last general look was; by performance.now(). */
  let due = performance.now();
  let scanned = due;
  let notBefore = due;

  let wake = (): void => undefined;
  const look = (inMs?: number): void => {
    const now = performance.now();
    if (now - scanned > CALM_MS) fruitless = 0;
    due = Math.min(due, now + (inMs ?? lookDelay(fruitless)));
    wake();
  };
  stop.addEventListener('abort', () => wake());
  /** Until the next poll, or the next look if that comes earlier. An event may make it earlier meanwhile. */
  const rest = (): Promise<void> =>
    new Promise((resolve) => {
      const inMs = Math.max(1, Math.min(POLL_MS, Math.max(due, notBefore) - performance.now()));
      const timer = setTimeout(resolve, inMs);
      wake = () => {
        clearTimeout(timer);
        setTimeout(resolve, Math.max(0, Math.min(inMs, due - performance.now())));
      };
      if (stop.aborted) wake();
    });
  const waitFor = (why: Extract<WatchEvent, { event: 'idle' }>['why']): void => {
    if (idle !== why) tell({ event: 'idle', why });
    idle = why;
  };
  await refuseForeign(context);
  const following = await followChanges(kernel, {
    onRules: (change) => {
      const concerns = concernsRules(change);
      culprits.heard(change, concerns);
      if (concerns) look();
    },
    onNetwork: (line) => {
      if (standing?.concerns(line) === true) look();
    },
    onLost: () => {
      tell({ event: 'lost' });
      look();
    },
  });

  /** The record as it is now. Another one than before is looked at whole. */
  async function refresh(): Promise<void> {
    const mark = await currentMark(store);
    if (mark === standing?.mark) return;
    const record = mark === undefined ? undefined : await store.read('applied');
    look();
    if (mark === undefined || record === undefined) {
      standing = undefined;
      return;
    }
    const { state } = await attainable(context, record);
    if (standing === undefined) tell({ event: 'watching', fabric: state.fabric, host: state.host });
    idle = '';
    const uplink = record.facts.uplink?.managed && record.facts.uplink.name;
    standing = {
      mark,
      record,
      concerns: concernsOf(state, uplink),
      settings: state.sysctls,
      signs: state.modules.map((module) => moduleSign[module]),
      services: state.services.map(({ name }) => name),
    };
  }

  async function poll({ settings, signs, services }: Standing): Promise<void> {
    const values = await readSysctls(kernel, [...settings.map(({ key }) => key), ...signs]);
    const isOff =
      signs.some((key) => !values.has(key)) || settings.some(({ key, value }) => values.get(key)?.trim().replaceAll(/\s+/g, ' ') !== value);
    if (isOff || services.some((name) => serviceStatus(kernel, name, context.directories) !== 'running')) look();
  }

  async function lookAndMend({ record, mark }: Standing): Promise<void> {
    const journal = await store.read('journal');
    if (journal?.phase === 'pending' && journal.undoing !== true && !isOverdue(journal, await bootTime(kernel))) {
      waitFor('a change waits to be confirmed');
      look(POLL_MS);
      return;
    }
    let seen: Drift | undefined;
    if (journal === undefined) {
      seen = await findDrift(context, record, known === undefined ? {} : { known });
      known = knownOf(seen.seen);
      // The kernel is read in parts: what changed meanwhile may have been there for one and gone for the next.
      if (due < performance.now() + SCAN_MS && restless < MOST_RESTLESS) {
        restless++;
        return;
      }
      restless = 0;
      if (!canMend(seen.changes)) {
        fruitless++;
        culprits.forget(seen.seen.generation);
        return;
      }
    }
    fruitless = 0;
    const mended = await withLock(
      context,
      (problem) => tell({ event: 'warning', problem }),
      // What was seen counts while the record is the one it was compared with; what has changed since is looked at next.
      async (repaired) => mend(context, repaired === 'nothing' && (await currentMark(store)) === mark ? seen : undefined),
    );
    if (mended === undefined) return;
    const by = mended.changes.some(({ kind }) => inRules.has(kind)) ? await culprits.upTo(mended.generation) : [];
    tell({ event: 'mended', changes: mended.changes.map((change) => told(change, by)) });
    const fight = pace.mended(
      mended.changes.map(({ kind, name }) => `${kind} ${name}`),
      performance.now(),
    );
    if (fight !== undefined) {
      tell({ event: 'fought', ...fight, by });
      notBefore = performance.now() + fight.pauseMs;
    }
  }

  async function turn(): Promise<void> {
    await refresh();
    const now = performance.now();
    if (standing === undefined) {
      waitFor('nothing is applied');
      due = now + SCAN_MS;
      return;
    }
    await poll(standing);
    if (now - scanned > SCAN_MS) look();
    if (now < Math.max(due, notBefore)) return;
    scanned = now;
    due = now + 2 * SCAN_MS;
    await lookAndMend(standing);
  }

  try {
    while (!stop.aborted) {
      try {
        await turn();
      } catch (error) {
        if (error instanceof WeftError && error.exitCode === 5) look(BUSY_MS);
        else {
          const pauseMs = pace.failed(performance.now());
          tell({ event: 'failed', problems: problemsOf(error, 'apply-failed'), pauseMs });
          notBefore = performance.now() + pauseMs;
          look(pauseMs);
        }
      }
      if (!stop.aborted) await rest();
    }
  } finally {
    await following.stop();
  }
}

/** Throws when the records are another namespace's; whatever else may be, the loop deals with it. */
async function refuseForeign(context: ApplyContext): Promise<void> {
  try {
    await withLock(
      context,
      () => undefined,
      () => Promise.resolve(),
    );
  } catch (error) {
    if (error instanceof WeftError && error.exitCode === 2) throw error;
  }
}

/**
 * The caller holds the lock. What was mended, and the ruleset's generation before; undefined: nothing was to be mended (any more). `seen`: what a look without the
 * lock has found.
 */
async function mend(
  context: ApplyContext,
  seen: Drift | undefined,
): Promise<{ readonly changes: readonly Change[]; readonly generation: string | undefined } | undefined> {
  const { store } = context;
  const record = seen?.applied ?? (await store.read('applied'));
  if (record === undefined || store.exists('journal')) return undefined;
  const drift = seen ?? (await findDrift(context, record));
  const { changes, plan, wanted, observed } = drift;
  if (!canMend(changes) || plan.steps.length === 0) return undefined;
  await refuseTaken(context, observed, wanted.state);
  // Its own events make it look again: that is the reading back.
  const goal = {
    record: wanted.record,
    command: 'watch',
    keepRecord: wanted.record === record,
    keepPrevious: true,
    keepLock: true,
    stands: true,
  };
  try {
    await transact(context, goal, plan);
  } catch (error) {
    // What was seen had changed once more. Going back led to the same record, with a look of its own (undo.ts): it is mended all the same.
    if (!(error instanceof WeftError) || error.exitCode !== 3) throw error;
  }
  return { changes: changes.filter((change) => change.kind !== 'interface'), generation: drift.seen.generation };
}

/** An interface that is gone has to come back by itself. */
const canMend = (changes: readonly Change[]): boolean => changes.some((change) => change.kind !== 'interface');

const inRules: ReadonlySet<string> = new Set(['table', 'chain', 'set', 'element']);

function told(change: Change, by: readonly Culprit[]): Mended {
  const culprit = inRules.has(change.kind) ? by.at(-1) : undefined;
  return { kind: change.kind, name: change.name, text: inWords(change), ...(culprit === undefined ? {} : { by: culprit }) };
}

function knownOf({ generation, own, foreign }: Drift['seen']): ObserveOptions['known'] {
  return generation === undefined ? undefined : { generation, tables: own.tables, foreign };
}

/** Of applied.json: another one for every file that is renamed into its place. Undefined: there is none. */
async function currentMark({ directory }: Store): Promise<string | undefined> {
  const found = await stat(join(directory, 'applied.json'), { bigint: true }).catch(() => undefined);
  return found === undefined ? undefined : `${found.ino} ${found.mtimeNs}`;
}
