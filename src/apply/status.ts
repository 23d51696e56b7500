/**
 * What was applied on this host and how what is there now differs from it.
 */
import { planChanges } from '../plan/plan.ts';
import type { Change } from '../plan/steps.ts';
import { liveAttachments } from './attachments.ts';
import { ownState } from './observation.ts';
import { withAttachments } from './record.ts';
import type { AppliedRecord } from './store.ts';
import type { ApplyContext } from './transaction.ts';

export interface HostStatus {
  /** Applied, and everything as applied. */
  readonly ok: boolean;
  readonly applied: boolean;
  readonly fabric?: string;
  readonly host?: string;
  readonly file?: string;
  /** ISO 8601, UTC. */
  readonly appliedAt?: string;
  /** ISO 8601, UTC: until then somebody has to confirm the last apply. */
  readonly confirmBefore?: string;
  readonly services: readonly { readonly name: string; readonly status: 'running' | 'dead' }[];
  readonly guests: readonly {
    readonly name: string;
    readonly kind: string;
    readonly status: 'ready' | 'not attached' | 'without network' | 'inside';
  }[];
  /** What `apply` would do to bring back what was applied. */
  readonly drift: readonly Change[];
}

export async function hostStatus(context: ApplyContext): Promise<HostStatus> {
  const record = await context.store.read('applied');
  if (record === undefined) return { ok: false, applied: false, services: [], guests: [], drift: [] };
  const attachments = await liveAttachments(record.attachments);
  // A container that has ended took its port along; that is no drift.
  const wanted =
    Object.keys(attachments).length === Object.keys(record.attachments).length
      ? record
      : { ...withAttachments(record, attachments), listed: record.listed };
  const observed = await ownState(context, wanted.state, [record]);
  const gone = new Set(Object.keys(record.attachments).filter((guest) => attachments[guest] === undefined));
  const drift = planChanges(observed, wanted.state).changes.filter((change) => !isLeftover(change, record, gone));
  const running = new Set(observed.services.map((service) => service.name));
  const journal = await context.store.read('journal');
  return {
    ok: drift.length === 0,
    applied: true,
    fabric: record.state.fabric,
    host: record.state.host,
    file: record.file,
    appliedAt: record.appliedAt,
    ...(journal?.confirmBefore === undefined ? {} : { confirmBefore: new Date(journal.confirmBefore).toISOString() }),
    services: wanted.state.services.map(({ name }) => ({ name, status: running.has(name) ? 'running' : 'dead' })),
    guests: record.fabric.guests
      .filter((guest) => guest.host === undefined || guest.host === record.state.host)
      .map((guest) => ({
        name: guest.name,
        kind: guest.kind,
        status:
          guest.inside !== undefined
            ? 'inside'
            : guest.nics.length === 0
              ? 'without network'
              : guest.kind === 'container' && attachments[guest.name] === undefined
                ? 'not attached'
                : 'ready',
      })),
    drift,
  };
}

/** The guard of a port whose container has ended waits for it to come back: `netdev weft p_<port>`. */
function isLeftover({ action, kind, name }: Change, record: AppliedRecord, gone: ReadonlySet<string>): boolean {
  if (action !== 'delete' || kind !== 'chain') return false;
  return record.fabric.guests.some((guest) => gone.has(guest.name) && guest.nics.some((nic) => name === `netdev weft p_${nic.port}`));
}

const verbs = { create: 'missing', update: 'changed', delete: 'not of the applied state' } as const;

export function statusText(status: HostStatus): string {
  if (!status.applied) return 'Nothing is applied on this host: `weft apply` makes it as the file says.';
  const lines = [`Fabric ${status.fabric} on host ${status.host}, applied ${status.appliedAt} from ${status.file}`];
  if (status.confirmBefore !== undefined) lines.push(`Waits for \`weft confirm\` until ${status.confirmBefore}, then goes back.`);
  const waiting = status.guests.filter((guest) => guest.status === 'not attached').map((guest) => guest.name);
  lines.push(
    `${status.guests.length} guest${status.guests.length === 1 ? '' : 's'}${waiting.length > 0 ? `, not attached: ${waiting.join(', ')}` : ''}`,
  );
  for (const { name, status: state } of status.services) lines.push(`  ${name} ${state === 'running' ? 'runs' : 'is DEAD'}`);
  if (status.drift.length === 0) lines.push('Everything is as applied.');
  else {
    lines.push(
      `${status.drift.length} difference${status.drift.length === 1 ? '' : 's'} from what was applied (\`weft apply\` mends them):`,
    );
    for (const change of status.drift.slice(0, 40)) lines.push(`  ${verbs[change.action]}: ${change.kind} ${change.name}`);
    if (status.drift.length > 40) lines.push(`  … and ${status.drift.length - 40} more`);
  }
  return lines.join('\n');
}
