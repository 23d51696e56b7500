/** What every command that is about the file does first: find it, check it, show what is wrong with it. */
import { readFileSync } from 'node:fs';
import type { ConfigFile } from '../config/model.ts';
import { checkFile } from '../fabric/check-file.ts';
import type { Fabric, Lock } from '../fabric/model.ts';
import type { CliContext } from './context.ts';

export interface LoadedFile {
  /** As the user wrote it. */
  readonly path: string;
  readonly fabric: Fabric;
  readonly config: ConfigFile;
  /** As read; undefined without weft.lock. */
  readonly lock: Lock | undefined;
}

/** Reports every problem of the file to `ctx`; undefined when one of them is an error. */
export function readFabric(ctx: CliContext): LoadedFile | undefined {
  const path = ctx.configPath();
  const { fabric, config, lock, diagnostics } = checkFile(path);
  const text = config?.text ?? textOf(path);
  if (text !== undefined) ctx.source(path, text);
  for (const diagnostic of diagnostics) ctx.report(diagnostic);
  return fabric === undefined || config === undefined ? undefined : { path, fabric, config, lock };
}

/** For the excerpt under a problem of a file that could not be parsed. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/** As {@link readFabric}, but a file with errors ends the command with exit status 2. */
export function loadFabric(ctx: CliContext): LoadedFile {
  const loaded = readFabric(ctx);
  ctx.stopOnErrors(2);
  if (loaded === undefined) throw new Error('the file gave neither a fabric nor an error');
  return loaded;
}
