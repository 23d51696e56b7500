/**
 * A record as far as it can be had here and now: without the ports of containers that have ended since, and without what is on interfaces that are not
 * there, or not yet (plan/attainable.ts).
 */
import type { HostState } from '../hoststate/model.ts';
import { existingLinks, foreignAmong } from '../kernel/links.ts';
import { earlyPart, foreignLinks, presentPart, withOthersVlans } from '../plan/attainable.ts';
import { liveAttachments } from './attachments.ts';
import { withAttachments } from './record.ts';
import type { AppliedRecord } from './store.ts';
import type { ApplyContext } from './context.ts';

export interface Attainable {
  /** Without the containers that have ended: what is to be remembered. */
  readonly record: AppliedRecord;
  /** What of it can be made now. */
  readonly state: HostState;
  /** Interfaces of the host that the record needs and that are not there. Early in the boot nobody expects them. */
  readonly missing: readonly string[];
  /** Guests whose container has ended. */
  readonly detached: readonly string[];
}

/** `claimed`: names of links that are Weft's though they bear no tag yet. */
export async function attainable(
  { kernel, stage }: ApplyContext,
  applied: AppliedRecord,
  claimed: readonly string[] = [],
): Promise<Attainable> {
  const attachments = await liveAttachments(applied.attachments);
  const detached = Object.keys(applied.attachments).filter((guest) => attachments[guest] === undefined);
  const { appliedAt, listed } = applied;
  const record = detached.length === 0 ? applied : { ...withAttachments(applied, attachments), appliedAt, listed };
  if (stage === 'early') return { record, state: earlyPart(record.state), missing: [], detached };
  const vlans = record.state.links.flatMap(({ kind, name }) => (kind === 'vlan' && !claimed.includes(name) ? [name] : []));
  const state = withOthersVlans(record.state, new Set(await foreignAmong(kernel, vlans)));
  const wanted = foreignLinks(state);
  const there = new Set(await existingLinks(kernel, wanted));
  const missing = wanted.filter((name) => !there.has(name));
  return { record, state: missing.length === 0 ? state : presentPart(state, there), missing, detached };
}
