/**
 * A container's port is made when the container is there: a veth whose far end is born in the container's namespace. An attachment is part of the
 * record, so it is a transaction like every other change, and `apply` keeps it while the namespace lives.
 */
import { resolve } from 'node:path';
import type { Diagnostic } from '../diagnostic/diagnostic.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { GuestInterface } from '../hoststate/model.ts';
import { namespaceIdentity } from '../kernel/netns.ts';
import { planChanges } from '../plan/plan.ts';
import { liveAttachments } from './attachments.ts';
import { ownState } from './observation.ts';
import { withAttachments } from './record.ts';
import type { AppliedRecord } from './store.ts';
import { refuseTaken } from './taken.ts';
import type { ApplyContext } from './context.ts';
import { transact } from './transaction.ts';

const refuse = (code: Diagnostic['code'], message: string): WeftError => new WeftError(2, [{ code, severity: 'error', message }]);

/** Returns the interfaces as they are inside. Throws WeftError: exit 2 for a guest or namespace that cannot be attached, 3 or 4 as any transaction. */
export async function attachGuest(
  context: ApplyContext,
  name: string,
  where: { readonly pid?: string; readonly netns?: string },
): Promise<readonly GuestInterface[]> {
  if ((where.pid === undefined) === (where.netns === undefined)) {
    throw refuse('usage', 'say which container: either --pid N or --netns PATH');
  }
  if (where.pid !== undefined && !/^[1-9]\d*$/.test(where.pid)) throw refuse('usage', `--pid takes a process number, not "${where.pid}"`);
  const { record, guest } = await containerOf(context, name);
  // Absolute: later commands run elsewhere, and `ip` takes a bare name for one under /run/netns.
  const netns = where.netns === undefined ? `/proc/${where.pid}/ns/net` : resolve(where.netns);
  const identity = await namespaceIdentity(netns);
  if (identity === undefined) {
    throw refuse(
      'attach-failed',
      where.pid === undefined ? `there is no network namespace at ${netns}` : `there is no process ${where.pid}: is the container running?`,
    );
  }
  if (identity === (await namespaceIdentity('/proc/self/ns/net'))) {
    throw refuse(
      'attach-failed',
      `${netns} is this host's own network namespace; start the container with a network of its own (--network=none)`,
    );
  }
  const attachments = { ...(await liveAttachments(record.attachments)), [guest]: { netns, identity } };
  const next = withAttachments(record, attachments);
  const inside = next.state.guests.find((side) => side.guest === guest);
  const known = record.attachments[guest];
  if (known?.identity !== identity) await refuseTakenInside(context, netns, name, inside?.interfaces ?? []);
  await change(context, record, next, 'attach');
  return inside?.interfaces ?? [];
}

/** Throws WeftError (exit 2) when the guest is not attached. */
export async function detachGuest(context: ApplyContext, name: string): Promise<void> {
  const { record, guest } = await containerOf(context, name);
  const { [guest]: attached, ...others } = record.attachments;
  if (attached === undefined) throw refuse('not-attachable', `${name} is not attached`);
  await change(context, record, withAttachments(record, await liveAttachments(others)), 'detach');
}

async function containerOf(context: ApplyContext, name: string): Promise<{ record: AppliedRecord; guest: string }> {
  const record = await context.store.read('applied');
  if (record === undefined) throw refuse('not-applied', 'nothing is applied on this host yet: run `weft apply` first');
  const guest = record.fabric.guests.find((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
  if (guest === undefined)
    throw refuse('unknown-guest', `there is no guest called ${name} in what is applied; add it to the file and run \`weft apply\``);
  if (guest.host !== record.state.host)
    throw refuse('not-attachable', `${name} lives on the host ${guest.host ?? '(none)'}, not on this one`);
  if (guest.kind !== 'container') {
    const why = guest.kind === 'vm' ? 'its program opens the TAP itself' : 'Weft makes its namespace itself';
    throw refuse('not-attachable', `${name} is a ${guest.kind}: ${why}; only guests of \`kind: container\` are attached`);
  }
  if (guest.nics.length === 0) throw refuse('not-attachable', `${name} has \`network: none\`: there is nothing to attach`);
  return { record, guest: guest.name };
}

async function change(context: ApplyContext, before: AppliedRecord, next: AppliedRecord, command: 'attach' | 'detach'): Promise<void> {
  const observed = await ownState(context, next.state, [before]);
  await refuseTaken(context, observed, next.state);
  await transact(context, { record: next, command, keepPrevious: true }, planChanges(observed, next.state));
}

async function refuseTakenInside(context: ApplyContext, netns: string, guest: string, faces: readonly GuestInterface[]): Promise<void> {
  const links: unknown = JSON.parse(await context.kernel.at(netns).run('ip', ['-j', 'link', 'show']));
  const names = new Set((Array.isArray(links) ? (links as readonly { ifname?: string }[]) : []).map((link) => link.ifname));
  const taken = faces.find((face) => names.has(face.name));
  if (taken) {
    throw refuse(
      'attach-failed',
      `${guest} already has an interface called ${taken.name} that Weft did not make; start the container without a network of its own (podman run --network=none)`,
    );
  }
}
