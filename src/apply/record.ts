/**
 * From a fabric to the record an apply works towards, and what a record tells of its policy.
 */
import { compileHost } from '../compile/host.ts';
import type { HostPolicy } from '../compile/policy-model.ts';
import { hostPolicy } from '../compile/policy.ts';
import { formatLock } from '../fabric/lock.ts';
import type { Fabric } from '../fabric/model.ts';
import { normalizeTable } from '../hoststate/nft-normal.ts';
import type { HostFacts } from '../hoststate/model.ts';
import type { AppliedRecord, Attachments } from './store.ts';

export interface RecordInput {
  readonly fabric: Fabric;
  readonly host: string;
  readonly facts: HostFacts;
  readonly attachments: Attachments;
  /** Absolute path of weft.yaml, and of weft.lock beside it. */
  readonly file: string;
  readonly lockFile: string;
}

/** Pure but for the clock. `listed` is filled after the apply. */
export function buildRecord(input: RecordInput): AppliedRecord {
  const { fabric, host, facts, attachments, file, lockFile } = input;
  const netns = new Map(Object.entries(attachments).map(([guest, attachment]) => [guest, attachment.netns]));
  const state = compileHost(fabric, host, facts, { attachments: netns });
  return {
    version: 1,
    appliedAt: new Date().toISOString(),
    fabric,
    facts,
    // In the form in which the kernel's ruleset is read, so that what is there can be compared as plain values.
    state: { ...state, tables: state.tables.map(normalizeTable) },
    attachments,
    lock: { path: lockFile, text: formatLock(fabric.lock) },
    file,
    listed: {},
  };
}

/** The policy a record stands for. */
export function policyOf(record: AppliedRecord): HostPolicy {
  return hostPolicy(record.fabric, record.state.host, record.facts);
}

/** The same record with other containers attached: compiled again from the same fabric and facts. */
export function withAttachments(record: AppliedRecord, attachments: Attachments): AppliedRecord {
  const { fabric, facts, file, lock, state } = record;
  return { ...buildRecord({ fabric, host: state.host, facts, attachments, file, lockFile: lock.path }), lock };
}

/** The same record with other facts, its containers as they are. */
export function withFacts(record: AppliedRecord, facts: HostFacts): AppliedRecord {
  const { appliedAt, listed } = record;
  return { ...withAttachments({ ...record, facts }, record.attachments), appliedAt, listed };
}
