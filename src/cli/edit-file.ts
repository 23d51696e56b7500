/**
 * The work of `weft guest add|remove`: the edited file is checked whole before it replaces the old one, then the lock follows. An edit at
 * the same time waits for this one, so that none is lost.
 */
import { randomUUID } from 'node:crypto';
import { chmod, chown, link, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { replaceFile } from '../apply/store.ts';
import type { ConfigFile } from '../config/model.ts';
import { parseConfig } from '../config/read.ts';
import type { Diagnostic, Report } from '../diagnostic/diagnostic.ts';
import { WeftError } from '../diagnostic/diagnostic.ts';
import type { NewGuest } from '../edit/guests.ts';
import { addGuest, removeGuest } from '../edit/guests.ts';
import { buildFabric } from '../fabric/build.ts';
import { LOCK_FILE } from '../fabric/check-file.ts';
import { formatLock } from '../fabric/lock.ts';
import type { Fabric } from '../fabric/model.ts';
import type { CliContext } from './context.ts';
import { loadFabric } from './file.ts';
import { chooseHost } from './host.ts';
import { guestDocument } from './show.ts';

const waitMs = 5_000;
/** An edit takes a fraction of a second; a mark that is older was left by one that was killed. */
const abandonedMs = 30_000;

export async function addGuestToFile(ctx: CliContext, guest: NewGuest): Promise<void> {
  await edit(
    ctx,
    (config, report) => addGuest(config, guest, report),
    (fabric, path) => {
      const added = fabric.guests.find(({ name }) => name.toLowerCase() === guest.name.toLowerCase());
      const nic = added?.nics[0];
      const where =
        nic === undefined
          ? 'without a network'
          : `${[nic.v4, nic.v6].filter((address) => address !== undefined).join(' and ')} in ${nic.network}, port ${nic.port}`;
      ctx.answer(
        { ok: true, file: path, guest: added === undefined ? undefined : guestDocument(fabric, added) },
        () => `${guest.name} is in ${path}: ${where}. \`weft apply\` makes it so.`,
      );
    },
  );
}

export async function removeGuestFromFile(ctx: CliContext, name: string): Promise<void> {
  await edit(
    ctx,
    (config, report) => removeGuest(config, name, report),
    (_, path) => {
      ctx.answer({ ok: true, file: path, removed: name }, () => `${name} is out of ${path}. \`weft apply\` makes it so.`);
    },
  );
}

async function edit(
  ctx: CliContext,
  change: (config: ConfigFile, report: Report) => string | undefined,
  answer: (fabric: Fabric, path: string) => void,
): Promise<void> {
  const path = ctx.configPath();
  const real = await realpath(path).catch(() => path);
  const release = await takeTurn(real);
  try {
    const { config, lock } = loadFabric(ctx);
    const text = change(config, ctx.report);
    ctx.stopOnErrors(2);
    if (text === undefined) throw new Error('the edit gave neither a text nor an error');
    ctx.source(path, text);
    const fabric = rebuilt(ctx, path, config.directory, text, lock);
    await replaceKeepingOwner(real, text);
    const lockPath = join(config.directory, LOCK_FILE);
    await replaceFile(lockPath, formatLock(fabric.lock), 0o644);
    const { uid, gid } = await stat(real);
    await chown(lockPath, uid, gid).catch(() => undefined);
    answer(fabric, path);
  } finally {
    await release();
  }
}

/** The fabric of the edited text. What the unedited file was warned about already is not said twice. */
function rebuilt(ctx: CliContext, path: string, directory: string, text: string, lock: Parameters<typeof buildFabric>[1]): Fabric {
  const said = new Set(ctx.problems.map(({ code, message }) => `${code} ${message}`));
  const report = (diagnostic: Diagnostic): void => {
    if (!said.has(`${diagnostic.code} ${diagnostic.message}`)) ctx.report(diagnostic);
  };
  const config = parseConfig(path, directory, text, report);
  const fabric = config === undefined ? undefined : buildFabric(config, lock, report);
  ctx.stopOnErrors(2);
  if (fabric === undefined) throw new Error('the edited file gave neither a fabric nor an error');
  // Not used for anything but its error: a guest on a host that nobody can name could not be applied.
  if (ctx.options.host !== undefined) chooseHost(fabric, ctx);
  return fabric;
}

async function replaceKeepingOwner(path: string, text: string): Promise<void> {
  const { uid, gid, mode } = await stat(path);
  await replaceFile(path, text, mode & 0o7777);
  await chmod(path, mode & 0o7777);
  // Only root can give a file away; for everybody else it is theirs already.
  await chown(path, uid, gid).catch(() => undefined);
}

/** One edit of a file at a time. Resolves to what ends the turn. */
async function takeTurn(path: string): Promise<() => Promise<void>> {
  const mark = `${path}.edit`;
  const own = `${mark}.${randomUUID().slice(0, 8)}`;
  const giveUpAt = Date.now() + waitMs;
  try {
    await writeFile(own, '');
  } catch (cause) {
    throw new WeftError(2, [
      {
        code: 'file-unreadable',
        severity: 'error',
        message: `nothing can be written beside ${path} (${codeOf(cause)}): check the file's name and the permissions of its directory`,
      },
    ]);
  }
  try {
    for (;;) {
      try {
        await link(own, mark);
        return () => rm(mark, { force: true });
      } catch {
        const age = await stat(mark).then(
          ({ mtimeMs }) => Date.now() - mtimeMs,
          () => 0,
        );
        if (age > abandonedMs) await rm(mark, { force: true });
        else if (Date.now() > giveUpAt) {
          throw new WeftError(5, [
            {
              code: 'busy',
              severity: 'error',
              message: `another \`weft guest\` is editing ${path}: try again; if none runs, remove ${mark}`,
            },
          ]);
        }
        await sleep(20);
      }
    }
  } finally {
    await rm(own, { force: true });
  }
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
}
