/**
 * A file that is well formed and means something wrong, and what is said about it, to the letter.
 */
import type { Lock } from '../../../src/fabric/model.ts';

export interface BadFile {
  readonly name: string;
  readonly lock?: Lock;
  /** The text after its first newline, so that line 1 is the next one. */
  readonly file: string;
  /** True with warnings only: the fabric is built. */
  readonly builds: boolean;
  /** `LINE:COLUMN SEVERITY CODE: MESSAGE`, and ` (LINE:COLUMN MESSAGE)` for each other place. */
  readonly says: readonly string[];
}
