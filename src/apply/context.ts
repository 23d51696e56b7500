/** What every change of the host is made with. */
import type { ExecutionContext } from './execute.ts';
import type { Faults } from './faults.ts';

export interface ApplyContext extends ExecutionContext {
  readonly faults: Faults;
  /** `early`: the network is not up yet, and what is on interfaces that are not Weft's is left for later. */
  readonly stage: 'early' | 'full';
  /** One line of progress for people. */
  readonly progress: (text: string) => void;
  /** Starts the process that undoes an unconfirmed change; resolves once it has said that it watches. */
  readonly armWatchdog: (journalId: string) => Promise<void>;
}
