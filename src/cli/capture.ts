/** The work of `weft capture`. Works without root and without a file; what could not be read is named in the document and on standard error. */
import { existsSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { WeftError } from '../diagnostic/diagnostic.ts';
import { checkFile } from '../fabric/check-file.ts';
import { capture } from '../kernel/capture.ts';
import { openKernel } from '../kernel/open.ts';
import type { CliContext } from './context.ts';
import { hostOf, thisMachine } from './host.ts';

export async function runCapture(ctx: CliContext, output: string | undefined): Promise<void> {
  const document = await capture(openKernel(), hostName(ctx));
  for (const { part, because } of document.missing) ctx.err(`The capture is without ${part}: ${because.split('\n')[0]}`);
  if (output === undefined) {
    ctx.json(document);
    return;
  }
  try {
    writeFileSync(resolve(ctx.io.cwd, output), `${JSON.stringify(document, undefined, 2)}\n`, { mode: 0o600 });
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : String(cause);
    throw new WeftError(2, [
      {
        code: 'file-unreadable',
        severity: 'error',
        message: `${output} cannot be written (${code}): check the directory and its permissions`,
      },
    ]);
  }
  ctx.answer({ ok: true, file: output, missing: document.missing }, () => `Wrote ${output}.`);
}

/** The name the file gives this host, where there is a sound file that decides it; else the machine's own. */
function hostName(ctx: CliContext): string {
  const { host, file } = ctx.options;
  if (host !== undefined) return host;
  const path = file ?? (existsSync(resolve(ctx.io.cwd, 'weft.yaml')) ? 'weft.yaml' : '/etc/weft/weft.yaml');
  if (!existsSync(resolve(ctx.io.cwd, path))) return hostname();
  const { fabric } = checkFile(path);
  if (fabric === undefined) return hostname();
  try {
    return hostOf(fabric, undefined, thisMachine());
  } catch (error) {
    if (error instanceof WeftError) return hostname();
    throw error;
  }
}
