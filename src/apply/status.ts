/**
 * What was applied on this host and how what is there now differs from it.
 */
import type { Report } from '../diagnostic/diagnostic.ts';
import type { Change } from '../plan/steps.ts';
import { inWords } from '../plan/words.ts';
import { findDrift } from './drift.ts';
import { foreignWarnings } from './foreign.ts';
import type { ApplyContext } from './context.ts';

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
  /** What differs from what was applied, and what `apply` would do about it. */
  readonly drift: readonly DriftLine[];
}

/** The change that leads back, and the difference in words. */
export type DriftLine = Change & { readonly text: string };

/** Reads everything, insides of guests included. `report` gets what other programs' rules would drop of what is allowed. */
export async function hostStatus(context: ApplyContext, report: Report): Promise<HostStatus> {
  const record = await context.store.read('applied');
  if (record === undefined) return { ok: false, applied: false, services: [], guests: [], drift: [] };
  const { changes, wanted, observed, seen } = await findDrift(context, record, { inside: true });
  const { attachments } = wanted.record;
  // The next apply must not take the host for untouched: of the insides of guests its fingerprint knows nothing.
  if (changes.length > 0) await context.store.remove('digest');
  for (const warning of await foreignWarnings(context, seen.foreign, record)) report(warning);
  const drift = changes.map((change): DriftLine => ({ ...change, text: inWords(change) }));
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
    services: wanted.record.state.services.map(({ name }) => ({ name, status: running.has(name) ? 'running' : 'dead' })),
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
    for (const change of status.drift.slice(0, 40)) lines.push(`  ${change.text}`);
    if (status.drift.length > 40) lines.push(`  … and ${status.drift.length - 40} more`);
  }
  return lines.join('\n');
}
