/**
 * Which container stands behind which port. A container's namespace is known by path and by the namespace's own identity (device and inode of the
 * nsfs file, namespaces(7)), so that a pid used again is not taken for the old container.
 */
import { namespaceIdentity } from '../kernel/netns.ts';
import type { Attachments } from './store.ts';

/** The attachments whose namespace still exists. */
export async function liveAttachments(attachments: Attachments): Promise<Attachments> {
  const live: Record<string, Attachments[string]> = {};
  for (const [guest, attachment] of Object.entries(attachments)) {
    if ((await namespaceIdentity(attachment.netns)) === attachment.identity) live[guest] = attachment;
  }
  return live;
}
